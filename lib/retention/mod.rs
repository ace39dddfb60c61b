//! Which backups of one source stay, and why: rules over times, with neither clock nor disk.
//!
//! # The rules
//! Each keeps backups on its own; a backup stays if any rule keeps it.
//! - `last N`: the N newest.
//! - `hourly`, `daily`, `weekly` (ISO weeks), `monthly`, `yearly N`: of each of the N newest such periods
//!   that have a backup, the newest one. Periods are those of the given time zone. Periods without a
//!   backup do not count: whoever was away for a month comes back to as many backups as before.
//! - `within SPAN`: all that are at most so much older than the newest good one. Not older than now:
//!   when backups have failed for weeks, what is left must not melt away.
//!
//! # What stands above the rules
//! - The newest good backup stays, and so do the newest verified one and the newest proven one, which
//!   was restored and compared. So a source never becomes empty, nor without proof.
//! - As long as the last verification or the last drill of a source is one that failed, all of it stays:
//!   nobody knows what its backups are worth.
//! - A backup that is known to be damaged takes nobody's place: the rules are applied to the good ones
//!   as if it were not there. It itself stays as long as it would if it were sound, and goes by no
//!   other way, because a check can err (bad memory, a flaky cable), and because nine tenths of a
//!   database are better than none.
//! - A backup from the future (a clock that was wrong) stays and takes nobody's place, until its time
//!   has come.
//! - A pinned one stays. It does take its place in the rules: a pin shortens no other one's life, nor
//!   lengthens it.
//!
//! # What follows
//! Applying the rules twice is the same as applying them once; waiting changes nothing as long as
//! nothing is added (property tests hold this).

mod explain;
mod period;
mod span;

pub use explain::last_days;
pub use period::Period;
pub use span::span;

use jiff::tz::TimeZone;
use jiff::{Span, SpanFieldwise, Timestamp};
use period::Stamp;
use std::fmt;

/// How many to keep of what.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Of the newest.
    pub last: u32,
    /// Of hours.
    pub hourly: u32,
    /// Of days.
    pub daily: u32,
    /// Of ISO weeks.
    pub weekly: u32,
    /// Of months.
    pub monthly: u32,
    /// Of years.
    pub yearly: u32,
    /// All that are at most so much older than the newest good one.
    pub within: Option<Span>,
}

impl Rules {
    /// Whether they keep nothing, which nobody means.
    pub fn is_empty(&self) -> bool {
        self.last == 0 && self.within.is_none() && self.periods().all(|(_, count)| count == 0)
    }

    fn periods(&self) -> impl Iterator<Item = (Period, u32)> {
        [
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ]
        .into_iter()
    }
}

/// What is known of a backup's soundness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was restored and compared, and nothing was found.
    Proven,
    /// It was read back, and was sound.
    Verified,
    /// It is complete; nobody has read it back yet.
    Sealed,
    /// It is known to be damaged.
    Damaged,
}

/// One backup of the source, as the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// When it was begun.
    pub time: Timestamp,
    /// What is known of its soundness.
    pub standing: Standing,
    /// Somebody asked to keep it.
    pub pinned: bool,
    /// It is the one that was verified or drilled last of its source, and that failed.
    pub failed: bool,
}

/// Why a backup stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is the `nth` of the `of` newest.
    Last {
        /// Counted from the newest, from 1.
        nth: u32,
        /// What the rule keeps.
        of: u32,
    },
    /// It is the newest of its period, which is the `nth` of the `of` newest.
    Newest {
        /// What is counted.
        period: Period,
        /// Counted from the newest, from 1.
        nth: u32,
        /// What the rule keeps.
        of: u32,
        /// The period, e.g. `2026-W47`.
        label: String,
    },
    /// It is at most so much older than the newest good one.
    Within(SpanFieldwise),
    /// Nothing good is newer.
    NewestGood,
    /// Nothing verified is newer.
    NewestVerified,
    /// Nothing proven is newer.
    NewestProven,
    /// It is damaged, but nothing better is left.
    NothingBetter,
    /// Its time has not come yet: a clock was wrong.
    Future,
    /// Somebody asked to keep it.
    Pinned,
    /// No rule keeps it, but the last verification or drill of its source failed.
    Doubt,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last { nth, of } => write!(f, "last {nth} of {of}"),
            Self::Newest {
                period,
                nth,
                of,
                label,
            } => write!(f, "{} {nth} of {of} ({label})", period.adjective()),
            Self::Within(span) => write!(f, "within {:#} of the newest", span.0),
            Self::NewestGood => f.write_str("newest good one"),
            Self::NewestVerified => f.write_str("newest verified one"),
            Self::NewestProven => f.write_str("newest proven one"),
            Self::NothingBetter => f.write_str("nothing better is left"),
            Self::Future => f.write_str("dated in the future"),
            Self::Pinned => f.write_str("pinned"),
            Self::Doubt => f.write_str("the last check failed"),
        }
    }
}

