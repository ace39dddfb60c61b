//! What to think of the facts: a pure function of these and a given time.
//!
//! A problem is as grave as the same thing is elsewhere in the toolkit ([`Severity`]): from high on it
//! makes its application critical, from medium on it is a warning, and what is less is only mentioned.
//! What another one explains is not told twice: a backup that is too old is not unverified as well.

use super::drills::{Drill, Outcome};
use super::facts::{Application, Facts, Source};
use super::report::{Problem, Report, Verdict};
use super::words::{brief, count, exact, size};
use crate::alert::Incident;
use crate::catalog::Backup;
use crate::monitor::{Note, Severity};
use jiff::{SignedDuration, Timestamp};

/// A drill a month, and some days for the month that is longer.
const DRILL_LIMIT: SignedDuration = SignedDuration::from_hours(40 * 24);
/// A timer that fired so lately has a run under way, and tells its next time when that has ended.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// Smaller than this, a backup may shrink as it likes: a few rows are half of it.
const SMALL: u64 = 64 << 10;
/// With so many before it a backup's size is compared.
const ENOUGH: usize = 3;

/// Judges `facts` as of `now`.
pub fn judge(facts: &Facts, now: Timestamp) -> Report {
    let verdicts: Vec<Verdict> = facts
        .applications
        .iter()
        .map(|application| {
            let mut problems = Problems::default();
            problems.judge(application, facts.systemd, now);
            problems.into_verdict()
        })
        .collect();
    let mut problems = Problems::default();
    for note in &facts.faults {
        problems.0.push(Problem {
            note: note.clone(),
            hint: None,
        });
    }
    problems.room(facts);
    let host = problems.into_verdict();
    let worst = verdicts.iter().map(|verdict| verdict.level).max();
    Report {
        at: now,
        level: worst.unwrap_or_default().max(host.level),
        verdicts,
        problems: host.problems,
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(
        &mut self,
        severity: Severity,
        code: &str,
        subject: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.0.push(Problem {
            note: Note::new(severity, code, subject, message),
            hint: hint.into(),
        });
    }

    fn into_verdict(mut self) -> Verdict {
        self.0
            .sort_by_key(|problem| std::cmp::Reverse(problem.note.severity));
        Verdict {
            level: self.0.iter().map(Problem::level).max().unwrap_or_default(),
            problems: self.0,
        }
    }

    fn judge(&mut self, application: &Application, systemd: bool, now: Timestamp) {
        for source in application.wanted() {
            self.source(application, source, now);
        }
        for incident in &application.incidents {
            self.incident(incident, now);
        }
        self.failed(application);
        self.drills(application, now);
        if systemd && application.configured {
            self.timer(application, now);
        }
        if application.configured && application.wanted().next().is_none() {
            let hint = "Say in its settings what to back up: SG_DATABASE, SG_VOLUMES.".to_owned();
            self.add(
                Severity::Low,
                "nothing-wanted",
                application.title(),
                "has settings, but nothing to back up",
                hint,
            );
        }
    }

    fn source(&mut self, application: &Application, source: &Source, now: Timestamp) {
        let subject = title(source);
        let limit = application.goals.limit;
        let start = start(application);
        let Some(newest) = source.newest() else {
            let (code, message) = match source.backups.len() {
                0 => ("no-backup", "there is no backup".to_owned()),
                1 => (
                    "no-good-backup",
                    "its one backup can't be counted on".to_owned(),
                ),
                count => (
                    "no-good-backup",
                    format!("none of its {count} backups can be counted on"),
                ),
            };
            self.add(Severity::Critical, code, subject, message, start);
            return;
        };
        let age = now.duration_since(newest.name.time);
        if age > limit {
            let message = format!(
                "the newest backup is {} old, an alarm from {} on",
                exact(age),
                brief(limit)
            );
            self.add(Severity::Critical, "too-old", &subject, message, start);
        } else {
            if let Some(rpo) = application.goals.rpo.filter(|rpo| age > *rpo) {
                let message = format!(
                    "the newest backup is {} old, may be {}",
                    exact(age),
                    exact(rpo)
                );
                self.add(Severity::Medium, "rpo-missed", &subject, message, start);
            }
            self.verified(application, source, now);
        }
        self.damage(source, newest);
        self.shrinkage(source);
        for backup in &source.future {
            let message = "a backup is dated in the future and counts for nothing until then";
            let hint = format!(
                "Look after the clock of the host that made `{}`.",
                backup.path.display()
            );
            self.add(Severity::Medium, "future-backup", &subject, message, hint);
        }
        self.0.extend(source.notes.iter().map(|note| Problem {
            note: note.clone(),
            hint: None,
        }));
        for finding in newest
            .last_check()
            .into_iter()
            .flat_map(|check| &check.findings)
        {
            self.add(Severity::Medium, "finding", &subject, finding, None);
        }
    }

    /// Whether what is there has been read back.
    fn verified(&mut self, application: &Application, source: &Source, now: Timestamp) {
        let limit = application.goals.limit;
        let verified = source.newest_verified();
        // A first backup has its time, too.
        let since = verified
            .or(source.backups.first())
            .map(|backup| backup.name.time);
        if since.is_some_and(|since| now.duration_since(since) > limit) {
            // Who runs the programs by hand may have reasons.
            let severity = if application.configured {
                Severity::High
            } else {
                Severity::Medium
            };
            let message = match verified {
                Some(backup) => format!(
                    "the newest verified backup is {} old, an alarm from {} on",
                    exact(now.duration_since(backup.name.time)),
                    brief(limit)
                ),
                None => "no backup was ever verified".to_owned(),
            };
            let app = application.name.as_ref();
            let hint =
                app.map(|app| format!("`sg-verify --new --app {app}` reads back what is new."));
            self.add(severity, "unverified", title(source), message, hint);
        }
    }

    fn damage(&mut self, source: &Source, newest: &Backup) {
        let bad = |backup: &&Backup| !backup.state.is_good();
        let (later, earlier): (Vec<&Backup>, Vec<&Backup>) = source
            .backups
            .iter()
            .filter(bad)
            .partition(|backup| backup.name.time > newest.name.time);
        if let Some(last) = later.last() {
            let message = format!("its last backup can't be counted on: {}", last.state);
            let hint = format!(
                "`sg-verify {}` says what is left of it.",
                last.path.display()
            );
            self.add(Severity::Critical, "damaged", title(source), message, hint);
        }
        if let Some(last) = earlier.last() {
            let message = format!(
                "{} of old can't be counted on",
                count(earlier.len(), "backup")
            );
            let path = last.path.display();
            let hint = format!(
                "`sg-verify {path}` says what is left of it. It goes when the rules let it go; `rm {path}*` takes it away now."
            );
            self.add(
                Severity::Medium,
                "damaged-before",
                title(source),
                message,
                hint,
            );
        }
    }

    /// A backup that lost half of its size has lost something.
    fn shrinkage(&mut self, source: &Source) {
        let mut good = source
            .backups
            .iter()
            .rev()
            .filter(|backup| backup.state.is_good());
        let Some(newest) = good.next() else { return };
        let mut before: Vec<u64> = good.take(7).map(|backup| backup.bytes).collect();
        before.sort_unstable();
        let usual = before.get(before.len() / 2).copied().unwrap_or(0);
        if before.len() >= ENOUGH && usual >= SMALL && newest.bytes < usual / 2 {
            let message = format!(
                "the newest backup has {}, usual are {}",
                size(newest.bytes),
                size(usual)
            );
            let hint = format!(
                "`sg-restore list {}` shows what is in it.",
                newest.path.display()
            );
            self.add(Severity::High, "shrunk", title(source), message, hint);
        }
    }

    fn incident(&mut self, incident: &Incident, now: Timestamp) {
        let unit = &incident.unit;
        let since = brief(now.duration_since(incident.since));
        if incident.well_since.is_some() {
            let message = format!("failed on and off since {since}, and is well at present");
            self.add(
                Severity::Low,
                "incident-settling",
                &unit.name,
                message,
                None,
            );
            return;
        }
        let message = format!(
            "{} failed{}, since {since}",
            unit.step,
            match incident.failures {
                1 => String::new(),
                times => format!(" {times} times"),
            }
        );
        let severity = incident.severity.max(Severity::High);
        self.add(
            severity,
            "incident",
            &unit.name,
            message,
            journal(&unit.name),
        );
    }

    /// Failures that nobody was told of. A run that failed because of a step is told by that one.
    fn failed(&mut self, application: &Application) {
        let told = !application.incidents.is_empty();
        let is_driver = |unit: &&String| unit.starts_with("sg-backup@");
        let alone = application.failed.iter().filter(is_driver).count() == application.failed.len();
        for unit in &application.failed {
            if !is_driver(&unit) || alone && !told {
                self.add(
                    Severity::High,
                    "unit-failed",
                    unit,
                    "failed when it last ran",
                    journal(unit),
                );
            }
        }
    }

    fn drills(&mut self, application: &Application, now: Timestamp) {
        let title = "restore drill";
        let hint = application
            .name
            .as_ref()
            .map(|app| format!("`systemctl start sg-drill@{app}` runs one now."));
        let Some(last) = application.drills.last() else {
            if application.goals.rto.is_some() {
                let message = "there was none, so how long a recovery takes is not known";
                self.add(Severity::Medium, "never-drilled", title, message, hint);
            }
            return;
        };
        let age = now.duration_since(last.at);
        if age > DRILL_LIMIT {
            let message = format!("the last one was {} ago", brief(age));
            self.add(Severity::Medium, "drill-overdue", title, message, hint);
        }
        self.outcome(last, age);
        if let (Some(recovery), Some(goal)) = (last.recovery, application.goals.rto)
            && recovery > goal.as_secs_f64()
        {
            let recovery = super::words::seconds(recovery);
            let message = format!("recovery took {recovery}, may take {}", exact(goal));
            self.add(Severity::High, "rto-missed", title, message, None);
        }
    }

    fn outcome(&mut self, last: &Drill, age: SignedDuration) {
        // Goals are judged as they are today.
        let goals = ["rto", "rpo"];
        let mut findings = last.findings.iter().filter(|note| note.is_finding());
        let gravest = findings
            .by_ref()
            .filter(|note| !goals.contains(&note.code.as_str()))
            .max_by_key(|note| note.severity);
        let severity = match last.outcome {
            Outcome::Proven => return,
            Outcome::Damaged => Severity::Critical,
            Outcome::NotRun => Severity::High,
            Outcome::Findings => match gravest {
                Some(note) => note.severity,
                None => return,
            },
        };
        let mut message = format!(
            "the last one, {} ago, ended: {}",
            brief(age),
            last.outcome.words()
        );
        if let Some(note) = gravest {
            message.push_str(&format!(" ({note})"));
        }
        self.add(severity, "drill-failed", "restore drill", message, None);
    }

    fn timer(&mut self, application: &Application, now: Timestamp) {
        let fires = application.timer.as_ref().is_some_and(|timer| {
            let lately = |last: Timestamp| now.duration_since(last) < LATELY;
            timer.next.is_some() || timer.last.is_some_and(lately)
        });
        if !fires {
            let app = application.title();
            let hint = format!("`systemctl enable --now sg-backup@{app}.timer` turns it on.");
            self.add(
                Severity::Medium,
                "no-timer",
                format!("sg-backup@{app}.timer"),
                "nothing will start the next backup",
                hint,
            );
        }
    }

    /// Whether the next run finds room.
    fn room(&mut self, facts: &Facts) {
        for store in &facts.stores {
            let sources = facts.applications.iter().flat_map(Application::wanted);
            let newest = sources.filter_map(Source::newest);
            let here = newest.filter(|backup| backup.path.parent() == Some(&store.directory));
            let next: u64 = here.map(|backup| backup.bytes).sum();
            if let Some(free) = store.free.filter(|free| *free < next) {
                let message = format!(
                    "{} free, the next runs need about {}",
                    size(free),
                    size(next)
                );
                let hint = "`sg-prune --dry-run` shows what may go.".to_owned();
                self.add(
                    Severity::High,
                    "no-room",
                    store.directory.display().to_string(),
                    message,
                    hint,
                );
            }
        }
    }
}

fn title(source: &Source) -> String {
    format!("{} {}", source.kind, source.name)
}

fn start(application: &Application) -> Option<String> {
    let app = application
        .name
        .as_ref()
        .filter(|_| application.configured)?;
    Some(format!(
        "`systemctl start --wait sg-backup@{app}` runs one now, `journalctl -u 'sg-*@{app}'` tells of the last."
    ))
}

fn journal(unit: &str) -> String {
    format!("`journalctl -u {unit}` tells why.")
}
