//! Forgeries: a backup taken apart, changed, and put together again with checksums, index and seal that
//! fit what is in it now, but for what the forger overlooked.

use serde_json::{Value, json};
use sg::stream::{Compressor, Item, Pending, Piece, Reader, Writer};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Copies the backup at `original` with its manifest into `directory`, a directory of its own, with
/// the content of each record as `change` leaves it (`false`: the record goes), and seals it anew.
pub(crate) fn forge(
    original: &Path,
    directory: &Path,
    mut change: impl FnMut(&mut Item, &mut Vec<u8>) -> bool,
) -> PathBuf {
    let reader = Reader::open(original).unwrap();
    let compression = "gzip:1".parse().unwrap();
    let mut compressor = Compressor::new(compression).unwrap();
    let path = copy(original, directory);
    let mut writer = Writer::new(fs::File::create(&path).unwrap(), compression).unwrap();
    let mut archive = false;
    for record in reader.index().unwrap().unwrap() {
        let record = record.unwrap();
        let mut item = record.item;
        archive |= matches!(item, Item::Entry { .. });
        let mut content = Vec::new();
        let mut original = reader.content(record.place).unwrap();
        original.read_to_end(&mut content).unwrap();
        if !change(&mut item, &mut content) {
            continue;
        }
        let record = Pending {
            item,
            skip: 0,
            length: content.len() as u64,
            opened: false,
        };
        let piece = Piece {
            content,
            records: vec![record],
            opens: false,
        };
        writer.append(compressor.pack(piece).unwrap()).unwrap();
    }
    if archive {
        let end = Piece {
            content: vec![0; 1024],
            ..Piece::default()
        };
        writer.append(compressor.pack(end).unwrap()).unwrap();
    }
    let facts = writer.finish().unwrap().1;
    reseal(&path, |seal| {
        seal["bytes"] = json!(facts.bytes);
        seal["sha256"] = json!(facts.sha256);
        seal["content_bytes"] = json!(facts.content_bytes);
    });
    path
}

/// Copies a backup and its manifest into `directory`.
pub(crate) fn copy(original: &Path, directory: &Path) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    let path = directory.join(original.file_name().unwrap());
    fs::copy(original, &path).unwrap();
    fs::copy(seal_of(original), seal_of(&path)).unwrap();
    path
}

/// Changes a manifest.
pub(crate) fn reseal(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut seal: Value = serde_json::from_slice(&fs::read(seal_of(path)).unwrap()).unwrap();
    change(&mut seal);
    fs::write(seal_of(path), serde_json::to_vec_pretty(&seal).unwrap()).unwrap();
}

/// The manifest beside a body.
pub(crate) fn seal_of(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}.json", path.file_name().unwrap().display()))
}

/// Replaces the one place where `text` has `old`.
#[track_caller]
pub(crate) fn replace(text: &mut Vec<u8>, old: &str, new: &str) {
    let place = memchr::memmem::find(text, old.as_bytes());
    let place = place.unwrap_or_else(|| panic!("no '{old}' in {}", String::from_utf8_lossy(text)));
    text.splice(place..place + old.len(), new.bytes());
}
