//! sg-prune: what goes, what stays, and what is left alone.

use crate::support::{backup, child, manifest, program, scratch, time};
use assert_cmd::Command;
use sg::catalog::Catalog;
use sg::manifest::Proof;
use sg::manifest::proof::Check;
use sg::store::{BackupName, Local};
use sg::stream::Reader;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

fn named(name: &str, day: u8) -> BackupName {
    let time = time(&format!("2020-11-{day:02}T02:30:00Z"));
    BackupName::new("db", name, time, ".sql.gz").unwrap()
}

/// A store with ten nights, 1 to 10, of each source.
fn nights(sources: &[&str]) -> (TempDir, Local) {
    let scratch = scratch();
    let store = Local::open(scratch.path());
    for source in sources {
        for day in 1..=10 {
            backup(&store, &named(source, day), Some(source), b"a dump");
        }
    }
    (scratch, store)
}

fn prune(store: &Path, arguments: &[&str]) -> Command {
    let mut command = program("sg-prune");
    command.arg("--directory").arg(store).args(arguments);
    command
}

/// The days of which a source has a body and a seal.
fn days(store: &Local, source: &str) -> Vec<u8> {
    let there = |day: &u8| {
        let name = named(source, *day);
        let seal = store.directory().join(name.manifest());
        assert_eq!(store.path(&name).exists(), seal.exists(), "{name}");
        seal.exists()
    };
    (1..=30).filter(there).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Records the outcome of a check.
fn check(store: &Local, name: &BackupName, sound: bool) {
    check_at(store, name, sound, "2020-11-12T00:00:00Z");
}

/// Records the outcome of a check at that time.
fn check_at(store: &Local, name: &BackupName, sound: bool, at: &str) {
    let proof = Proof {
        sha256: manifest(name, None, b"a dump").sha256,
        verified: Some(Check {
            at: time(at),
            tool: "test 1".to_owned(),
            sound,
            findings: Vec::new(),
            since: None,
        }),
        restored: None,
    };
    store
        .write_beside(&name.proof(), &proof.encode().unwrap())
        .unwrap();
}

#[test]
fn a_dry_run_says_what_the_real_one_does() {
    let (scratch, store) = nights(&["shop"]);
    let rules = ["--keep-daily", "3", "--keep-weekly", "2"];
    let dry = prune(scratch.path(), &rules)
        .arg("--dry-run")
        .assert()
        .success();
    assert_eq!(days(&store, "shop").len(), 10);
    assert!(text(&dry.get_output().stderr).contains("daily 3 of 3 (2020-11-08), weekly 2 of 2"));
    let real = prune(scratch.path(), &rules).assert().success();
    assert_eq!(real.get_output().stdout, dry.get_output().stdout);
    assert_eq!(text(&real.get_output().stdout).lines().count(), 7);
    assert_eq!(days(&store, "shop"), [8, 9, 10]);
    assert!(text(&real.get_output().stderr).contains("freed 42 B"));
    prune(scratch.path(), &rules).assert().success().stdout("");
    assert_eq!(days(&store, "shop"), [8, 9, 10]);
}

#[test]
fn each_source_is_kept_by_itself() {
    let (scratch, store) = nights(&["shop", "press"]);
    // The same database name, of another application.
    let mut other = named("shop", 11);
    backup(&store, &other, Some("test"), b"a dump");
    other.kind = "globals".to_owned();
    backup(&store, &other, Some("shop"), b"roles");
    prune(scratch.path(), &["--keep-last", "1", "--app", "shop"])
        .assert()
        .success();
    assert_eq!(days(&store, "shop"), [10, 11]);
    assert_eq!(days(&store, "press").len(), 10);
    prune(
        scratch.path(),
        &["--keep-last", "2", "--kind", "db", "--name", "press"],
    )
    .assert()
    .success();
    assert_eq!(days(&store, "press"), [9, 10]);
    assert!(store.path(&other).exists());
}

#[test]
fn units_say_it_by_variables() {
    let (scratch, store) = nights(&["shop", "press"]);
    program("sg-prune")
        .env("SG_DIRECTORY", scratch.path())
        .env("SG_KEEP_LAST", "1")
        .env("SG_KEEP_WITHIN", "2d")
        .env("SG_APP", "shop")
        .env("SG_QUIET", "1")
        .env("SG_DRY_RUN", "0")
        // What the unit archives, not what it prunes.
        .env("SG_KIND", "minio")
        .env("SG_NAME", "pdfs")
        .assert()
        .success()
        .stderr("");
    assert_eq!(days(&store, "shop"), [8, 9, 10]);
    assert_eq!(days(&store, "press").len(), 10);
}

#[test]
fn without_rules_nothing_is_pruned() {
    let (scratch, store) = nights(&["shop"]);
    for arguments in [
        [].as_slice(),
        &["--keep-daily", "0"],
        &["--keep-within", "0d"],
        &["--keep-within", "-3d"],
        &["--keep-last", "-1"],
    ] {
        prune(scratch.path(), arguments).assert().code(2);
    }
    assert_eq!(days(&store, "shop").len(), 10);
}

#[test]
fn a_name_that_is_mistyped_is_noticed() {
    let (scratch, store) = nights(&["shop"]);
    prune(scratch.path(), &["--keep-last", "1", "--app", "shoop"])
        .assert()
        .code(3);
    assert_eq!(days(&store, "shop").len(), 10);
}

#[test]
fn what_is_no_good_takes_nobodys_place() {
    let (scratch, store) = nights(&["shop"]);
    check(&store, &named("shop", 4), true);
    check_at(&store, &named("shop", 10), false, "2020-11-11T00:00:00Z");
    fs::write(store.path(&named("shop", 9)), "a du").unwrap();
    fs::write(store.path(&named("shop", 11)), "unfinished").unwrap();
    let rules = ["--keep-last", "2"];
    let done = prune(scratch.path(), &rules).assert().success();
    assert!(text(&done.get_output().stderr).contains("db_shop: 1 file without a manifest"));
    // 7 and 8 are the last two good ones, 4 the newest verified one; 9 and 10 stay beside them.
    let unsealed = store.path(&named("shop", 11));
    assert_eq!(fs::read(&unsealed).unwrap(), b"unfinished");
    fs::remove_file(unsealed).unwrap();
    assert_eq!(days(&store, "shop"), [4, 7, 8, 9, 10]);
    // When good ones follow, they go.
    for day in 12..=13 {
        backup(&store, &named("shop", day), Some("shop"), b"a dump");
        check(&store, &named("shop", day), true);
    }
    prune(scratch.path(), &rules).assert().success();
    assert_eq!(days(&store, "shop"), [12, 13]);
}

#[test]
fn a_source_whose_last_verification_or_drill_failed_is_not_pruned() {
    let (scratch, store) = nights(&["shop", "press"]);
    let rules = ["--keep-last", "2"];
    let drill = |day, at: &str, findings: &[&str]| {
        let name = named("shop", day);
        let proof = Proof {
            sha256: manifest(&name, None, b"a dump").sha256,
            verified: None,
            restored: Some(Check {
                at: time(at),
                tool: "test 1".to_owned(),
                sound: true,
                findings: findings.iter().map(ToString::to_string).collect(),
                since: None,
            }),
        };
        let proof = proof.encode().unwrap();
        store.write_beside(&name.proof(), &proof).unwrap();
    };
    drill(3, "2020-11-11T00:00:00Z", &[]);
    drill(8, "2020-11-12T00:00:00Z", &["assertion 1.sql is false"]);
    let halted = prune(scratch.path(), &rules).assert().code(3);
    let told = text(&halted.get_output().stderr);
    assert!(
        told.contains("db 'shop' of shop: nothing of it is removed until a drill succeeds"),
        "{told}"
    );
    assert_eq!(days(&store, "shop").len(), 10);
    assert_eq!(days(&store, "press"), [9, 10]);
    // A verification does not make up for it; the next drill does, and what it proved stays.
    check_at(&store, &named("shop", 9), true, "2020-11-13T00:00:00Z");
    prune(scratch.path(), &rules).assert().code(3);
    drill(3, "2020-11-14T00:00:00Z", &[]);
    prune(scratch.path(), &rules).assert().success();
    assert_eq!(days(&store, "shop"), [3, 9, 10]);
    // A verification that fails does the same.
    backup(&store, &named("shop", 11), Some("shop"), b"a dump");
    check_at(&store, &named("shop", 10), false, "2020-11-15T00:00:00Z");
    let halted = prune(scratch.path(), &rules).assert().code(3);
    let told = text(&halted.get_output().stderr);
    assert!(told.contains("until a verification succeeds"), "{told}");
    assert_eq!(days(&store, "shop"), [3, 9, 10, 11]);
}

#[test]
fn damage_that_is_found_again_is_no_news() {
    let (scratch, store) = nights(&["shop"]);
    let rules = ["--keep-last", "2", "--keep-monthly", "1"];
    let damaged = |at: &str, since: Option<&str>| {
        let name = named("shop", 9);
        let proof = Proof {
            sha256: manifest(&name, None, b"a dump").sha256,
            verified: Some(Check {
                at: time(at),
                tool: "test 1".to_owned(),
                sound: false,
                findings: vec!["member 3 is damaged".to_owned()],
                since: since.map(time),
            }),
            restored: None,
        };
        let proof = proof.encode().unwrap();
        store.write_beside(&name.proof(), &proof).unwrap();
    };
    check_at(&store, &named("shop", 10), true, "2026-11-11T00:00:00Z");
    damaged("2026-11-12T00:00:00Z", None);
    prune(scratch.path(), &rules).assert().code(3);
    assert_eq!(days(&store, "shop").len(), 10);
    // The night after, its new one is sound; a week later it is the damaged one's turn again.
    check_at(&store, &named("shop", 10), true, "2026-11-13T00:00:00Z");
    damaged("2026-11-19T00:00:00Z", Some("2026-11-12T00:00:00Z"));
    prune(scratch.path(), &rules).assert().success();
    assert_eq!(days(&store, "shop"), [8, 9, 10]);
}

#[test]
fn a_damaged_manifest_is_no_reason_to_stay_for_ever() {
    let (scratch, store) = nights(&["shop"]);
    for day in [3, 10] {
        let seal = store.directory().join(named("shop", day).manifest());
        fs::write(seal, "{").unwrap();
    }
    prune(scratch.path(), &["--keep-last", "2"])
        .assert()
        .success();
    assert_eq!(days(&store, "shop"), [8, 9, 10]);
}

#[test]
fn what_nobody_may_touch_stays() {
    let (scratch, store) = nights(&["shop", "press"]);
    let pin = scratch.path().join(format!("{}.keep", named("shop", 1)));
    fs::write(pin, "").unwrap();
    let reader = Reader::open(&store.path(&named("shop", 2))).unwrap();
    let busy = store.lock(&named("press", 1).source()).unwrap();
    let rules = ["--keep-last", "1"];
    let done = prune(scratch.path(), &rules).assert().code(3);
    let told = text(&done.get_output().stderr);
    assert!(
        told.contains("db_press: is busy with another run"),
        "{told}"
    );
    assert!(told.contains("is being read"), "{told}");
    assert_eq!(days(&store, "shop"), [1, 2, 10]);
    assert_eq!(days(&store, "press").len(), 10);
    drop((reader, busy));
    prune(scratch.path(), &rules).assert().success();
    assert_eq!(days(&store, "shop"), [1, 10]);
    assert_eq!(days(&store, "press"), [10]);
}

#[test]
fn one_sources_failure_is_not_the_others() {
    let (scratch, store) = nights(&["shop", "press"]);
    // A body that can't be removed as files are.
    let body = store.path(&named("press", 1));
    fs::remove_file(&body).unwrap();
    fs::create_dir(&body).unwrap();
    let done = prune(scratch.path(), &["--keep-last", "1"])
        .assert()
        .code(74);
    assert!(text(&done.get_output().stderr).contains("cannot remove"));
    assert_eq!(days(&store, "shop"), [10]);
    fs::remove_dir(&body).unwrap();
    prune(scratch.path(), &["--keep-last", "1"])
        .assert()
        .success();
    assert_eq!(days(&store, "press"), [10]);
    assert!(store.interrupted().unwrap().is_empty());
}

#[test]
fn leftovers_of_killed_runs_are_cleared() {
    let (scratch, store) = nights(&["shop"]);
    let leftover = |end: &str| scratch.path().join(format!(".{}{end}", named("gone", 1)));
    fs::write(leftover(".partial"), "half a d").unwrap();
    fs::write(leftover(".json.commit"), "{}").unwrap();
    prune(scratch.path(), &["--keep-last", "1", "--dry-run"])
        .assert()
        .success();
    assert!(leftover(".partial").exists());
    prune(scratch.path(), &["--keep-last", "10"])
        .assert()
        .success()
        .stdout("");
    assert!(!leftover(".partial").exists());
    assert!(!leftover(".json.commit").exists());
    assert_eq!(days(&store, "shop").len(), 10);
}

#[test]
fn programs_get_each_backup_with_its_reasons() {
    let (scratch, _) = nights(&["shop"]);
    let arguments = ["--keep-daily", "2", "--json", "--dry-run", "--explain"];
    let done = prune(scratch.path(), &arguments).assert().success();
    let lines = text(&done.get_output().stdout);
    let objects: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 10);
    assert_eq!(objects[0]["decision"], "remove");
    assert_eq!(objects[0]["removed"], false);
    assert_eq!(objects[0]["reasons"][0], "beyond daily 2");
    assert_eq!(objects[9]["decision"], "keep");
    assert_eq!(objects[9]["reasons"][1], "newest good one");
    assert!(objects[9]["goes"].as_str() > objects[8]["goes"].as_str());
    assert!(text(&done.get_output().stderr).contains("GOES"));
}

