//! What names and seals tell of one source: how fresh, how many, how large.

use super::{Circumstances, Policy, Row};
use crate::catalog::{Backup, State};
use crate::monitor::{Note, Severity};
use crate::prune::candidate;
use crate::retention::{self, Candidate, Standing};
use crate::words::count;
use jiff::{SignedDuration, Timestamp};

/// So many spans are enough to see what the rules leave of them.
const ENOUGH: i32 = 400;

impl Policy {
    /// None newer than the RPO, or none from this run: what is there may be yesterday's.
    pub(super) fn freshness(
        &self,
        row: &Row<'_>,
        circumstances: &Circumstances<'_>,
        findings: &mut Vec<Note>,
    ) {
        let mut critical = |code: &str, message: String, hint: &str| {
            let note = row.finding(Severity::Critical, code, message);
            findings.push(note.with_hint(hint.to_owned()));
        };
        let Some(newest) = row.newest() else {
            let hint = "See why its step makes none, then make one: systemctl start sg-backup@APP.";
            return critical("no-backup", "there is no good backup".to_owned(), hint);
        };
        let made = newest.name.time;
        let age = circumstances.now.timestamp().duration_since(made);
        if age > self.rpo {
            let message = format!(
                "the newest good backup is {} old, more than {}",
                words(age),
                words(self.rpo)
            );
            let hint = "Make one now: systemctl start sg-backup@APP; and see what kept the last runs from it.";
            critical("stale", message, hint);
        } else if let Some(begun) = self.begun
            && made.as_second() < begun.as_second()
        {
            let message = format!(
                "this run made no good backup; the newest is of {made}, before it began at {begun}"
            );
            let hint = "See what its step said in this run: journalctl -u 'sg-*@APP'.";
            critical("not-from-this-run", message, hint);
        }
    }

    /// Fewer than there should be by now, or more than the rules keep.
    pub(super) fn number(
        &self,
        row: &Row<'_>,
        circumstances: &Circumstances<'_>,
        findings: &mut Vec<Note>,
    ) {
        let now = circumstances.now.timestamp();
        let good = row.good().count() as u64;
        let least = self.least_after(self.age(row, circumstances), circumstances);
        if good > 0 && good < least {
            findings.push(
                row.finding(
                    Severity::Medium,
                    "too-few",
                    format!("it has {}, fewer than {least}", count(good, "good backup")),
                )
                .with_hint("See which runs failed, or who removed some: sg-list --audit."),
            );
        }
        let overdue = self.overdue(row, now, circumstances);
        if overdue > 0 {
            findings.push(
                row.finding(
                    Severity::Medium,
                    "too-many",
                    format!("it has {} that no rule keeps", count(overdue, "backup")),
                )
                .with_hint("Pruning does not run or can't: systemctl status sg-prune@APP."),
            );
        }
    }

    /// How long the source has been backed up.
    fn age(&self, row: &Row<'_>, circumstances: &Circumstances<'_>) -> SignedDuration {
        let oldest = row.backups.first().map(|backup| backup.name.time);
        let first = (circumstances.first)(&row.source)
            .into_iter()
            .chain(oldest)
            .min();
        let now = circumstances.now.timestamp();
        first.map_or(SignedDuration::ZERO, |first| now.duration_since(first))
    }

    /// How many good backups there should be of a source that is `age` old: as many as the rules would
    /// leave if one had been made in each span within which one has to be.
    fn least_after(&self, age: SignedDuration, circumstances: &Circumstances<'_>) -> u64 {
        let spans = age.as_secs() / self.rpo.as_secs().max(1);
        let due = i32::try_from(spans).unwrap_or(ENOUGH).clamp(0, ENOUGH);
        let mut left = u64::try_from(due).unwrap_or(0);
        if !self.keep.is_empty() {
            let now = circumstances.now.timestamp();
            let made = (0..due)
                .rev()
                .filter_map(|span| now.checked_sub(self.rpo * span).ok());
            let made: Vec<Candidate> = made.map(sound).collect();
            left = self.kept(&made, circumstances) as u64;
        }
        left.min(u64::from(self.least))
    }

