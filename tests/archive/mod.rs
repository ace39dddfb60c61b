//! Archives of directory trees: what a file is comes back, from our hands and from other tools', and
//! nothing that an archive says reaches outside its target.

mod config;
mod craft;
mod foreign;
mod hostile;
mod lying;
mod moving;
mod program;
mod restore;
mod round_trip;
mod tree;

use sg::monitor::{Collector, Note, Silent};
use sg::stream::Reader;
use sg::volume::{self, Exclude, PackFacts, PackOptions, Select, UnpackFacts, UnpackOptions};
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// How everything is archived unless a test says otherwise.
pub(super) fn pack_options(root: &Path) -> PackOptions {
    PackOptions {
        whole_paths: false,
        roots: vec![root.to_owned()],
        exclude: Exclude::default(),
        one_file_system: false,
        compression: "gzip:5".parse().unwrap(),
        jobs: 3,
    }
}

/// Archives `root` to `file`.
pub(super) fn pack(root: &Path, file: &Path) -> (PackFacts, Vec<Note>) {
    pack_with(&pack_options(root), file)
}

pub(super) fn pack_with(options: &PackOptions, file: &Path) -> (PackFacts, Vec<Note>) {
    let collector = Collector::new(&Silent);
    let (_, facts, _) = volume::pack(options, File::create(file).unwrap(), &collector).unwrap();
    (facts, collector.notes())
}

/// How everything is extracted unless a test says otherwise.
pub(super) fn unpack_options() -> UnpackOptions {
    UnpackOptions {
        select: Select::default(),
        numeric_owner: false,
        jobs: 3,
        floor: 0,
    }
}

/// Extracts `file` into the directory `into`, which it makes.
pub(super) fn unpack(file: &Path, into: &Path) -> sg::Result<(UnpackFacts, Vec<Note>)> {
    std::fs::create_dir(into).unwrap();
    let collector = Collector::new(&Silent);
    let reader = Reader::open(file)?;
    let facts = volume::unpack(&reader, into, &unpack_options(), &collector)?;
    Ok((facts, collector.notes()))
}

/// Runs a stock tool, which must succeed; returns what it printed.
pub(super) fn run(program: &str, arguments: &[&str], directory: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether the tests may make devices and give files away.
pub(super) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
