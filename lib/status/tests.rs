//! What is thought of facts, and that every way of saying it survives whatever is in them.

use super::drills::{Drill, Outcome};
use super::facts::{Application, Facts, Goals, Source, Store};
use super::judge::judge;
use super::report::{Level, Report};
use super::screen::{self, Style};
use super::timers::Timer;
use super::{check, html, json, prometheus};
use crate::alert::{Incident, Seen, Unit};
use crate::catalog::{Backup, Seal, State};
use crate::manifest::Proof;
use crate::manifest::proof::Check;
use crate::monitor::{Note, Severity};
use crate::store::BackupName;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::path::PathBuf;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn now() -> Timestamp {
    "2026-11-21T08:30:00Z".parse().unwrap()
}

fn zoned() -> Zoned {
    now().to_zoned(TimeZone::UTC)
}

/// A verified backup of `bytes`, so old.
fn backup(kind: &str, name: &str, old: SignedDuration, bytes: u64) -> Backup {
    let name = BackupName::new(kind, name, now() - old, ".sql.gz").unwrap();
    let check = Check {
        at: now() - old + HOUR,
        tool: "test 1".to_owned(),
        sound: true,
        findings: Vec::new(),
        since: None,
    };
    Backup {
        path: PathBuf::from("/store").join(name.to_string()),
        app: Some("shop".to_owned()),
        state: State::Verified,
        seal: Some(Seal {
            app: Some("shop".to_owned()),
            file: name.to_string(),
            host: "db1".to_owned(),
            finished: name.time + SignedDuration::from_secs(42),
            bytes,
            sha256: "00".to_owned(),
            content_bytes: bytes * 4,
            reason: None,
        }),
        bytes,
        proof: Some(Proof {
            sha256: "00".to_owned(),
            verified: Some(check),
            restored: None,
        }),
        pin: None,
        name,
    }
}

fn nights(kind: &str, name: &str, number: i64) -> Source {
    let backups = (0..number).rev();
    let backups: Vec<Backup> = backups
        .map(|night| {
            backup(
                kind,
                name,
                HOUR * 5 + DAY * i32::try_from(night).unwrap(),
                1_000_000,
            )
        })
        .collect();
    Source {
        kind: kind.to_owned(),
        name: name.to_owned(),
        wanted: true,
        goes: vec![Some(now() + DAY); backups.len()],
        backups,
        ..Source::default()
    }
}

fn timer() -> Timer {
    Timer {
        unit: Unit::parse("sg-backup@shop.timer").unwrap(),
        next: Some(now() + HOUR),
        last: None,
    }
}

fn shop() -> Application {
    Application {
        name: Some("shop".to_owned()),
        configured: true,
        sources: vec![nights("db", "shop", 10), nights("volume", "shop-files", 10)],
        timer: Some(timer()),
        ..Application::default()
    }
}

fn host(applications: Vec<Application>) -> Facts {
    Facts {
        host: "db1".to_owned(),
        stores: vec![Store {
            directory: "/store".into(),
            backups: 20,
            bytes: 20_000_000,
            free: Some(1 << 40),
            capacity: Some(2 << 40),
            unsealed: 0,
        }],
        applications,
        systemd: true,
        faults: Vec::new(),
    }
}

/// Codes and level of what is thought of the shop after `change`.
fn after(change: impl FnOnce(&mut Facts)) -> (Level, Vec<String>) {
    let mut facts = host(vec![shop()]);
    change(&mut facts);
    let report = judge(&facts, now());
    let problems = report.verdicts.iter().flat_map(|verdict| &verdict.problems);
    let codes = problems
        .chain(&report.problems)
        .map(|problem| problem.note.code.clone());
    (report.level, codes.collect())
}

#[track_caller]
fn expect(level: Level, codes: &[&str], change: impl FnOnce(&mut Facts)) {
    let (found, problems) = after(change);
    assert_eq!(
        (
            found,
            problems.iter().map(String::as_str).collect::<Vec<_>>()
        ),
        (level, codes.to_vec())
    );
}

