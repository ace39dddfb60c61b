//! Archives that want to write elsewhere, or to eat all memory: they are extracted into a scratch
//! directory by our extractor alone, and what lies around it must stay as it was.

use super::craft::{Craft, archive, record};
use super::{is_root, unpack};
use crate::support::scratch;
use sg::stream::{Compression, Compressor, EntryKind, Item, Pending, Piece, Writer};
use sg::{Kind, Result};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A scratch directory in which something precious lies beside the target.
struct Scene {
    scratch: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scratch = scratch();
        fs::write(scratch.path().join("precious"), "precious").unwrap();
        fs::create_dir(scratch.path().join("private")).unwrap();
        Self { scratch }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Extracts these bytes; returns the notes' codes.
    fn extract(&self, bytes: &[u8]) -> Result<Vec<String>> {
        let file = self.path("hostile");
        fs::write(&file, bytes).unwrap();
        self.extract_file(&file)
    }

    fn extract_file(&self, file: &Path) -> Result<Vec<String>> {
        let before = self.look();
        let result = unpack(file, &self.path("target"));
        assert_eq!(self.look(), before);
        let (_, notes) = result?;
        Ok(notes.into_iter().map(|note| note.code).collect())
    }

    /// What must stay as it is.
    fn look(&self) -> Vec<String> {
        assert_eq!(fs::read_dir(self.path("private")).unwrap().count(), 0);
        let look = |name: &str| {
            let path = self.path(name);
            let metadata = fs::metadata(&path).unwrap();
            let changed = (metadata.ctime(), metadata.ctime_nsec());
            let content = fs::read(path).ok();
            format!("{name} {:o} {changed:?} {content:?}", metadata.mode())
        };
        ["precious", "private"].map(look).to_vec()
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    let scene = Scene::new();
    let outside = scene.path("precious");
    let notes = scene
        .extract(&archive(&[
            Craft::file("../precious", "overwritten"),
            Craft::file("a/../../precious", "overwritten"),
            Craft::directory("../private"),
            Craft::file("..", "x"),
            Craft::file("good", "good"),
            Craft::file(outside.to_str().unwrap(), "kept inside"),
            Craft::pax(&record("path", b"../precious")),
            Craft::file("innocent", "overwritten"),
            Craft::pax(&record("path", b"nul\0inside")),
            Craft::file("innocent", "overwritten"),
        ]))
        .unwrap();
    assert_eq!(notes, ["not-restored"; 6]);
    assert_eq!(fs::read(scene.path("target/good")).unwrap(), b"good");
    let inside = scene
        .path("target")
        .join(outside.strip_prefix("/").unwrap());
    assert_eq!(fs::read(inside).unwrap(), b"kept inside");
    assert!(!scene.path("target/innocent").exists());
}

#[test]
fn nothing_is_written_through_a_symbolic_link() {
    let scene = Scene::new();
    let notes = scene
        .extract(&archive(&[
            Craft::link("up", b'2', ".."),
            Craft::file("up/precious", "overwritten"),
            Craft::link("absolute", b'2', scene.path("private").to_str().unwrap()),
            Craft::file("absolute/new", "written"),
            Craft::directory("absolute/directory"),
            Craft::link("absolute/link", b'2', "x"),
            Craft::new(b"absolute/pipe", b'6', b""),
            // A directory entry must not change what the link leads to.
            Craft::directory("absolute"),
            Craft::directory("up"),
        ]))
        .unwrap();
    assert!(notes.len() >= 5, "{notes:?}");
    assert_eq!(
        fs::read_link(scene.path("target/up")).ok(),
        None,
        "replaced, as tar does"
    );
}

#[test]
fn a_file_replaces_a_link_instead_of_following_it() {
    let scene = Scene::new();
    let notes = scene
        .extract(&archive(&[
            Craft::link("name", b'2', "../precious"),
            Craft::file("name", "a file of its own"),
        ]))
        .unwrap();
    assert!(notes.is_empty());
    assert_eq!(
        fs::read(scene.path("target/name")).unwrap(),
        b"a file of its own"
    );
    assert!(!scene.path("target/name").is_symlink());
}

#[test]
fn hard_links_reach_nothing_outside() {
    let scene = Scene::new();
    let outside = scene.path("precious");
    let notes = scene
        .extract(&archive(&[
            Craft::link("dots", b'1', "../precious"),
            Craft::link("absolute", b'1', outside.to_str().unwrap()),
            Craft::link("up", b'2', ".."),
            Craft::link("through", b'1', "up/precious"),
            Craft::link("root", b'1', "/"),
            Craft::link("self", b'1', "self"),
        ]))
        .unwrap();
    assert_eq!(notes, ["not-restored"; 5]);
    assert_eq!(fs::read_dir(scene.path("target")).unwrap().count(), 1);
}

#[test]
fn an_entry_named_root_is_the_target_and_not_the_hosts() {
    let before = fs::metadata("/").unwrap();
    for name in ["/", "./", ".", "//", "/.", ""] {
        let scene = Scene::new();
        let mut root = Craft::directory(name);
        root.header[100..107].copy_from_slice(b"0000750");
        assert_eq!(
            scene.extract(&archive(&[root])).unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(
            fs::metadata(scene.path("target")).unwrap().mode() & 0o7777,
            0o750
        );
        // No other kind of entry takes the target's place.
        fs::remove_dir(scene.path("target")).unwrap();
        if name != "./" && name != "/" && name != "//" && !name.is_empty() {
            let notes = scene.extract(&archive(&[Craft::file(name, "x")])).unwrap();
            assert_eq!(notes, ["not-restored"]);
        }
    }
    let after = fs::metadata("/").unwrap();
    assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
    // Somebody else may have made a file there meanwhile, but not at the time that the entries say.
    assert_ne!(after.mtime(), 0o14_000_000_000);
}

#[test]
fn a_device_is_made_and_never_written_to() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let mut device = Craft::new(b"null", b'3', b"");
    device.header[329..336].copy_from_slice(b"0000001");
    device.header[337..344].copy_from_slice(b"0000003");
    let notes = scene
        .extract(&archive(&[
            device,
            Craft::file("null", "not into the device"),
        ]))
        .unwrap();
    assert!(notes.is_empty());
    assert_eq!(
        fs::read(scene.path("target/null")).unwrap(),
        b"not into the device"
    );
}

#[test]
fn lengths_that_lie_are_damage_and_take_no_memory() {
    let huge = *b"77777777777\0";
    let binary = *b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff";
    let negative = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    for size in [huge, binary, negative] {
        for kind in *b"0xgLKS" {
            let scene = Scene::new();
            let entry = Craft::new(b"name", kind, b"short").claims(&size);
            let error = scene.extract(&archive(&[entry])).unwrap_err();
            assert_eq!(error.kind(), Kind::Damaged, "{}: {error}", kind as char);
        }
    }
    for records in [
        record("size", b"99999999999999999999"),
        record("size", b"-1"),
        record(
            "GNU.sparse.map",
            b"0,9223372036854775807,9223372036854775807,5",
        ),
        record("GNU.sparse.numbytes", b"5"),
        [
            record("GNU.sparse.major", b"1"),
            record("GNU.sparse.realsize", b"10"),
        ]
        .concat(),
        record("mtime", b"soon"),
        b"99999999 path=x\n".to_vec(),
        b"5 \n".to_vec(),
    ] {
        let scene = Scene::new();
        let entries = [Craft::pax(&records), Craft::file("name", "content")];
        let error = scene.extract(&archive(&entries)).unwrap_err();
        assert_eq!(
            error.kind(),
            Kind::Damaged,
            "{}: {error}",
            records.escape_ascii()
        );
    }
}

#[test]
fn a_map_that_claims_much_takes_no_room() {
    let scene = Scene::new();
    // 8 EiB of nothing.
    let records = [
        record("GNU.sparse.major", b"1"),
        record("GNU.sparse.minor", b"0"),
        record("GNU.sparse.name", b"holes"),
        record("GNU.sparse.realsize", b"9223372036854775807"),
    ]
    .concat();
    let mut map = b"1\n9223372036854775807\n0\n".to_vec();
    map.resize(512, 0);
    let entries = [
        Craft::pax(&records),
        Craft::new(b"x", b'0', &map),
        Craft::file("next", "next"),
    ];
    let notes = scene.extract(&archive(&entries)).unwrap();
    assert_eq!(
        notes,
        ["not-restored"],
        "longer than any file system allows"
    );
    assert_eq!(fs::read(scene.path("target/next")).unwrap(), b"next");
}

#[test]
fn an_index_that_lies_is_damage_and_one_that_makes_no_sense_is_passed_over() {
    let entry = |path: &[u8], length| Pending {
        item: Item::Entry {
            path: path.to_vec(),
            kind: EntryKind::File,
            size: 7,
            digest: Some(blake3::hash(b"content").into()),
            changed: false,
        },
        skip: 0,
        length,
        opened: false,
    };
    let honest = Craft::file("name", "content").bytes();
    let length = honest.len() as u64;
    let mut lying = entry(b"name", length);
    lying.skip = u32::MAX;
    let mut other = entry(b"name", length);
    if let Item::Entry { digest, .. } = &mut other.item {
        *digest = Some(blake3::hash(b"other content").into());
    }
    // What comes out: nothing, or everything with these notes.
    let in_order = Some(vec!["no-index".to_owned()]);
    for (records, wanted) in [
        (vec![entry(b"name", length)], Some(vec![])),
        (vec![entry(b"other", length)], None),
        (vec![entry(b"name", u64::MAX)], in_order.clone()),
        (
            vec![entry(b"name", length), entry(b"name", length)],
            in_order.clone(),
        ),
        (vec![], in_order),
        (vec![lying], None),
        (vec![other], None),
    ] {
        let scene = Scene::new();
        let file = scene.path("hostile");
        let compression: Compression = "gzip:5".parse().unwrap();
        let mut compressor = Compressor::new(compression).unwrap();
        let mut writer = Writer::new(File::create(&file).unwrap(), compression).unwrap();
        let end = Piece {
            content: vec![0; 1024],
            ..Piece::default()
        };
        for piece in [
            Piece {
                content: honest.clone(),
                records,
                opens: false,
            },
            end,
        ] {
            writer.append(compressor.pack(piece).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        match scene.extract_file(&file) {
            Ok(notes) => {
                assert_eq!(Some(notes), wanted);
                assert_eq!(fs::read(scene.path("target/name")).unwrap(), b"content");
            }
            Err(error) => assert!(wanted.is_none() && error.kind() == Kind::Damaged, "{error}"),
        }
    }
}
