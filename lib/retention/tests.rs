//! The rules on a calendar, and what must hold on any.

use super::*;
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;

const UTC: TimeZone = TimeZone::UTC;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn candidate(time: &str, standing: Standing) -> Candidate {
    Candidate {
        time: at(time),
        standing,
        pinned: false,
        failed: false,
    }
}

fn sealed(times: &[&str]) -> Vec<Candidate> {
    times
        .iter()
        .map(|time| candidate(time, Standing::Sealed))
        .collect()
}

/// One backup each day at 02:30, up to and including `last`.
fn nightly(days: i64, last: &str) -> Vec<Candidate> {
    let last = at(last);
    (0..days)
        .map(|day| Candidate {
            time: last - SignedDuration::from_hours(24 * day),
            standing: Standing::Sealed,
            pinned: false,
            failed: false,
        })
        .collect()
}

/// The plan as people read it.
fn told(rules: &Rules, candidates: &[Candidate], now: &str, zone: &TimeZone) -> String {
    decide(rules, candidates, at(now), zone)
        .iter()
        .zip(candidates)
        .map(|(decision, candidate)| {
            let verb = if decision.keeps() { "keep  " } else { "remove" };
            format!("{} {verb} {decision}\n", candidate.time)
        })
        .collect()
}

#[test]
fn a_calendar_of_daily_weekly_monthly_yearly() {
    let rules = Rules {
        daily: 3,
        weekly: 2,
        monthly: 2,
        yearly: 2,
        ..Rules::default()
    };
    let mut backups = nightly(14, "2026-01-04T02:30:00Z");
    backups.extend(sealed(&["2025-11-30T02:30:00Z", "2024-12-31T02:30:00Z"]));
    let expected = "\
2026-01-04T02:30:00Z keep   daily 1 of 3 (2026-01-04), weekly 1 of 2 (2026-W01), monthly 1 of 2 (2026-01), yearly 1 of 2 (2026), newest good one
2026-01-03T02:30:00Z keep   daily 2 of 3 (2026-01-03)
2026-01-02T02:30:00Z keep   daily 3 of 3 (2026-01-02)
2026-01-01T02:30:00Z remove beyond daily 3, not the last of 2026-W01, not the last of 2026-01, not the last of 2026
2025-12-31T02:30:00Z keep   monthly 2 of 2 (2025-12), yearly 2 of 2 (2025)
2025-12-30T02:30:00Z remove beyond daily 3, not the last of 2026-W01, not the last of 2025-12, not the last of 2025
2025-12-29T02:30:00Z remove beyond daily 3, not the last of 2026-W01, not the last of 2025-12, not the last of 2025
2025-12-28T02:30:00Z keep   weekly 2 of 2 (2025-W52)
2025-12-27T02:30:00Z remove beyond daily 3, not the last of 2025-W52, not the last of 2025-12, not the last of 2025
2025-12-26T02:30:00Z remove beyond daily 3, not the last of 2025-W52, not the last of 2025-12, not the last of 2025
2025-12-25T02:30:00Z remove beyond daily 3, not the last of 2025-W52, not the last of 2025-12, not the last of 2025
2025-12-24T02:30:00Z remove beyond daily 3, not the last of 2025-W52, not the last of 2025-12, not the last of 2025
2025-12-23T02:30:00Z remove beyond daily 3, not the last of 2025-W52, not the last of 2025-12, not the last of 2025
2025-12-22T02:30:00Z remove beyond daily 3, not the last of 2025-W52, not the last of 2025-12, not the last of 2025
2025-11-30T02:30:00Z remove beyond daily 3, beyond weekly 2, beyond monthly 2, not the last of 2025
2024-12-31T02:30:00Z remove beyond daily 3, beyond weekly 2, beyond monthly 2, beyond yearly 2
";
    assert_eq!(
        told(&rules, &backups, "2026-01-04T03:00:00Z", &UTC),
        expected
    );
}

