//! A volume takes the place of the old one as a whole, or nothing changes.

use super::tree::{self, Compared, assert_same};
use super::{pack, run};
use crate::support::disk::SmallDisk;
use crate::support::{program, scratch};
use sg::Kind;
use sg::monitor::{Collector, Silent};
use sg::volume::restore::{RestoreFacts, RestoreOptions, restore, restore_files};
use sg::volume::{Select, UnpackFacts};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

fn options(file: &Path, target: &Path) -> RestoreOptions {
    RestoreOptions {
        file: file.to_owned(),
        target: target.to_owned(),
        in_place: false,
        drop_old: false,
        numeric_owner: false,
        jobs: 2,
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A directory with an archive of a small tree, and the tree as it was then.
fn small(base: &Path) -> std::path::PathBuf {
    let tree = base.join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/file"), "as archived").unwrap();
    let text: String = (0..400_000).map(|n| format!("{n}\n")).collect();
    fs::write(tree.join("large"), text).unwrap();
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o751)).unwrap();
    let file = base.join("archive.tar.gz");
    pack(&tree, &file);
    file
}

#[test]
fn the_new_tree_takes_the_place_and_the_old_one_is_kept() {
    let scratch = scratch();
    let target = tree::make(scratch.path(), "tree");
    let file = scratch.path().join("archive.tar.gz");
    pack(&target, &file);
    run("cp", &["-a", "tree", "as-archived"], scratch.path());
    fs::write(target.join("new"), "since then").unwrap();
    run("cp", &["-a", "tree", "as-changed"], scratch.path());
    let RestoreFacts { unpacked, old } = restore(&options(&file, &target), &Silent).unwrap();
    assert_eq!(unpacked.compared, unpacked.files);
    let old = old.unwrap();
    assert!(
        old.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("tree.before-20")
    );
    assert_same(
        &scratch.path().join("as-archived"),
        &target,
        Compared::all(),
    );
    assert_same(&scratch.path().join("as-changed"), &old, Compared::all());
}

#[test]
fn an_absent_target_is_made_and_an_old_tree_can_be_dropped() {
    let scratch = scratch();
    let file = small(scratch.path());
    let target = scratch.path().join("fresh");
    assert_eq!(
        restore(&options(&file, &target), &Silent).unwrap().old,
        None
    );
    assert_same(&scratch.path().join("tree"), &target, Compared::all());
    fs::write(target.join("new"), "").unwrap();
    let mut dropping = options(&file, &target);
    dropping.drop_old = true;
    assert_eq!(restore(&dropping, &Silent).unwrap().old, None);
    assert_same(&scratch.path().join("tree"), &target, Compared::all());
    assert_eq!(names(scratch.path()), ["archive.tar.gz", "fresh", "tree"]);
}

#[test]
fn a_link_to_the_target_goes_on_leading_to_it() {
    let scratch = scratch();
    let file = small(scratch.path());
    std::os::unix::fs::symlink("tree", scratch.path().join("link")).unwrap();
    restore(&options(&file, &scratch.path().join("link")), &Silent).unwrap();
    assert!(scratch.path().join("link").is_symlink());
    let kept = names(scratch.path())
        .into_iter()
        .any(|name| name.starts_with("tree.before-"));
    assert!(kept);
}

#[test]
fn damage_anywhere_leaves_the_target_as_it_was() {
    let scratch = scratch();
    let file = small(scratch.path());
    let sound = fs::read(&file).unwrap();
    let target = scratch.path().join("tree");
    let before = (fs::metadata(&target).unwrap().ino(), names(scratch.path()));
    let mut failed = 0;
    for at in (0..sound.len()).step_by(sound.len() / 60) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x20;
        fs::File::create(&file)
            .unwrap()
            .write_all(&damaged)
            .unwrap();
        match restore(&options(&file, &target), &Silent) {
            Err(error) => {
                assert_eq!(error.kind(), Kind::Damaged, "{error}");
                assert_eq!(
                    (fs::metadata(&target).unwrap().ino(), names(scratch.path())),
                    before
                );
                failed += 1;
            }
            // What is not needed by the index may be damaged; then all is there all the same.
            Ok(facts) => {
                let old = facts.old.unwrap();
                assert_same(&old, &target, Compared::all());
                fs::remove_dir_all(&target).unwrap();
                fs::rename(old, &target).unwrap();
            }
        }
    }
    assert!(failed > 50, "{failed}");
}

