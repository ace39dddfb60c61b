//! The drill: backups are restored where nobody minds, held against what was recorded when they were
//! made, and the time that it took is noted down. A backup that nobody has restored is a hope.
//!
//! # What it promises
//! - Production is never touched: each database goes into a PostgreSQL server of its own, made for it,
//!   on a socket of its own and on no port (`cluster`); each tree into an empty directory.
//! - Nothing is begun that the disk has no room for, nothing goes on that would fill it all the same
//!   (`room`), and nothing stays: what a killed drill left behind, the next one clears (`scratch`).
//! - The expectations are the backup's own, from its index and its manifest, never what production
//!   looks like today.
//! - That something was not drilled is a finding, too: a source without a backup, a server that can't
//!   be started, a disk that is too small.

mod assertions;
mod choose;
mod cluster;
mod database;
mod fence;
mod findings;
mod globals;
mod record;
mod report;
mod reports;
mod room;
mod scratch;
mod summary;
mod volume;

pub use choose::{Chosen, Expected, Pick};
pub use report::{Assertion, Objective, Report, Restored, SourceReport, Step, Verdict};
pub use reports::Written;
pub use scratch::user;

use crate::catalog::{Backup, Catalog};
use crate::error::{Error, Result};
use crate::manifest::{Content, Manifest};
use crate::monitor::{Monitor, Note, Severity};
use findings::Findings;
use jiff::{SignedDuration, Timestamp};
use nix::unistd::User;
use scratch::Scratch;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How backups are drilled.
#[derive(Clone, Debug)]
pub struct Options {
    /// What does it, with version.
    pub tool: String,
    /// The application, for the report.
    pub app: Option<String>,
    /// Whether this is the exercise of a whole system.
    pub full: bool,
    /// Where scratch servers and trees are made.
    pub scratch: PathBuf,
    /// Whom the scratch servers run as, if not as ourselves.
    pub user: Option<User>,
    /// How much memory the scratch server may plan with, in bytes.
    pub memory: u64,
    /// Further settings of the scratch server, as `name=value`.
    pub settings: Vec<String>,
    /// Where the application's own assertions are.
    pub assertions: Option<PathBuf>,
    /// How long one assertion may take.
    pub assertion_timeout: Duration,
    /// The time that a recovery may take.
    pub rto: Option<SignedDuration>,
    /// The age that the newest backup may have.
    pub rpo: Option<SignedDuration>,
    /// How many bytes stay free on the disk of `scratch`; by default a twentieth of it, at most 5 GiB.
    pub reserve: Option<u64>,
    /// How many threads and connections to work with.
    pub jobs: usize,
    /// Whether the outcome is recorded beside the backups.
    pub record: bool,
}

/// What one backup's drill needs.
struct Drill<'a> {
    options: &'a Options,
    /// What the store has; for the roles that belong to a database, and the backup before.
    catalog: &'a Catalog,
    scratch: &'a Scratch,
    limit: room::Limit,
    monitor: &'a dyn Monitor,
}

/// Drills what was chosen and reports. `now` is the time against which ages are measured.
///
/// # Errors
/// The scratch directory can't be made. Whatever fails later is in the report.
pub fn drill(
    chosen: &Chosen,
    catalog: &Catalog,
    options: &Options,
    now: Timestamp,
    monitor: &dyn Monitor,
) -> Result<Report> {
    let begun = Instant::now();
    let mut report = Report::new(options, chosen.pick.word(), now);
    report.findings.clone_from(&chosen.findings);
    let scratch = Scratch::make(&options.scratch, options.user.as_ref(), monitor)?;
    let limit = room::Limit::new(scratch.path(), options.reserve)?;
    if let Err(error) = limit.check(&chosen.backups) {
        report.refuse(&chosen.backups, catalog, &error, now);
        report.measure(&chosen.newest, now);
        report.finish(begun.elapsed());
        return Ok(report);
    }
    let drill = Drill {
        options,
        catalog,
        scratch: &scratch,
        limit,
        monitor,
    };
    for path in &chosen.backups {
        let mut source = drill.one(path, now);
        if options.record
            && let Err(error) = record::record(&source, &options.tool)
        {
            source.findings.push(Note::new(
                Severity::Low,
                "not-recorded",
                path.display().to_string(),
                format!("the outcome can't be recorded beside it: {error}"),
            ));
        }
        report.sources.push(source);
    }
    report.measure(&chosen.newest, now);
    report.finish(begun.elapsed());
    Ok(report)
}