#[test]
fn days_without_a_backup_do_not_count() {
    let rules = Rules {
        daily: 3,
        ..Rules::default()
    };
    let backups = sealed(&[
        "2026-11-20T02:30:00Z",
        "2026-08-02T14:00:00Z",
        "2026-08-02T02:30:00Z",
        "2026-08-01T02:30:00Z",
        "2026-07-31T02:30:00Z",
    ]);
    let expected = "\
2026-11-20T02:30:00Z keep   daily 1 of 3 (2026-11-20), newest good one
2026-08-02T14:00:00Z keep   daily 2 of 3 (2026-08-02)
2026-08-02T02:30:00Z remove not the last of 2026-08-02
2026-08-01T02:30:00Z keep   daily 3 of 3 (2026-08-01)
2026-07-31T02:30:00Z remove beyond daily 3
";
    assert_eq!(
        told(&rules, &backups, "2026-11-21T00:00:00Z", &UTC),
        expected
    );
}

#[test]
fn when_backups_stop_what_is_left_stays() {
    let rules = Rules {
        within: Some(7.days()),
        ..Rules::default()
    };
    let backups = nightly(10, "2026-03-10T02:30:00Z");
    let plan = |now| decide(&rules, &backups, at(now), &UTC);
    assert_eq!(plan("2026-03-10T03:00:00Z"), plan("2026-11-21T03:00:00Z"));
    let kept = plan("2026-11-21T03:00:00Z");
    assert_eq!(kept.iter().filter(|decision| decision.keeps()).count(), 8);
}

#[test]
fn a_damaged_backup_takes_nobodys_place() {
    let rules = Rules {
        last: 2,
        daily: 2,
        ..Rules::default()
    };
    let backups = [
        candidate("2026-11-21T02:30:00Z", Standing::Damaged),
        candidate("2026-11-20T14:00:00Z", Standing::Damaged),
        candidate("2026-11-20T02:30:00Z", Standing::Sealed),
        candidate("2026-11-19T02:30:00Z", Standing::Verified),
        candidate("2026-11-18T02:30:00Z", Standing::Damaged),
        candidate("2026-11-17T02:30:00Z", Standing::Sealed),
    ];
    let expected = "\
2026-11-21T02:30:00Z keep   last 1 of 2, daily 1 of 2 (2026-11-21)
2026-11-20T14:00:00Z keep   last 2 of 2, daily 2 of 2 (2026-11-20)
2026-11-20T02:30:00Z keep   last 1 of 2, daily 1 of 2 (2026-11-20), newest good one
2026-11-19T02:30:00Z keep   last 2 of 2, daily 2 of 2 (2026-11-19), newest verified one
2026-11-18T02:30:00Z remove not of the last 2, beyond daily 2
2026-11-17T02:30:00Z remove not of the last 2, beyond daily 2
";
    assert_eq!(
        told(&rules, &backups, "2026-11-21T03:00:00Z", &UTC),
        expected
    );
}

#[test]
fn the_newest_verified_one_stays_however_old() {
    let rules = Rules {
        last: 1,
        ..Rules::default()
    };
    let backups = [
        candidate("2026-11-21T02:30:00Z", Standing::Sealed),
        candidate("2026-11-20T02:30:00Z", Standing::Sealed),
        candidate("2024-11-19T02:30:00Z", Standing::Verified),
        candidate("2024-11-18T02:30:00Z", Standing::Verified),
    ];
    let expected = "\
2026-11-21T02:30:00Z keep   last 1 of 1, newest good one
2026-11-20T02:30:00Z remove not of the last 1
2024-11-19T02:30:00Z keep   newest verified one
2024-11-18T02:30:00Z remove not of the last 1
";
    assert_eq!(
        told(&rules, &backups, "2026-11-21T03:00:00Z", &UTC),
        expected
    );
}

#[test]
fn the_newest_proven_one_stays_beside_the_newest_verified_one() {
    let rules = Rules {
        last: 1,
        ..Rules::default()
    };
    let mut backups = vec![
        candidate("2026-11-21T02:30:00Z", Standing::Sealed),
        candidate("2026-11-20T02:30:00Z", Standing::Verified),
        candidate("2026-11-19T02:30:00Z", Standing::Verified),
        candidate("2026-11-01T02:30:00Z", Standing::Proven),
        candidate("2026-10-01T02:30:00Z", Standing::Proven),
    ];
    let expected = "\
2026-11-21T02:30:00Z keep   last 1 of 1, newest good one
2026-11-20T02:30:00Z keep   newest verified one
2026-11-19T02:30:00Z remove not of the last 1
2026-11-01T02:30:00Z keep   newest proven one
2026-10-01T02:30:00Z remove not of the last 1
";
    let now = "2026-11-21T03:00:00Z";
    assert_eq!(told(&rules, &backups, now, &UTC), expected);
    backups[2].failed = true;
    let plan = told(&rules, &backups, now, &UTC);
    assert!(
        plan.contains("2026-10-01T02:30:00Z keep   the last check failed\n"),
        "{plan}"
    );
}

