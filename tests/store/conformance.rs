//! The suite that every kind of store has to pass.

use super::{backup, files, good, name, store};
use crate::support::{manifest, scratch};
use sg::Kind;
use sg::manifest::Manifest;
use sg::stream::Reader;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};

pub(super) fn a_committed_backup_is_whole_and_only_for_its_owner(unnamed: bool) {
    let scratch = scratch();
    let directory = scratch.path().join("deep/store");
    sg::store::Local::create(&directory).unwrap();
    let path = backup(&store(&directory, unnamed), &name(2), None, b"content");

    assert_eq!(fs::read(&path).unwrap(), b"content");
    let seal = path.with_file_name(name(2).manifest());
    let sealed = Manifest::beside(&path).unwrap().unwrap();
    let mut expected = manifest(&name(2), None, b"content");
    expected.finished = sealed.finished;
    assert_eq!(sealed, expected);
    for (path, mode) in [(path, 0o600), (seal, 0o600), (directory, 0o700)] {
        let found = path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{}", path.display());
    }
}

pub(super) fn nothing_is_visible_before_the_commit(unnamed: bool) {
    let scratch = scratch();
    let store = store(scratch.path(), unnamed);
    let mut pending = store.begin(&name(2)).unwrap();
    pending.write_all(b"content").unwrap();
    assert!(good(scratch.path()).is_empty());
    assert!(
        files(scratch.path())
            .iter()
            .all(|file| file.starts_with('.'))
    );
    let manifest = manifest(&name(2), None, b"content").encode().unwrap();
    pending.commit(&manifest).unwrap();
    assert_eq!(
        files(scratch.path()),
        [name(2).to_string(), name(2).manifest()]
    );
}

pub(super) fn what_is_dropped_leaves_nothing(unnamed: bool) {
    let scratch = scratch();
    let mut pending = store(scratch.path(), unnamed).begin(&name(2)).unwrap();
    pending.write_all(b"content").unwrap();
    drop(pending);
    assert!(files(scratch.path()).is_empty());
}

pub(super) fn one_writer_a_source(unnamed: bool) {
    let scratch = scratch();
    let store = store(scratch.path(), unnamed);
    let first = store.begin(&name(2)).unwrap();
    let refused = store.begin(&name(3)).err().unwrap();
    assert_eq!(refused.kind(), Kind::Locked);
    let mut other = name(3);
    other.name = "another".to_owned();
    store.begin(&other).unwrap();
    drop(first);
    store.begin(&name(3)).unwrap();
}

pub(super) fn a_name_is_given_once(unnamed: bool) {
    let scratch = scratch();
    let store = store(scratch.path(), unnamed);
    backup(&store, &name(2), None, b"first");
    let refused = store.begin(&name(2)).err().unwrap();
    assert_eq!(refused.kind(), Kind::CannotCreate);
    assert_eq!(good(scratch.path()), [format!("{} [first] ", name(2))]);

    // Another tool puts a file of that name there meanwhile.
    let pending = store.begin(&name(3)).unwrap();
    fs::write(store.path(&name(3)), "foreign").unwrap();
    let manifest = manifest(&name(3), None, b"").encode().unwrap();
    assert_eq!(
        pending.commit(&manifest).unwrap_err().kind(),
        Kind::CannotCreate
    );
    assert_eq!(fs::read(store.path(&name(3))).unwrap(), b"foreign");
    assert_eq!(good(scratch.path()).len(), 1);
}

pub(super) fn a_removal_takes_everything(unnamed: bool) {
    let scratch = scratch();
    let store = store(scratch.path(), unnamed);
    backup(&store, &name(2), None, b"content");
    store.write_beside(&name(2).proof(), b"{}").unwrap();
    let lock = store.lock(&name(2).source()).unwrap();
    store.remove(&name(2), &lock).unwrap();
    assert!(files(scratch.path()).is_empty());
    // What is gone already can be removed again.
    store.remove(&name(2), &lock).unwrap();
}

pub(super) fn what_is_read_stays(unnamed: bool) {
    let scratch = scratch();
    let store = store(scratch.path(), unnamed);
    let path = backup(&store, &name(2), None, b"content");
    let before = good(scratch.path());
    let reader = Reader::open(&path).unwrap();
    let lock = store.lock(&name(2).source()).unwrap();
    let refused = store.remove(&name(2), &lock).unwrap_err();
    assert_eq!(refused.kind(), Kind::Locked);
    assert_eq!(good(scratch.path()), before);
    drop(reader);
    store.remove(&name(2), &lock).unwrap();
}

pub(super) fn proofs_are_replaced_whole(unnamed: bool) {
    let scratch = scratch();
    let store = store(scratch.path(), unnamed);
    backup(&store, &name(2), None, b"content");
    let proof = |letter: u8| vec![letter; 20_000];
    store.write_beside(&name(2).proof(), &proof(b'a')).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (b'a'..b'd')
            .map(|letter| {
                let store = &store;
                scope.spawn(move || {
                    for _ in 0..20 {
                        store
                            .write_beside(&name(2).proof(), &proof(letter))
                            .unwrap();
                    }
                })
            })
            .collect();
        // Runs that begin and clear up meanwhile must not take the work of the living away.
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                drop(store.begin(&name(3)).unwrap());
                let seen = store.read_beside(&name(2).proof()).unwrap().unwrap();
                assert_eq!(seen, proof(seen[0]));
            }
        });
        let results: Vec<_> = writers.into_iter().map(ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        assert!(results.iter().all(Result::is_ok));
    });
    assert_eq!(files(scratch.path()).len(), 3);
}

pub(super) fn a_killed_holder_frees_the_lock(unnamed: bool) {
    let scratch = scratch();
    let store = store(scratch.path(), unnamed);
    drop(store.lock("db_shop").unwrap());
    let mut holder = Command::new("flock")
        .args(["--no-fork"])
        .arg(scratch.path().join(".lock_db_shop"))
        .args(["sh", "-c", "echo held; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(store.begin(&name(2)).err().unwrap().kind(), Kind::Locked);
    holder.kill().unwrap();
    holder.wait().unwrap();
    store.begin(&name(2)).unwrap();
}