    fn kept(&self, candidates: &[Candidate], circumstances: &Circumstances<'_>) -> usize {
        let now = &circumstances.now;
        let decided = retention::decide(&self.keep, candidates, now.timestamp(), now.time_zone());
        decided.iter().filter(|decision| decision.keeps()).count()
    }

    /// How many backups pruning should have removed before: those that were superseded when the newest was
    /// not there yet.
    fn overdue(&self, row: &Row<'_>, now: Timestamp, circumstances: &Circumstances<'_>) -> usize {
        if self.keep.is_empty() {
            return 0;
        }
        let fresh = |backup: &&&Backup| now.duration_since(backup.name.time) <= self.rpo;
        let before: Vec<Candidate> = row
            .backups
            .iter()
            .filter(|backup| backup.state != State::Unsealed && !fresh(backup))
            .map(|backup| candidate(backup, now))
            .collect();
        before.len() - self.kept(&before, circumstances)
    }

    /// The newest is damaged. Of older ones people heard when it was found, and pruning will see to them.
    pub(super) fn damage(&self, row: &Row<'_>, findings: &mut Vec<Note>) {
        let mut sealed = row.backups.iter().rev();
        let newest = sealed.find(|backup| backup.state != State::Unsealed);
        if let Some(backup) = newest.filter(|backup| !backup.state.is_good()) {
            let path = backup.path.display().to_string();
            let message = backup.state.to_string();
            findings.push(
                Note::new(Severity::Critical, "damaged", path, message)
                    .with_hint("Don't restore it; sg-list shows the good ones. Look at the disk: damage comes in company."),
            );
        }
    }

    /// Smaller or larger than the one before, too small at all, or slow.
    pub(super) fn size(&self, row: &Row<'_>, findings: &mut Vec<Note>) {
        let mut good = row.good();
        let Some(newest) = good.next() else { return };
        let Some(seal) = &newest.seal else { return };
        let before = good.next().and_then(|backup| backup.seal.as_ref());
        if let Some(before) = before {
            let (was, is) = (before.content_bytes, seal.content_bytes);
            if shrank(was, is, self.shrink) {
                findings.push(
                    row.finding(
                        Severity::High,
                        "shrunk",
                        format!("its content shrank from {was} to {is} bytes"),
                    )
                    .with_hint("See whether somebody removed that on purpose, before the older backups go."),
                );
            } else if grew(was, is, self.growth) {
                findings.push(
                    row.finding(
                        Severity::Low,
                        "grown",
                        format!("its content grew from {was} to {is} bytes"),
                    )
                    .with_hint(
                        "See what filled it, and whether the store has room for more of it.",
                    ),
                );
            }
        }
        if newest.bytes < self.size && row.source.kind != "globals" {
            findings.push(
                row.finding(
                    Severity::High,
                    "too-small",
                    format!(
                        "it has {}, fewer than {}",
                        count(newest.bytes, "byte"),
                        self.size
                    ),
                )
                .with_hint("See whether the source is empty: sg-restore list FILE."),
            );
        }
        let took = seal.finished.duration_since(newest.name.time);
        if took > self.duration {
            findings.push(
                row.finding(
                    Severity::Low,
                    "slow",
                    format!(
                        "it took {}, more than {}",
                        words(took),
                        words(self.duration)
                    ),
                )
                .with_hint(
                    "See what else the host does at that time; SG_MAX_DURATION says what is usual.",
                ),
            );
        }
    }
}

/// Whether `is` is less than `was` by more than `percent` of it.
pub(super) fn shrank(was: u64, is: u64, percent: u32) -> bool {
    let lost = u128::from(was.saturating_sub(is));
    lost * 100 > u128::from(was) * u128::from(percent)
}

/// Whether `is` is more than `was` by more than `percent` of it. From nothing everything grows.
fn grew(was: u64, is: u64, percent: u32) -> bool {
    let gained = u128::from(is.saturating_sub(was));
    was > 0 && gained * 100 > u128::from(was) * u128::from(percent)
}

fn sound(time: Timestamp) -> Candidate {
    Candidate {
        time,
        standing: Standing::Verified,
        failed: false,
        pinned: false,
    }
}

/// A span as people say it: `30h`, `2d 6h`.
fn words(span: SignedDuration) -> String {
    let minutes = span.as_mins();
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
