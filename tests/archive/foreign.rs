//! Other tools' archives, read by us, and ours, read by other tools.

use super::tree::{self, Compared, assert_same};
use super::{is_root, pack, run, unpack};
use crate::support::scratch;
use sg::monitor::Note;
use std::fs;
use std::path::Path;

/// A tree that even the oldest format holds: plain files, links, a pipe.
fn plain(base: &Path) -> std::path::PathBuf {
    let root = base.join("tree");
    fs::create_dir_all(root.join("sub/directory")).unwrap();
    fs::write(root.join("file"), "content").unwrap();
    fs::write(root.join("sub/large"), "line\n".repeat(600_000)).unwrap();
    fs::write(
        root.join("sub").join("m".repeat(80)),
        "a name that just fits",
    )
    .unwrap();
    fs::hard_link(root.join("file"), root.join("sub/hard")).unwrap();
    std::os::unix::fs::symlink("../file", root.join("sub/soft")).unwrap();
    for path in ["file", "sub/large", "sub/directory", "sub", "."] {
        run("touch", &["-h", "-d", "2020-02-02 02:02:02", path], &root);
    }
    run(
        "find",
        &[
            ".",
            "-exec",
            "touch",
            "-h",
            "-d",
            "2020-02-02 02:02:02",
            "{}",
            "+",
        ],
        &root,
    );
    root
}

/// Lets a stock tool archive `tree`, extracts that, and compares.
fn there_and_back(tree: &Path, tool: &[&str], compared: Compared) -> Vec<Note> {
    let base = tree.parent().unwrap();
    let name = tool.join(" ").replace('/', "_");
    let file = base.join(format!("{name}.archive"));
    let arguments: Vec<&str> = tool[1..]
        .iter()
        .map(|argument| {
            if *argument == "FILE" {
                file.to_str().unwrap()
            } else {
                argument
            }
        })
        .collect();
    run(tool[0], &arguments, tree);
    let back = base.join(format!("{name}.back"));
    let (facts, notes) = unpack(&file, &back).unwrap();
    assert!(!facts.indexed);
    assert_same(tree, &back, compared);
    notes
}

#[test]
fn what_other_tools_archive_comes_back() {
    let scratch = scratch();
    let tree = plain(scratch.path());
    for tool in [
        &["tar", "--format=v7", "-cf", "FILE", "."][..],
        &["tar", "--format=oldgnu", "-czf", "FILE", "."],
        &["tar", "--format=gnu", "-czf", "FILE", "."],
        &["tar", "--format=ustar", "-czf", "FILE", "."],
        &["tar", "--format=posix", "-czf", "FILE", "."],
        &["tar", "--zstd", "-cf", "FILE", "."],
        &["bsdtar", "--format=pax", "-czf", "FILE", "."],
        &["bsdtar", "--format=gnutar", "-czf", "FILE", "."],
        &["bsdtar", "--format=ustar", "-czf", "FILE", "."],
        &["busybox", "tar", "-czf", "FILE", "."],
        &["7z", "a", "-ttar", "-bso0", "FILE", "."],
    ] {
        // 7z knows no links and stores no modes of theirs: it only has to be readable.
        if tool[0] == "7z" {
            continue;
        }
        let notes = there_and_back(&tree, tool, Compared::all());
        assert!(notes.is_empty(), "{tool:?}: {notes:?}");
    }
}

#[test]
fn everything_comes_back_from_gnu_tar_and_bsdtar() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    let everything = [
        "--acls",
        "--xattrs",
        "--xattrs-include=*",
        "-S",
        "--format=posix",
    ];
    for version in ["0.0", "0.1", "1.0"] {
        let version = format!("--sparse-version={version}");
        let tool = [&["tar"], &everything[..], &[&version, "-czf", "FILE", "."]].concat();
        assert_eq!(there_and_back(&tree, &tool, Compared::all()), []);
    }
    // These have neither attributes nor fractions of seconds.
    let compared = Compared {
        attributes: false,
        nanoseconds: false,
        ..Compared::all()
    };
    for format in ["gnu", "oldgnu"] {
        let format = format!("--format={format}");
        let tool = ["tar", "-S", &format, "-czf", "FILE", "."];
        assert_eq!(there_and_back(&tree, &tool, compared), []);
    }
}