fn db(facts: &mut Facts) -> &mut Source {
    &mut facts.applications[0].sources[0]
}

fn drill(days: i32, outcome: Outcome, recovery: f64) -> Drill {
    Drill {
        at: now() - DAY * days,
        outcome,
        recovery: Some(recovery),
        loss: None,
        backups: 2,
        full: false,
        findings: Vec::new(),
    }
}

#[test]
fn a_good_night_is_no_problem() {
    expect(Level::Ok, &[], |_| ());
    expect(Level::Ok, &[], |facts| {
        facts.applications[0].goals.rpo = Some(HOUR * 6);
    });
    // A first run, which nobody has read back yet.
    expect(Level::Ok, &[], |facts| {
        for source in &mut facts.applications[0].sources {
            source.backups.drain(..9);
            source.backups[0].proof = None;
            source.backups[0].state = State::Sealed;
        }
    });
}

#[test]
fn what_is_too_old_is_told_by_how_much() {
    let older = |hours: i32| {
        move |facts: &mut Facts| {
            let limit = now() - HOUR * hours;
            db(facts).backups.retain(|backup| backup.name.time < limit);
        }
    };
    expect(Level::Ok, &[], older(24));
    // Verified as it is, it is not told to be unverified as well.
    expect(Level::Critical, &["too-old"], older(30));
    expect(Level::Critical, &["no-backup"], |facts| {
        db(facts).backups.clear();
    });
    expect(Level::Warning, &["rpo-missed", "rpo-missed"], |facts| {
        facts.applications[0].goals.rpo = Some(HOUR * 4);
    });
    expect(Level::Critical, &["too-old", "too-old"], |facts| {
        facts.applications[0].goals.limit = HOUR * 4;
    });
    // What the settings ask for no longer is not waited for.
    expect(Level::Ok, &[], |facts| {
        older(48)(facts);
        db(facts).wanted = false;
    });
}

#[test]
fn a_backup_from_the_future_does_not_hide_that_there_is_none() {
    expect(Level::Critical, &["too-old", "future-backup"], |facts| {
        let source = db(facts);
        source
            .backups
            .retain(|backup| backup.name.time < now() - HOUR * 30);
        source
            .future
            .push(backup("db", "shop", DAY * -3, 1_000_000));
    });
}

#[test]
fn damage_is_told_where_it_is() {
    expect(Level::Critical, &["damaged"], |facts| {
        db(facts).backups[9].state = State::Damaged;
    });
    expect(Level::Warning, &["damaged-before"], |facts| {
        db(facts).backups[4].state = State::BodyMissing;
    });
    expect(Level::Critical, &["no-good-backup"], |facts| {
        for backup in &mut db(facts).backups {
            backup.state = State::Damaged;
        }
    });
    expect(Level::Critical, &["unverified"], |facts| {
        for backup in &mut db(facts).backups {
            backup.state = State::Sealed;
        }
    });
    expect(Level::Critical, &["shrunk"], |facts| {
        db(facts).backups[9].bytes = 400_000;
    });
    expect(Level::Ok, &[], |facts| db(facts).backups[9].bytes = 600_000);
    expect(Level::Warning, &["file-changed"], |facts| {
        db(facts).notes = vec![Note::new(Severity::Medium, "file-changed", "/x", "changed")];
    });
}

