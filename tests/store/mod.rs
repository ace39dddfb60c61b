//! What a store promises, tried on every way that it can lie on a disk: with files that have no name
//! until they are complete, and where the file system has no such files; on a disk that fails at any
//! operation, and on one that is full.

mod conformance;
mod faults;
mod faulty;
mod full;

use crate::support::{backup, time};
use faulty::{Fault, Faulty};
use sg::catalog::Catalog;
use sg::store::{BackupName, Local};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// A backup's name; all are of one source, `hour` makes the difference.
fn name(hour: u8) -> BackupName {
    let time = time(&format!("2026-11-21T{hour:02}:30:00Z"));
    BackupName::new("db", "shop", time, ".sql.gz").unwrap()
}

/// A store in `directory`, on a file system with or without unnamed files.
fn store(directory: &Path, unnamed: bool) -> Local {
    Local::on(directory, Arc::new(Faulty::new(Fault::None, unnamed)))
}

/// What can be seen in a store by whoever trusts it: each good backup with its content and proof.
fn good(directory: &Path) -> Vec<String> {
    let catalog = Catalog::read(&Local::open(directory)).unwrap();
    let good = catalog
        .backups
        .iter()
        .filter(|backup| backup.state.is_good());
    good.map(|backup| {
        let body = fs::read_to_string(&backup.path).unwrap();
        let proof = directory.join(backup.name.proof());
        let proof = fs::read_to_string(proof).unwrap_or_default();
        format!("{} [{body}] {proof}", backup.name)
    })
    .collect()
}

/// The names of all files but the locks.
fn files(directory: &Path) -> Vec<String> {
    let files = Local::open(directory).files().unwrap();
    let is_lock = |file: &String| file.starts_with(".lock_");
    files.into_iter().filter(|file| !is_lock(file)).collect()
}

/// The suite for every kind of disk.
macro_rules! on_every_disk {
    ($($test:ident)*) => {
        mod with_unnamed_files {
            $(#[test] fn $test() { super::conformance::$test(true); })*
        }
        mod without_unnamed_files {
            $(#[test] fn $test() { super::conformance::$test(false); })*
        }
    };
}

on_every_disk! {
    a_committed_backup_is_whole_and_only_for_its_owner
    nothing_is_visible_before_the_commit
    what_is_dropped_leaves_nothing
    one_writer_a_source
    a_name_is_given_once
    a_removal_takes_everything
    what_is_read_stays
    proofs_are_replaced_whole
    a_killed_holder_frees_the_lock
}