/// Why one rule does not keep a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remove {
    /// There are as many newer ones as the rule keeps.
    NotLast(u32),
    /// Its period has a newer one.
    NotNewest(String),
    /// As many newer periods as the rule keeps have backups.
    Beyond(Period, u32),
    /// It is older than the span before the newest good one.
    NotWithin(SpanFieldwise),
}

impl fmt::Display for Remove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLast(count) => write!(f, "not of the last {count}"),
            Self::NotNewest(label) => write!(f, "not the last of {label}"),
            Self::Beyond(period, count) => write!(f, "beyond {} {count}", period.adjective()),
            Self::NotWithin(span) => write!(f, "not within {:#} of the newest", span.0),
        }
    }
}

/// What becomes of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It stays, for all these reasons.
    Keep(Vec<Keep>),
    /// It goes: this is what each rule says to it.
    Remove(Vec<Remove>),
}

impl Decision {
    /// Whether it stays.
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Keep(_))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = match self {
            Self::Keep(reasons) => reasons.iter().map(ToString::to_string).collect(),
            Self::Remove(reasons) => reasons.iter().map(ToString::to_string).collect(),
        };
        f.write_str(&reasons.join(", "))
    }
}

/// Decides about all backups of one source, in the order in which they come; any order will do.
pub fn decide(
    rules: &Rules,
    candidates: &[Candidate],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Decision> {
    let entries: Vec<Entry> = candidates
        .iter()
        .map(|candidate| Entry::new(*candidate, zone))
        .collect();
    let label = |period: Period, time| period.label(time, zone);
    judge(rules, &entries, now, zone, &label)
}

/// Names the period that a time lies in.
type Label<'a> = &'a dyn Fn(Period, Timestamp) -> String;

/// A backup with its periods, which are worth computing only once.
#[derive(Clone, Copy, Debug)]
struct Entry {
    candidate: Candidate,
    stamp: Stamp,
}

impl Entry {
    fn new(candidate: Candidate, zone: &TimeZone) -> Self {
        Self {
            candidate,
            stamp: Stamp::new(candidate.time, zone),
        }
    }

    fn is_good(&self) -> bool {
        self.candidate.standing != Standing::Damaged
    }
}

fn judge(
    rules: &Rules,
    entries: &[Entry],
    now: Timestamp,
    zone: &TimeZone,
    label: Label<'_>,
) -> Vec<Decision> {
    let mut decisions = vec![Decision::Remove(Vec::new()); entries.len()];
    let mut past: Vec<usize> = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        if entry.candidate.time > now {
            add(&mut decisions[at], Keep::Future);
        } else {
            past.push(at);
        }
    }
    past.sort_by_key(|&at| std::cmp::Reverse((entries[at].candidate.time, at)));
    let good: Vec<usize> = past
        .iter()
        .copied()
        .filter(|&at| entries[at].is_good())
        .collect();

    // The good ones among themselves; then each damaged one as if it were sound.
    let rulings = rule(rules, entries, &good, zone, label);
    for (&at, ruling) in good.iter().zip(rulings) {
        decisions[at] = ruling;
    }
    if good.len() < past.len() {
        let rulings = rule(rules, entries, &past, zone, label);
        for (&at, ruling) in past.iter().zip(rulings) {
            if !entries[at].is_good() {
                decisions[at] = ruling;
            }
        }
    }

    match good.first() {
        Some(&at) => add(&mut decisions[at], Keep::NewestGood),
        None => past
            .first()
            .iter()
            .for_each(|&&at| add(&mut decisions[at], Keep::NothingBetter)),
    }
    let standing = |at: &usize| entries[*at].candidate.standing;
    // What was proven was read back, too.
    let verified = |at: &&usize| matches!(standing(at), Standing::Verified | Standing::Proven);
    if let Some(&at) = past.iter().find(verified) {
        add(&mut decisions[at], Keep::NewestVerified);
    }
    if let Some(&at) = past.iter().find(|at| standing(at) == Standing::Proven) {
        add(&mut decisions[at], Keep::NewestProven);
    }
    for (at, entry) in entries.iter().enumerate() {
        if entry.candidate.pinned {
            add(&mut decisions[at], Keep::Pinned);
        }
    }
    if entries.iter().any(|entry| entry.candidate.failed) {
        let gone = decisions.iter_mut().filter(|decision| !decision.keeps());
        gone.for_each(|decision| add(decision, Keep::Doubt));
    }
    decisions
}