#[test]
fn drills_count_while_they_are_recent_and_fast() {
    let with = |drill: Drill, rto: Option<SignedDuration>| {
        move |facts: &mut Facts| {
            facts.applications[0].goals.rto = rto;
            facts.applications[0].drills = vec![drill];
        }
    };
    expect(
        Level::Ok,
        &[],
        with(drill(12, Outcome::Proven, 60.0), Some(HOUR)),
    );
    expect(
        Level::Warning,
        &["drill-overdue"],
        with(drill(41, Outcome::Proven, 60.0), None),
    );
    expect(
        Level::Critical,
        &["rto-missed"],
        with(drill(12, Outcome::Proven, 3700.0), Some(HOUR)),
    );
    expect(
        Level::Critical,
        &["drill-failed"],
        with(drill(12, Outcome::Damaged, 60.0), None),
    );
    expect(
        Level::Critical,
        &["drill-failed"],
        with(drill(12, Outcome::NotRun, 60.0), None),
    );
    let found = Drill {
        findings: vec![Note::new(
            Severity::Medium,
            "assertion",
            "orders.sql",
            "is false",
        )],
        ..drill(12, Outcome::Findings, 60.0)
    };
    expect(Level::Warning, &["drill-failed"], with(found, None));
    // A goal that was missed then is judged as it is set today.
    let found = Drill {
        findings: vec![Note::new(
            Severity::High,
            "rto",
            "recovery time",
            "too long",
        )],
        ..drill(12, Outcome::Findings, 60.0)
    };
    expect(Level::Ok, &[], with(found, Some(HOUR)));
    expect(Level::Warning, &["never-drilled"], |facts| {
        facts.applications[0].goals.rto = Some(HOUR);
    });
}

fn incident(unit: &str) -> Incident {
    let seen = Seen {
        cause: "exit-code 69",
        run: None,
        severity: Severity::High,
        at: now() - DAY,
    };
    Incident::open(Unit::parse(unit).unwrap(), seen, DAY, "<1@host>".to_owned())
}

#[test]
fn failures_are_told_once() {
    expect(Level::Critical, &["incident"], |facts| {
        facts.applications[0].incidents = vec![incident("sg-dump-db@shop")];
        facts.applications[0].failed = vec!["sg-backup@shop.service".to_owned()];
    });
    expect(Level::Critical, &["unit-failed"], |facts| {
        let failed = ["sg-backup@shop.service", "sg-dump-db@shop.service"];
        facts.applications[0].failed = failed.map(str::to_owned).to_vec();
    });
    expect(Level::Critical, &["unit-failed"], |facts| {
        facts.applications[0].failed = vec!["sg-backup@shop.service".to_owned()];
    });
    expect(Level::Ok, &["incident-settling"], |facts| {
        let mut settling = incident("sg-dump-db@shop");
        settling.well_since = Some(now() - HOUR);
        facts.applications[0].incidents = vec![settling];
    });
}

#[test]
fn a_clockwork_that_stands_still_is_noticed() {
    expect(Level::Warning, &["no-timer"], |facts| {
        facts.applications[0].timer = None;
    });
    // While a run is on, some releases of systemd don't know yet when the next one is.
    expect(Level::Ok, &[], |facts| {
        facts.applications[0].timer = Some(Timer {
            next: None,
            last: Some(now() - HOUR),
            ..timer()
        });
    });
    // No systemd, or an application of somebody who starts the programs by other means.
    expect(Level::Ok, &[], |facts| {
        facts.systemd = false;
        facts.applications[0].timer = None;
    });
    expect(Level::Critical, &["no-room"], |facts| {
        facts.stores[0].free = Some(1_999_999);
    });
    expect(Level::Ok, &["nothing-wanted"], |facts| {
        facts.applications[0].sources.clear();
    });
}

/// Facts with the worst names that there can be.
fn hostile() -> Facts {
    let evil = "a'b\"c|d=e<script>alert(1)</script>&amp;\\ \n\x1b[31m{x=\"y\"} 🦀";
    let mut application = shop();
    application.name = Some(evil.to_owned());
    let wanted = &mut application.sources[0];
    wanted.name = evil.to_owned();
    wanted.notes = vec![Note::new(Severity::Critical, evil, evil, evil)];
    application.drills = vec![drill(12, Outcome::Findings, f64::INFINITY)];
    application.drills[0].findings = vec![Note::new(Severity::High, evil, evil, evil)];
    let mut facts = host(vec![application, shop()]);
    facts.host = evil.to_owned();
    facts.stores[0].directory = PathBuf::from(evil);
    facts.faults = vec![Note::new(Severity::High, evil, evil, evil)];
    facts
}

