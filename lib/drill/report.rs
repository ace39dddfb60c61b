//! What came out of a drill, as it is written down: for programs as JSON, for people as text.
//!
//! # Format, version 1
//! One JSON object, the fields of [`Report`]; `drill-report.schema.json`, shipped with the programs,
//! says the same to validators. A reader ignores fields that it does not know and refuses a higher
//! `format`. Times are RFC 3339 in UTC, durations seconds, sizes bytes.

use super::{Options, note_of};
use crate::catalog::Catalog;
use crate::error::{Error, Kind, Result};
use crate::manifest::Manifest;
use crate::manifest::content::Database;
use crate::monitor::{Note, Severity};
use crate::postgres::restore::Outcome;
use crate::store::BackupName;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version written.
const FORMAT: u32 = 1;

/// Of the time in a report's name.
pub(super) const TIME_FORMAT: &str = "%Y%m%d_%H%M%S";

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Restored, and all is as it was recorded.
    Proven,
    /// Restored or not, something needs a look.
    Findings,
    /// It could not be tried; that says nothing about the backup, and proves nothing either.
    NotRun,
    /// What came back is not what was backed up.
    Damaged,
}

impl Verdict {
    /// Damage outweighs all else, what was not tried outweighs findings.
    fn weight(self) -> u8 {
        match self {
            Self::Proven => 0,
            Self::Findings => 1,
            Self::NotRun => 2,
            Self::Damaged => 3,
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Findings => "with findings",
            Self::NotRun => "NOT RUN",
            Self::Damaged => "DAMAGED",
        }
    }
}

/// A figure that was measured, and what it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// As measured; `None`: there was nothing to measure.
    pub seconds: Option<f64>,
    /// As it may be at most; `None`: nobody said.
    pub target: Option<f64>,
    /// Whether it was kept; `None`: nothing to measure, or nobody said.
    pub met: Option<bool>,
}

impl Objective {
    fn new(seconds: Option<f64>, target: Option<SignedDuration>) -> Self {
        let target = target.map(|target| target.as_secs_f64());
        Self {
            seconds,
            target,
            met: seconds
                .zip(target)
                .map(|(seconds, target)| seconds <= target),
        }
    }
}

/// One step and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `verify`, `server`, `globals`, `restore`, `compare`, `restore and compare` or `assertions`.
    pub name: String,
    /// How long.
    pub seconds: f64,
}

/// One of the application's own assertions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assertion {
    /// Its file.
    pub file: PathBuf,
    /// Whether it holds.
    pub passed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What came back of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Restored {
    /// A database.
    Database {
        /// Tables, each compared.
        tables: u64,
        /// Their rows, each compared.
        rows: u64,
        /// Sequences, each compared.
        sequences: u64,
        /// Large objects, counted.
        large_objects: u64,
        /// Extensions, each looked for.
        extensions: u64,
        /// Roles that it needs, each looked for.
        roles: u64,
    },
    /// Roles and tablespaces.
    Globals {
        /// Roles.
        roles: u64,
        /// Tablespaces.
        tablespaces: u64,
    },
    /// A tree.
    Volume {
        /// Regular files.
        files: u64,
        /// Directories.
        directories: u64,
        /// Symbolic links.
        symlinks: u64,
        /// Further names of files.
        hardlinks: u64,
        /// Pipes and devices.
        special: u64,
        /// Length of all files.
        bytes: u64,
        /// Files whose content was held against the digest taken when they were archived.
        compared: u64,
    },
}

impl Restored {
    pub(super) fn database(outcome: &Outcome, dumped: &Database) -> Self {
        Self::Database {
            tables: outcome.tables,
            rows: outcome.rows,
            sequences: dumped.sequences.len() as u64,
            large_objects: dumped.large_objects,
            extensions: dumped.extensions.len() as u64,
            roles: dumped.roles.len() as u64,
        }
    }
}

