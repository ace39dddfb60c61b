//! Who has to hear what, and when: the memory of one unit that fails.
//!
//! People mute what repeats itself. So an incident is told when it opens and when it is over; while it
//! lasts, a cause that is new is told at once, and the known one again after a while, each time after
//! twice as long, until once a week. A unit that fails again soon after it was well is the same incident:
//! from then on it counts as well only after it kept still for a while, and whatever it does in between
//! waits for the next reminder.
//!
//! Pure: no clock, no disk.

use super::message::Message;
use super::unit::Unit;
use crate::monitor::Severity;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Causes remembered; whoever fails in more ways than that waits for the next reminder.
const MOST_CAUSES: usize = 8;
/// Runs remembered, so that none is told twice.
const MOST_RUNS: usize = 32;
/// Reminders grow no further apart than so many times the first distance.
const FURTHEST: i32 = 7;
/// A reminder is due a little early, as the nightly run that brings it comes when it comes.
const EARLY: (i32, i32) = (9, 10);
/// A unit that failed on and off is well after this part of the first distance.
const SETTLED: i32 = 4;

/// What to say about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// It is the first.
    First,
    /// It fails in a way that nobody has heard of yet.
    NewCause,
    /// It failed again soon after it was well.
    Relapse,
    /// It still fails.
    Reminder,
    /// Nothing: people know.
    Nothing,
}

/// What to say about a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It is over.
    Over,
    /// It may be over; time will tell.
    Settling,
    /// Nothing was open.
    Nothing,
}

/// What is remembered of a unit that failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// Which unit.
    pub unit: Unit,
    /// When it first failed.
    pub since: Timestamp,
    /// When it last failed.
    pub last: Timestamp,
    /// How often it failed.
    pub failures: u64,
    /// How often it failed again soon after it was well.
    pub relapses: u32,
    /// Since when it is well, if it is.
    pub well_since: Option<Timestamp>,
    /// Whether its end was told.
    pub closed: bool,
    /// Whether it did its work, the last time, and something needs a look.
    #[serde(default)]
    pub finding: bool,
    /// Whether those were told who are told when nobody mends it.
    #[serde(default)]
    pub escalated: bool,
    /// What was told last.
    #[serde(default)]
    pub told: Option<Box<Message>>,
    /// The gravest that it was.
    pub severity: Severity,
    /// The first message about it; what follows refers to it, so that mail readers show a thread.
    pub thread: String,
    causes: Vec<String>,
    runs: VecDeque<String>,
    remind_at: Timestamp,
    reminders: u32,
}

/// A failure, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What makes two failures the same.
    pub cause: &'a str,
    /// The run that failed.
    pub run: Option<&'a str>,
    /// How grave it is.
    pub severity: Severity,
    /// When it was seen.
    pub at: Timestamp,
}

impl Incident {
    /// A unit that was well failed; the first reminder comes after `repeat`.
    pub fn open(unit: Unit, seen: Seen<'_>, repeat: SignedDuration, thread: String) -> Self {
        Self {
            unit,
            since: seen.at,
            last: seen.at,
            failures: 1,
            relapses: 0,
            well_since: None,
            closed: false,
            finding: false,
            escalated: false,
            told: None,
            severity: seen.severity,
            thread,
            causes: vec![seen.cause.to_owned()],
            runs: seen.run.map(str::to_owned).into_iter().collect(),
            remind_at: later(seen.at, early(repeat)),
            reminders: 0,
        }
    }

    /// It failed again.
    pub fn fails(&mut self, seen: Seen<'_>, repeat: SignedDuration) -> Tell {
        if let Some(run) = seen.run {
            if self.runs.iter().any(|known| known == run) {
                return Tell::Nothing;
            }
            self.runs.push_back(run.to_owned());
            if self.runs.len() > MOST_RUNS {
                self.runs.pop_front();
            }
        }
        self.last = self.last.max(seen.at);
        self.failures += 1;
        self.severity = self.severity.max(seen.severity);
        let relapsed = self.well_since.take().is_some();
        if relapsed {
            self.relapses += 1;
        }
        let new =
            self.causes.len() < MOST_CAUSES && !self.causes.iter().any(|known| known == seen.cause);
        if new {
            self.causes.push(seen.cause.to_owned());
        }
        let told = if new {
            Tell::NewCause
        } else if relapsed && self.closed {
            // People were told that it is well.
            Tell::Relapse
        } else if seen.at >= self.remind_at {
            Tell::Reminder
        } else {
            Tell::Nothing
        };
        if told != Tell::Nothing {
            self.closed = false;
        }
        if told == Tell::Reminder {
            self.reminders += 1;
            let factor = 1_i32
                .checked_shl(self.reminders)
                .unwrap_or(FURTHEST)
                .clamp(1, FURTHEST);
            self.remind_at = later(seen.at, early(repeat * factor));
        }
        told
    }

    /// It ended well.
    pub fn recovers(&mut self, now: Timestamp) -> Recovery {
        if self.well_since.is_some() {
            return Recovery::Nothing;
        }
        self.well_since = Some(now);
        if self.relapses == 0 {
            self.closed = true;
            Recovery::Over
        } else {
            Recovery::Settling
        }
    }

