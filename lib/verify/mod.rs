//! Reads a backup back, once and on all cores, and holds everything in it against everything that
//! speaks of it: the seal against the bytes, each member against its checksum, the footer against
//! the members, the index against the content, and rows and files against the manifest.
//!
//! The outcome is a report, not a yes or no: it names what is damaged and, where the index knows it,
//! which table or file is hit. Files of other tools get what can be checked of them.

mod archive;
mod dump;
mod flow;
mod foreign;
mod members;
mod seal;

use crate::error::Result;
use crate::manifest::{Content, Manifest};
use crate::monitor::{Monitor, Note, Severity};
use crate::stream::reader::Layout;
use crate::stream::{Codec, Reader};
use crate::words::count;
use jiff::Timestamp;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub use flow::verify_flow;
pub use seal::record;

/// How a verification is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads to use.
    pub jobs: usize,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that can be checked is as it should be.
    Sound,
    /// Readable and whole, but something needs a look.
    Findings,
    /// Something in it is not what was written.
    Damaged,
}

/// What a verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// What came out.
    pub verdict: Verdict,
    /// Whether [`Verdict::Damaged`] did not come out: for programs that go on with the good ones.
    pub sound: bool,
    /// Whether a manifest seals it.
    pub sealed: bool,
    /// The application it belongs to, if the manifest says.
    pub app: Option<String>,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Length of its content in bytes.
    pub content_bytes: u64,
    /// What was found inside.
    pub found: Found,
    /// When the verification ended.
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What is wrong, or worth knowing.
    pub notes: Vec<Note>,
}

/// What was found inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Tables with rows of a dump.
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Entries of an archive.
    pub entries: u64,
    /// Bytes of regular files in it, holes included.
    pub file_bytes: u64,
}

/// What kind of content a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Dump,
    Archive,
}

/// Verifies the backup at `path`.
///
/// # Errors
/// The file can't be opened or read; that it is damaged is no error, but in the report, and so is that of
/// a sealed one only the manifest is left.
pub fn verify(path: &Path, options: &Options, monitor: &dyn Monitor) -> Result<Report> {
    let begun = Instant::now();
    let mut notes = Notes::default();
    let manifest = Manifest::beside(path).unwrap_or_else(|error| {
        notes.damaged("manifest", error.to_string());
        None
    });
    let reader = match Reader::open(path) {
        // What was sealed and is gone is damage, and none that another attempt could mend.
        Err(_) if manifest.is_some() && path.try_exists().is_ok_and(|exists| !exists) => {
            notes.damaged("body", "it is gone; its manifest is still there");
            let outcome = Outcome::default();
            return Ok(report(path, manifest, 0, outcome, notes, begun));
        }
        opened => opened?,
    };
    monitor.stage("verifying", Some(reader.bytes()));

    let inside = inside(path, manifest.as_ref());
    if let Some(expected) = codec_of_name(path)
        && expected != reader.layout().codec()
    {
        notes.damaged("layout", "it is not compressed as its name says");
    }
    let outcome = match reader.layout() {
        Layout::Members(_) => members::check(&reader, inside, options, monitor, &mut notes)?,
        Layout::Foreign(codec) => foreign::check(
            &reader,
            inside,
            manifest.is_some(),
            options,
            monitor,
            &mut notes,
        )
        .inspect(|_| {
            if codec != Codec::None && manifest.is_some() {
                notes.damaged("layout", "the file is not laid out as its manifest says");
            }
        })?,
    };
    if outcome.unmarked {
        notes.add(
            Severity::Medium,
            "no-end-mark",
            "the archive has no mark of its end: it may have been cut off between two files",
        );
    }
    if outcome.connects {
        notes.add(
            Severity::Medium,
            "creates-database",
            "made by pg_dump --create or pg_dumpall: psql restores it, into the databases that it names \
             itself, but sg-restore does not",
        );
    }
    match &manifest {
        Some(manifest) => seal::compare(manifest, &reader, &outcome, &mut notes),
        None => notes.info(
            "unsealed",
            "no manifest beside it: what it should hold is not known",
        ),
    }

    Ok(report(
        path,
        manifest,
        reader.bytes(),
        outcome,
        notes,
        begun,
    ))
}

fn report(
    path: &Path,
    manifest: Option<Manifest>,
    bytes: u64,
    outcome: Outcome,
    notes: Notes,
    begun: Instant,
) -> Report {
    let verdict = notes.verdict();
    Report {
        path: path.to_owned(),
        verdict,
        sound: verdict != Verdict::Damaged,
        sealed: manifest.is_some(),
        app: manifest.and_then(|manifest| manifest.app),
        bytes,
        content_bytes: outcome.content_bytes,
        found: outcome.found,
        at: Timestamp::now(),
        seconds: begun.elapsed().as_secs_f64(),
        notes: notes.about(path),
    }
}

fn codec_of_name(path: &Path) -> Option<Codec> {
    match path.extension()?.to_str()? {
        "gz" | "tgz" => Some(Codec::Gzip),
        "zst" => Some(Codec::Zstd),
        _ => None,
    }
}

fn inside(path: &Path, manifest: Option<&Manifest>) -> Inside {
    match manifest.map(|manifest| &manifest.content) {
        Some(Content::Volume(_)) => Inside::Archive,
        Some(Content::Database(_) | Content::Globals(_)) => Inside::Dump,
        None => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.contains(".tar") || name.contains(".tgz") {
                Inside::Archive
            } else {
                Inside::Dump
            }
        }
    }
}

/// What one pass over a file brought to light.
#[derive(Debug, Default)]
struct Outcome {
    /// SHA-256 of the file, if it was read to its end.
    sha256: Option<String>,
    content_bytes: u64,
    found: Found,
    /// Rows and their digest for each table of a dump; `None` if its index is lost, which is damage by
    /// itself, so that nobody knows whose rows they are.
    tables: Option<dump::Tables>,
    /// An archive ends without the mark of its end.
    unmarked: bool,
    /// A dump says itself into which databases it goes.
    connects: bool,
    /// Whether the content was read to its end without damage, so that counts mean something.
    complete: bool,
}

/// Collects what is wrong with one file; of a great many problems of one kind, the first few.
#[derive(Debug, Default)]
struct Notes {
    notes: Vec<(Severity, &'static str, String)>,
    more: u64,
}

impl Notes {
    const MOST: usize = 20;

    fn add(&mut self, severity: Severity, code: &'static str, message: impl Into<String>) {
        if self.notes.len() < Self::MOST {
            self.notes.push((severity, code, message.into()));
        } else {
            self.more += 1;
        }
    }

    fn damaged(&mut self, code: &'static str, message: impl Into<String>) {
        self.add(Severity::Critical, code, message);
    }

    fn info(&mut self, code: &'static str, message: impl Into<String>) {
        self.add(Severity::Info, code, message);
    }

    fn verdict(&self) -> Verdict {
        match self.notes.iter().map(|note| note.0).max() {
            Some(Severity::Critical) => Verdict::Damaged,
            Some(severity) if severity > Severity::Info => Verdict::Findings,
            _ => Verdict::Sound,
        }
    }

    fn about(self, path: &Path) -> Vec<Note> {
        let subject = path.display().to_string();
        let mut notes: Vec<Note> = self
            .notes
            .into_iter()
            .map(|(severity, code, message)| Note::new(severity, code, &subject, message))
            .collect();
        if self.more > 0 {
            let message = format!("not listed: {}", count(self.more, "more problem"));
            notes.push(Note::new(Severity::Critical, "more", &subject, message));
        }
        notes
    }
}