/// One backup's drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// `db`, `globals`, `volume`, …
    pub kind: String,
    /// The name of the database or volume.
    pub name: String,
    /// The application it belongs to.
    pub app: Option<String>,
    /// The file.
    pub backup: PathBuf,
    /// Its SHA-256 as sealed.
    pub sha256: Option<String>,
    /// Its length.
    pub bytes: Option<u64>,
    /// When it was begun.
    pub made: Option<Timestamp>,
    /// How old it was at the drill.
    pub age: Option<f64>,
    /// What came out.
    pub verdict: Verdict,
    /// The version of the server that it was restored into.
    pub server_version: Option<String>,
    /// The backup of roles and tablespaces that was restored before it.
    pub globals: Option<PathBuf>,
    /// What came back.
    pub restored: Option<Restored>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How long all but the first reading took.
    pub seconds: f64,
    /// The application's own assertions.
    pub assertions: Vec<Assertion>,
    /// What was found.
    pub findings: Vec<Note>,
    /// When it was drilled.
    pub at: Timestamp,
    /// Of what kind the failure was that kept it from being drilled.
    #[serde(skip)]
    pub failure: Option<Kind>,
}

impl SourceReport {
    pub(super) fn new(path: &Path, now: Timestamp) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let parsed = name.parse::<BackupName>().ok();
        let made = parsed.as_ref().map(|name| name.time);
        Self {
            kind: parsed.as_ref().map_or("", |name| &name.kind).to_owned(),
            name: parsed.map_or_else(|| name.into_owned(), |name| name.name),
            app: None,
            backup: path.to_owned(),
            sha256: None,
            bytes: None,
            made,
            age: made.map(|made| now.duration_since(made).as_secs_f64()),
            verdict: Verdict::NotRun,
            server_version: None,
            globals: None,
            restored: None,
            steps: Vec::new(),
            seconds: 0.0,
            assertions: Vec::new(),
            findings: Vec::new(),
            at: now,
            failure: None,
        }
    }

    pub(super) fn sealed_by(&mut self, manifest: &Manifest, now: Timestamp) {
        self.kind.clone_from(&manifest.kind);
        self.name.clone_from(&manifest.name);
        self.app.clone_from(&manifest.app);
        self.sha256 = Some(manifest.sha256.clone());
        self.bytes = Some(manifest.bytes);
        self.made = Some(manifest.started);
        self.age = Some(now.duration_since(manifest.started).as_secs_f64());
    }

    pub(super) fn step(&mut self, name: &str, took: Duration) {
        self.steps.push(Step {
            name: name.to_owned(),
            seconds: took.as_secs_f64(),
        });
    }

    /// What of it a recovery would take: all but the first reading and the assertions.
    fn recovery(&self) -> f64 {
        let counts = |step: &&Step| !matches!(step.name.as_str(), "verify" | "assertions");
        let steps = self.steps.iter().filter(counts);
        steps.map(|step| step.seconds).sum()
    }
}

/// A drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this format.
    pub format: u32,
    /// Its name: that of its files.
    pub id: String,
    /// What made it, with version.
    pub tool: String,
    /// The host it was made on.
    pub host: String,
    /// The user who made it.
    pub user: String,
    /// systemd's invocation id of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// The application; `None`: all that were chosen.
    pub app: Option<String>,
    /// Whether it is the exercise of a whole system.
    pub full: bool,
    /// How the backups were chosen: `newest`, `at`, `random` or `named`.
    pub pick: String,
    /// When it was begun.
    pub started: Timestamp,
    /// How long all of it took.
    pub seconds: f64,
    /// What came out.
    pub verdict: Verdict,
    /// The time that a recovery of all this takes: servers, roles, restores and comparisons.
    pub rto: Objective,
    /// What would have been lost: the age of the newest sound backup of the source that fares worst.
    pub rpo: Objective,
    /// The backups.
    pub sources: Vec<SourceReport>,
    /// What was found besides.
    pub findings: Vec<Note>,
    /// Of what kind the failure was that kept all of it from being drilled.
    #[serde(skip)]
    pub failure: Option<Kind>,
}

impl Report {
    pub(super) fn new(options: &Options, pick: &str, now: Timestamp) -> Self {
        let app = options.app.clone();
        let time = now.to_zoned(TimeZone::UTC).strftime(TIME_FORMAT);
        Self {
            format: FORMAT,
            id: format!("{}_{time}", file_name(app.as_deref().unwrap_or("all"))),
            tool: options.tool.clone(),
            host: crate::manifest::host(),
            user: crate::manifest::user(),
            invocation: std::env::var("INVOCATION_ID").ok(),
            app,
            full: options.full,
            pick: pick.to_owned(),
            started: now,
            seconds: 0.0,
            verdict: Verdict::NotRun,
            rto: Objective::new(None, options.rto),
            rpo: Objective::new(None, options.rpo),
            sources: Vec::new(),
            findings: Vec::new(),
            failure: None,
        }
    }

