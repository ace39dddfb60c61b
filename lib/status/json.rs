//! The status for programs: one JSON object. Fields may be added, never changed.
//!
//! Times are RFC 3339 in UTC, lengths of time seconds, sizes bytes; what is not known is null. The
//! history of a source is not in it: `sg-list --json` has that.

use super::drills::Drill;
use super::facts::{Application, Facts, Source, took};
use super::report::{Problem, Report, Verdict};
use crate::catalog::Backup;
use crate::error::{Error, Kind, Result};
use crate::monitor::{Note, Severity};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::path::Path;

/// The version written.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Object<'a> {
    format: u32,
    host: &'a str,
    at: Timestamp,
    state: &'static str,
    problems: Vec<ProblemObject<'a>>,
    stores: Vec<StoreObject<'a>>,
    applications: Vec<ApplicationObject<'a>>,
}

#[derive(Serialize)]
struct StoreObject<'a> {
    directory: &'a Path,
    backups: u64,
    bytes: u64,
    free: Option<u64>,
    capacity: Option<u64>,
    unsealed: u64,
}

#[derive(Serialize)]
struct ProblemObject<'a> {
    severity: Severity,
    code: &'a str,
    subject: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct ApplicationObject<'a> {
    app: Option<&'a str>,
    configured: bool,
    state: &'static str,
    problems: Vec<ProblemObject<'a>>,
    newest: Option<Timestamp>,
    age: Option<i64>,
    rpo: Option<i64>,
    max_age: i64,
    rto: Option<i64>,
    next: Option<Timestamp>,
    next_drill: Option<Timestamp>,
    incidents: Vec<IncidentObject<'a>>,
    drills: Vec<DrillObject<'a>>,
    sources: Vec<SourceObject<'a>>,
}

#[derive(Serialize)]
struct IncidentObject<'a> {
    unit: &'a str,
    since: Timestamp,
    last: Timestamp,
    failures: u64,
    severity: Severity,
}

#[derive(Serialize)]
struct DrillObject<'a> {
    at: Timestamp,
    outcome: &'static str,
    recovery: Option<f64>,
    loss: Option<f64>,
    full: bool,
    findings: &'a [Note],
}

#[derive(Serialize)]
struct SourceObject<'a> {
    kind: &'a str,
    name: &'a str,
    wanted: bool,
    backups: usize,
    bytes: u64,
    newest: Option<BackupObject<'a>>,
    verified: Option<Timestamp>,
    proven: Option<Timestamp>,
}

#[derive(Serialize)]
struct BackupObject<'a> {
    path: &'a Path,
    time: Timestamp,
    age: i64,
    bytes: u64,
    content_bytes: Option<u64>,
    seconds: Option<f64>,
    state: &'static str,
    pinned: bool,
}

/// The status as one line.
///
/// # Errors
/// None that can happen to what is gathered.
pub fn render(facts: &Facts, report: &Report) -> Result<String> {
    let applications = facts.applications.iter().zip(&report.verdicts);
    let object = Object {
        format: FORMAT,
        host: &facts.host,
        at: report.at,
        state: report.level.word(),
        problems: report.problems.iter().map(problem).collect(),
        stores: facts
            .stores
            .iter()
            .map(|store| StoreObject {
                directory: &store.directory,
                backups: store.backups,
                bytes: store.bytes,
                free: store.free,
                capacity: store.capacity,
                unsealed: store.unsealed,
            })
            .collect(),
        applications: applications
            .map(|(application, verdict)| self::application(application, verdict, report.at))
            .collect(),
    };
    serde_json::to_string(&object)
        .map(|text| text + "\n")
        .map_err(|cause| Error::new(Kind::Failed, "cannot encode the status").with_source(cause))
}

fn problem(problem: &Problem) -> ProblemObject<'_> {
    ProblemObject {
        severity: problem.note.severity,
        code: &problem.note.code,
        subject: &problem.note.subject,
        message: &problem.note.message,
        hint: problem.hint.as_deref(),
    }
}

fn application<'a>(
    application: &'a Application,
    verdict: &'a Verdict,
    now: Timestamp,
) -> ApplicationObject<'a> {
    let newest = application.newest();
    let seconds = |length: Option<SignedDuration>| length.map(|length| length.as_secs());
    let timers = (&application.timer, &application.drill_timer);
    ApplicationObject {
        app: application.name.as_deref(),
        configured: application.configured,
        state: verdict.level.word(),
        problems: verdict.problems.iter().map(problem).collect(),
        newest,
        age: newest.map(|newest| now.duration_since(newest).as_secs()),
        rpo: seconds(application.goals.rpo),
        max_age: application.goals.limit.as_secs(),
        rto: seconds(application.goals.rto),
        next: timers.0.as_ref().and_then(|timer| timer.next),
        next_drill: timers.1.as_ref().and_then(|timer| timer.next),
        incidents: application
            .incidents
            .iter()
            .map(|incident| IncidentObject {
                unit: &incident.unit.name,
                since: incident.since,
                last: incident.last,
                failures: incident.failures,
                severity: incident.severity,
            })
            .collect(),
        drills: application.drills.iter().map(drill).collect(),
        sources: application
            .sources
            .iter()
            .map(|of| source(of, now))
            .collect(),
    }
}

fn drill(drill: &Drill) -> DrillObject<'_> {
    DrillObject {
        at: drill.at,
        outcome: drill.outcome.word(),
        recovery: drill.recovery,
        loss: drill.loss,
        full: drill.full,
        findings: &drill.findings,
    }
}

fn source(source: &Source, now: Timestamp) -> SourceObject<'_> {
    SourceObject {
        kind: &source.kind,
        name: &source.name,
        wanted: source.wanted,
        backups: source.backups.len(),
        bytes: source.bytes(),
        newest: source.newest().map(|newest| backup(newest, now)),
        verified: source.newest_verified().map(|backup| backup.name.time),
        proven: source.newest_proven().map(|(backup, _)| backup.name.time),
    }
}

fn backup(backup: &Backup, now: Timestamp) -> BackupObject<'_> {
    BackupObject {
        path: &backup.path,
        time: backup.name.time,
        age: now.duration_since(backup.name.time).as_secs(),
        bytes: backup.bytes,
        content_bytes: backup.seal.as_ref().map(|seal| seal.content_bytes),
        seconds: took(backup).map(|took| took.as_secs_f64()),
        state: backup.state.word(),
        pinned: backup.is_pinned(now),
    }
}
