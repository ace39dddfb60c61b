//! One failed run, with everything that a person wants to know about it, and how much it matters.

use super::log::{Line, Log};
use super::outcome::Outcome;
use super::systemd::Run;
use super::unit::{Step, Unit};
use crate::monitor::Severity;
use jiff::Timestamp;

/// The exit statuses that say more than that it failed, by sysexits(3) as all our programs use it.
const FINDINGS: u8 = 3;
const DAMAGED: u8 = 65;
const LOCKED: u8 = 75;

/// A failed run of a unit.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which unit.
    pub unit: Unit,
    /// On which host.
    pub host: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Its invocation, by which the journal knows it.
    pub invocation: Option<String>,
    /// When it began, as far as is known.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
    /// When we were told of it.
    pub noticed: Timestamp,
    /// How much it matters.
    pub severity: Severity,
    /// The reason that it gave.
    pub cause: Option<String>,
    /// What it said to do about it.
    pub hints: Vec<String>,
    /// The last lines that it wrote.
    pub log: Vec<Line>,
    /// What makes two of them the same.
    pub sameness: String,
}

impl Failure {
    /// Puts together what is known; `now` stands in for an end that is not.
    pub fn new(unit: Unit, host: String, run: Run, log: Log, now: Timestamp) -> Self {
        let severity = severity(unit.step, &run.outcome, log.severity);
        let finding = log.finding.filter(|_| run.outcome.status == Some(FINDINGS));
        let (sameness, cause) = match finding {
            Some((code, text)) => (format!("finding {code}"), Some(text)),
            None => (run.outcome.cause(), log.cause),
        };
        Self {
            unit,
            host,
            severity,
            started: run.started.or(log.begun),
            ended: run.ended.unwrap_or(now),
            noticed: now,
            outcome: run.outcome,
            invocation: run.invocation,
            cause,
            hints: log.hints,
            log: log.lines,
            sameness,
        }
    }

    /// Whether the work was done, and something needs a look.
    pub fn is_finding(&self) -> bool {
        self.outcome.status == Some(FINDINGS)
    }

    /// What it means for the backups, a whole sentence.
    pub fn consequence(&self) -> String {
        let owner = self.unit.owner();
        match (self.unit.step, self.outcome.status) {
            (Step::Dump, Some(FINDINGS)) => {
                format!("The database of {owner} was dumped, but something needs a look.")
            }
            (Step::Archive, Some(FINDINGS)) => {
                format!("The files of {owner} were archived, but something needs a look.")
            }
            (Step::Verify, Some(FINDINGS)) => {
                format!("The backups of {owner} can be read, but something needs a look.")
            }
            (Step::Prune, Some(FINDINGS)) => {
                format!("The backups of {owner} were pruned, but something needs a look.")
            }
            (Step::Drill, Some(FINDINGS)) => {
                format!(
                    "The backups of {owner} were restored for practice, and something needs a look."
                )
            }
            (_, Some(LOCKED)) => {
                format!("Another run for {owner} was at work, so this one did nothing.")
            }
            (Step::Dump, _) => format!("There is no new database backup of {owner}."),
            (Step::Archive, _) => format!("There is no new backup of the files of {owner}."),
            (Step::Verify, Some(DAMAGED)) => format!("A backup of {owner} is damaged."),
            (Step::Verify, _) => format!("The new backups of {owner} are not verified."),
            (Step::Prune, _) => {
                format!("Old backups of {owner} were not removed; the disk may fill up.")
            }
            (Step::Driver, _) => format!("The backup of {owner} did not run to its end."),
            (Step::Freshness, _) => format!("There is no recent, verified backup of {owner}."),
            (Step::Drill, _) => format!("The backups of {owner} are not proven to restore."),
            (Step::Restore, _) => format!("The restore of {owner} failed."),
            (Step::Status, _) => "The status page and the metrics were not written.".to_owned(),
            (Step::Other, _) => format!("{owner} failed."),
        }
    }
}

/// How much it matters that `step` ended like this; a run that ended with findings matters as much as
/// the gravest of them.
fn severity(step: Step, outcome: &Outcome, findings: Option<Severity>) -> Severity {
    match (step, outcome.status) {
        (_, Some(FINDINGS)) => findings.unwrap_or(Severity::Medium),
        (_, Some(LOCKED)) => Severity::Medium,
        (Step::Verify | Step::Drill, Some(DAMAGED)) => Severity::Critical,
        (Step::Dump | Step::Archive | Step::Driver | Step::Freshness, _) => Severity::Critical,
        (Step::Verify | Step::Drill | Step::Restore | Step::Other, _) => Severity::High,
        (Step::Prune | Step::Status, _) => Severity::Medium,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_matters_what_failed_and_how() {
        let exit = |status: &str| Outcome::new("exit-code", "exited", status);
        let oom = Outcome::new("oom-kill", "killed", "KILL");
        for (step, outcome, findings, expected) in [
            (Step::Dump, exit("69"), None, Severity::Critical),
            (Step::Dump, oom, None, Severity::Critical),
            (Step::Dump, exit("75"), None, Severity::Medium),
            (Step::Dump, exit("3"), Some(Severity::Low), Severity::Low),
            (Step::Verify, exit("65"), None, Severity::Critical),
            (Step::Verify, exit("74"), None, Severity::High),
            (
                Step::Verify,
                exit("3"),
                Some(Severity::Critical),
                Severity::Critical,
            ),
            (Step::Prune, exit("1"), None, Severity::Medium),
        ] {
            assert_eq!(
                severity(step, &outcome, findings),
                expected,
                "{step} {outcome:?}"
            );
        }
    }
}
