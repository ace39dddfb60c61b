//! Nothing is begun that has no room, and nothing stays: neither directory nor server, however a drill
//! ends.

use super::Place;
use super::forge::{reseal, seal_of};
use crate::support::postgres::Cluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sg::drill::Verdict;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A store with one small database.
fn place() -> (Place, PathBuf) {
    let cluster = Cluster::start();
    cluster.create("shop", &[]);
    cluster.sql(
        "shop",
        "CREATE TABLE t AS SELECT generate_series(1, 10) AS n",
    );
    let place = Place::new();
    let path = place.dump(&cluster, &["--database=shop"]).remove(0);
    (place, path)
}

/// A drill that hangs in an assertion, with its server up.
fn hanging(place: &Place, assertions: &Path, path: Option<&str>) -> (Child, PathBuf, i32) {
    fs::write(
        assertions.join("long.sql"),
        "SELECT pg_sleep(3600) IS NOT NULL",
    )
    .unwrap();
    let mut command = crate::support::child("sg-drill");
    command
        .args(["--memory=256M", "--assertion-timeout=2h", "--directory"])
        .arg(place.store.path())
        .arg("--scratch")
        .arg(place.scratch.path())
        .arg("--reports")
        .arg(place.reports.path())
        .arg("--assertions")
        .arg(assertions)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command.spawn().unwrap();
    loop {
        if let Some((directory, pid)) = server(place) {
            return (child, directory, pid);
        }
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the drill ended, with {ended:?}");
        sleep(Duration::from_millis(10));
    }
}

/// The directory and the process of a drill's server, as soon as it accepts connections.
fn server(place: &Place) -> Option<(PathBuf, i32)> {
    place.left().into_iter().find_map(|directory| {
        let text = fs::read_to_string(directory.join("data/postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.parse().ok()?;
        (lines.nth(6)?.trim() == "ready").then_some((directory, pid))
    })
}

/// Whether a server works in this directory.
fn works_in(pid: i32, directory: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
}

#[test]
fn a_killed_drill_takes_its_server_along_and_the_next_one_clears_up() {
    let (place, _) = place();
    let assertions = super::scratch();
    let (mut drill, directory, pid) = hanging(&place, assertions.path(), None);
    assert!(works_in(pid, &directory));
    // Another one at the same time leaves it alone.
    let other = place.command().arg("--assertions=/nonexistent").output();
    assert_eq!(other.unwrap().status.code(), Some(0));
    assert!(directory.exists() && works_in(pid, &directory));

    kill(Pid::from_raw(drill.id().cast_signed()), Signal::SIGKILL).unwrap();
    drill.wait().unwrap();
    while works_in(pid, &directory) {
        sleep(Duration::from_millis(10));
    }
    assert!(directory.exists());
    let next = place.drill(&["--assertions=/nonexistent"]);
    assert_eq!(next.status, 0, "{}", next.words);
    assert!(
        next.words.contains("a drill that was killed left it"),
        "{}",
        next.words
    );
    assert!(!directory.exists());
}

#[test]
fn a_server_that_outlived_its_drill_is_ended_by_the_next_one() {
    let (place, _) = place();
    let assertions = super::scratch();
    // Without setpriv nothing tells the server that its drill is gone.
    let (mut drill, directory, pid) = hanging(&place, assertions.path(), Some("/nonexistent"));
    kill(Pid::from_raw(drill.id().cast_signed()), Signal::SIGKILL).unwrap();
    drill.wait().unwrap();
    assert!(works_in(pid, &directory));
    let next = place.drill(&["--assertions=/nonexistent"]);
    assert_eq!(next.status, 0, "{}", next.words);
    assert!(
        next.words.contains("and its server ended"),
        "{}",
        next.words
    );
    assert!(!works_in(pid, &directory) && !directory.exists());
}

#[test]
fn a_disk_that_is_too_small_refuses_before_anything_begins() {
    let (place, path) = place();
    reseal(&path, |seal| {
        seal["content"]["size_bytes"] = json!(1u64 << 60);
    });
    let drilled = place.drill(&[]);
    assert_eq!(drilled.status, 73, "{}", drilled.words);
    assert_eq!(drilled.report.verdict, Verdict::NotRun);
    assert_eq!(drilled.report.findings[0].code, "no-room");
    let source = drilled.of(&path);
    assert!(
        source.steps.is_empty() && source.restored.is_none(),
        "{source:?}"
    );
    // Nothing is proven by it, and nothing held against the backup.
    let proof = format!("{}.proof.json", path.display());
    assert!(!Path::new(&proof).exists());
}

#[test]
fn a_host_without_a_server_says_what_to_install() {
    let (place, path) = place();
    let seal: Value = serde_json::from_slice(&fs::read(seal_of(&path)).unwrap()).unwrap();
    let version = seal["content"]["server_version"].as_str().unwrap();
    let major = version.split('.').next().unwrap();
    let mut command = place.command();
    let drilled = place.run(command.env("SG_PG_BINDIR", "/nonexistent"));
    assert_eq!(drilled.status, 78, "{}", drilled.words);
    assert_eq!(drilled.of(&path).verdict, Verdict::NotRun);
    assert!(
        drilled.words.contains("initdb is not installed"),
        "{}",
        drilled.words
    );
    assert!(
        drilled
            .words
            .contains(&format!("Install postgresql-{major}")),
        "{}",
        drilled.words
    );
}
