//! Every operation on the disk fails once, and every operation is once the last one before a kill.
//! After each, whoever looks sees exactly the old state or exactly the new one; and the next run makes
//! everything clean.

use super::faulty::{Fault, Faulty};
use super::{backup, files, good, name};
use crate::support::{manifest, scratch};
use sg::Result;
use sg::catalog::Catalog;
use sg::store::Local;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Something that a store does in several steps, on a store that holds one backup.
struct Work {
    act: fn(&Local) -> Result<()>,
    /// It has at least so many operations; fewer would say that nothing was tried.
    operations: usize,
}

const COMMIT: Work = Work {
    act: |store| {
        let mut pending = store.begin(&name(3))?;
        let failed = |cause| sg::Error::io("cannot write", cause);
        pending.write_all(b"new ").map_err(failed)?;
        pending.write_all(b"content").map_err(failed)?;
        let manifest = manifest(&name(3), None, b"new content");
        pending.commit(&manifest.encode()?)?;
        Ok(())
    },
    operations: 10,
};

const REMOVE: Work = Work {
    act: |store| {
        let lock = store.lock(&name(2).source())?;
        store.remove(&name(2), &lock)
    },
    operations: 5,
};

const PROVE: Work = Work {
    act: |store| store.write_beside(&name(2).proof(), b"a new proof"),
    operations: 5,
};

/// What is seen before and after the work.
fn before_and_after(work: &Work) -> [Vec<String>; 2] {
    let scratch = scratch();
    prepare(scratch.path());
    let before = good(scratch.path());
    (work.act)(&Local::open(scratch.path())).unwrap();
    [before, good(scratch.path())]
}

fn prepare(directory: &Path) {
    let store = Local::open(directory);
    backup(&store, &name(2), None, b"old content");
    store.write_beside(&name(2).proof(), b"a proof").unwrap();
}

/// Nothing that looks like a backup is none, unless the store itself says that something is
/// unfinished.
fn check_visible(directory: &Path, allowed: &[Vec<String>; 2], when: &str) -> Vec<String> {
    let seen = good(directory);
    assert!(allowed.contains(&seen), "{when}: {seen:#?}");
    let catalog = Catalog::read(&Local::open(directory)).unwrap();
    let all_good = catalog.backups.iter().all(|backup| backup.state.is_good());
    assert!(
        all_good || !catalog.unfinished.is_empty(),
        "{when}: {:?}",
        files(directory)
    );
    seen
}

/// After recovery nothing is left but what is good.
fn check_recovered(directory: &Path, allowed: &[Vec<String>; 2], when: &str) -> Vec<String> {
    let store = Local::open(directory);
    let lock = store.lock(&name(2).source()).unwrap();
    store.recover(&name(2).source(), &lock).unwrap();
    let again = store.recover(&name(2).source(), &lock).unwrap();
    assert!(again.is_empty(), "{when}: {again:?}");
    drop(lock);

    let seen = good(directory);
    assert!(allowed.contains(&seen), "{when}: {seen:#?}");
    let catalog = Catalog::read(&store).unwrap();
    assert!(catalog.unfinished.is_empty(), "{when}");
    assert_eq!(
        catalog.backups.len(),
        seen.len(),
        "{when}: {:?}",
        files(directory)
    );
    let hidden = files(directory)
        .into_iter()
        .find(|file| file.starts_with('.'));
    assert_eq!(hidden, None, "{when}");
    // And the next run works.
    backup(&store, &name(4), None, b"the next");
    seen
}

