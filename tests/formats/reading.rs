//! Our own reading: all of it in order, from a file or a pipe, ours or another tool's; and any part by
//! the index alone.

use super::{CONTENT, PIECES, file};
use crate::support::scratch;
use sg::stream::contents::contents_of;
use sg::stream::reader::Layout;
use sg::stream::{Codec, Item, Reader};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

const OURS: [&str; 3] = ["gzip:5", "zstd:3", "none"];

fn all(mut input: impl Read) -> Vec<u8> {
    let mut content = Vec::new();
    input.read_to_end(&mut content).unwrap();
    content
}

fn compressed_by(command: &[&str], directory: &Path) -> std::path::PathBuf {
    let plain = directory.join("plain");
    std::fs::write(&plain, &*CONTENT).unwrap();
    let path = directory.join("foreign");
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::from(File::open(&plain).unwrap()))
        .stdout(File::create(&path).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    path
}

#[test]
fn all_content_in_order_on_any_number_of_threads() {
    let directory = scratch();
    for compression in OURS {
        let path = file(directory.path(), compression);
        for jobs in [1, 2, 7] {
            let reader = Reader::open(&path).unwrap();
            assert!(all(reader.contents(jobs).unwrap()) == *CONTENT);
            let piped = contents_of(File::open(&path).unwrap(), jobs).unwrap();
            assert!(all(piped) == *CONTENT, "{compression}, {jobs} jobs");
        }
    }
}

#[test]
fn files_of_other_tools() {
    let directory = scratch();
    for (command, codec) in [
        (["gzip", "-c"], Codec::Gzip),
        (["pigz", "-c"], Codec::Gzip),
        (["zstd", "-c"], Codec::Zstd),
    ] {
        let path = compressed_by(&command, directory.path());
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.layout(), Layout::Foreign(codec));
        assert!(reader.index().unwrap().is_none());
        assert!(all(reader.contents(2).unwrap()) == *CONTENT);
    }
}

#[test]
fn any_part_by_the_index() {
    let directory = scratch();
    for compression in ["gzip:5", "zstd:3"] {
        let reader = Reader::open(&file(directory.path(), compression)).unwrap();
        let (mut whole, mut bytes) = (0, 0);
        for record in reader.index().unwrap().unwrap() {
            let record = record.unwrap();
            let Item::Entry { path, .. } = record.item else {
                panic!("an item that was not written");
            };
            let path = String::from_utf8(path).unwrap();
            let number: usize = path["piece ".len()..]
                .split('/')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let content = all(reader.content(record.place).unwrap());
            let from = record.place.skip as usize;
            let expected = &PIECES[number][from..from + record.place.length as usize];
            assert!(content == expected, "{path}");
            if path.contains('/') {
                bytes += 1;
            } else {
                whole += 1;
            }
        }
        assert_eq!((whole, bytes), (5, 2000));
    }
}

#[test]
fn a_place_behind_the_end_is_an_error() {
    let directory = scratch();
    let reader = Reader::open(&file(directory.path(), "gzip:5")).unwrap();
    let place = sg::stream::Place {
        member: 0,
        skip: u32::MAX,
        length: 1,
    };
    assert!(reader.content(place).is_err());
}
