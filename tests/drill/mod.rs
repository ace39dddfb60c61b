//! sg-drill: sound backups are proven, every lie is caught by its name, and nothing is left behind.

mod clearing;
pub(crate) mod forge;
mod lies;
mod many;
mod room;
mod sound;

use crate::support::postgres::Cluster;
use crate::support::{program, scratch};
use sg::drill::{Report, SourceReport};
use sg::postgres::Conninfo;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A store, and a place for drills.
pub(crate) struct Place {
    pub(crate) store: TempDir,
    pub(crate) scratch: TempDir,
    pub(crate) reports: TempDir,
}

/// What a drill came to.
pub(crate) struct Drilled {
    pub(crate) status: i32,
    pub(crate) report: Report,
    pub(crate) words: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        // A server's user has to get through, and a socket's path has to be short.
        let scratch = tempfile::Builder::new()
            .prefix("sg-")
            .tempdir_in("/var/tmp")
            .unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o711)).unwrap();
        Self {
            store: self::scratch(),
            scratch,
            reports: self::scratch(),
        }
    }

    /// Dumps databases, or `--globals`, of the application `shop`; returns the paths.
    pub(crate) fn dump(&self, cluster: &Cluster, arguments: &[&str]) -> Vec<PathBuf> {
        let mut command = program("sg-dump-db");
        for name in Conninfo::variables() {
            command.env_remove(name);
        }
        command
            .envs(cluster.environment())
            .args(["--app=shop", "--jobs=2", "--directory"])
            .arg(self.store.path());
        made(command.args(arguments))
    }

    /// Archives a directory.
    pub(crate) fn archive(&self, name: &str, tree: &Path) -> PathBuf {
        let mut command = program("sg-archive-volume");
        command
            .args(["--app=shop", "--name", name, "--directory"])
            .arg(self.store.path())
            .arg(tree);
        made(&mut command).remove(0)
    }

    /// sg-drill, set to work here.
    pub(crate) fn command(&self) -> assert_cmd::Command {
        let mut command = program("sg-drill");
        command
            .args(["--json", "--jobs=2", "--memory=256M", "--directory"])
            .arg(self.store.path())
            .arg("--scratch")
            .arg(self.scratch.path())
            .arg("--reports")
            .arg(self.reports.path());
        command
    }

    /// Drills, and makes sure that nothing is left.
    pub(crate) fn drill(&self, arguments: &[&str]) -> Drilled {
        self.run(self.command().args(arguments))
    }

    /// Drills these backups.
    pub(crate) fn drill_files(&self, files: &[PathBuf]) -> Drilled {
        self.run(self.command().args(files))
    }

    pub(crate) fn run(&self, command: &mut assert_cmd::Command) -> Drilled {
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("no report: {error}\n{words}"));
        assert_eq!(self.left(), Vec::<PathBuf>::new(), "left behind: {words}");
        Drilled {
            status: output.status.code().unwrap(),
            report,
            words,
        }
    }

    /// What is in the scratch directory.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drilled {
    /// What is said of one backup.
    #[track_caller]
    pub(crate) fn of(&self, path: &Path) -> &SourceReport {
        let mut sources = self.report.sources.iter();
        let source = sources.find(|source| source.backup == path);
        source.unwrap_or_else(|| panic!("{} was not drilled:\n{}", path.display(), self.words))
    }
}

/// The paths that a program printed.
#[track_caller]
fn made(command: &mut assert_cmd::Command) -> Vec<PathBuf> {
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let paths = String::from_utf8(output.stdout).unwrap();
    paths.lines().map(PathBuf::from).collect()
}
