//! The status as a textfile for node_exporter's textfile collector: times and lengths, never ages, as
//! an age in a file would stand still.

use super::facts::{Application, Facts, Source, took};
use super::report::{Level, Report};
use crate::catalog::Backup;
use crate::monitor::Severity;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The metrics: name, and what it means. The manual documents each.
pub const METRICS: &[(&str, &str)] = &[
    (
        "sg_status_timestamp_seconds",
        "When this status was written.",
    ),
    ("sg_info", "The toolkit that wrote it."),
    ("sg_store_backups", "Sealed backups in a store."),
    (
        "sg_store_used_bytes",
        "Bytes that the backups in a store take.",
    ),
    (
        "sg_store_free_bytes",
        "Bytes that are free where a store is.",
    ),
    (
        "sg_store_capacity_bytes",
        "Bytes that there are where a store is.",
    ),
    (
        "sg_app_state",
        "How an application stands: 0 ok, 1 warning, 2 critical.",
    ),
    ("sg_app_problems", "Problems of an application by severity."),
    (
        "sg_app_incidents_open",
        "Failures of an application that are open.",
    ),
    (
        "sg_app_rpo_seconds",
        "How old its newest backup may be (SG_RPO).",
    ),
    (
        "sg_app_max_age_seconds",
        "From which age on its newest backup is an alarm (SG_MAX_AGE).",
    ),
    (
        "sg_app_rto_seconds",
        "How long its recovery may take (SG_RTO).",
    ),
    (
        "sg_app_next_run_timestamp_seconds",
        "When its next backup run starts.",
    ),
    (
        "sg_backup_wanted",
        "Whether the settings ask for this source: 1, or 0.",
    ),
    ("sg_backup_copies", "Sealed backups of a source."),
    (
        "sg_backup_used_bytes",
        "Bytes that the backups of a source take.",
    ),
    (
        "sg_backup_timestamp_seconds",
        "When the newest good backup was begun.",
    ),
    (
        "sg_backup_verified_timestamp_seconds",
        "When the newest verified backup was begun.",
    ),
    (
        "sg_backup_proven_timestamp_seconds",
        "When the newest backup was begun that was restored and compared.",
    ),
    ("sg_backup_size_bytes", "Length of the newest good backup."),
    (
        "sg_backup_content_bytes",
        "Length of its content before compression.",
    ),
    ("sg_backup_duration_seconds", "How long it took."),
    (
        "sg_drill_timestamp_seconds",
        "When the last drill was begun.",
    ),
    (
        "sg_drill_proven",
        "Whether the last drill proved everything that it restored: 1, or 0.",
    ),
    (
        "sg_drill_recovery_seconds",
        "How long a recovery takes, as the last drill measured.",
    ),
];

/// Samples by the metric they belong to: all of one metric have to stand together.
#[derive(Default)]
struct Samples(BTreeMap<&'static str, String>);

/// Labels, in the order written.
type Labels<'a> = [(&'a str, &'a str)];

impl Samples {
    fn add(&mut self, name: &'static str, labels: &Labels<'_>, value: impl std::fmt::Display) {
        debug_assert!(METRICS.iter().any(|(known, _)| *known == name), "{name}");
        let lines = self.0.entry(name).or_default();
        lines.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            // Into a string nothing fails.
            let _ = write!(lines, "{open}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            lines.push('}');
        }
        let _ = writeln!(lines, " {value}");
    }

    fn add_if(
        &mut self,
        name: &'static str,
        labels: &Labels<'_>,
        value: Option<impl std::fmt::Display>,
    ) {
        if let Some(value) = value {
            self.add(name, labels, value);
        }
    }
}

/// The textfile.
pub fn render(facts: &Facts, report: &Report) -> String {
    let mut samples = Samples::default();
    samples.add("sg_status_timestamp_seconds", &[], report.at.as_second());
    samples.add("sg_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    for store in &facts.stores {
        let directory = store.directory.display().to_string();
        let labels = [("directory", directory.as_str())];
        samples.add("sg_store_backups", &labels, store.backups);
        samples.add("sg_store_used_bytes", &labels, store.bytes);
        samples.add_if("sg_store_free_bytes", &labels, store.free);
        samples.add_if("sg_store_capacity_bytes", &labels, store.capacity);
    }
    for (application, verdict) in facts.applications.iter().zip(&report.verdicts) {
        let app = application.name.as_deref().unwrap_or_default();
        let labels = [("app", app)];
        let state = match verdict.level {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Critical => 2,
        };
        samples.add("sg_app_state", &labels, state);
        for severity in [
            Severity::Low,
            Severity::Medium,
            Severity::High,
            Severity::Critical,
        ] {
            let problems = verdict.problems.iter();
            let number = problems
                .filter(|problem| problem.note.severity == severity)
                .count();
            let severity = severity.to_string();
            samples.add(
                "sg_app_problems",
                &[("app", app), ("severity", &severity)],
                number,
            );
        }
        samples.application(application, &labels);
        for source in &application.sources {
            let labels = [("app", app), ("kind", &source.kind), ("name", &source.name)];
            samples.source(source, &labels);
        }
    }
    let mut text = String::new();
    for (name, help) in METRICS {
        if let Some(lines) = samples.0.get(name) {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{lines}");
        }
    }
    text
}

impl Samples {
    fn application(&mut self, application: &Application, labels: &Labels<'_>) {
        let goals = &application.goals;
        let length = |length: Option<SignedDuration>| length.map(|length| length.as_secs());
        self.add("sg_app_incidents_open", labels, application.incidents.len());
        self.add_if("sg_app_rpo_seconds", labels, length(goals.rpo));
        self.add("sg_app_max_age_seconds", labels, goals.limit.as_secs());
        self.add_if("sg_app_rto_seconds", labels, length(goals.rto));
        let next = application.timer.as_ref().and_then(|timer| timer.next);
        self.add_if(
            "sg_app_next_run_timestamp_seconds",
            labels,
            next.map(Timestamp::as_second),
        );
        if let Some(drill) = application.drills.last() {
            let proven = drill.outcome == super::Outcome::Proven;
            self.add("sg_drill_timestamp_seconds", labels, drill.at.as_second());
            self.add("sg_drill_proven", labels, u8::from(proven));
            self.add_if("sg_drill_recovery_seconds", labels, drill.recovery);
        }
    }

    fn source(&mut self, source: &Source, labels: &Labels<'_>) {
        let time = |backup: &Backup| backup.name.time.as_second();
        let newest = source.newest();
        self.add("sg_backup_wanted", labels, u8::from(source.wanted));
        self.add("sg_backup_copies", labels, source.backups.len());
        self.add("sg_backup_used_bytes", labels, source.bytes());
        self.add_if("sg_backup_timestamp_seconds", labels, newest.map(time));
        let verified = source.newest_verified().map(time);
        self.add_if("sg_backup_verified_timestamp_seconds", labels, verified);
        let proven = source.newest_proven().map(|(backup, _)| time(backup));
        self.add_if("sg_backup_proven_timestamp_seconds", labels, proven);
        self.add_if(
            "sg_backup_size_bytes",
            labels,
            newest.map(|backup| backup.bytes),
        );
        let content = newest.and_then(|backup| Some(backup.seal.as_ref()?.content_bytes));
        self.add_if("sg_backup_content_bytes", labels, content);
        let took = newest.and_then(took).map(|took| took.as_secs_f64());
        self.add_if("sg_backup_duration_seconds", labels, took);
    }
}

/// A label's value as the text format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
