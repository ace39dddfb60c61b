//! When each backup will go, if backups go on coming as they did.

use super::{Candidate, Decision, Entry, Rules, Standing, judge};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Nobody plans further ahead.
const YEARS: i64 = 25;
/// Backups that come more often are taken for coming so often: to look far ahead in small steps
/// takes long.
const SHORTEST: SignedDuration = SignedDuration::from_hours(1);

/// How many backups are taken into account at once, as a part of those that came before: what lies years
/// ahead is looked at in strides of weeks.
const STRIDE: i32 = 64;

/// For each candidate the time at which the rules will let it go, if good backups follow as far apart
/// as these are, and the rules are applied each time. What goes now goes at `now`; `None`: not within
/// 25 years, or never.
pub fn last_days(
    rules: &Rules,
    candidates: &[Candidate],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Option<Timestamp>> {
    let mut gone = vec![None; candidates.len()];
    if candidates.iter().any(|candidate| candidate.failed) {
        // Until a check succeeds, which is not in sight.
        return gone;
    }
    let mut future = Future::new(rules, candidates, now, zone);
    let mut note = |left: Vec<usize>, at: Timestamp| {
        left.into_iter()
            .for_each(|candidate| gone[candidate] = Some(at));
    };
    note(future.apply(0), now);
    while future.may_change() && future.step < future.last {
        let stride = (future.step / STRIDE).max(1);
        let mut to = future.step.saturating_add(stride).min(future.last);
        if future.has_a_change_by(to) {
            to = future.first_change(to);
        }
        let left = future.apply(to);
        note(left, future.time(to));
    }
    gone
}

/// The backups as they will be some steps from now, with a newcomer at each step.
///
/// No rule keeps again what it once let go, as newcomers only make a backup older. So applying the rules
/// once after many steps leaves what applying them at each would leave, and the first step at which
/// something goes can be searched for by halves.
struct Future<'a> {
    rules: &'a Rules,
    zone: &'a TimeZone,
    now: Timestamp,
    interval: SignedDuration,
    newcomer: Standing,
    /// The step up to which they are here, and the last one that is looked at.
    step: i32,
    last: i32,
    entries: Vec<Entry>,
    /// Which candidate each entry is; a newcomer is none.
    who: Vec<Option<usize>>,
}

impl<'a> Future<'a> {
    fn new(rules: &'a Rules, candidates: &[Candidate], now: Timestamp, zone: &'a TimeZone) -> Self {
        let interval = interval(candidates);
        // The newest verified one stays until another is; so the new ones are taken to be verified where
        // verifying is the custom.
        let is_verified = |candidate: &Candidate| {
            matches!(candidate.standing, Standing::Verified | Standing::Proven)
        };
        let newcomer = if candidates.iter().any(is_verified) {
            Standing::Verified
        } else {
            Standing::Sealed
        };
        let horizon = SignedDuration::from_hours(YEARS * 365 * 24);
        let horizon = horizon.min(Timestamp::MAX.duration_since(now));
        let last = horizon.as_secs() / interval.as_secs();
        let entries = candidates.iter();
        let entries = entries.map(|candidate| Entry::new(*candidate, zone));
        Self {
            rules,
            zone,
            now,
            interval,
            newcomer,
            step: 0,
            last: i32::try_from(last).unwrap_or(i32::MAX),
            entries: entries.collect(),
            who: (0..candidates.len()).map(Some).collect(),
        }
    }

    fn time(&self, step: i32) -> Timestamp {
        // Within all time, as the last step is.
        let later = self.interval.saturating_mul(step);
        self.now.saturating_add(later).unwrap_or(Timestamp::MAX)
    }

    /// Whether something is left that may go.
    fn may_change(&self) -> bool {
        let mut entries = self.who.iter().zip(&self.entries);
        entries.any(|(who, entry)| who.is_some() && !entry.candidate.pinned)
    }

    /// What is here and what comes up to step `to`, and what the rules say to it then.
    fn judged(&self, to: i32) -> (Vec<Entry>, Vec<Decision>) {
        let newcomers = (self.step + 1..=to).map(|step| {
            let candidate = Candidate {
                time: self.time(step),
                standing: self.newcomer,
                pinned: false,
                failed: false,
            };
            Entry::new(candidate, self.zone)
        });
        let entries: Vec<Entry> = self.entries.iter().copied().chain(newcomers).collect();
        let label = &|_, _| String::new();
        let decisions = judge(self.rules, &entries, self.time(to), self.zone, label);
        (entries, decisions)
    }

    /// Whether a candidate has gone by step `to`.
    fn has_a_change_by(&self, to: i32) -> bool {
        let (_, decisions) = self.judged(to);
        let mut decided = self.who.iter().zip(&decisions);
        decided.any(|(who, decision)| who.is_some() && !decision.keeps())
    }

    /// The first step at which a candidate goes, if one has gone by step `to`.
    fn first_change(&self, to: i32) -> i32 {
        let (mut before, mut by) = (self.step, to);
        while by - before > 1 {
            let middle = before + (by - before) / 2;
            if self.has_a_change_by(middle) {
                by = middle;
            } else {
                before = middle;
            }
        }
        by
    }

    /// Goes on to step `to`; returns the candidates that went meanwhile.
    fn apply(&mut self, to: i32) -> Vec<usize> {
        let (entries, decisions) = self.judged(to);
        let mut who = std::mem::take(&mut self.who);
        who.resize(entries.len(), None);
        self.step = to;
        self.entries = Vec::new();
        let mut left = Vec::new();
        for ((entry, who), decision) in entries.into_iter().zip(who).zip(decisions) {
            if decision.keeps() {
                self.entries.push(entry);
                self.who.push(who);
            } else {
                left.extend(who);
            }
        }
        left
    }
}

/// How far apart backups are expected to follow: as the newest ones usually are, by the median of the last
/// ten gaps; a day if there are none.
pub(super) fn interval(candidates: &[Candidate]) -> SignedDuration {
    let mut times: Vec<Timestamp> = candidates.iter().map(|candidate| candidate.time).collect();
    times.sort();
    let mut gaps: Vec<SignedDuration> = times
        .windows(2)
        .rev()
        .take(10)
        .map(|pair| pair[1].duration_since(pair[0]))
        .collect();
    gaps.sort();
    let usual = gaps.get(gaps.len() / 2).copied();
    usual.map_or(SignedDuration::from_hours(24), |gap| gap.max(SHORTEST))
}
