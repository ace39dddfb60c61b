//! The drill of roles and tablespaces: applied to a new server, and each that was recorded is there
//! afterwards. Tablespaces come to lie in the scratch directory, whatever their place was.

use super::Drill;
use super::cluster::Cluster;
use super::database::{nothing_of, open};
use super::findings::{Findings, Muted};
use super::report::{Restored, SourceReport};
use super::scratch::Scratch;
use crate::error::{Context, Result};
use crate::manifest::content::Globals;
use crate::manifest::{Content, Manifest};
use crate::monitor::{Collector, Severity};
use crate::postgres::Session;
use crate::postgres::restore::globals as restoring;
use crate::postgres::script::{literal, quote};
use crate::stream::Reader;
use nix::unistd::chown;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where tablespaces go.
const TABLESPACES: &str = "tablespaces";

/// Places for tablespaces.
pub(super) struct Places<'a> {
    scratch: &'a Scratch,
    directory: PathBuf,
}

impl<'a> Places<'a> {
    /// In the directory `name` of `scratch`.
    pub(super) fn new(scratch: &'a Scratch, name: &str) -> Self {
        Self {
            scratch,
            directory: scratch.path().join(name),
        }
    }

    /// The statement that makes the tablespace `name` in a place made for it.
    pub(super) fn statement(&self, name: &str) -> Result<String> {
        let count = fs::read_dir(&self.directory).map_or(0, Iterator::count);
        let place = self.directory.join(count.to_string());
        let failed = || format!("cannot make '{}'", place.display());
        fs::create_dir(&place).context(failed)?;
        if let Some(user) = self.scratch.user() {
            chown(&place, Some(user.uid), Some(user.gid)).context(failed)?;
        }
        Ok(format!(
            "CREATE TABLESPACE {} LOCATION {}",
            quote(name),
            literal(&place.to_string_lossy())
        ))
    }
}

/// Applies a dump of globals to `cluster`; what the server refuses, and what is not there afterwards
/// though it was recorded, is a finding.
pub(super) fn apply(
    reader: &Reader,
    recorded: Option<&Globals>,
    cluster: &Cluster,
    places: &Places<'_>,
    drill: &Drill<'_>,
    findings: &mut Findings,
) -> Result<restoring::Applied> {
    let muted = Muted(drill.monitor);
    let collector = Collector::new(&muted);
    let info = cluster.conninfo("postgres");
    let place = |name: &str| places.statement(name);
    let applied = restoring::apply_elsewhere(
        reader.contents(drill.options.jobs)?,
        &info,
        &place,
        &collector,
    )?;
    for note in collector.notes() {
        findings.about(
            Severity::High,
            "globals-refused",
            format!("role or tablespace {}", note.subject),
            note.message,
        );
    }
    let Some(recorded) = recorded else {
        return Ok(applied);
    };
    let mut session = Session::connect(&info)?;
    let mut names = |sql: &str| -> Result<BTreeSet<String>> {
        let rows = session.query(sql, &[])?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let roles = names("SELECT rolname::text FROM pg_catalog.pg_roles")?;
    let tablespaces = names("SELECT spcname::text FROM pg_catalog.pg_tablespace")?;
    let message = "did not come back, though its backup recorded it";
    for role in recorded.roles.iter().filter(|name| !roles.contains(*name)) {
        findings.differs("role-missing", format!("role {role}"), message);
    }
    let missing = |name: &&String| !tablespaces.contains(*name);
    for tablespace in recorded.tablespaces.iter().filter(missing) {
        findings.differs(
            "tablespace-missing",
            format!("tablespace {tablespace}"),
            message,
        );
    }
    Ok(applied)
}

impl Drill<'_> {
    /// Restores the roles and tablespaces in the dump at `path`.
    pub(super) fn globals(
        &self,
        path: &Path,
        manifest: Option<&Manifest>,
        report: &mut SourceReport,
        findings: &mut Findings,
    ) -> Result<()> {
        let recorded = match manifest.map(|manifest| &manifest.content) {
            Some(Content::Globals(recorded)) => Some(recorded),
            _ => None,
        };
        let reader = open(path)?;
        let begun = Instant::now();
        let version = recorded.map_or("", |recorded| &recorded.server_version);
        let cluster = self.cluster(&nothing_of(version), 1)?;
        report.step("server", begun.elapsed());
        report.server_version = Some(cluster.version.clone());
        self.scratch.servers_directory(TABLESPACES)?;
        let begun = Instant::now();
        let places = Places::new(self.scratch, TABLESPACES);
        let applied = apply(&reader, recorded, &cluster, &places, self, findings)?;
        report.step("restore", begun.elapsed());
        let count = |made: &[String], present: &[String]| (made.len() + present.len()) as u64;
        report.restored = Some(Restored::Globals {
            roles: count(&applied.roles, &applied.roles_present),
            tablespaces: count(&applied.tablespaces, &applied.tablespaces_present),
        });
        drop(cluster);
        self.scratch.empty(super::scratch::DATA)?;
        self.scratch.empty(TABLESPACES)
    }
}
