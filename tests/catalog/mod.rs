//! sg-list: what a store holds, for people and for pipes.

use crate::support::{backup, child, manifest, program, scratch, time};
use assert_cmd::Command;
use sg::manifest::Proof;
use sg::manifest::proof::Check;
use sg::store::{BackupName, Local};
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

/// Three nights of a database and one archive, of two applications. The database's newest dump is cut
/// off, and a fourth is unfinished.
fn shop() -> (TempDir, Local) {
    let scratch = scratch();
    let store = Local::open(scratch.path());
    for day in 18..=20 {
        backup(&store, &db(day), Some("shop"), b"a dump");
    }
    let mut pdfs = db(19);
    pdfs.kind = "volume".to_owned();
    pdfs.name = "pdfs".to_owned();
    backup(&store, &pdfs, Some("press"), b"an archive");
    let newest = OpenOptions::new()
        .write(true)
        .open(store.path(&db(20)))
        .unwrap();
    newest.set_len(3).unwrap();
    fs::write(store.path(&db(21)), "half a d").unwrap();
    (scratch, store)
}

fn db(day: u8) -> BackupName {
    let time = time(&format!("2026-11-{day:02}T02:30:00Z"));
    BackupName::new("db", "shop", time, ".sql.gz").unwrap()
}

fn list(store: &Path, arguments: &[&str]) -> Command {
    let mut command = program("sg-list");
    command.arg("--directory").arg(store).args(arguments);
    command
}

/// The file names that are listed.
fn listed(store: &Path, arguments: &[&str]) -> Vec<String> {
    let output = list(store, arguments)
        .assert()
        .success()
        .get_output()
        .clone();
    let paths = String::from_utf8(output.stdout).unwrap();
    let directory = format!("{}/", store.display());
    let file = |path: &str| path.strip_prefix(&directory).unwrap().to_owned();
    paths.lines().map(file).collect()
}

#[test]
fn a_pipe_gets_the_paths_of_what_can_be_restored() {
    let (scratch, _) = shop();
    let pdfs = "volume_pdfs_20261119_023000.sql.gz";
    let [first, second] = [18, 19].map(|day| db(day).to_string());
    let at = scratch.path();
    assert_eq!(listed(at, &[]), [first.as_str(), second.as_str(), pdfs]);
    // The newest ones are no good: the newest good one is what a restore wants.
    assert_eq!(listed(at, &["--newest"]), [second.as_str(), pdfs]);
    assert_eq!(listed(at, &["--newest", "--kind", "db"]), [second.as_str()]);
    assert_eq!(listed(at, &["--app", "press"]), [pdfs]);
    assert_eq!(
        listed(at, &["--name", "shop", "--at", "2026-11-18"]),
        [first.as_str()]
    );
    assert_eq!(listed(at, &["--at", "2026-11-19 02:29"]), [first.as_str()]);
    assert_eq!(
        listed(at, &["--since", "2026-11-19T02:30:00Z"]),
        [second.as_str(), pdfs]
    );
    assert_eq!(
        listed(at, &["--until", "2026-11-19 02:00"]),
        [first.as_str()]
    );
    assert_eq!(listed(at, &["--all", "--kind", "db"]).len(), 4);
}

#[test]
fn finding_nothing_stops_a_pipe() {
    let (scratch, _) = shop();
    for arguments in [
        ["--app", "shoop"].as_slice(),
        &["--newest", "--kind", "redis"],
        &["--at", "2025-01-01"],
        &["--verified"],
    ] {
        let output = list(scratch.path(), arguments)
            .assert()
            .code(1)
            .get_output()
            .clone();
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("no such backup"));
    }
    let empty = crate::support::scratch();
    list(empty.path(), &[]).assert().success().stdout("");
    list(empty.path(), &["--newest"]).assert().code(1);
    list(&empty.path().join("none"), &[]).assert().code(74);
}

#[test]
fn a_time_that_is_none_is_wrong_usage() {
    let (scratch, _) = shop();
    let output = list(scratch.path(), &["--at", "2h"])
        .assert()
        .code(2)
        .get_output()
        .clone();
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: "));
}

