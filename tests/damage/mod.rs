//! What can happen to a backup on its way and in its years on a disk: all of it found, and never a
//! false alarm.

mod kills;
mod known;
mod sealed;

use crate::support::postgres::Cluster;
use crate::support::{program, scratch};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

/// A store with a dump and an archive, made once; the tests damage copies.
static STORE: LazyLock<Store> = LazyLock::new(Store::new);

struct Store {
    _directory: TempDir,
    dump: PathBuf,
    archive: PathBuf,
}

impl Store {
    fn new() -> Self {
        let directory = scratch();
        let cluster = Cluster::start();
        cluster.create("shop", &[]);
        cluster.sql(
            "shop",
            "CREATE TABLE orders (id serial PRIMARY KEY, note text, at timestamptz);
             INSERT INTO orders (note, at)
                 SELECT md5(n::text) || repeat(' sent', n % 9), timestamptz '2026-01-01' + n * interval '1 min'
                 FROM generate_series(1, 60000) n;
             CREATE TABLE empty (a int); CREATE TABLE one (a text); INSERT INTO one VALUES (E'\\\\.\\n')",
        );
        let dump = made(
            program("sg-dump-db")
                .envs(cluster.environment())
                .args(["--database", "shop", "--directory"])
                .arg(directory.path()),
        );
        let tree = scratch();
        plant(tree.path());
        let archive = made(
            program("sg-archive-volume")
                .arg(tree.path())
                .args(["--name", "files", "--directory"])
                .arg(directory.path()),
        );
        Self {
            _directory: directory,
            dump,
            archive,
        }
    }

    fn bodies(&self) -> [&Path; 2] {
        [&self.dump, &self.archive]
    }
}

/// Runs a program that makes a backup, and returns the path that it prints.
fn made(command: &mut assert_cmd::Command) -> PathBuf {
    let output = command.assert().success().get_output().stdout.clone();
    PathBuf::from(String::from_utf8(output).unwrap().trim_end())
}

/// A tree with small files and some that are larger than a member.
fn plant(root: &Path) {
    let mut dice = fastrand::Rng::with_seed(3);
    for folder in 0..10 {
        let folder = root.join(format!("folder {folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..30 {
            let text = format!("{file} ").repeat(dice.usize(..4000));
            fs::write(folder.join(format!("file-{file}.txt")), text).unwrap();
        }
    }
    let mut noise = vec![0; 3_000_000];
    dice.fill(&mut noise);
    fs::write(root.join("photo.jpg"), noise).unwrap();
    fs::write(root.join("zeros"), vec![0; 2_500_000]).unwrap();
}
