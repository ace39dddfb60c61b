//! A file of 1 MiB or more on its way into the archive: opened once, read by several threads at once.

use super::batch::{self, item};
use super::entry::{Entry, padding};
use super::findings::Findings;
use super::names::Names;
use super::sparse::Map;
use super::tree_hash::{PIECE, PieceHash};
use super::walk::Found;
use super::{header, metadata};
use crate::error::Result;
use crate::stream::{ContentHash, EntryKind, Item, Packed};
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A large file, open.
#[derive(Debug)]
pub(super) struct Large {
    file: File,
    path: PathBuf,
    before: Metadata,
    entry: Entry,
    headers: Vec<u8>,
    /// The map of its holes as text, which is archived before its data.
    text: Vec<u8>,
    incomplete: AtomicBool,
    unreadable: AtomicBool,
}

/// A piece of its content, ready to be written.
pub(super) struct LargePiece {
    pub(super) packed: Packed,
    pub(super) hash: PieceHash,
    pub(super) last: bool,
}

impl Large {
    /// Opens what the walk found.
    ///
    /// # Errors
    /// It is gone, or can't be read.
    pub(super) fn open(found: &Found, names: &mut Names) -> Result<Self> {
        let (file, before) = batch::open(found)?;
        let mut entry = metadata::entry(found, EntryKind::File, &before, Some(&file), names)?;
        entry.sparse = batch::map(&file, &before)?;
        let mut headers = Vec::new();
        header::write(&entry, &mut headers)?;
        let head = entry.sparse.as_ref().map_or(0, Map::head) as usize;
        let text = headers.split_off(headers.len() - head);
        Ok(Self {
            file,
            path: found.path.clone(),
            before,
            entry,
            headers,
            text,
            incomplete: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its headers.
    pub(super) fn headers(&self) -> &[u8] {
        &self.headers
    }

    /// How many bytes are archived of its content.
    pub(super) fn stored(&self) -> u64 {
        self.entry.stored()
    }

    /// How many bytes of the archive it takes in all.
    pub(super) fn length(&self) -> u64 {
        self.headers.len() as u64 + self.stored() + padding(self.stored()) as u64
    }

    /// In how many pieces its content is archived.
    pub(super) fn pieces(&self) -> u64 {
        self.stored().div_ceil(PIECE).max(1)
    }

    /// Reads the piece of this number: its content and its offset among what is archived.
    ///
    /// What can't be read becomes zeros: the headers that tell the length are written already.
    pub(super) fn read(&self, number: u64, findings: &Findings<'_>) -> (Vec<u8>, u64) {
        let offset = number * PIECE;
        let mut content = vec![0; PIECE.min(self.stored() - offset) as usize];
        let from = (offset as usize).min(self.text.len());
        let to = (from + content.len()).min(self.text.len());
        content[..to - from].copy_from_slice(&self.text[from..to]);
        match batch::read(&self.file, self.entry.sparse.as_ref(), offset, &mut content) {
            Ok(true) => {}
            Ok(false) => self.incomplete.store(true, Ordering::Relaxed),
            Err(cause) => {
                if !self.unreadable.swap(true, Ordering::Relaxed) {
                    findings.unreadable(&self.path, &cause);
                }
            }
        }
        (content, offset)
    }

    /// What happened to it since it was opened, in words.
    pub(super) fn changed(&self) -> Option<&'static str> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Some("could not be read to its end; what is missing is archived as zeros");
        }
        let complete = !self.incomplete.load(Ordering::Relaxed);
        match self.file.metadata() {
            Ok(after) => batch::change(&self.before, &after, complete),
            Err(_) => Some("could not be looked at after it was read"),
        }
    }

    /// What the index says of it.
    pub(super) fn item(&self, digest: ContentHash, changed: bool) -> Item {
        item(&self.entry, Some(digest), changed)
    }
}
