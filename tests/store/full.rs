//! A full disk: a real one, small, in memory. Needs the right to mount.

use super::{backup, good, name};
use crate::support::disk::SmallDisk;
use crate::support::{manifest, program, scratch};
use sg::Kind;
use sg::store::Local;
use std::fs;
use std::io::Write;

#[test]
fn a_full_disk_costs_only_the_new_backup() {
    let scratch = scratch();
    let Some(disk) = SmallDisk::mount(scratch.path(), "256k") else {
        return;
    };
    let store = Local::open(&disk.0);
    backup(&store, &name(2), None, &[b'a'; 100_000]);
    let before = good(&disk.0);
    // Cuts from "does not even begin" to "all but the manifest".
    for length in (20_000..400_000).step_by(4_096) {
        let Err(error) = write(&store, length) else {
            let lock = store.lock(&name(3).source()).unwrap();
            store.remove(&name(3), &lock).unwrap();
            continue;
        };
        assert_eq!(error.kind(), Kind::Io, "{length}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("space")));
        assert_eq!(good(&disk.0), before, "{length}");
        assert_eq!(super::files(&disk.0).len(), 2, "{length}");
    }
    assert!(write(&store, 400_000).is_err());
}

fn write(store: &Local, length: usize) -> sg::Result<()> {
    let body = vec![b'b'; length];
    let mut pending = store.begin(&name(3))?;
    pending
        .write_all(&body)
        .map_err(|cause| sg::Error::io("cannot write", cause))?;
    let manifest = manifest(&name(3), None, &body);
    pending.commit(&manifest.encode()?).map(|_| ())
}

#[test]
fn pruning_works_on_a_full_disk() {
    let scratch = scratch();
    let Some(disk) = SmallDisk::mount(scratch.path(), "256k") else {
        return;
    };
    let store = Local::open(&disk.0);
    for hour in [2, 3] {
        backup(&store, &name(hour), None, &[b'a'; 50_000]);
    }
    let mut ballast = fs::File::create(disk.0.join("ballast")).unwrap();
    while ballast.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    program("sg-prune")
        .args(["--keep-last", "1", "--directory"])
        .arg(&disk.0)
        .assert()
        .success();
    assert_eq!(good(&disk.0).len(), 1);
}
