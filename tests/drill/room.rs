//! A disk that turns out to be too small while a drill fills it: the drill ends, says why, and leaves the disk
//! as it was. What it drilled is none the worse for it.

use super::Place;
use crate::support::disk::SmallDisk;
use nix::sys::statvfs::statvfs;
use sg::drill::Verdict;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A place whose scratch directory is a disk of its own.
fn place(size: &str) -> Option<(Place, SmallDisk)> {
    let place = Place::new();
    let disk = SmallDisk::mount(place.scratch.path(), size)?;
    // A server's user has to get through.
    fs::set_permissions(&disk.0, Permissions::from_mode(0o711)).unwrap();
    Some((place, disk))
}

fn free(disk: &SmallDisk) -> u64 {
    let disk = statvfs(&disk.0).unwrap();
    disk.blocks_available() * disk.fragment_size()
}

/// What `gzip` makes of `megabytes` of `line` between `head` and `tail`: small, and nothing tells how large it was.
fn packed(path: &Path, head: &str, line: &str, tail: &str, megabytes: usize) {
    let mut gzip = Command::new("gzip")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(path).unwrap())
        .spawn()
        .unwrap();
    let mut into = gzip.stdin.take().unwrap();
    let block = line.repeat((1 << 20) / line.len());
    into.write_all(head.as_bytes()).unwrap();
    for _ in 0..megabytes {
        into.write_all(block.as_bytes()).unwrap();
    }
    into.write_all(tail.as_bytes()).unwrap();
    drop(into);
    assert!(gzip.wait().unwrap().success());
}

/// Drills `backup`, which is too large for the disk, and then `sound`, which is not.
fn ends(place: &Place, disk: &SmallDisk, backup: &Path, sound: &Path) {
    let before = free(disk);
    let mut command = place.command();
    let drilled = place.run(command.args(["--reserve=16M"]).args([backup, sound]));
    assert_eq!(drilled.status, 73, "{}", drilled.words);
    let source = drilled.of(backup);
    assert_eq!(source.verdict, Verdict::NotRun, "{}", drilled.words);
    assert!(
        drilled.words.contains("stopped: it takes more than")
            && drilled.words.contains("SG_DRILL_SCRATCH"),
        "{}",
        drilled.words
    );
    assert!(!PathBuf::from(format!("{}.proof.json", backup.display())).exists());
    // What comes after it finds the disk as it was.
    let verdict = drilled.of(sound).verdict;
    assert_eq!(verdict, Verdict::Proven, "{}", drilled.words);
    // A mount's own few pages come and go.
    assert!(free(disk).abs_diff(before) < 1 << 20);
}

fn small_archive(place: &Place) -> PathBuf {
    let tree = super::scratch();
    fs::write(tree.path().join("file"), "content").unwrap();
    place.archive("small", tree.path())
}

#[test]
fn a_tree_that_would_fill_the_disk_is_not_extracted_to_the_end() {
    let Some((place, disk)) = place("96m") else {
        return;
    };
    let tree = super::scratch();
    let large = "0123456789abcdef".repeat(120 << 16);
    fs::write(tree.path().join("large"), large).unwrap();
    let archive = place
        .store
        .path()
        .join("volume_large_20261121_033000.tar.gz");
    let status = Command::new("tar")
        .arg("czf")
        .arg(&archive)
        .arg("-C")
        .arg(tree.path())
        .arg("large")
        .status()
        .unwrap();
    assert!(status.success());
    let small = small_archive(&place);
    ends(&place, &disk, &archive, &small);
}

#[test]
fn a_database_that_would_fill_the_disk_ends_with_its_server() {
    let Some((place, disk)) = place("144m") else {
        return;
    };
    let dump = place.store.path().join("db_large_20261121_033000.sql.gz");
    packed(
        &dump,
        "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.t (a text);\n\nCOPY public.t (a) FROM stdin;\n",
        &format!("{}\n", "x".repeat(1000)),
        "\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n",
        200,
    );
    let small = small_archive(&place);
    ends(&place, &disk, &dump, &small);
}
