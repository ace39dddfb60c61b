//! The stream format: every tool reads it, ours reads it in parts, and damage never comes out as
//! content.

mod damage;
mod readers;
mod reading;

use sg::stream::{Compression, Compressor, Pending, Piece, Writer};
use sg::stream::{EntryKind, Item};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Content with all that codecs treat differently: text, zeros, noise, and a piece that is longer
/// than a member.
static PIECES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut dice = fastrand::Rng::with_seed(5);
    let mut text = |lines: u64| -> Vec<u8> {
        (0..lines)
            .flat_map(|n| format!("{n}\tcustomer {}\tsent\n", dice.u32(..)).into_bytes())
            .collect()
    };
    let (short, long) = (text(1000), text(90_000));
    let mut noise = vec![0; 700_000];
    fastrand::Rng::with_seed(6).fill(&mut noise);
    vec![short, vec![0; 1 << 20], noise, long, b"end".to_vec()]
});

/// The same in one.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| PIECES.concat());

/// A file of ours at `directory` with that content, and an index that needs several members.
pub(super) fn file(directory: &Path, compression: &str) -> PathBuf {
    let compression: Compression = compression.parse().unwrap();
    let mut compressor = Compressor::new(compression).unwrap();
    let mut writer = Writer::new(Vec::new(), compression).unwrap();
    let mut dice = fastrand::Rng::with_seed(7);
    for (number, content) in PIECES.iter().cloned().enumerate() {
        let whole = content.len() as u64;
        let mut records: Vec<Pending> = (0..400)
            .map(|n| Pending {
                item: Item::Entry {
                    path: format!("piece {number}/file {n}").into_bytes(),
                    kind: EntryKind::File,
                    size: 1,
                    digest: Some(blake3::hash(&dice.u64(..).to_le_bytes()).into()),
                    changed: false,
                },
                skip: n.min(content.len() as u32 - 1),
                length: 1,
                opened: false,
            })
            .collect();
        records.push(Pending {
            item: Item::Entry {
                path: format!("piece {number}").into_bytes(),
                kind: EntryKind::File,
                size: whole,
                digest: None,
                changed: false,
            },
            skip: 0,
            length: whole,
            opened: false,
        });
        let piece = Piece {
            content,
            records,
            opens: false,
        };
        writer.append(compressor.pack(piece).unwrap()).unwrap();
    }
    let (bytes, facts) = writer.finish().unwrap();
    assert_eq!(facts.bytes, bytes.len() as u64);
    let path = directory.join(format!("file{}", compression.extension()));
    std::fs::write(&path, bytes).unwrap();
    path
}
