//! sg-archive-volume as it is called, and what it costs.

use super::tree;
use super::{is_root, run, unpack};
use crate::support::{bounded, child, install, program, scratch};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "sg-archive-volume";

fn archive(tree: &Path, store: &Path) -> PathBuf {
    let output = program(NAME)
        .arg(tree)
        .args(["--name", "v", "--directory"])
        .arg(store)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

#[test]
fn the_path_is_printed_and_the_manifest_counts() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    let store = scratch.path().join("store");
    let output = program(NAME)
        .arg(&tree)
        .args([
            "--name",
            "schedgen-pdfs",
            "--kind",
            "minio",
            "--app",
            "schedgen",
        ])
        .args([
            "--reason",
            "before the upgrade",
            "--exclude",
            "sizes",
            "--json",
            "--directory",
        ])
        .arg(&store)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = PathBuf::from(made["path"].as_str().unwrap());
    assert!(
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("minio_schedgen-pdfs_20")
    );
    let manifest: Value =
        serde_json::from_slice(&fs::read(format!("{}.json", path.display())).unwrap()).unwrap();
    assert_eq!(manifest["reason"], "before the upgrade");
    assert_eq!(manifest["content"]["excluded"][0], "sizes");
    let listed = run("tar", &["tf", path.to_str().unwrap()], scratch.path());
    let count = |key: &str| manifest["content"][key].as_u64().unwrap();
    let entries: u64 = ["files", "directories", "symlinks", "hardlinks", "special"]
        .into_iter()
        .map(count)
        .sum();
    // GNU tar escapes newlines in names, so an entry is a line.
    assert_eq!(listed.lines().count() as u64, entries);
    assert!(!listed.contains("sizes"));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn the_archive_itself_goes_to_standard_output() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "content").unwrap();
    let output = program(NAME)
        .arg(&tree)
        .args(["--output", "-"])
        .output()
        .unwrap();
    assert!(output.status.success());
    fs::write(scratch.path().join("a.tar.gz"), &output.stdout).unwrap();
    assert_eq!(
        run("tar", &["xOzf", "a.tar.gz", "./file"], scratch.path()),
        "content"
    );
}

#[test]
fn the_variable_holds_several_patterns_and_an_option_one() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("cache")).unwrap();
    for name in ["kept", "a.tmp", "cache/page", "two words"] {
        fs::write(tree.join(name), name).unwrap();
    }
    let listed = |options: &[&str]| {
        let archive = program(NAME)
            .arg(&tree)
            .args(["--output", "-"])
            .env("SG_EXCLUDE", "*.tmp  cache")
            .args(options)
            .output()
            .unwrap();
        assert!(archive.status.success(), "{archive:?}");
        fs::write(scratch.path().join("a.tar.gz"), &archive.stdout).unwrap();
        run("tar", &["tzf", "a.tar.gz"], scratch.path())
    };
    assert_eq!(listed(&[]), "./\n./kept\n./two words\n");
    let by_option = listed(&["--exclude", "two words", "--exclude", "*.tmp"]);
    assert_eq!(by_option, "./\n./cache/\n./cache/page\n./kept\n");
}