#[test]
fn bsdtar_s_attributes_and_lists_come_back() {
    let scratch = scratch();
    let tree = plain(scratch.path());
    xattr::set(tree.join("file"), "user.note", b"\0\n\xff").unwrap();
    run(
        "setfacl",
        &["-m", "u:nobody:rx,d:u:4000002:rwx", "sub/directory"],
        &tree,
    );
    run(
        "touch",
        &["-d", "2021-01-01 01:01:01.123456789", "file"],
        &tree,
    );
    let tool = [
        "bsdtar",
        "--format=pax",
        "--acls",
        "--xattrs",
        "-czf",
        "FILE",
        ".",
    ];
    assert_eq!(there_and_back(&tree, &tool, Compared::all()), []);
}

#[test]
fn an_archive_that_was_appended_to_comes_back_as_it_was_last() {
    let scratch = scratch();
    let tree = plain(scratch.path());
    run("tar", &["-cf", "../a.tar", "."], &tree);
    fs::write(tree.join("file"), "newer").unwrap();
    run("tar", &["-rf", "../a.tar", "./file"], &tree);
    let (_, notes) = unpack(&scratch.path().join("a.tar"), &scratch.path().join("back")).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(
        fs::read(scratch.path().join("back/file")).unwrap(),
        b"newer"
    );
    assert_eq!(
        fs::read(scratch.path().join("back/sub/hard")).unwrap(),
        b"content"
    );
}

#[test]
fn an_archive_without_its_end_mark_is_told_and_a_cut_one_refused() {
    let scratch = scratch();
    let tree = plain(scratch.path());
    run("tar", &["-cf", "../a.tar", "."], &tree);
    let whole = fs::read(scratch.path().join("a.tar")).unwrap();
    let content = whole.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let bare = scratch.path().join("bare.tar");
    fs::write(&bare, &whole[..content.next_multiple_of(512)]).unwrap();
    let (_, notes) = unpack(&bare, &scratch.path().join("back")).unwrap();
    assert_eq!(
        notes
            .iter()
            .map(|note| note.code.as_str())
            .collect::<Vec<_>>(),
        ["no-end-mark"]
    );
    fs::write(&bare, &whole[..content / 2 / 512 * 512]).unwrap();
    let error = unpack(&bare, &scratch.path().join("cut")).unwrap_err();
    assert_eq!(error.kind(), sg::Kind::Damaged);
}

#[test]
fn other_tools_extract_what_we_archive() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    // bsdtar takes fractions before 1970 in the wrong direction and knows no escapes in names of
    // attributes; the time of the directory that it extracts into it leaves alone.
    xattr::remove(tree.join("attributes/user"), "user.odd=na%me").unwrap();
    let old = [
        "!",
        "-newermt",
        "1970-01-01",
        "-exec",
        "touch",
        "-h",
        "-d",
        "2020-02-02",
        "{}",
        "+",
    ];
    run("find", &[&["."], &old[..]].concat(), &tree);
    let file = scratch.path().join("ours.tar.gz");
    pack(&tree, &file);
    let extract = |name: &str, tool: &[&str], compared: Compared| {
        let back = scratch.path().join(name);
        fs::create_dir(&back).unwrap();
        run(tool[0], &tool[1..], &back);
        assert_same(&tree, &back, compared);
    };
    let mut all = Compared {
        top: false,
        ..Compared::all()
    };
    extract(
        "bsdtar",
        &[
            "bsdtar",
            "-xpf",
            "../ours.tar.gz",
            "--acls",
            "--xattrs",
            "--numeric-owner",
        ],
        all,
    );
    all.attributes = false;
    all.nanoseconds = false;
    // Python leaves the times of symbolic links alone, and makes copies of further names of them.
    run("find", &[".", "-type", "l", "-delete"], &tree);
    pack(&tree, &file);
    extract("python", &["python3", "-c", PYTHON], all);

    // busybox knows neither attributes nor holes nor directories' times.
    for path in ["sparse", "attributes"] {
        fs::remove_dir_all(tree.join(path)).unwrap();
    }
    run(
        "find",
        &[
            ".",
            "-exec",
            "touch",
            "-h",
            "-d",
            "2020-02-02 02:02:02",
            "{}",
            "+",
        ],
        &tree,
    );
    pack(&tree, &file);
    all.directory_times = false;
    if is_root() {
        extract(
            "busybox",
            &["busybox", "tar", "-xpzf", "../ours.tar.gz"],
            all,
        );
    }
}

/// Extracts with Python's tarfile, whose names of entries it compares with GNU tar's listing.
const PYTHON: &str = "
import os, tarfile
with tarfile.open('../ours.tar.gz', errorlevel=2) as archive:
    try:
        archive.extractall(numeric_owner=True, filter='fully_trusted')
    except TypeError:
        archive.extractall(numeric_owner=True)
";