/// Tries `work` with each of its operations failing; `fault` says how.
fn try_each(work: &Work, unnamed: bool, fault: impl Fn(usize) -> Fault) {
    let allowed = before_and_after(work);
    for at in 0.. {
        let scratch = scratch();
        prepare(scratch.path());
        let when = format!("{:?}, unnamed files: {unnamed}", fault(at));
        let disk = Arc::new(Faulty::new(fault(at), unnamed));
        let done = (work.act)(&Local::on(scratch.path(), disk.clone()));
        let seen = check_visible(scratch.path(), &allowed, &when);
        if done.is_ok() {
            assert_eq!(seen, allowed[1], "{when}");
        }
        let recovered = check_recovered(scratch.path(), &allowed, &when);
        if seen == allowed[1] {
            assert_eq!(recovered, seen, "{when}: it was done already");
        }
        if disk.count() <= at {
            assert!(done.is_ok(), "{when}");
            assert!(at >= work.operations, "only {at} operations");
            return;
        }
    }
}

/// A failure that is over by the time of the clean-up leaves the old state, and nothing else.
fn try_each_undone(work: &Work, unnamed: bool) {
    let [before, _] = before_and_after(work);
    for at in 0.. {
        let scratch = scratch();
        prepare(scratch.path());
        let clean = files(scratch.path());
        let disk = Arc::new(Faulty::new(Fault::Once(at), unnamed));
        if (work.act)(&Local::on(scratch.path(), disk)).is_ok() {
            assert!(at >= work.operations, "only {at} operations");
            return;
        }
        assert_eq!(good(scratch.path()), before, "operation {at}");
        assert_eq!(files(scratch.path()), clean, "operation {at}");
    }
}

#[test]
fn a_commit_that_fails_is_undone() {
    try_each_undone(&COMMIT, true);
    try_each_undone(&COMMIT, false);
}

#[test]
fn a_commit_on_a_failing_disk() {
    try_each(&COMMIT, true, Fault::Once);
    try_each(&COMMIT, false, Fault::Once);
}

#[test]
fn a_commit_that_is_killed() {
    try_each(&COMMIT, true, Fault::Onward);
    try_each(&COMMIT, false, Fault::Onward);
}

#[test]
fn a_commit_that_fails_and_is_killed_while_it_is_undone() {
    for later in 0..4 {
        try_each(&COMMIT, true, |at| Fault::Then(at, later));
        try_each(&COMMIT, false, |at| Fault::Then(at, later));
    }
}

#[test]
fn a_removal_on_a_failing_disk_or_killed() {
    try_each(&REMOVE, true, Fault::Once);
    try_each(&REMOVE, true, Fault::Onward);
}

#[test]
fn a_proof_on_a_failing_disk_or_killed() {
    try_each(&PROVE, true, Fault::Once);
    try_each(&PROVE, true, Fault::Onward);
}

/// Recovery may be killed as well, at any point of mending whatever a kill left.
#[test]
fn a_recovery_that_fails_or_is_killed() {
    const RECOVER: fn(&Local) -> Result<()> = |store| {
        let lock = store.lock(&name(2).source())?;
        store.recover(&name(2).source(), &lock).map(|_| ())
    };
    let mut mended = 0;
    for (work, unnamed) in [
        (&COMMIT, true),
        (&COMMIT, false),
        (&REMOVE, true),
        (&PROVE, true),
    ] {
        let allowed = before_and_after(work);
        for killed_at in 0..work.operations {
            for fault in [Fault::Once, Fault::Onward] {
                for at in 0.. {
                    let scratch = scratch();
                    prepare(scratch.path());
                    let killed = Arc::new(Faulty::new(Fault::Onward(killed_at), unnamed));
                    (work.act)(&Local::on(scratch.path(), killed)).unwrap_err();
                    let disk = Arc::new(Faulty::new(fault(at), unnamed));
                    let done = RECOVER(&Local::on(scratch.path(), disk.clone()));
                    let when = format!("killed at {killed_at}, recovery {:?}", fault(at));
                    check_visible(scratch.path(), &allowed, &when);
                    check_recovered(scratch.path(), &allowed, &when);
                    if disk.count() <= at {
                        done.unwrap();
                        mended += at;
                        break;
                    }
                }
            }
        }
    }
    assert!(mended > 40, "only {mended} operations of recovery");
}
