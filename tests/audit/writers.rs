//! Several writers at once, one that is killed while it writes, and a disk that is full.

use super::{checked, witnesses, written};
use crate::support::disk::SmallDisk;
use crate::support::{child, program, scratch};
use sg::Kind;
use sg::audit::{Action, Actor, Deed, Outcome, Trail};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn eight_writers_at_once_make_one_chain() {
    let directory = scratch();
    let path = directory.path().join("audit.jsonl");
    let (writers, each) = (8, 25);
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| written(&path, each));
        }
    });
    let found = checked(&path, &witnesses(&path));
    assert_eq!(
        (found.records, found.flaws),
        (writers * each as u64, vec![])
    );
}

#[test]
fn eight_programs_at_once_make_one_chain() {
    let directory = scratch();
    let path = directory.path().join("audit.jsonl");
    let file = directory.path().join("plain.sql");
    fs::write(&file, "--\n-- PostgreSQL database dump complete\n--\n").unwrap();
    let mut children: Vec<_> = (0..8)
        .map(|_| verify(&path, &[&file; 5]).spawn().unwrap())
        .collect();
    for child in &mut children {
        child.wait().unwrap();
    }
    let found = checked(&path, &[]);
    assert_eq!((found.records, found.flaws), (40, vec![]));
}

/// sg-verify, which leaves a line for each of `files`.
fn verify(trail: &std::path::Path, files: &[&std::path::PathBuf]) -> Command {
    let mut command = child("sg-verify");
    command
        .env_remove("SG_NO_AUDIT")
        .env("SG_AUDIT_FILE", trail)
        .args(["--no-record", "--quiet"])
        .args(files)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn a_writer_that_is_killed_costs_its_own_line_at_most() {
    let directory = scratch();
    let path = directory.path().join("audit.jsonl");
    let file = directory.path().join("plain.sql");
    fs::write(&file, "--\n-- PostgreSQL database dump complete\n--\n").unwrap();
    let many = vec![&file; 2000];
    let mut dice = fastrand::Rng::with_seed(7);
    let mut before = Vec::new();
    for _ in 0..20 {
        let mut child = verify(&path, &many).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.u64(2_000..60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        if !path.exists() {
            continue;
        }
        let now = fs::read(&path).unwrap();
        assert!(now.starts_with(&before), "what was written has changed");
        let found = checked(&path, &[]);
        assert_eq!(found.flaws, []);
        before = now;
    }
    written(&path, 1);
    assert_eq!(checked(&path, &[]).flaws, []);
}

#[test]
fn a_write_that_was_cut_anywhere_is_told_from_tampering() {
    let directory = scratch();
    let path = directory.path().join("audit.jsonl");
    written(&path, 3);
    let three = fs::read(&path).unwrap();
    written(&path, 1);
    let four = fs::read(&path).unwrap();
    for length in three.len() + 1..four.len() {
        fs::write(&path, &four[..length]).unwrap();
        let found = checked(&path, &[]);
        assert_eq!(found.flaws, [], "{length}");
        let whole = length + 1 == four.len();
        assert_eq!(found.records, if whole { 4 } else { 3 });
        // Twice: the next writer is cut off, too.
        written(&path, 1);
        let next = fs::read(&path).unwrap();
        fs::write(&path, &next[..next.len() - 40]).unwrap();
        written(&path, 2);
        let found = checked(&path, &witnesses(&path));
        assert_eq!(found.flaws, [], "{length}");
        assert_eq!(
            found.unfinished.len(),
            if whole { 1 } else { 2 },
            "{length}"
        );
        assert_eq!(found.records, if whole { 6 } else { 5 });
    }
}

#[test]
fn a_full_disk_leaves_the_trail_as_it_was_and_the_work_done() {
    let directory = scratch();
    let Some(disk) = SmallDisk::mount(directory.path(), "256k") else {
        return;
    };
    let path = disk.0.join("audit.jsonl");
    written(&path, 3);
    // Leaves less room than a page, so that the next lines fit only in part.
    let filler = disk.0.join("filler");
    let mut length = 256 << 10;
    while fs::write(&filler, vec![0; length]).is_err() {
        length -= 1024;
    }
    let actor = Actor::this("test 1", None, None);
    let long = Deed::new(Action::Backup, Outcome::Done).detail("x".repeat(40_000));
    let trail = Trail::at(&path);
    let before = fs::read(&path).unwrap();
    let error = trail.append(&actor, &[long]).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert_eq!(fs::read(&path).unwrap(), before);

    let file = scratch();
    let file = file.path().join("plain.sql");
    fs::write(&file, "--\n-- PostgreSQL database dump complete\n--\n").unwrap();
    let reason = "y".repeat(40_000);
    let run = program("sg-verify")
        .env_remove("SG_NO_AUDIT")
        .env("SG_AUDIT_FILE", &path)
        .args(["--no-record", "--reason", &reason])
        .args([&file, &file])
        .assert()
        .success();
    let said = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert_eq!(said.matches("the audit trail lacks").count(), 1, "{said}");
    fs::remove_file(&filler).unwrap();
    written(&path, 1);
    assert_eq!(checked(&path, &[]).flaws, []);
}

#[test]
fn root_leaves_the_trail_to_the_owner_of_its_directory_and_follows_no_link() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("NOT TESTED: whose the trail is, as only root gives files away");
        return;
    }
    let directory = scratch();
    let state = directory.path().join("sg");
    fs::create_dir(&state).unwrap();
    chown(&state, Some(4242), Some(4343)).unwrap();
    let path = state.join("audit.jsonl");
    written(&path, 1);
    let found = path.metadata().unwrap();
    assert_eq!((found.uid(), found.gid()), (4242, 4343));
    assert_eq!(found.permissions().mode() & 0o777, 0o600);

    let other = directory.path().join("shadow");
    fs::write(&other, "root:x\n").unwrap();
    fs::remove_file(&path).unwrap();
    let actor = Actor::this("test 1", None, None);
    let deed = [Deed::new(Action::Prune, Outcome::Done)];
    symlink(&other, &path).unwrap();
    assert!(Trail::at(&path).append(&actor, &deed).is_err());
    fs::remove_file(&path).unwrap();
    fs::hard_link(&other, &path).unwrap();
    assert!(Trail::at(&path).append(&actor, &deed).is_err());
    assert_eq!(fs::read_to_string(&other).unwrap(), "root:x\n");
    assert_eq!(other.metadata().unwrap().uid(), 0);
}
