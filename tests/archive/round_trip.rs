//! A tree with every kind of entry, there and back.

use super::tree::{self, Compared, assert_same};
use super::{pack, pack_options, pack_with, run, unpack, unpack_options};
use crate::support::scratch;
use sg::monitor::Silent;
use sg::stream::Reader;
use sg::volume::Select;
use std::fs;

#[test]
fn everything_comes_back_by_the_index() {
    let scratch = scratch();
    for compression in ["gzip:5", "zstd:3"] {
        let tree = tree::make(scratch.path(), &format!("tree {compression}"));
        let file = scratch.path().join(format!("archive {compression}"));
        let mut options = pack_options(&tree);
        options.compression = compression.parse().unwrap();
        let (packed, notes) = pack_with(&options, &file);
        assert_eq!(notes, []);
        let back = scratch.path().join(format!("back {compression}"));
        let (unpacked, notes) = unpack(&file, &back).unwrap();
        assert_eq!(notes, []);
        assert!(unpacked.indexed);
        assert_eq!(unpacked.compared, packed.files);
        assert_eq!(
            (
                unpacked.files,
                unpacked.directories,
                unpacked.symlinks,
                unpacked.hardlinks,
                unpacked.specials,
                unpacked.bytes
            ),
            (
                packed.files,
                packed.directories,
                packed.symlinks,
                packed.hardlinks,
                packed.specials,
                packed.bytes
            )
        );
        assert_same(&tree, &back, Compared::all());
    }
}

#[test]
fn everything_comes_back_in_order_too() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    let file = scratch.path().join("archive.tar");
    let mut options = pack_options(&tree);
    options.compression = "none".parse().unwrap();
    pack_with(&options, &file);
    let (unpacked, notes) = unpack(&file, &scratch.path().join("back")).unwrap();
    assert_eq!(notes, []);
    assert!(!unpacked.indexed);
    assert_same(&tree, &scratch.path().join("back"), Compared::all());
}

#[test]
fn gnu_tar_extracts_the_same() {
    let scratch = scratch();
    let tree = tree::make(scratch.path(), "tree");
    let file = scratch.path().join("archive.tar.gz");
    pack(&tree, &file);
    let back = scratch.path().join("back");
    fs::create_dir(&back).unwrap();
    let options = [
        "--acls",
        "--xattrs",
        "--xattrs-include=*",
        "-xpzf",
        "../archive.tar.gz",
    ];
    run("tar", &options, &back);
    assert_same(&tree, &back, Compared::all());
}

#[test]
fn as_much_as_is_wanted_comes_back_be_it_little_or_much() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    for (folder, files) in [("few", 3), ("many", 5000)] {
        fs::create_dir_all(tree.join(folder)).unwrap();
        for n in 0..files {
            fs::write(tree.join(folder).join(n.to_string()), folder).unwrap();
        }
    }
    let file = scratch.path().join("archive.tar.gz");
    pack(&tree, &file);
    for (folder, files) in [("few", 3), ("many", 5000)] {
        let into = scratch.path().join(folder);
        fs::create_dir(&into).unwrap();
        let mut options = unpack_options();
        options.select = Select::new(&[folder.to_owned()]).unwrap();
        let reader = Reader::open(&file).unwrap();
        let facts = sg::volume::unpack(&reader, &into, &options, &Silent).unwrap();
        assert_eq!(
            (facts.files, facts.compared, facts.directories),
            (files, files, 1)
        );
        let there: Vec<_> = fs::read_dir(&into)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(there, [folder]);
    }
}