#[test]
fn the_work_goes_on_when_nobody_reads() {
    let (scratch, store) = nights(&["shop"]);
    let mut child = child("sg-prune")
        .args(["--keep-last", "1", "--directory"])
        .arg(scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(days(&store, "shop"), [10]);
}

#[test]
fn a_prune_that_is_killed_is_finished_by_the_next() {
    let mut interrupted = 0;
    for delay in 0..15 {
        let (scratch, store) = nights(&["shop"]);
        let mut child = child("sg-prune")
            .args(["--keep-last", "1", "--directory"])
            .arg(scratch.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(delay * 1_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let catalog = Catalog::read(&store).unwrap();
        let left = catalog.backups.len();
        interrupted += usize::from(left > 1 && left < 10);
        let good = catalog
            .backups
            .iter()
            .filter(|backup| backup.state.is_good());
        // What is no good is the one that was just going.
        assert!(good.count() + catalog.unfinished.len() >= left);
        prune(scratch.path(), &["--keep-last", "1"])
            .assert()
            .success();
        assert_eq!(days(&store, "shop"), [10]);
        assert_eq!(store.files().unwrap().len(), 3);
    }
    // The machine decides how often a kill comes in time; the next run has to work in any case.
    eprintln!("{interrupted} of 15 kills came in the middle");
}