fn judged(facts: &Facts) -> Report {
    judge(facts, now())
}

#[test]
fn whatever_names_hold_stays_a_name() {
    let facts = hostile();
    let report = judged(&facts);
    let (line, status) = check::render(&facts, &report);
    assert_eq!(status, 2);
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    assert_eq!(line.matches('|').count(), 1, "{line}");
    assert!(!line.contains('\x1b'));
    let page = html::render(&facts, &report, &zoned());
    assert!(!page.contains("<script") && !page.contains('\x1b'));
    let metrics = prometheus::render(&facts, &report);
    for line in metrics.lines() {
        let known = prometheus::METRICS
            .iter()
            .any(|(name, _)| line.starts_with(name));
        assert!(line.starts_with('#') || known, "{line}");
    }
    let object = json::render(&facts, &report).unwrap();
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!(
        object["applications"][0]["app"],
        facts.applications[0].title()
    );
    let text = screen::render(&facts, &report, Style::default(), &zoned());
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn nothing_at_all_is_said_as_well() {
    let facts = Facts::default();
    let report = judged(&facts);
    assert_eq!(
        check::render(&facts, &report),
        ("SG OK: nothing is to be backed up\n".to_owned(), 0)
    );
    assert!(html::render(&facts, &report, &zoned()).contains("Nothing is backed up yet"));
    assert!(
        screen::render(&facts, &report, Style::default(), &zoned()).contains("There is no backup")
    );
    assert!(prometheus::render(&facts, &report).contains("\nsg_status_timestamp_seconds 17"));
}

#[test]
fn empty_backups_and_a_source_without_any_are_drawn() {
    let mut empty = nights("db", "shop", 3);
    for backup in &mut empty.backups {
        backup.bytes = 0;
    }
    let none = nights("volume", "shop-files", 0);
    for sources in [vec![empty.clone()], vec![none.clone()], vec![empty, none]] {
        let facts = host(vec![Application { sources, ..shop() }]);
        let report = judged(&facts);
        for sources in [false, true] {
            let style = Style {
                sources,
                ..Style::default()
            };
            let text = screen::render(&facts, &report, style, &zoned());
            assert!(text.contains("shop"), "{text}");
        }
        assert!(html::render(&facts, &report, &zoned()).contains("shop"));
        check::render(&facts, &report);
        prometheus::render(&facts, &report);
    }
}

#[test]
fn a_hundred_applications_with_three_years_are_a_small_page() {
    let mut applications = Vec::new();
    for number in 0..100 {
        let mut application = shop();
        application.name = Some(format!("application-{number}"));
        for source in &mut application.sources {
            *source = nights(&source.kind, &source.name, 1095);
            for (at, backup) in source.backups.iter_mut().enumerate() {
                backup.bytes += at as u64 * 7919 % 500_000;
            }
        }
        application.drills = (0..36)
            .rev()
            .map(|month| drill(month * 30 + 12, Outcome::Proven, 600.0 + f64::from(month)))
            .collect();
        application.goals.rto = Some(HOUR);
        applications.push(application);
    }
    // The worst case for the list of problems, too.
    for application in applications.iter_mut().take(50) {
        application.goals.limit = HOUR;
    }
    let facts = host(applications);
    let page = html::render(&facts, &judged(&facts), &zoned());
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn the_page_brings_everything_along() {
    let facts = host(vec![shop()]);
    let page = html::render(&facts, &judged(&facts), &zoned());
    for from_elsewhere in [
        "<script",
        "<link rel=stylesheet",
        "@import",
        "url(",
        " src=",
        "onclick",
        "javascript:",
    ] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }
    assert!(page.contains("The application is well backed up"));
    // Of what is kept and until when.
    assert!(page.contains("2026-11-22"), "{page}");
    assert_eq!(
        page.matches("<details").count(),
        page.matches("</details>").count()
    );
}

#[test]
fn limits_of_old_are_the_defaults() {
    assert_eq!(Goals::default().limit, HOUR * 30);
}
