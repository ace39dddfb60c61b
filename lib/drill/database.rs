//! A database's drill: a server made for it, roles and tablespaces first, then the whole database,
//! held against its dump and its manifest, and at last asked what the application wants to know.

use super::cluster::{Bounds, Cluster};
use super::findings::{Findings, Muted};
use super::report::{Restored, SourceReport};
use super::{Drill, assertions, globals, globals_near};
use crate::error::{Context, Error, Kind, Result};
use crate::manifest::content::Database;
use crate::manifest::{Content, Manifest};
use crate::monitor::{Collector, Severity};
use crate::postgres::restore::{self, Control, Options, Preflight, Source};
use crate::postgres::script::quote;
use crate::stream::Reader;
use std::path::Path;
use std::time::Instant;

/// Memory that one connection may take to build an index, in bytes.
const CONNECTION: u64 = 256 << 20;
/// Where tablespaces go.
const TABLESPACES: &str = "tablespaces";
/// A dump that does not say what server it is from can be read by this one and those after it.
const OLDEST: u32 = 10;

/// The databases that every server has: one of that name is restored under another.
const SERVERS_OWN: [&str; 3] = ["postgres", "template0", "template1"];

impl Drill<'_> {
    /// Restores the database in the dump at `path` and compares it.
    pub(super) fn database(
        &self,
        path: &Path,
        report: &mut SourceReport,
        findings: &mut Findings,
    ) -> Result<()> {
        let source = Source::open(path, self.options.jobs)?;
        let dumped = source.database().cloned().unwrap_or_default();
        let jobs = self.connections();

        let begun = Instant::now();
        let cluster = self.cluster(&dumped, jobs)?;
        report.step("server", begun.elapsed());
        report.server_version = Some(cluster.version.clone());
        self.scratch.servers_directory(TABLESPACES)?;
        let watch = self.limit.watch(cluster.process());
        let done = self.fill(&cluster, &source, &dumped, report, findings);
        watch.judge(done, &self.limit)?;
        drop(watch);
        drop(cluster);
        self.scratch.empty(super::scratch::DATA)?;
        self.scratch.empty(TABLESPACES)
    }

    /// Restores the database into the server that was made for it, compares it and asks it.
    fn fill(
        &self,
        cluster: &Cluster,
        source: &Source,
        dumped: &Database,
        report: &mut SourceReport,
        findings: &mut Findings,
    ) -> Result<()> {
        let jobs = self.connections();
        if let Some(manifest) = &source.manifest {
            self.roles_for(manifest, cluster, report, findings)?;
        }

        let name = match dumped.database.as_str() {
            "" => "drilled".to_owned(),
            name if SERVERS_OWN.contains(&name) => format!("{name}_drilled"),
            name => name.to_owned(),
        };
        let options = Options {
            jobs,
            ..Options::default()
        };
        let info = cluster.conninfo(&name);
        let (mut control, mut preflight) = restore::look(source, &info, &options, false)?;
        if self.supply(&mut control, &preflight, findings)? {
            preflight = Preflight::look(source, &mut control, &options.filter, false, jobs)?;
        }
        if stands_in_the_way(&preflight, findings) {
            return Ok(());
        }
        let muted = Muted(self.monitor);
        let collector = Collector::new(&muted);
        let trial = restore::try_out(source, &mut control, &preflight, &options, &collector)
            .map_err(|error| with_log(error, cluster))?;
        for note in collector
            .notes()
            .into_iter()
            .filter(crate::monitor::Note::is_finding)
        {
            findings.about(note.severity, &note.code, note.subject, note.message);
        }
        report.step("restore", trial.restoring);
        report.step("compare", trial.comparing);
        for difference in &trial.differences {
            findings.differs(
                difference.code(),
                difference.subject(),
                difference.message(),
            );
        }
        report.restored = Some(Restored::database(&trial.outcome, dumped));

        let begun = Instant::now();
        let files = assertions::files(self.options.assertions.as_deref(), &dumped.database)?;
        if !files.is_empty() {
            let timeout = self.options.assertion_timeout;
            report.assertions = assertions::run(&files, &info, timeout, findings)?;
            report.step("assertions", begun.elapsed());
        }
        Ok(())
    }

    /// How many connections the memory allows.
    fn connections(&self) -> usize {
        let most = (self.options.memory / 2 / CONNECTION).max(1);
        self.options
            .jobs
            .min(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// A server that can hold what was dumped.
    pub(super) fn cluster(&self, dumped: &Database, jobs: usize) -> Result<Cluster> {
        let major = major(&dumped.server_version).unwrap_or(OLDEST);
        let bounds = Bounds {
            memory: self.options.memory,
            jobs,
            database: dumped.size_bytes,
            settings: &self.options.settings,
        };
        self.monitor.stage("making a server", None);
        Cluster::start(self.scratch, major, &bounds)
    }

    /// Brings the roles and tablespaces that belong to the database, from the backup of globals that
    /// is nearest to it in time.
    fn roles_for(
        &self,
        manifest: &Manifest,
        cluster: &Cluster,
        report: &mut SourceReport,
        findings: &mut Findings,
    ) -> Result<()> {
        let Some(backup) = globals_near(self.catalog, manifest) else {
            return Ok(());
        };
        let begun = Instant::now();
        let recorded = match backup.manifest().map(|manifest| manifest.content) {
            Ok(Content::Globals(recorded)) => Some(recorded),
            _ => None,
        };
        let reader = Reader::open(&backup.path)?;
        let places = globals::Places::new(self.scratch, TABLESPACES);
        globals::apply(&reader, recorded.as_ref(), cluster, &places, self, findings)?;
        report.globals = Some(backup.path.clone());
        report.step("globals", begun.elapsed());
        Ok(())
    }

    /// Makes what the backups of globals did not bring, so that the rest can be tried all the same;
    /// each is a finding. Whether anything was made.
    fn supply(
        &self,
        control: &mut Control,
        preflight: &Preflight,
        findings: &mut Findings,
    ) -> Result<bool> {
        let missing = &preflight.missing;
        let source = "no backup of roles and tablespaces in this store brings it: on a new server the \
                      database could not be restored as it was (sg-dump-db --globals)";
        for role in &missing.roles {
            findings.about(
                Severity::High,
                "role-missing",
                format!("role {role}"),
                source,
            );
            control
                .session()
                .batch(&format!("CREATE ROLE {}", quote(role)))?;
        }
        let places = globals::Places::new(self.scratch, TABLESPACES);
        for tablespace in &missing.tablespaces {
            let subject = format!("tablespace {tablespace}");
            findings.about(Severity::High, "tablespace-missing", subject, source);
            control.session().batch(&places.statement(tablespace)?)?;
        }
        Ok(!missing.roles.is_empty() || !missing.tablespaces.is_empty())
    }
}

/// Tells what keeps the database from being restored here; whether anything does.
fn stands_in_the_way(preflight: &Preflight, findings: &mut Findings) -> bool {
    for extension in &preflight.missing.extensions {
        findings.about(
            Severity::High,
            "extension-missing",
            format!("extension {extension}"),
            "is not installed on this host, so the database can't be restored here",
        );
    }
    let told = preflight.missing.extensions.len();
    for problem in &preflight.problems {
        if told == 0 || !problem.starts_with("extension '") {
            findings.add(Severity::High, "not-restorable", problem.clone());
        }
    }
    !preflight.problems.is_empty()
}

/// A server that broke down says why in its log, not to its clients.
fn with_log(error: Error, cluster: &Cluster) -> Error {
    if error.kind() != Kind::Unavailable {
        return error;
    }
    let words = cluster.last_words();
    Error::new(
        Kind::Failed,
        format!("{error}; the scratch server says: {words}"),
    )
}

/// The release of a version.
fn major(version: &str) -> Option<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// What a manifest says of a database's size, for a server that holds none.
pub(super) fn nothing_of(version: &str) -> Database {
    Database {
        server_version: version.to_owned(),
        ..Database::default()
    }
}

/// Opens the backup at `path`.
pub(super) fn open(path: &Path) -> Result<Reader> {
    std::fs::metadata(path).context(|| format!("cannot read '{}'", path.display()))?;
    Reader::open(path)
}
