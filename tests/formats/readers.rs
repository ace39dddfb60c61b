//! The tools that a person without ours would use: each must give the content, byte for byte.

use super::{CONTENT, file};
use crate::support::scratch;
use std::fs::File;
use std::process::{Command, Stdio};

const PERL: &str = "use IO::Uncompress::Gunzip qw(gunzip $GunzipError); binmode STDOUT; \
                    gunzip('-' => '-', MultiStream => 1) or die $GunzipError";
const PYTHON: &str = "import gzip, shutil, sys; \
                      shutil.copyfileobj(gzip.open(sys.stdin.buffer), sys.stdout.buffer)";
const NODE: &str = "process.stdin.pipe(require('zlib').createGunzip()).pipe(process.stdout)";

#[track_caller]
fn reads(compression: &str, command: &[&str]) {
    let directory = scratch();
    let path = file(directory.path(), compression);
    let output = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::from(File::open(path).unwrap()))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `make check` installs it", command[0]));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    assert!(
        output.stdout == *CONTENT,
        "{command:?} gives {} bytes of other content",
        output.stdout.len()
    );
}

#[test]
fn gunzip() {
    reads("gzip:5", &["gunzip", "-c"]);
}

#[test]
fn pigz() {
    reads("gzip:5", &["pigz", "-dc"]);
}

#[test]
fn busybox() {
    reads("gzip:5", &["busybox", "gunzip", "-c"]);
}

#[test]
fn bsdcat() {
    reads("gzip:5", &["bsdcat", "-"]);
}

#[test]
fn seven_zip() {
    reads("gzip:5", &["7z", "x", "-tgzip", "-si", "-so"]);
}

#[test]
fn perl() {
    reads("gzip:5", &["perl", "-e", PERL]);
}

#[test]
fn python() {
    reads("gzip:5", &["python3", "-c", PYTHON]);
}

#[test]
fn node() {
    reads("gzip:5", &["node", "-e", NODE]);
}

#[test]
fn every_level_of_gzip() {
    for level in 1..=12 {
        reads(&format!("gzip:{level}"), &["gunzip", "-c"]);
    }
}

#[test]
fn zstd() {
    for level in [1, 3, 19] {
        reads(&format!("zstd:{level}"), &["zstd", "-dc"]);
    }
}

#[test]
fn bsdcat_reads_zstd() {
    reads("zstd:3", &["bsdcat", "-"]);
}

#[test]
fn no_compression() {
    reads("none", &["cat"]);
}
