//! A tree that does not stand still while it is archived: the archive is always whole, and says what
//! it could not hold.

use super::{pack_options, run, unpack};
use crate::support::scratch;
use sg::monitor::{Monitor, Note, Silent};
use sg::volume;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::Mutex;

/// An output that does something to the tree when the first piece of the first file comes: by then that
/// file is open, however late the walk's thread got its turn, and much is still to be read.
struct Trigger<F: FnMut()> {
    output: File,
    /// How many writes come before: the top directory, and the headers of the first file.
    before: u32,
    action: Option<F>,
}

impl<F: FnMut()> Write for Trigger<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.before.checked_sub(1) {
            Some(less) => self.before = less,
            None => {
                if let Some(mut action) = self.action.take() {
                    action();
                }
            }
        }
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<Note>>);

impl Monitor for Notes {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn note(&self, note: Note) {
        self.0.lock().unwrap().push(note);
    }
}

/// Archives `root` while `action` happens to it; returns what was noted: codes and base names.
fn pack_while(root: &Path, file: &Path, action: impl FnMut()) -> BTreeSet<(String, String)> {
    let mut options = pack_options(root);
    options.jobs = 1;
    let output = Trigger {
        output: File::create(file).unwrap(),
        before: 2,
        action: Some(action),
    };
    let notes = Notes::default();
    let (_, facts, _) = volume::pack(&options, output, &notes).unwrap();
    let notes = notes.0.into_inner().unwrap();
    let count = |code: &str| notes.iter().filter(|note| note.code == code).count() as u64;
    assert_eq!(facts.changed, count("file-changed"));
    assert_eq!(facts.missing, count("vanished") + count("unreadable"));
    notes
        .into_iter()
        .map(|note| {
            (
                note.code,
                note.subject.rsplit('/').next().unwrap().to_owned(),
            )
        })
        .collect()
}

/// Files of `length` bytes, so many that the walk is far from its end when the first is written.
fn many(root: &Path, length: usize) {
    fs::create_dir(root).unwrap();
    for n in 0..10 {
        fs::write(root.join(format!("file-{n:02}")), vec![b'a' + n; length]).unwrap();
    }
}

#[test]
fn large_files_change_shrink_and_grow_and_the_archive_is_whole() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    many(&tree, 20 << 20);
    let open = |name: &str| {
        OpenOptions::new()
            .write(true)
            .open(tree.join(name))
            .unwrap()
    };
    let file = scratch.path().join("archive.tar.gz");
    // With one thread and little room between the stages, the first files are open by now, and
    // the piece that is being read is far from the end.
    let noted = pack_while(&tree, &file, || {
        open("file-00").set_len(5 << 20).unwrap();
        open("file-09").set_len(1 << 20).unwrap();
    });
    let name = ("file-changed".to_owned(), "file-00".to_owned());
    assert_eq!(noted, BTreeSet::from([name.clone()]));
    run("tar", &["tzf", "archive.tar.gz"], scratch.path());
    let (_, notes) = unpack(&file, &scratch.path().join("back")).unwrap();
    assert!(notes.is_empty());
    let back = fs::read(scratch.path().join("back/file-00")).unwrap();
    assert_eq!(back.len(), 20 << 20, "the declared length is kept");
    assert!(back.iter().all(|&byte| byte == b'a' || byte == 0));
    assert_eq!(back.last(), Some(&0));
    assert_eq!(
        fs::read(scratch.path().join("back/file-09")).unwrap().len(),
        1 << 20
    );

    let noted = pack_while(&tree, &file, || {
        open("file-05").write_all_at(b"grown", 30 << 20).unwrap();
    });
    // Still to be opened when it grew, as the one before it is longer than all that may wait, so it is archived as it
    // is then.
    assert_eq!(noted, BTreeSet::new());
    let noted = pack_while(&tree, &file, || {
        open("file-00").write_all_at(b"x", 7).unwrap();
    });
    assert_eq!(noted, BTreeSet::from([name.clone()]));
    let noted = pack_while(&tree, &file, || open("file-00").set_len(30 << 20).unwrap());
    assert_eq!(noted, BTreeSet::from([name]));
    run("tar", &["tzf", "archive.tar.gz"], scratch.path());
}

#[test]
fn what_vanishes_is_counted_and_what_takes_its_place_is_not_read() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    many(&tree, 20 << 20);
    fs::write(scratch.path().join("secret"), "secret").unwrap();
    fs::create_dir(tree.join("zz")).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(tree.join("zz").join(name), vec![0; 2 << 20]).unwrap();
    }
    let file = scratch.path().join("archive.tar.gz");
    let noted = pack_while(&tree, &file, || {
        fs::remove_file(tree.join("file-05")).unwrap();
        fs::remove_dir_all(tree.join("zz")).unwrap();
        fs::create_dir(scratch.path().join("elsewhere")).unwrap();
        fs::write(scratch.path().join("elsewhere/a"), "secret").unwrap();
        symlink("../elsewhere", tree.join("zz")).unwrap();
        // A pipe must not block, a link must not be followed.
        fs::remove_file(tree.join("file-06")).unwrap();
        run("mkfifo", &["file-06"], &tree);
        fs::remove_file(tree.join("file-07")).unwrap();
        symlink("../secret", tree.join("file-07")).unwrap();
    });
    let vanished = |name: &str| ("vanished".to_owned(), name.to_owned());
    assert_eq!(noted, BTreeSet::from([vanished("file-05"), vanished("a")]));
    let back = scratch.path().join("back");
    let (facts, _) = unpack(&file, &back).unwrap();
    assert_eq!(facts.files, 7);
    assert!(fs::symlink_metadata(back.join("file-05")).is_err());
    // What came in their place is archived as what it is.
    for (name, target) in [("file-07", "../secret"), ("zz", "../elsewhere")] {
        assert_eq!(fs::read_link(back.join(name)).unwrap(), Path::new(target));
    }
}

#[test]
fn small_files_that_change_are_told() {
    // What is read in one go hardly ever changes meanwhile; so somebody writes all the time.
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..200 {
        fs::write(tree.join(format!("{n}")), vec![b'x'; 900_000]).unwrap();
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    let file = scratch.path().join("archive.tar.gz");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = fastrand::Rng::with_seed(3);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let path = tree.join(dice.u32(0..200).to_string());
                let file = OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(dice.u64(0..1_000_000)).unwrap();
            }
        });
        for _ in 0..3 {
            pack_while(&tree, &file, || ());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // However the race went, what is archived is whole and consistent with its index.
    unpack(&file, &scratch.path().join("back")).unwrap();
    run("tar", &["tzf", "archive.tar.gz"], scratch.path());
}

#[test]
fn sockets_are_skipped_with_a_note_and_nothing_else_is_amiss() {
    let scratch = scratch();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let (facts, notes) = super::pack(&tree, &scratch.path().join("archive"));
    assert_eq!(
        (facts.sockets, facts.directories, facts.entries()),
        (1, 1, 1)
    );
    assert_eq!(notes.len(), 1);
    assert!(!notes[0].is_finding());
}

#[test]
fn a_missing_root_is_a_failure() {
    let scratch = scratch();
    let options = pack_options(&scratch.path().join("missing"));
    let error = volume::pack(&options, Vec::new(), &Silent).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}