    /// Nothing was begun, for the reason that `error` has.
    pub(super) fn refuse(
        &mut self,
        backups: &[PathBuf],
        catalog: &Catalog,
        error: &Error,
        now: Timestamp,
    ) {
        self.failure = Some(error.kind());
        self.findings
            .push(note_of(Severity::High, "no-room", "drill", error));
        for path in backups {
            let mut source = SourceReport::new(path, now);
            let known = catalog.backups.iter().find(|backup| backup.path == *path);
            if let Some(Ok(manifest)) = known.map(crate::catalog::Backup::manifest) {
                source.sealed_by(&manifest, now);
            }
            self.sources.push(source);
        }
    }

    /// Sets the figures. `newest` has the newest sound backup of each source.
    pub(super) fn measure(&mut self, newest: &BTreeMap<String, Timestamp>, now: Timestamp) {
        let restored = self.sources.iter().any(|source| source.restored.is_some());
        let recovery: f64 = self.sources.iter().map(SourceReport::recovery).sum();
        let rto = self.rto.target.and_then(duration);
        self.rto = Objective::new(restored.then_some(recovery), rto);
        if self.rto.met == Some(false) && restored {
            let target = self.rto.target.unwrap_or_default();
            self.findings.push(Note::new(
                Severity::High,
                "rto",
                "recovery time",
                format!("{recovery:.1} s, may be {target:.0} s (SG_RTO)"),
            ));
        }
        let ages = newest
            .iter()
            .map(|(source, time)| (now.duration_since(*time).as_secs_f64().max(0.0), source));
        let oldest = ages.max_by(|one, other| one.0.total_cmp(&other.0));
        let rpo = self.rpo.target.and_then(duration);
        self.rpo = Objective::new(oldest.as_ref().map(|(age, _)| *age), rpo);
        for (source, time) in newest {
            let age = now.duration_since(*time).as_secs_f64();
            let Some(target) = self.rpo.target.filter(|target| age > *target) else {
                continue;
            };
            self.findings.push(Note::new(
                Severity::Critical,
                "rpo",
                source.clone(),
                format!("its newest sound backup is {age:.0} s old, may be {target:.0} s (SG_RPO)"),
            ));
        }
    }

    /// The verdict over all.
    pub(super) fn finish(&mut self, took: Duration) {
        self.seconds = took.as_secs_f64();
        let own = if self.findings.iter().any(Note::is_finding) {
            Verdict::Findings
        } else if self.sources.is_empty() {
            Verdict::NotRun
        } else {
            Verdict::Proven
        };
        let verdicts = self.sources.iter().map(|source| source.verdict);
        self.verdict = verdicts
            .chain([own])
            .max_by_key(|verdict| verdict.weight())
            .unwrap_or(own);
    }

    /// All findings, those of the sources too.
    pub fn all_findings(&self) -> impl Iterator<Item = &Note> {
        let sources = self.sources.iter().flat_map(|source| &source.findings);
        self.findings.iter().chain(sources)
    }

    /// Of what kind the failure was that kept something from being drilled.
    pub fn failure(&self) -> Option<Kind> {
        let sources = self.sources.iter().map(|source| source.failure);
        [self.failure].into_iter().chain(sources).flatten().next()
    }

    /// The report as it is written.
    ///
    /// # Errors
    /// None that can happen to what the library puts there.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|cause| {
            Error::new(Kind::Failed, "cannot encode the report").with_source(cause)
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// An application's name as a part of a file's.
fn file_name(app: &str) -> String {
    app.chars()
        .map(|c| if c == '/' || c.is_control() { '-' } else { c })
        .collect::<String>()
        .trim_start_matches('.')
        .to_owned()
}

fn duration(seconds: f64) -> Option<SignedDuration> {
    SignedDuration::try_from_secs_f64(seconds).ok()
}