    /// Whether its end is to be told now, after it kept still; says so once.
    pub fn settles(&mut self, now: Timestamp, repeat: SignedDuration) -> bool {
        let over = !self.closed
            && self
                .well_since
                .is_some_and(|well| now.duration_since(well) >= repeat / SETTLED);
        if over {
            self.closed = true;
        }
        over
    }

    /// Whether it has lasted for `after` and nobody has mended it.
    pub fn drags_on(&self, now: Timestamp, after: SignedDuration) -> bool {
        self.well_since.is_none() && !self.closed && now.duration_since(self.since) >= after
    }

    /// Whether it is so long over that the next failure is a new incident.
    pub fn is_history(&self, now: Timestamp, repeat: SignedDuration) -> bool {
        self.closed
            && self
                .well_since
                .is_some_and(|well| now.duration_since(well) >= early(repeat))
    }

    /// Whether `cause` is one of the ways in which it failed.
    pub fn had(&self, cause: &str) -> bool {
        self.causes.iter().any(|known| known == cause)
    }

    /// How long it lasted, or has lasted.
    pub fn lasted(&self, now: Timestamp) -> SignedDuration {
        self.well_since.unwrap_or(now).duration_since(self.since)
    }
}

fn early(distance: SignedDuration) -> SignedDuration {
    distance / EARLY.1 * EARLY.0
}

fn later(time: Timestamp, distance: SignedDuration) -> Timestamp {
    time.checked_add(distance).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn start() -> Timestamp {
        "2026-11-21T03:30:00Z".parse().unwrap()
    }

    fn at(hours: i64) -> Timestamp {
        start() + SignedDuration::from_hours(hours)
    }

    fn seen(hours: i64, cause: &str) -> Seen<'_> {
        Seen {
            cause,
            run: None,
            severity: Severity::High,
            at: at(hours),
        }
    }

    fn open() -> Incident {
        let unit = Unit::parse("sg-dump-db@shop").unwrap();
        Incident::open(unit, seen(0, "exit-code 69"), DAY, "<1@host>".to_owned())
    }

    #[test]
    fn a_backup_that_fails_each_night_reminds_less_and_less_often() {
        let mut incident = open();
        let told: Vec<i64> = (1..=40)
            .filter(|day| incident.fails(seen(24 * day, "exit-code 69"), DAY) == Tell::Reminder)
            .collect();
        assert_eq!(told, [1, 3, 7, 14, 21, 28, 35]);
        assert_eq!(incident.failures, 41);
    }

    #[test]
    fn a_hundred_failures_in_a_row_are_one_message() {
        let mut incident = open();
        for _ in 0..100 {
            assert_eq!(incident.fails(seen(1, "exit-code 69"), DAY), Tell::Nothing);
        }
        // Also if they come with a hundred causes.
        let told = (0..100)
            .filter(|n| incident.fails(seen(2, &format!("exit-code {n}")), DAY) != Tell::Nothing)
            .count();
        assert!(told < MOST_CAUSES);
    }

    #[test]
    fn the_same_run_is_told_once() {
        let run = Seen {
            run: Some("a"),
            ..seen(0, "exit-code 69")
        };
        let mut incident = open();
        let other = Seen {
            cause: "oom-kill KILL",
            ..run
        };
        assert_eq!(incident.fails(other, DAY), Tell::NewCause);
        assert_eq!(incident.fails(run, DAY), Tell::Nothing);
        assert_eq!(incident.failures, 2);
    }

    #[test]
    fn a_recovery_is_told_once_and_at_once() {
        let mut incident = open();
        assert_eq!(incident.recovers(at(3)), Recovery::Over);
        assert_eq!(incident.recovers(at(4)), Recovery::Nothing);
        assert_eq!(incident.lasted(at(9)), SignedDuration::from_hours(3));
        assert!(!incident.settles(at(20), DAY));
        assert!(!incident.is_history(at(20), DAY));
        assert!(incident.is_history(at(28), DAY));
    }

    #[test]
    fn flapping_is_told_when_it_starts_and_when_it_has_settled() {
        let mut incident = open();
        let mut told = Vec::new();
        for hours in (4..=40).step_by(4) {
            if hours % 8 == 4 {
                if incident.recovers(at(hours)) == Recovery::Over {
                    told.push((hours, "over"));
                }
            } else {
                match incident.fails(seen(hours, "exit-code 69"), DAY) {
                    Tell::Relapse => told.push((hours, "relapse")),
                    Tell::Reminder => told.push((hours, "reminder")),
                    Tell::Nothing => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(!incident.settles(at(hours + 1), DAY));
        }
        assert_eq!(told, [(4, "over"), (8, "relapse"), (24, "reminder")]);
        assert_eq!(incident.recovers(at(44)), Recovery::Settling);
        assert!(!incident.settles(at(47), DAY));
        assert!(incident.settles(at(50), DAY));
        assert!(!incident.settles(at(51), DAY));
    }
}
