//! Archives whose index says something else than they hold: verifying them tells what.

use super::craft::Craft;
use crate::support::scratch;
use sg::monitor::Silent;
use sg::stream::{Compression, Compressor, EntryKind, Item, Pending, Piece, Writer};
use sg::verify::{Options, Report, Verdict, verify};
use std::fs::File;

/// An entry as the index knows it, if its content is this.
fn listed(path: &str, content: &[u8], skip: usize) -> Pending {
    Pending {
        item: Item::Entry {
            path: path.into(),
            kind: EntryKind::File,
            size: content.len() as u64,
            digest: Some(blake3::hash(content).into()),
            changed: false,
        },
        skip: skip as u32,
        length: 512 + content.len().next_multiple_of(512) as u64,
        opened: false,
    }
}

/// A member of small files, listed as they are.
fn small(files: &[(&str, &str)]) -> Piece {
    let mut piece = Piece::default();
    for (path, content) in files {
        let skip = piece.content.len();
        piece.records.push(listed(path, content.as_bytes(), skip));
        piece.content.extend(Craft::file(path, content).bytes());
    }
    piece
}

/// A file whose headers, content and record are in a member each.
fn large(path: &str) -> [Piece; 3] {
    let content = "large ".repeat(1000);
    let bytes = Craft::file(path, &content).bytes();
    let (header, rest) = bytes.split_at(512);
    let mut record = listed(path, content.as_bytes(), 0);
    record.opened = true;
    let piece = |content: &[u8], records, opens| Piece {
        content: content.to_vec(),
        records,
        opens,
    };
    [
        piece(header, vec![], true),
        piece(rest, vec![], false),
        piece(b"", vec![record], false),
    ]
}

/// An archive as ours are: small files, large ones, the mark of its end.
fn honest() -> Vec<Piece> {
    let mut pieces = vec![small(&[("a", "of a"), ("b", "")])];
    pieces.extend(large("c"));
    pieces.push(small(&[("d", "of d")]));
    pieces.extend(large("e"));
    pieces.extend(large("f"));
    pieces.push(small(&[("g", "of g"), ("h", "of h")]));
    pieces.push(Piece {
        content: vec![0; 1024],
        ..Piece::default()
    });
    pieces
}

fn verified(pieces: Vec<Piece>) -> Report {
    let directory = scratch();
    let path = directory.path().join("files.tar.gz");
    let compression: Compression = "gzip:5".parse().unwrap();
    let mut compressor = Compressor::new(compression).unwrap();
    let mut writer = Writer::new(File::create(&path).unwrap(), compression).unwrap();
    for piece in pieces {
        writer.append(compressor.pack(piece).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    verify(&path, &Options { jobs: 2 }, &Silent).unwrap()
}

#[test]
fn an_honest_archive_is_sound_and_counted() {
    let report = verified(honest());
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.notes);
    assert_eq!((report.found.entries, report.found.file_bytes), (8, 18_016));
}

#[test]
fn whatever_the_index_says_wrong_is_told() {
    type Change = fn(&mut Vec<Piece>);
    fn item(pieces: &mut [Piece], piece: usize, change: impl FnOnce(&mut Pending)) {
        change(&mut pieces[piece].records[0]);
    }
    let cases: [(&str, Change); 12] = [
        ("'a' has another name than", |pieces| {
            pieces[0].records[0] = listed("x", b"of a", 0);
        }),
        ("'a' has another kind than", |pieces| {
            item(pieces, 0, |record| {
                if let Item::Entry { kind, .. } = &mut record.item {
                    *kind = EntryKind::Directory;
                }
            });
        }),
        ("'d' has another size than", |pieces| {
            pieces[4].records[0] = listed("d", b"of d and more", 0);
        }),
        ("'d' has other content than", |pieces| {
            pieces[4].records[0] = listed("d", b"or d", 0);
        }),
        ("'e' has other content than", |pieces| {
            item(pieces, 7, |record| {
                if let Item::Entry { digest, .. } = &mut record.item {
                    *digest = Some(blake3::hash(b"other").into());
                }
            });
        }),
        ("'a' has another place than", |pieces| {
            item(pieces, 0, |record| record.length += 512);
        }),
        ("'d' has another place than", |pieces| {
            item(pieces, 4, |record| record.skip = 512);
        }),
        // One that reaches into what the next members hold, and one that ends before them.
        ("'e' has another place than", |pieces| {
            item(pieces, 7, |record| record.length += 512);
        }),
        ("the index has an entry end where none does", |pieces| {
            item(pieces, 3, |record| record.length -= 512);
        }),
        ("the index does not know 'h'", |pieces| {
            pieces[11].records.pop();
        }),
        // All that tar would read ends before the members that the index lists behind it.
        ("the index has an entry end where none does", |pieces| {
            pieces.insert(
                4,
                Piece {
                    content: vec![0; 1024],
                    ..Piece::default()
                },
            );
        }),
        // A header that would give all entries behind it another name.
        ("it has a header for all entries", |pieces| {
            let header = Craft::new(b"all", b'g', b"16 path=another\n").bytes();
            let piece = &mut pieces[4];
            piece.records[0].length += header.len() as u64;
            piece.content.splice(0..0, header);
        }),
    ];
    for (wanted, change) in cases {
        let mut pieces = honest();
        change(&mut pieces);
        let report = verified(pieces);
        let told: Vec<_> = report.notes.iter().map(|note| &note.message).collect();
        assert_eq!(report.verdict, Verdict::Damaged, "{wanted}: {told:?}");
        assert!(
            told.iter().any(|message| message.contains(wanted)),
            "{wanted}: {told:?}"
        );
    }
}