#[test]
fn in_place_wants_an_empty_directory_and_leaves_it_empty_on_failure() {
    let scratch = scratch();
    let file = small(scratch.path());
    let target = scratch.path().join("mounted");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "").unwrap();
    let mut in_place = options(&file, &target);
    in_place.in_place = true;
    let error = restore(&in_place, &Silent).unwrap_err();
    assert!(error.to_string().ends_with("is not empty"), "{error}");
    fs::remove_file(target.join("mine")).unwrap();
    fs::create_dir(target.join("lost+found")).unwrap();

    let sound = fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 1;
    fs::write(&file, &damaged).unwrap();
    restore(&in_place, &Silent).unwrap_err();
    assert_eq!(names(&target), ["lost+found"]);

    fs::write(&file, &sound).unwrap();
    let inode = fs::metadata(&target).unwrap().ino();
    restore(&in_place, &Silent).unwrap();
    fs::remove_dir(target.join("lost+found")).unwrap();
    assert_eq!(fs::metadata(&target).unwrap().ino(), inode);
    assert_eq!(fs::read(target.join("sub/file")).unwrap(), b"as archived");
}

#[test]
fn what_a_killed_run_left_is_removed_but_not_what_a_living_one_builds() {
    let scratch = scratch();
    let file = small(scratch.path());
    let dead = scratch.path().join(".tree.restoring-1");
    let living = scratch.path().join(".tree.restoring-2");
    let other = scratch.path().join(".tree.restoring-notes");
    for directory in [&dead, &living, &other] {
        fs::create_dir_all(directory.join("sub")).unwrap();
    }
    let lock = fs::File::open(&living).unwrap();
    lock.lock().unwrap();
    restore(&options(&file, &scratch.path().join("tree")), &Silent).unwrap();
    assert!(!dead.exists());
    assert!(living.exists() && other.exists());
}

#[test]
fn single_files_come_out_and_overwrite_nothing() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    let file = scratch.path().join("archive.tar.gz");
    pack(&tree, &file);
    let to = scratch.path().join("to");
    let get = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        restore_files(
            &file,
            &to,
            Select::new(&patterns).unwrap(),
            false,
            2,
            &Silent,
        )
    };
    let error = get(&["missing/*", "513"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing in the archive matches 'missing/*'"
    );
    assert!(!to.exists());

    let UnpackFacts {
        files, compared, ..
    } = get(&["sizes/noise-3*", "deep", "512"]).unwrap();
    assert_eq!((files, compared), (3, 3));
    assert_same(&tree.join("deep"), &to.join("deep"), Compared::all());
    assert_eq!(fs::read(to.join("512")).unwrap(), [7; 512]);
    assert_eq!(
        fs::read(to.join("sizes/noise-3145728")).unwrap(),
        fs::read(tree.join("sizes/noise-3145728")).unwrap()
    );

    fs::write(to.join("512"), "mine").unwrap();
    assert_eq!(get(&["512"]).unwrap().left, 1);
    assert_eq!(fs::read(to.join("512")).unwrap(), b"mine");
}

#[test]
fn a_further_name_comes_out_without_its_first() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    let file = scratch.path().join("archive.tar.gz");
    pack(&tree, &file);
    let to = scratch.path().join("to");
    let select = Select::new(&["links/b".into(), "links/large".into(), "links/a".into()]).unwrap();
    let facts = restore_files(&file, &to, select, false, 2, &Silent).unwrap();
    assert_eq!((facts.left, facts.files + facts.hardlinks), (0, 3));
    for name in ["links/a", "links/b", "links/large"] {
        assert_eq!(
            fs::read(to.join(name)).unwrap(),
            fs::read(tree.join(name)).unwrap()
        );
    }
    assert_eq!(
        fs::metadata(to.join("links/a")).unwrap().ino(),
        fs::metadata(to.join("links/b")).unwrap().ino()
    );
    assert_eq!(names(&to), ["links"]);
}

/// Where the members of a gzip file of ours begin and end, by the lengths that they carry.
fn members(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut members = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // The first subfield, `IG`, holds the length of the whole member.
        assert_eq!(&bytes[at + 12..at + 14], b"IG");
        let length = u32::from_le_bytes(bytes[at + 16..at + 20].try_into().unwrap()) as usize;
        members.push(at..at + length);
        at += length;
    }
    members
}