#[test]
fn people_get_a_table() {
    let (scratch, store) = shop();
    let sealed = manifest(&db(18), None, b"a dump");
    let proof = Proof {
        sha256: sealed.sha256,
        verified: Some(Check {
            at: jiff::Timestamp::now(),
            tool: "test 1".to_owned(),
            sound: true,
            findings: Vec::new(),
            since: None,
        }),
        restored: None,
    };
    store
        .write_beside(&db(18).proof(), &proof.encode().unwrap())
        .unwrap();
    fs::write(scratch.path().join(format!("{}.keep", db(19))), "").unwrap();

    let output = list(scratch.path(), &["--all", "--table"])
        .assert()
        .success()
        .get_output()
        .clone();
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("TIME "), "{table}");
    for (line, words) in [
        (
            1,
            [
                "2026-11-18 02:30:00 UTC  db ",
                "shop ",
                " 6 B ",
                "  verified ",
            ],
        ),
        (
            2,
            [
                "2026-11-19 02:30:00 UTC  db ",
                "shop ",
                " 6 B ",
                "not verified yet, pinned",
            ],
        ),
        (
            3,
            [
                "2026-11-19 02:30:00 UTC  volume",
                "press",
                "10 B",
                "not verified yet",
            ],
        ),
        (
            4,
            [
                "2026-11-20 02:30:00 UTC  db ",
                "shop ",
                " 3 B ",
                "should have 6 bytes",
            ],
        ),
        (
            5,
            [
                "2026-11-21 02:30:00 UTC  db ",
                "shop ",
                " 8 B ",
                "no manifest",
            ],
        ),
    ] {
        for word in words {
            assert!(
                lines[line].contains(word),
                "'{word}' in line {line} of\n{table}"
            );
        }
    }
    // A terminal gets it unasked.
    let on_terminal = format!(
        "{} --all --directory {}",
        assert_cmd::cargo::cargo_bin("sg-list").display(),
        scratch.path().display()
    );
    let output = Command::new("script")
        .args(["-qec", &on_terminal, "/dev/null"])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    assert!(shown.starts_with("TIME "), "{shown}");
}

#[test]
fn programs_get_objects() {
    let (scratch, _) = shop();
    let output = list(scratch.path(), &["--json", "--all"])
        .assert()
        .success()
        .get_output()
        .clone();
    let objects: Vec<serde_json::Value> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let field = |name: &str| -> Vec<String> {
        let text = |value: &serde_json::Value| value[name].as_str().unwrap_or("-").to_owned();
        objects.iter().map(text).collect()
    };
    assert_eq!(
        field("state"),
        ["sealed", "sealed", "sealed", "size-differs", "unsealed"]
    );
    assert_eq!(field("app"), ["shop", "shop", "press", "shop", "-"]);
    assert_eq!(objects[0]["bytes"], 6);
    assert_eq!(objects[4]["good"], false);
    assert!(field("path").iter().all(|path| Path::new(path).exists()));
    list(scratch.path(), &["-0", "--newest", "--kind", "db"])
        .assert()
        .stdout(format!(
            "{}\0",
            scratch.path().join(db(19).to_string()).display()
        ));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let scratch = scratch();
    let store = Local::open(scratch.path());
    let mut name = db(18);
    for _ in 0..1_000 {
        // Not through the store: this is about many lines, more than a pipe holds.
        name.time += jiff::SignedDuration::from_secs(1);
        let manifest = manifest(&name, None, b"").encode().unwrap();
        fs::write(scratch.path().join(name.manifest()), manifest).unwrap();
        fs::write(store.path(&name), "").unwrap();
    }
    let mut child = child("sg-list")
        .arg("--directory")
        .arg(scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_manifest_of_another_backup_is_none() {
    let (scratch, _) = shop();
    let seal = |day| scratch.path().join(db(day).manifest());
    fs::copy(seal(18), seal(19)).unwrap();
    assert_eq!(
        listed(scratch.path(), &["--newest", "--kind", "db"]),
        [db(18).to_string()]
    );
    fs::write(seal(18), "{\"format\": 1").unwrap();
    list(scratch.path(), &["--kind", "db"]).assert().code(1);
}
