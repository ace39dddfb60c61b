//! When each backup will go, if backups go on coming as they did.

use super::{Candidate, Decision, Entry, Rules, Standing, judge};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Nobody plans further ahead.
const YEARS: i64 = 25;
/// Backups that come more often are taken for coming so often: to look far ahead in small steps
/// takes long.
const SHORTEST: SignedDuration = SignedDuration::from_hours(1);

/// For each candidate the time at which the rules will let it go, if good backups follow as far apart
/// as these are, and the rules are applied each time. What goes now goes at `now`; `None`: not within
/// 25 years, or never.
pub fn last_days(
    rules: &Rules,
    candidates: &[Candidate],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Option<Timestamp>> {
    let interval = usual_interval(candidates).max(SHORTEST);
    // The newest verified one stays until another is; so the new ones are taken to be verified where
    // verifying is the custom.
    let is_verified =
        |candidate: &Candidate| matches!(candidate.standing, Standing::Verified | Standing::Proven);
    let standing = if candidates.iter().any(is_verified) {
        Standing::Verified
    } else {
        Standing::Sealed
    };

    let mut gone = vec![None; candidates.len()];
    if candidates.iter().any(|candidate| candidate.failed) {
        // Until a check succeeds, which is not in sight.
        return gone;
    }
    // Which candidate each entry is; a newcomer is none.
    let mut who: Vec<Option<usize>> = (0..candidates.len()).map(Some).collect();
    let mut entries: Vec<Entry> = candidates
        .iter()
        .map(|candidate| Entry::new(*candidate, zone))
        .collect();
    let mut time = now;
    loop {
        let decisions = judge(rules, &entries, time, zone, &|_, _| String::new());
        for (at, decision) in who.iter().zip(&decisions) {
            if let (Some(at), false) = (at, decision.keeps()) {
                gone[*at] = Some(time);
            }
        }
        retain(&mut who, &decisions);
        retain(&mut entries, &decisions);

        let may_go =
            |(at, entry): (&Option<usize>, &Entry)| at.is_some() && !entry.candidate.pinned;
        let Ok(next) = time.checked_add(interval) else {
            return gone;
        };
        if !who.iter().zip(&entries).any(may_go) || next.duration_since(now) > horizon() {
            return gone;
        }
        time = next;
        let newcomer = Candidate {
            time,
            standing,
            pinned: false,
            failed: false,
        };
        who.push(None);
        entries.push(Entry::new(newcomer, zone));
    }
}

fn retain<T>(items: &mut Vec<T>, decisions: &[Decision]) {
    let mut decisions = decisions.iter();
    items.retain(|_| decisions.next().is_some_and(Decision::keeps));
}

fn horizon() -> SignedDuration {
    SignedDuration::from_hours(YEARS * 365 * 24)
}

/// How far the newest backups usually are apart: the median of the last ten gaps; a day if there are
/// none.
fn usual_interval(candidates: &[Candidate]) -> SignedDuration {
    let mut times: Vec<Timestamp> = candidates.iter().map(|candidate| candidate.time).collect();
    times.sort();
    let mut gaps: Vec<SignedDuration> = times
        .windows(2)
        .rev()
        .take(10)
        .map(|pair| pair[1].duration_since(pair[0]))
        .collect();
    gaps.sort();
    gaps.get(gaps.len() / 2)
        .copied()
        .unwrap_or(SignedDuration::from_hours(24))
}