/// What the rules alone say to the entries at `order`, newest first.
fn rule(
    rules: &Rules,
    entries: &[Entry],
    order: &[usize],
    zone: &TimeZone,
    label: Label<'_>,
) -> Vec<Decision> {
    let mut decisions = vec![Decision::Remove(Vec::new()); order.len()];
    let ordered: Vec<&Entry> = order.iter().map(|&at| &entries[at]).collect();
    if rules.last > 0 {
        keep_last(rules.last, &mut decisions);
    }
    for (period, of) in rules.periods().filter(|&(_, of)| of > 0) {
        keep_newest_of(period, of, &ordered, label, &mut decisions);
    }
    if let Some(span) = rules.within {
        keep_within(span, &ordered, zone, &mut decisions);
    }
    decisions
}

fn keep_last(of: u32, decisions: &mut [Decision]) {
    for (decision, nth) in decisions.iter_mut().zip(1..) {
        if nth <= of {
            add(decision, Keep::Last { nth, of });
        } else {
            blame(decision, Remove::NotLast(of));
        }
    }
}

fn keep_newest_of(
    period: Period,
    of: u32,
    ordered: &[&Entry],
    label: Label<'_>,
    decisions: &mut [Decision],
) {
    let mut nth = 0;
    let mut before = None;
    for (decision, entry) in decisions.iter_mut().zip(ordered) {
        let number = entry.stamp.number(period);
        let is_newest = before != Some(number);
        before = Some(number);
        if is_newest {
            nth = (nth + 1).min(of.saturating_add(1));
        }
        if nth > of {
            blame(decision, Remove::Beyond(period, of));
            continue;
        }
        let label = label(period, entry.candidate.time);
        if is_newest {
            add(
                decision,
                Keep::Newest {
                    period,
                    nth,
                    of,
                    label,
                },
            );
        } else {
            blame(decision, Remove::NotNewest(label));
        }
    }
}

fn keep_within(span: Span, ordered: &[&Entry], zone: &TimeZone, decisions: &mut [Decision]) {
    let newest = ordered.iter().find(|entry| entry.is_good());
    let Some(newest) = newest.or(ordered.first()) else {
        return;
    };
    let limit = before(newest.candidate.time, span, zone);
    for (decision, entry) in decisions.iter_mut().zip(ordered) {
        if entry.candidate.time >= limit {
            add(decision, Keep::Within(span.fieldwise()));
        } else {
            blame(decision, Remove::NotWithin(span.fieldwise()));
        }
    }
}

/// `time` less `span` on the calendar of `zone`; a span that leads out of all time has no limit.
fn before(time: Timestamp, span: Span, zone: &TimeZone) -> Timestamp {
    time.to_zoned(zone.clone())
        .checked_sub(span)
        .map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}

fn add(decision: &mut Decision, reason: Keep) {
    match decision {
        Decision::Keep(reasons) => reasons.push(reason),
        Decision::Remove(_) => *decision = Decision::Keep(vec![reason]),
    }
}

fn blame(decision: &mut Decision, reason: Remove) {
    if let Decision::Remove(reasons) = decision {
        reasons.push(reason);
    }
}

#[cfg(test)]
mod tests;
