//! What the programs leave in the trail, and how sg-list shows it.

use crate::support::{program, scratch};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn audited(name: &str, trail: &Path) -> assert_cmd::Command {
    let mut command = program(name);
    command
        .env_remove("SG_NO_AUDIT")
        .env("SG_AUDIT_FILE", trail);
    command
}

/// The objects that `sg-list --audit --json` writes.
fn listed(trail: &Path, more: &[&str]) -> Vec<Value> {
    let run = audited("sg-list", trail)
        .args(["--audit", "--json"])
        .args(more)
        .output()
        .unwrap();
    String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_deed_leaves_a_line_with_who_and_why() {
    let (place, tree) = (scratch(), scratch());
    let store = place.path().join("store");
    let trail = place.path().join("audit.jsonl");
    fs::write(tree.path().join("file"), "content").unwrap();
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .arg("-C")
            .arg(tree.path())
            .args(["-c", "user.name=x", "-c", "user.email=x@localhost"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
    let commit = git(&["rev-parse", "HEAD"]);

    let archive = |name: &str| {
        audited("sg-archive-volume", &trail)
            .env("SUDO_USER", "alice")
            .arg("--directory")
            .arg(&store)
            .args(["--name", name, "--app", "shop", "--reason", "before 2.0"])
            .arg("--git")
            .arg(tree.path())
            .arg(tree.path())
            .output()
            .unwrap()
    };
    let made = archive("files");
    assert!(made.status.success(), "{made:?}");
    let backup = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    audited("sg-verify", &trail).arg(&backup).assert().success();
    let to = place.path().join("back");
    audited("sg-restore", &trail)
        .args(["volume", &backup, "--yes", "--reason", "lost", "--to"])
        .arg(&to)
        .assert()
        .success();
    audited("sg-restore", &trail)
        .args(["volume", &backup, "--yes", "--in-place", "--to"])
        .arg(&to)
        .assert()
        .failure();
    assert!(archive("files").status.success());
    audited("sg-prune", &trail)
        .arg("--directory")
        .arg(&store)
        .args(["--app", "shop", "--keep-last", "1", "--dry-run"])
        .assert()
        .success();
    let pruned = audited("sg-prune", &trail)
        .arg("--directory")
        .arg(&store)
        .args(["--app", "shop", "--keep-last", "1"])
        .output()
        .unwrap();
    assert!(pruned.status.success());

    let all = listed(&trail, &[]);
    let (end, records) = all.split_last().unwrap();
    let story: Vec<String> = records
        .iter()
        .map(|record| {
            let word = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", word("action"), word("result"), word("name"))
        })
        .collect();
    let mut expected = vec![
        "backup done files",
        "verify done files",
        "restore begun files",
        "restore done files",
        "restore begun files",
        "restore failed files",
        "backup done files",
    ];
    // The first is verified and the second newest: one of them may go, if rules and proofs let it.
    let removed = String::from_utf8(pruned.stdout).unwrap().lines().count();
    expected.extend(std::iter::repeat_n("prune done files", removed));
    expected.push("prune done -");
    assert_eq!(story, expected);
    let first = &records[0];
    assert_eq!(first["app"], "shop");
    assert_eq!(first["reason"], "before 2.0");
    assert_eq!(first["sudo_user"], "alice");
    assert_eq!(first["git"]["commit"], commit.as_str());
    assert_eq!(first["backup"], backup.as_str());
    assert_eq!(first["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(records[3]["reason"], "lost");
    assert_eq!(records[3]["target"], to.to_str().unwrap());
    assert!(
        records[5]["detail"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    assert_eq!(end["checked"]["intact"], true);
    assert_eq!(end["checked"]["records"], records.len());

    assert_eq!(listed(&trail, &["--kind", "globals"]).len(), 1);
    assert_eq!(listed(&trail, &["--name", "files"]).len(), records.len());
    assert_eq!(listed(&trail, &["--since", "2h ago"]).len(), all.len());
    let table = audited("sg-list", &trail).arg("--audit").output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert_eq!(table.lines().count(), records.len() + 1, "{table}");
    assert!(table.contains("alice as "), "{table}");
}

#[test]
fn a_changed_trail_is_damaged_data_and_named() {
    let place = scratch();
    let trail = place.path().join("audit.jsonl");
    super::written(&trail, 4);
    let text = fs::read_to_string(&trail).unwrap();
    fs::write(&trail, text.replacen("shop2", "shop7", 1)).unwrap();
    let run = audited("sg-list", &trail).arg("--audit").assert().code(65);
    let said = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(said.contains("line 3 was changed"), "{said}");
    let end = listed(&trail, &[]).pop().unwrap();
    assert_eq!(end["checked"]["intact"], false);
    assert_eq!(end["checked"]["flaws"][0]["flaw"], "changed");
    assert_eq!(end["checked"]["flaws"][0]["line"], 3);
}

#[test]
fn a_line_is_checked_by_stock_tools() {
    let place = scratch();
    let trail = place.path().join("audit.jsonl");
    super::written(&trail, 2);
    let end = listed(&trail, &[]).pop().unwrap();
    let sum = std::process::Command::new("sh")
        .arg("-c")
        .arg(r#"tail -n 1 "$1" | sed 's/,"hash":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum"#)
        .arg("sh")
        .arg(&trail)
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(
        sum.split_whitespace().next(),
        end["checked"]["hash"].as_str()
    );
}

#[test]
fn where_no_trail_can_be_the_work_is_done_all_the_same() {
    let (place, tree) = (scratch(), scratch());
    fs::write(tree.path().join("file"), "content").unwrap();
    for trail in ["/nowhere/audit.jsonl", "/proc/version", "/dev/null"] {
        let run = audited("sg-archive-volume", Path::new(trail))
            .arg("--directory")
            .arg(place.path().join(trail.replace('/', "_")))
            .args(["--volume", "a=/", "--volume"])
            .arg(format!("b={}", tree.path().display()))
            .args(["--exclude", "/*"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(said.matches("the audit trail lacks").count(), 1, "{said}");
        assert!(said.contains("made "), "{said}");
    }
}
