//! What the tests share: a place to work in, the programs as they are called, and backups to look at.

pub(crate) mod disk;
pub(crate) mod postgres;

use assert_cmd::Command;
use jiff::Timestamp;
use sg::manifest::content::Volume;
use sg::manifest::{Content, Label, Manifest};
use sg::store::{BackupName, Local};
use sg::stream::Facts;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// A directory of its own for one test, removed at its end.
pub(crate) fn scratch() -> TempDir {
    tempfile::Builder::new()
        .prefix("sg-test-")
        .tempdir()
        .unwrap()
}

/// A program of ours, with nothing of the caller's settings but which PostgreSQL is tried.
pub(crate) fn program(name: &str) -> Command {
    Command::from_std(child(name))
}

/// The same, to be started and left alone.
pub(crate) fn child(name: &str) -> std::process::Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin(name));
    for (variable, _) in std::env::vars_os() {
        if variable
            .to_str()
            .is_some_and(|name| name.starts_with("SG_") && name != "SG_PG_BINDIR")
        {
            command.env_remove(variable);
        }
    }
    command.env("TZ", "UTC");
    // The host's own trail is not to tell of tests.
    command.env("SG_NO_AUDIT", "yes");
    command
}

/// Copies a program. Another process writes it: the tests start programs all the time, each of which has
/// for a moment all files that this process has open, and what is open for writing can't be run.
pub(crate) fn install(source: &Path, program: &Path) {
    install_with(source, program, "");
}

/// The same with a script.
pub(crate) fn install_script(text: &str, program: &Path) {
    install_with(Path::new("/dev/stdin"), program, text);
}

fn install_with(source: &Path, program: &Path, input: &str) {
    let mut install = std::process::Command::new("install");
    install.args(["-m", "755"]).args([source, program]);
    postgres::expect(&postgres::feed(&mut install, input.as_bytes()), "install");
}

/// The time that `text` says, e.g. `2026-11-21T02:30:00Z`.
pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The manifest of a backup called `name` with `body` in it.
pub(crate) fn manifest(name: &BackupName, app: Option<&str>, body: &[u8]) -> Manifest {
    let label = Label {
        tool: "test 1".to_owned(),
        app: app.map(str::to_owned),
        reason: None,
        git: None,
    };
    let facts = Facts {
        bytes: body.len() as u64,
        sha256: hex(&Sha256::digest(body)),
        content_bytes: body.len() as u64,
    };
    let content = Content::Volume(Volume::default());
    let compression = "none".parse().unwrap();
    Manifest::new(&label, name, compression, &facts, content, Vec::new())
}

/// Puts a sealed backup into `store`; returns the path of its body.
pub(crate) fn backup(store: &Local, name: &BackupName, app: Option<&str>, body: &[u8]) -> PathBuf {
    let mut pending = store.begin(name).unwrap();
    pending.write_all(body).unwrap();
    let manifest = manifest(name, app, body);
    pending.commit(&manifest.encode().unwrap()).unwrap()
}

/// Runs one of our programs, which must succeed and stay within 128 MiB; the path that it printed.
#[track_caller]
pub(crate) fn bounded(command: &mut std::process::Command) -> PathBuf {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    // The kernel forgets the peak with the process, so it is asked while that lives.
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(resident_peak(child.id()).unwrap_or_default());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    assert!(peak > 1000, "{peak} KiB: not measured");
    assert!(peak < 128 * 1024, "{peak} KiB: {command:?}");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

/// The most memory that a process has had so far, in KiB.
fn resident_peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