#[test]
fn a_failure_leaves_nothing_and_says_why() {
    let scratch = scratch();
    let store = scratch.path().join("store");
    let output = program(NAME)
        .arg(scratch.path().join("missing"))
        .args(["--name", "v", "--directory"])
        .arg(&store)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(74), "{:?}", output.status);
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing"));
    let left = fs::read_dir(&store)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        left.into_iter()
            .all(|name| name.to_str().unwrap().starts_with(".lock"))
    );
    let output = program(NAME).arg(scratch.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn without_roots_rights_what_cannot_be_read_is_listed() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("closed/inside")).unwrap();
    fs::write(tree.join("readable"), "content").unwrap();
    fs::write(tree.join("unreadable"), "content").unwrap();
    fs::set_permissions(tree.join("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    // The program may lie where only root gets at it.
    let copy = scratch.path().join(NAME);
    install(&assert_cmd::cargo::cargo_bin(NAME), &copy);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .arg(&tree)
        .args(["--name", "v", "--log", "stderr", "--directory"])
        .arg(scratch.path().join("store"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    for name in ["tree/unreadable", "tree/closed"] {
        assert!(told.contains(name), "{told}");
    }
    let path = String::from_utf8(output.stdout).unwrap();
    let listed = run("tar", &["tzf", path.trim_end()], scratch.path());
    assert_eq!(listed, "./\n./closed/\n./readable\n");
}

#[test]
fn without_roots_rights_a_tree_comes_back_as_ones_own() {
    // This test runs itself again as nobody, who does the extracting.
    if let Some(file) = std::env::var_os("SG_TEST_ARCHIVE") {
        let into = Path::new(&file).with_file_name("back");
        let (facts, notes) = unpack(Path::new(&file), &into).unwrap();
        assert_eq!((facts.left, notes), (0, Vec::new()));
        return;
    }
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("closed")).unwrap();
    fs::write(tree.join("closed/file"), "content").unwrap();
    fs::write(tree.join("program"), "").unwrap();
    chown(tree.join("program"), Some(12), Some(34)).unwrap();
    fs::set_permissions(tree.join("program"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    let file = archive(&tree, &scratch.path().join("store"));
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = scratch.path().join("copy.tar.gz");
    fs::copy(file, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let itself = scratch.path().join("itself");
    install(&std::env::current_exe().unwrap(), &itself);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(itself)
        .args([
            "--exact",
            "archive::program::without_roots_rights_a_tree_comes_back_as_ones_own",
        ])
        .env("SG_TEST_ARCHIVE", &copy)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let back = scratch.path().join("back");
    let look = |name: &str| {
        let metadata = fs::metadata(back.join(name)).unwrap();
        (metadata.permissions().mode() & 0o7777, metadata.uid())
    };
    assert_eq!(look("closed"), (0o500, 65_534));
    assert_eq!(
        look("program"),
        (0o755, 65_534),
        "no set-user-id for what was another's"
    );
    assert_eq!(fs::read(back.join("closed/file")).unwrap(), b"content");
}

#[test]
fn a_tebibyte_of_holes_costs_neither_time_nor_memory() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let file = File::create(tree.join("huge")).unwrap();
    file.set_len(1 << 40).unwrap();
    for at in [0u64, 1 << 30, (1 << 40) - 5] {
        file.write_all_at(b"data!", at).unwrap();
    }
    let store = scratch.path().join("store");
    let path = archive(&tree, &store);
    assert!(fs::metadata(&path).unwrap().len() < 20_000);
    let back = scratch.path().join("back");
    unpack(&path, &back).unwrap();
    let back = File::open(back.join("huge")).unwrap();
    assert_eq!(back.metadata().unwrap().len(), 1 << 40);
    let mut data = [0; 5];
    for at in [0u64, 1 << 30, (1 << 40) - 5] {
        back.read_exact_at(&mut data, at).unwrap();
        assert_eq!(&data, b"data!");
    }
    run("tar", &["-tzf", path.to_str().unwrap()], scratch.path());
}

#[test]
fn memory_stays_bounded() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    // Noise, so that what waits to be written is as long as what was read.
    let mut noise = vec![0; 64 << 20];
    fastrand::Rng::with_seed(9).fill(&mut noise);
    for n in 0..6 {
        fs::write(tree.join(format!("{n}")), &noise).unwrap();
    }
    let sparse = File::create(tree.join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    for n in 0..3000 {
        fs::write(
            tree.join(format!("small-{n}")),
            &noise[n * 1000..n * 1000 + 5000],
        )
        .unwrap();
    }
    let mut archive = child(NAME);
    archive.arg(&tree);
    archive.args(["--jobs", "2", "--quiet", "--name", "v", "--directory"]);
    let made = bounded(archive.arg(scratch.path().join("store")));
    fs::remove_dir_all(&tree).unwrap();
    let mut verify = child("sg-verify");
    assert_eq!(bounded(verify.args(["--jobs", "2"]).arg(&made)), made);
    let mut restore = child("sg-restore");
    restore.arg("volume").arg(&made).arg("--to").arg(&tree);
    bounded(restore.args(["--jobs", "2", "--yes"]));
    assert_eq!(fs::metadata(tree.join("sparse")).unwrap().len(), 1 << 40);
    assert!(fs::read(tree.join("5")).unwrap() == noise);
}

#[test]
fn a_new_file_shifts_nothing_else() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    let mut dice = fastrand::Rng::with_seed(11);
    for directory in 0..20 {
        fs::create_dir_all(tree.join(format!("d{directory}"))).unwrap();
        for n in 0..100 {
            let text: String = (0..dice.usize(10..3000))
                .map(|_| dice.alphanumeric())
                .collect();
            fs::write(tree.join(format!("d{directory}/{n}")), text.repeat(3)).unwrap();
        }
    }
    fs::write(tree.join("d5/large"), "large\n".repeat(900_000)).unwrap();
    let store = scratch.path().join("store");
    let before = members(&archive(&tree, &store));
    fs::write(tree.join("d3/55-new"), "new").unwrap();
    fs::write(
        tree.join("d5/large"),
        ["large\n".repeat(900_000), "more".to_owned()].concat(),
    )
    .unwrap();
    let after = members(&archive(&tree, &store));
    let changed = after.difference(&before).count();
    // Two directories' times, the new file's batch, the large file's headers and last piece.
    assert!(before.len() > 20, "{}", before.len());
    assert!(changed <= 7, "{changed} of {} members changed", after.len());
}

/// The hashes of the members with content.
fn members(path: &Path) -> HashSet<blake3::Hash> {
    let reader = sg::stream::Reader::open(path).unwrap();
    reader
        .members(0)
        .map(|member| member.unwrap())
        .take_while(|member| member.role().unwrap() == sg::stream::Role::Content)
        .map(|member| blake3::hash(&member.bytes))
        .collect()
}

#[test]
fn a_kill_at_any_moment_leaves_whole_backups_only() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    let store = scratch.path().join("store");
    let mut killed = 0;
    for n in 0..15 {
        let mut child = child(NAME)
            .arg(&tree)
            .args(["--quiet", "--name", &format!("v{n}"), "--directory"])
            .arg(&store)
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(n * 25));
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().signal().is_some());
        for entry in fs::read_dir(&store).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !name.starts_with('.') && name.ends_with(".gz") {
                run("tar", &["tzf", path.to_str().unwrap()], scratch.path());
            }
        }
    }
    assert!(killed > 0);
}