#[test]
fn where_the_index_is_lost_the_archive_is_read_in_order() {
    let scratch = scratch();
    let file = small(scratch.path());
    let target = scratch.path().join("tree");
    let sound = fs::read(&file).unwrap();
    let members = members(&sound);
    let empty = |member: &&std::ops::Range<usize>| sound[member.end - 4..member.end] == [0; 4];
    let index = members.iter().find(empty).unwrap().clone();
    let content = index.start;
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let footer = members.last().unwrap().start;
    for (bytes, what) in [
        (flipped(index.start + 40), "a bit of the index flipped"),
        (sound[..footer].to_vec(), "the footer cut off"),
        (sound[..content + 30].to_vec(), "cut inside the index"),
        (sound[..content].to_vec(), "cut before the index"),
        ([&sound[..], b"more\n"].concat(), "something appended"),
    ] {
        fs::write(&file, bytes).unwrap();
        let heard = Collector::new(&Silent);
        let facts = restore(&options(&file, &target), &heard)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let codes: Vec<String> = heard.notes().into_iter().map(|note| note.code).collect();
        assert_eq!(codes, ["no-index"], "{what}");
        let old = facts.old.unwrap();
        assert_same(&old, &target, Compared::all());
        fs::remove_dir_all(&target).unwrap();
        fs::rename(old, &target).unwrap();
    }
    // Where content is lost as well, nothing takes the place of what is there.
    let before = (fs::metadata(&target).unwrap().ino(), names(scratch.path()));
    for cut in [
        content - 1,
        members[members.len() / 2].start,
        members[0].end,
    ] {
        fs::write(&file, &sound[..cut]).unwrap();
        let error = restore(&options(&file, &target), &Silent).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{cut}: {error}");
        let after = (fs::metadata(&target).unwrap().ino(), names(scratch.path()));
        assert_eq!(after, before);
    }
}

#[test]
fn a_full_disk_and_a_mount_point_leave_the_target_as_it_was() {
    let scratch = scratch();
    let mount = scratch.path().join("disk");
    fs::create_dir(&mount).unwrap();
    let Some(disk) = SmallDisk::mount(&mount, "1m") else {
        return;
    };
    let file = small(scratch.path()); // of some 2.7 MB
    let target = disk.0.join("tree");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "as it was").unwrap();
    let error = restore(&options(&file, &target), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Io, "{error}");
    assert!(error.hint().unwrap().contains("space"), "{error}");
    assert_eq!(names(&disk.0), ["tree"]);
    assert_eq!(names(&target), ["mine"]);

    let error = restore(&options(&file, &disk.0), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::CannotCreate, "{error}");
    assert!(error.hint().unwrap().contains("--in-place"), "{error}");
    let mut in_place = options(&file, &disk.0);
    in_place.in_place = true;
    let error = restore(&in_place, &Silent).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(names(&target), ["mine"]);
    fs::remove_dir_all(&target).unwrap();
    let error = restore(&in_place, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Io, "{error}");
    assert_eq!(names(&disk.0), Vec::<String>::new());
}

#[test]
fn a_kill_at_any_moment_leaves_the_tree_that_was_or_the_one_that_comes() {
    let scratch = scratch();
    let base = scratch.path().join("base");
    fs::create_dir(&base).unwrap();
    let file = small(&base);
    let tree = base.join("tree");
    fs::write(tree.join("new"), "since then").unwrap();
    run("cp", &["-a", "base/tree", "as-changed"], scratch.path());
    run("cp", &["-a", "base/tree", "as-archived"], scratch.path());
    fs::remove_file(scratch.path().join("as-archived/new")).unwrap();
    let restoring = || {
        let mut command = crate::support::child("sg-restore");
        command
            .args(["volume", "--yes", "--quiet", "--drop-old", "--to"])
            .args([&tree, &file])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command
    };
    for round in 0..40 {
        let mut child = restoring().spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2 * round));
        let _ = child.kill();
        child.wait().unwrap();
        let was = if tree.join("new").exists() {
            "as-changed"
        } else {
            "as-archived"
        };
        let content = Compared {
            directory_times: false,
            top: false,
            ..Compared::all()
        };
        assert_same(&scratch.path().join(was), &tree, content);
    }
    // The second counts in the name of a tree that a killed run put aside.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(restoring().status().unwrap().success());
    let mut left = names(&base);
    // An old tree that was to be dropped is dropped by hand where a kill came first.
    left.retain(|name| !name.starts_with("tree.before-"));
    assert_eq!(left, ["archive.tar.gz", "tree"]);
}

#[test]
fn single_files_come_out_by_the_program() {
    let scratch = scratch();
    let file = small(scratch.path());
    let found = scratch.path().join("found");
    let restore = |patterns: &[&str]| {
        program("sg-restore")
            .args(["volume", "--yes", "--to"])
            .arg(&found)
            .args(patterns.iter().flat_map(|pattern| ["--file", pattern]))
            .arg(&file)
            .output()
            .unwrap()
    };
    let done = restore(&["sub/*"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(done.stdout, format!("{}\n", found.display()).into_bytes());
    assert_eq!(fs::read(found.join("sub/file")).unwrap(), b"as archived");
    assert!(!found.join("large").exists());
    // What is there stays; what is nowhere is told.
    fs::write(found.join("sub/file"), "mine").unwrap();
    let done = restore(&["sub/*"]);
    assert_ne!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(fs::read(found.join("sub/file")).unwrap(), b"mine");
    let done = restore(&["nowhere"]);
    assert_ne!(done.status.code(), Some(0), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("nowhere"));
}