#[test]
fn a_clock_that_was_wrong_costs_no_backup() {
    let rules = Rules {
        last: 1,
        within: Some(1.day()),
        ..Rules::default()
    };
    let mut backups = sealed(&[
        "2037-01-01T00:00:00Z",
        "2026-11-21T02:30:00Z",
        "2026-11-20T12:00:00Z",
        "2026-11-19T02:30:00Z",
        "1970-01-01T00:00:09Z",
    ]);
    backups[4].pinned = true;
    let expected = "\
2037-01-01T00:00:00Z keep   dated in the future
2026-11-21T02:30:00Z keep   last 1 of 1, within 1d of the newest, newest good one
2026-11-20T12:00:00Z keep   within 1d of the newest
2026-11-19T02:30:00Z remove not of the last 1, not within 1d of the newest
1970-01-01T00:00:09Z keep   pinned
";
    assert_eq!(
        told(&rules, &backups, "2026-11-21T03:00:00Z", &UTC),
        expected
    );
}

#[test]
fn days_and_hours_are_those_of_the_zone() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let rules = Rules {
        daily: 2,
        ..Rules::default()
    };
    // In Berlin the first two are of one day: 22:30 and 23:30 in UTC are 23:30 and 00:30.
    let backups = sealed(&[
        "2026-11-20T23:30:00Z",
        "2026-11-21T22:30:00Z",
        "2026-11-20T22:30:00Z",
    ]);
    let expected = "\
2026-11-20T23:30:00Z remove not the last of 2026-11-21
2026-11-21T22:30:00Z keep   daily 1 of 2 (2026-11-21), newest good one
2026-11-20T22:30:00Z keep   daily 2 of 2 (2026-11-20)
";
    assert_eq!(
        told(&rules, &backups, "2026-11-22T03:00:00Z", &berlin),
        expected
    );
    // The hour that comes twice on 2026-10-25 is two hours; in a half-hour zone hours begin at half past.
    let rules = Rules {
        hourly: 9,
        ..Rules::default()
    };
    let twice = sealed(&["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]);
    let plan = decide(&rules, &twice, at("2026-10-26T00:00:00Z"), &berlin);
    assert!(plan.iter().all(Decision::keeps));
    let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
    let halves = sealed(&["2026-10-25T00:29:00Z", "2026-10-25T00:31:00Z"]);
    let plan = decide(&rules, &halves, at("2026-10-26T00:00:00Z"), &kolkata);
    assert!(plan.iter().all(Decision::keeps));
    let plan = decide(&rules, &halves, at("2026-10-26T00:00:00Z"), &UTC);
    assert!(!plan[0].keeps());
}

#[test]
fn each_backup_knows_its_last_day() {
    let rules = Rules {
        daily: 3,
        monthly: 2,
        ..Rules::default()
    };
    let backups = nightly(3, "2026-01-31T02:30:00Z");
    let days = last_days(&rules, &backups, at("2026-01-31T03:00:00Z"), &UTC);
    let told: Vec<String> = days
        .iter()
        .map(|day| day.map_or("never".to_owned(), |day| day.strftime("%F").to_string()))
        .collect();
    // The last of January is there until March has its first.
    assert_eq!(told, ["2026-03-01", "2026-02-02", "2026-02-01"]);
}

#[test]
fn what_is_pinned_has_no_last_day() {
    let rules = Rules {
        yearly: 3,
        ..Rules::default()
    };
    let mut backups = sealed(&["2026-01-01T02:30:00Z", "2026-01-02T02:30:00Z"]);
    backups[0].pinned = true;
    let days = last_days(&rules, &backups, at("2026-01-02T03:00:00Z"), &UTC);
    assert_eq!(days[0], None);
    assert_eq!(days[1], Some(at("2026-01-03T03:00:00Z")));
}

#[test]
fn no_rule_is_no_plan() {
    assert!(Rules::default().is_empty());
    let rules = Rules {
        within: Some(2.days()),
        ..Rules::default()
    };
    assert!(!rules.is_empty());
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let count = 0u32..5;
    let within = prop::option::of((0i64..40).prop_map(ToSpan::days));
    (
        [count.clone(), count.clone(), count.clone()],
        [count.clone(), count.clone(), count],
        within,
    )
        .prop_map(
            |([last, hourly, daily], [weekly, monthly, yearly], within)| Rules {
                last,
                hourly,
                daily,
                weekly,
                monthly,
                yearly,
                within,
            },
        )
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let standing = prop::sample::select(vec![
        Standing::Proven,
        Standing::Verified,
        Standing::Sealed,
        Standing::Sealed,
        Standing::Damaged,
    ]);
    let begin = at("2024-01-01T00:00:00Z").as_second();
    // Dense and sparse: seconds of one day, hours of a year, days of four.
    let time = prop_oneof![
        0i64..86_400,
        (0i64..8_760).prop_map(|hour| hour * 3_600),
        (0i64..1_461).prop_map(|day| day * 86_400)
    ];
    let candidate =
        (time, standing, prop::bool::weighted(0.05)).prop_map(move |(second, standing, pinned)| {
            Candidate {
                time: Timestamp::from_second(begin + second).unwrap(),
                standing,
                pinned,
                failed: false,
            }
        });
    prop::collection::vec(candidate, 1..60).prop_map(|mut all| {
        // A name has one second.
        all.sort_by_key(|candidate| candidate.time);
        all.dedup_by_key(|candidate| candidate.time);
        all
    })
}

fn zones() -> impl Strategy<Value = TimeZone> {
    prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns"])
        .prop_map(|name| TimeZone::get(name).unwrap())
}

fn kept(
    rules: &Rules,
    candidates: &[Candidate],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Candidate> {
    candidates
        .iter()
        .zip(decide(rules, candidates, now, zone))
        .filter_map(|(candidate, decision)| decision.keeps().then_some(*candidate))
        .collect()
}

proptest! {
    #[test]
    fn a_source_never_becomes_empty_and_its_best_stays(
        rules in any_rules(), candidates in any_candidates(), zone in zones(),
        now in 0i64..1_500,
    ) {
        let now = at("2024-01-01T00:00:00Z") + SignedDuration::from_hours(24 * now);
        let kept = kept(&rules, &candidates, now, &zone);
        prop_assert!(!kept.is_empty());
        let past = |candidate: &&Candidate| candidate.time <= now;
        let newest = |wanted: fn(&Candidate) -> bool| {
            candidates.iter().filter(past).rfind(|candidate| wanted(candidate))
        };
        for best in [
            newest(|candidate| candidate.standing == Standing::Proven),
            newest(|candidate| {
                matches!(candidate.standing, Standing::Verified | Standing::Proven)
            }),
            newest(|candidate| candidate.standing != Standing::Damaged),
        ].into_iter().flatten() {
            prop_assert!(kept.contains(best));
        }
    }

    #[test]
    fn while_the_last_check_failed_nothing_goes(
        rules in any_rules(), candidates in any_candidates(), zone in zones(),
        hit in any::<prop::sample::Index>(), now in 0i64..1_500,
    ) {
        let now = at("2024-01-01T00:00:00Z") + SignedDuration::from_hours(24 * now);
        let mut doubtful = candidates.clone();
        doubtful[hit.index(candidates.len())].failed = true;
        let plan = decide(&rules, &doubtful, now, &zone);
        prop_assert!(plan.iter().all(Decision::keeps));
        prop_assert!(last_days(&rules, &doubtful, now, &zone).iter().all(Option::is_none));
        // And for no other reason than that: what else keeps a backup is told as before.
        for (decision, before) in plan.iter().zip(decide(&rules, &candidates, now, &zone)) {
            let expected = if before.keeps() { before } else { Decision::Keep(vec![Keep::Doubt]) };
            prop_assert_eq!(decision, &expected);
        }
    }

    #[test]
    fn twice_is_once_and_waiting_changes_nothing(
        rules in any_rules(), candidates in any_candidates(), zone in zones(),
    ) {
        let now = at("2028-06-01T00:00:00Z");
        let once = kept(&rules, &candidates, now, &zone);
        prop_assert_eq!(&kept(&rules, &once, now, &zone), &once);
        let later = at("2048-06-01T00:00:00Z");
        prop_assert_eq!(&kept(&rules, &candidates, later, &zone), &once);
        prop_assert_eq!(&kept(&rules, &once, later, &zone), &once);
    }

    #[test]
    fn damage_elsewhere_never_costs_a_good_one(
        rules in any_rules(), candidates in any_candidates(), zone in zones(),
        hit in any::<prop::sample::Index>(),
    ) {
        let now = at("2028-06-01T00:00:00Z");
        let before = kept(&rules, &candidates, now, &zone);
        let mut after = candidates.clone();
        let victim = hit.index(after.len());
        after[victim].standing = Standing::Damaged;
        let after = kept(&rules, &after, now, &zone);
        let has = |time: Timestamp| after.iter().any(|candidate| candidate.time == time);
        for candidate in before {
            // The victim itself may have stayed for being the newest good one; and a damaged one's limit of
            // age is counted from the newest good one, or from the newest of all when none is good any more.
            let is_good = candidate.standing != Standing::Damaged;
            if is_good && candidate.time != candidates[victim].time {
                prop_assert!(has(candidate.time), "{} went", candidate.time);
            }
        }
    }

    #[test]
    fn more_rules_keep_more(
        rules in any_rules(), candidates in any_candidates(), zone in zones(), more in 1u32..4,
    ) {
        let now = at("2028-06-01T00:00:00Z");
        let wider = Rules { daily: rules.daily + more, monthly: rules.monthly + more, ..rules.clone() };
        let wide = kept(&wider, &candidates, now, &zone);
        for candidate in kept(&rules, &candidates, now, &zone) {
            prop_assert!(wide.contains(&candidate));
        }
    }

    #[test]
    fn what_goes_now_is_what_the_rules_let_go(
        rules in any_rules(), candidates in any_candidates(), zone in zones(),
    ) {
        let now = candidates.iter().map(|candidate| candidate.time).max().unwrap();
        let decisions = decide(&rules, &candidates, now, &zone);
        for ((candidate, decision), goes) in candidates.iter().zip(&decisions)
            .zip(last_days(&rules, &candidates, now, &zone))
        {
            prop_assert_eq!(goes == Some(now), !decision.keeps());
            prop_assert!(!candidate.pinned || goes.is_none());
        }
    }

    #[test]
    fn looking_ahead_in_strides_sees_what_each_step_would_have_shown(
        rules in any_rules(), candidates in any_candidates(), zone in zones(),
    ) {
        let now = candidates.iter().map(|candidate| candidate.time).max().unwrap();
        let told = last_days(&rules, &candidates, now, &zone);
        // A step at a time, as far as there is patience.
        const STEPS: i32 = 400;
        let standing = |candidate: &Candidate| candidate.standing;
        let verified = candidates.iter().map(standing);
        let verified = verified.clone().any(|it| matches!(it, Standing::Verified | Standing::Proven));
        let newcomer = if verified { Standing::Verified } else { Standing::Sealed };
        let interval = super::explain::interval(&candidates);
        let mut here = candidates.clone();
        let mut gone = vec![None; candidates.len()];
        let mut time = now;
        for step in 0..=STEPS {
            time = now + interval.saturating_mul(step);
            if step > 0 {
                here.push(Candidate { time, standing: newcomer, pinned: false, failed: false });
            }
            let stays = kept(&rules, &here, time, &zone);
            for (candidate, gone) in candidates.iter().zip(&mut gone) {
                if gone.is_none() && !stays.iter().any(|it| it.time == candidate.time) {
                    *gone = Some(time);
                }
            }
            here = stays;
        }
        for ((candidate, gone), told) in candidates.iter().zip(gone).zip(told) {
            let within_sight = told.filter(|told| *told <= time);
            prop_assert_eq!(within_sight, gone, "{}", candidate.time);
        }
    }
}
