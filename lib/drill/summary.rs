//! A drill's report for people: what was restored, how long it took, what was found; for the exercise
//! of a whole system with what an auditor asks for.

use super::report::{Objective, Report, Restored, SourceReport, Verdict};
use crate::monitor::{Note, Severity};
use crate::words::{count, large_count};
use indicatif::{HumanBytes, HumanCount};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;

impl Report {
    /// The report as text.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, out: &mut String) -> std::fmt::Result {
        let title = match (self.full, &self.app) {
            (true, None) => "Restore exercise of a whole system".to_owned(),
            (true, Some(app)) => format!("Restore exercise of {app}"),
            (false, Some(app)) => format!("Restore drill of {app}"),
            (false, None) => "Restore drill".to_owned(),
        };
        let proven = self.sources.iter();
        let proven = proven.filter(|source| source.verdict == Verdict::Proven);
        let ended = SignedDuration::try_from_secs_f64(self.seconds).unwrap_or_default();
        writeln!(out, "{title}: {}\n", self.verdict.words().to_uppercase())?;
        writeln!(out, "report     {}", self.id)?;
        writeln!(out, "host       {}", self.host)?;
        writeln!(out, "by         {} as {}", self.tool, self.user)?;
        if let Some(invocation) = &self.invocation {
            writeln!(
                out,
                "log        journalctl _SYSTEMD_INVOCATION_ID={invocation}"
            )?;
        }
        writeln!(out, "begun      {}", time(self.started))?;
        writeln!(
            out,
            "ended      {}, after {}",
            time(self.started.saturating_add(ended).unwrap_or(self.started)),
            seconds(self.seconds)
        )?;
        writeln!(out, "chosen     {}", self.pick)?;
        writeln!(
            out,
            "proven     {} of {}",
            proven.count(),
            count(self.sources.len(), "backup")
        )?;
        writeln!(out, "RTO        {}", objective(self.rto))?;
        writeln!(out, "RPO        {}", objective(self.rpo))?;
        for source in &self.sources {
            write_source(source, out)?;
        }
        write_findings(&self.findings, out)?;
        if self.full {
            writeln!(out, "\n{METHOD}")?;
        }
        Ok(())
    }
}

const METHOD: &str = "\
How it was done
Each backup was read whole and held against its seal (length and SHA-256). A database was then restored
into a PostgreSQL server made for this exercise, without a network, roles and tablespaces first; the rows
of every table were read back and their number and digest held against those recorded within the snapshot
that was dumped, and so were sequences, large objects and extensions. Of a volume every file was extracted,
read back, and its digest held against the one taken when it was archived. Nothing was compared with the
production system, and nothing there was touched. That it was done, by whom and with what result, stands
in the audit trail, too (sg-list --audit), where a line can't be changed unseen, with the SHA-256 of this
report as a file for programs (.json). RTO is the time that servers, roles, restores and comparisons took,
one after the other; RPO is the age of the newest sound backup of the worst source.

Reviewed by:                          Date:
Actions required:";

fn write_source(source: &SourceReport, out: &mut String) -> std::fmt::Result {
    let verdict = source.verdict.words();
    writeln!(out, "\n{} '{}': {verdict}", source.kind, source.name)?;
    writeln!(out, "  backup   {}", source.backup.display())?;
    if let Some(sha256) = &source.sha256 {
        writeln!(out, "  sha256   {sha256}")?;
    }
    if let Some(bytes) = source.bytes {
        writeln!(out, "  size     {}", HumanBytes(bytes))?;
    }
    if let (Some(made), Some(age)) = (source.made, source.age) {
        writeln!(out, "  made     {}, {} old", time(made), seconds(age))?;
    }
    if let Some(version) = &source.server_version {
        writeln!(out, "  server   PostgreSQL {version}")?;
    }
    if let Some(globals) = &source.globals {
        writeln!(out, "  roles    {}", globals.display())?;
    }
    if let Some(restored) = &source.restored {
        writeln!(out, "  restored {}", what(restored))?;
    }
    if !source.steps.is_empty() {
        let steps = source.steps.iter();
        let steps = steps.map(|step| format!("{} {}", step.name, seconds(step.seconds)));
        writeln!(out, "  steps    {}", steps.collect::<Vec<_>>().join(", "))?;
    }
    for assertion in &source.assertions {
        let outcome = assertion.message.as_deref().unwrap_or("holds");
        writeln!(out, "  asserted {}: {outcome}", assertion.file.display())?;
    }
    write_findings(&source.findings, out)
}

fn write_findings(findings: &[Note], out: &mut String) -> std::fmt::Result {
    for note in findings {
        let mark = if note.severity > Severity::Info {
            "!"
        } else {
            "-"
        };
        writeln!(out, "  {mark} {} [{}] {note}", note.severity, note.code)?;
    }
    Ok(())
}

fn what(restored: &Restored) -> String {
    match restored {
        Restored::Database {
            tables,
            rows,
            sequences,
            large_objects,
            extensions,
            roles,
        } => format!(
            "{} with {}, {}, {}, {}, {}",
            large_count(*tables, "table"),
            large_count(*rows, "row"),
            large_count(*sequences, "sequence"),
            large_count(*large_objects, "large object"),
            large_count(*extensions, "extension"),
            large_count(*roles, "role"),
        ),
        Restored::Globals { roles, tablespaces } => format!(
            "{}, {}",
            large_count(*roles, "role"),
            large_count(*tablespaces, "tablespace")
        ),
        Restored::Volume {
            files,
            directories,
            symlinks,
            bytes,
            compared,
            ..
        } => format!(
            "{} ({}), {} of them compared, {}, {}",
            large_count(*files, "file"),
            HumanBytes(*bytes),
            HumanCount(*compared),
            large_count(*directories, "directory"),
            large_count(*symlinks, "symbolic link"),
        ),
    }
}

fn objective(objective: Objective) -> String {
    let Some(measured) = objective.seconds else {
        return "nothing to measure".to_owned();
    };
    match (objective.target, objective.met) {
        (Some(target), Some(met)) => format!(
            "{} of {}: {}",
            seconds(measured),
            seconds(target),
            if met { "kept" } else { "NOT KEPT" }
        ),
        _ => format!("{} (no objective set)", seconds(measured)),
    }
}

fn time(time: Timestamp) -> String {
    let time = time.to_zoned(TimeZone::UTC);
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A duration as people read it.
fn seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds:.1} s"),
        (0, 0, _) => format!("{minutes} min {} s", whole % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_told_in_two_units() {
        for (value, text) in [
            (0.04, "0.0 s"),
            (59.96, "60.0 s"),
            (61.0, "1 min 1 s"),
            (3_725.0, "1 h 2 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(seconds(value), text);
        }
    }
}