impl Drill<'_> {
    /// Drills one backup.
    fn one(&self, path: &Path, now: Timestamp) -> SourceReport {
        let mut source = SourceReport::new(path, now);
        let mut findings = Findings::new(path);
        let manifest = match Manifest::beside(path) {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.damaged("manifest", &error);
                None
            }
        };
        if let Some(manifest) = &manifest {
            source.sealed_by(manifest, now);
            findings.seal_unchanged(path, manifest);
        } else {
            findings.add(
                Severity::High,
                "unsealed",
                "has no manifest that can be read: what it should hold is not known",
            );
        }
        self.verify(path, &mut source, &mut findings);
        let begun = Instant::now();
        let result = match kind_of(path, manifest.as_ref()) {
            Inside::Database => self.database(path, &mut source, &mut findings),
            Inside::Globals => self.globals(path, manifest.as_ref(), &mut source, &mut findings),
            Inside::Volume => self.volume(path, manifest.as_ref(), &mut source, &mut findings),
        };
        if let Err(error) = result {
            findings.failed(&self.limit.blame(error));
            // What is in the way of the next one.
            if let Err(error) = self.scratch.clear() {
                findings.failed(&error);
            }
        }
        source.seconds = begun.elapsed().as_secs_f64();
        self.compare_with_the_one_before(manifest.as_ref(), &mut findings);
        findings.into_report(&mut source);
        source
    }

    /// Reads every byte, as sg-verify does: the seal and everything below it.
    fn verify(&self, path: &Path, source: &mut SourceReport, findings: &mut Findings) {
        let options = crate::verify::Options {
            jobs: self.options.jobs,
        };
        let begun = Instant::now();
        match crate::verify::verify(path, &options, &findings::Muted(self.monitor)) {
            Ok(report) => findings.verified(&report),
            Err(error) => findings.failed(&error),
        }
        source.step("verify", begun.elapsed());
    }

    /// A source that had rows or files and has none now was not backed up, whatever its seal says.
    fn compare_with_the_one_before(&self, manifest: Option<&Manifest>, findings: &mut Findings) {
        let Some(manifest) = manifest else { return };
        if holds(&manifest.content) > 0 {
            return;
        }
        let before = self.catalog.backups.iter().rev().find(|backup| {
            backup.state.is_good()
                && backup.name.time < manifest.started
                && (&backup.name.kind, &backup.name.name) == (&manifest.kind, &manifest.name)
                && backup.source().app == manifest.app
        });
        let held = before
            .and_then(|backup| Some((backup, backup.manifest().ok()?)))
            .map(|(backup, before)| (backup, holds(&before.content)));
        if let Some((backup, held @ 1..)) = held {
            findings.add(
                Severity::High,
                "empty",
                format!(
                    "is empty, though the one before it held {held} {}: {}",
                    unit(&manifest.content),
                    backup.path.display()
                ),
            );
        }
    }
}

/// How much a backup holds, in its own unit.
fn holds(content: &Content) -> u64 {
    match content {
        Content::Database(database) => database.tables.iter().map(|table| table.rows).sum(),
        Content::Globals(globals) => globals.roles.len() as u64,
        Content::Volume(volume) => volume.files,
    }
}

fn unit(content: &Content) -> &'static str {
    match content {
        Content::Database(_) => "rows",
        Content::Globals(_) => "roles",
        Content::Volume(_) => "files",
    }
}

/// What a backup is a backup of.
enum Inside {
    Database,
    Globals,
    Volume,
}

fn kind_of(path: &Path, manifest: Option<&Manifest>) -> Inside {
    match manifest.map(|manifest| &manifest.content) {
        Some(Content::Database(_)) => Inside::Database,
        Some(Content::Globals(_)) => Inside::Globals,
        Some(Content::Volume(_)) => Inside::Volume,
        None => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("globals_") {
                Inside::Globals
            } else if name.contains(".tar") || name.contains(".tgz") {
                Inside::Volume
            } else {
                Inside::Database
            }
        }
    }
}

/// The store that holds the backup at `path`, read; empty if it can't be.
pub fn catalog_around(path: &Path) -> Catalog {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    Catalog::read(&crate::store::Local::open(directory)).unwrap_or_default()
}

/// What stands in the way of a drill, told as a note.
fn note_of(severity: Severity, code: &str, subject: &str, error: &Error) -> Note {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let message = format!("{error}{}", cause.unwrap_or_default());
    Note::new(severity, code, subject, message)
}

/// The good backups of globals, the one nearest to `time` first; those of the same host before others.
fn globals_near<'a>(catalog: &'a Catalog, manifest: &Manifest) -> Option<&'a Backup> {
    let of_globals = catalog
        .backups
        .iter()
        .filter(|backup| backup.state.is_good() && backup.name.kind == "globals");
    of_globals.min_by_key(|backup| {
        let elsewhere = backup
            .seal
            .as_ref()
            .is_none_or(|seal| seal.host != manifest.host);
        let apart = backup.name.time.duration_since(manifest.started).abs();
        (elsewhere, apart)
    })
}
