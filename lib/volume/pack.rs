//! Archiving: a tree in, one `.tar.gz` out, on all cores.
//!
//! # Where the members are cut
//! A file of 1 MiB or more begins a member of its own that holds its headers, and its content is cut
//! at each MiB of that file alone. Everything smaller is gathered in batches, which end where a hash
//! of an entry's path and size says so, and at 1 MiB at the latest. No cut depends on a running
//! count, so a new file changes the members around it and no others: a later archive can take over the
//! rest as they lie.

use super::batch::{Batch, Packer};
use super::entry::BLOCK;
use super::findings::Findings;
use super::large::{Large, LargePiece};
use super::names::Names;
use super::tree_hash::{Merger, PIECE};
use super::walk::{self, Exclude, Found};
use crate::error::{Error, Kind, Result};
use crate::monitor::{Monitor, Severity};
use crate::parallel::{self, Feed};
use crate::stream::{
    self, Compression, Compressor, ContentHash, EntryKind, Item, MEMBER_MAX, Packed, Pending,
    Piece, Writer,
};
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// What to archive, and how.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// The directories or files to archive.
    pub roots: Vec<PathBuf>,
    /// Whether entries are named by their whole paths even if there is a single root.
    pub whole_paths: bool,
    /// What to leave out.
    pub exclude: Exclude,
    /// Whether to stay on the file systems of the roots.
    pub one_file_system: bool,
    /// How to compress.
    pub compression: Compression,
    /// How many threads read and compress.
    pub jobs: usize,
}

/// What was archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackFacts {
    /// Regular files, each further name of one not counted.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hardlinks: u64,
    /// Named pipes and devices.
    pub specials: u64,
    /// Length of all files' content in bytes, holes included.
    pub bytes: u64,
    /// Files that changed while they were read.
    pub changed: u64,
    /// Files that could not be read or were gone when their turn came.
    pub missing: u64,
    /// Sockets, which are no data.
    pub sockets: u64,
}

impl PackFacts {
    /// All entries of the archive.
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.symlinks + self.hardlinks + self.specials
    }

    fn count(&mut self, item: &Item) {
        let Item::Entry {
            kind,
            size,
            changed,
            ..
        } = item
        else {
            return;
        };
        match kind {
            EntryKind::File => self.files += 1,
            EntryKind::Directory => self.directories += 1,
            EntryKind::Symlink => self.symlinks += 1,
            EntryKind::Hardlink => self.hardlinks += 1,
            _ => self.specials += 1,
        }
        self.bytes += size;
        self.changed += u64::from(*changed);
    }
}

/// Archives to `output`; gives it back with what was archived and what was written.
///
/// Files that change, shrink, grow or vanish meanwhile never break the archive: they are marked,
/// counted and noted.
///
/// # Errors
/// A root is missing, or the output fails.
pub fn pack<W: Write>(
    options: &PackOptions,
    output: W,
    monitor: &dyn Monitor,
) -> Result<(W, PackFacts, stream::Facts)> {
    let roots = walk::roots(&options.roots, options.whole_paths)?;
    let findings = Findings::new(monitor);
    monitor.stage("archiving", None);
    let mut archive = Archive {
        writer: Writer::new(output, options.compression)?,
        compressor: Compressor::new(options.compression)?,
        facts: PackFacts::default(),
        large: Merger::default(),
    };
    let compression = options.compression;
    parallel::ordered(
        options.jobs,
        |feed| {
            let mut gatherer = Gatherer::new(feed, &findings);
            walk::walk(
                &roots,
                &options.exclude,
                options.one_file_system,
                &findings,
                |found| gatherer.add(found),
            )?;
            gatherer.flush()
        },
        || {
            let mut packer = Packer::new(compression, &findings);
            move |work| match work {
                Work::Batch(batch) => packer.batch(batch).map(Done::Entries),
                Work::Opening(large) => packer.opening(&large).map(Done::Entries),
                Work::Piece(large, number) => packer
                    .piece(&large, number)
                    .map(|piece| Done::Piece(large, piece)),
            }
        },
        |done: Result<Done>| {
            let (bytes, result) = match done? {
                Done::Entries(packed) => (packed.content_bytes(), archive.entries(packed)),
                Done::Piece(large, piece) => (
                    piece.packed.content_bytes(),
                    archive.piece(&large, piece, &findings),
                ),
            };
            monitor.advance(bytes);
            result
        },
    )?;
    let (output, mut facts, written) = archive.finish()?;
    findings.summarize();
    facts.missing = findings.count("unreadable") + findings.count("vanished");
    facts.sockets = findings.count("socket");
    Ok((output, facts, written))
}

/// A piece of work for a thread.
enum Work {
    Batch(Batch),
    /// The headers of a large file.
    Opening(Arc<Large>),
    /// The n-th piece of its content.
    Piece(Arc<Large>, u64),
}

enum Done {
    /// Small entries, or the headers of a large one.
    Entries(Packed),
    Piece(Arc<Large>, LargePiece),
}

/// Cuts what the walk finds into pieces of work.
struct Gatherer<'a> {
    feed: &'a Feed<Work, Result<Done>>,
    findings: &'a Findings<'a>,
    batch: Batch,
    /// The first names of files that have more than one, and how many are still to come.
    links: HashMap<(u64, u64), (Vec<u8>, u64)>,
    names: Names,
}

/// Batches have about this length on average.
const MEAN: u64 = MEMBER_MAX as u64 / 2;

impl<'a> Gatherer<'a> {
    fn new(feed: &'a Feed<Work, Result<Done>>, findings: &'a Findings<'a>) -> Self {
        Self {
            feed,
            findings,
            batch: Batch::default(),
            links: HashMap::new(),
            names: Names::default(),
        }
    }

    fn add(&mut self, found: Found) -> Result<()> {
        let Some(kind) = super::metadata::kind(found.metadata.file_type()) else {
            let path = found.path.display().to_string();
            self.findings
                .add(Severity::Info, "socket", path, "a socket, skipped");
            return Ok(());
        };
        let first = self.first_name(&found, kind);
        let size = if kind == EntryKind::File && first.is_none() {
            found.metadata.len()
        } else {
            0
        };
        if size >= PIECE {
            self.flush()?;
            return self.large(&found);
        }
        let weight = 3 * BLOCK as u64 + size.next_multiple_of(BLOCK as u64);
        if self.batch.weight() + weight > MEMBER_MAX as u64 {
            self.flush()?;
        }
        let ends = ends_batch(&found, weight);
        self.batch.push(found, kind, first, weight);
        if ends { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            Ok(())
        } else {
            self.feed.send(Work::Batch(batch))
        }
    }

    fn large(&mut self, found: &Found) -> Result<()> {
        let large = match Large::open(found, &mut self.names) {
            Ok(large) => Arc::new(large),
            Err(error) => {
                self.findings.unread(&found.path, &error);
                return Ok(());
            }
        };
        self.feed.send(Work::Opening(Arc::clone(&large)))?;
        (0..large.pieces())
            .try_for_each(|number| self.feed.send(Work::Piece(Arc::clone(&large), number)))
    }

    /// The path of the first name of a file that has come by under another one.
    fn first_name(&mut self, found: &Found, kind: EntryKind) -> Option<Vec<u8>> {
        let metadata = &found.metadata;
        if kind == EntryKind::Directory || metadata.nlink() < 2 {
            return None;
        }
        let inode = (metadata.dev(), metadata.ino());
        if let Some((first, left)) = self.links.get_mut(&inode) {
            *left -= 1;
            let first = first.clone();
            if self.links[&inode].1 == 0 {
                self.links.remove(&inode);
            }
            return Some(first);
        }
        self.links
            .insert(inode, (found.archived(), metadata.nlink() - 1));
        None
    }
}

/// Whether a batch ends with this entry: the heavier it is the likelier, but always the same for the
/// same path and size.
fn ends_batch(found: &Found, weight: u64) -> bool {
    xxhash_rust::xxh3::xxh3_64(&found.archived()) % MEAN < weight
}

/// The archive as far as it is written.
struct Archive<W> {
    writer: Writer<W>,
    compressor: Compressor,
    facts: PackFacts,
    large: Merger,
}

impl<W: Write> Archive<W> {
    fn entries(&mut self, packed: Packed) -> Result<()> {
        packed.items().for_each(|item| self.facts.count(item));
        self.writer.append(packed)
    }

    fn piece(&mut self, large: &Large, piece: LargePiece, findings: &Findings<'_>) -> Result<()> {
        self.writer.append(piece.packed)?;
        self.large.push(piece.hash);
        if !piece.last {
            return Ok(());
        }
        let digest = std::mem::take(&mut self.large)
            .finish()
            .map(ContentHash::from)
            .ok_or_else(|| Error::new(Kind::Failed, "a piece of a file was not hashed"))?;
        let changed = large.changed();
        if let Some(what) = changed {
            findings.changed(large.path(), what);
        }
        let item = large.item(digest, changed.is_some());
        self.facts.count(&item);
        // The record stands behind the last piece, as only now the digest is known.
        let records = vec![Pending {
            item,
            skip: 0,
            length: large.length(),
            opened: true,
        }];
        let packed = self.compressor.pack(Piece {
            content: Vec::new(),
            records,
            opens: false,
        })?;
        self.writer.append(packed)
    }

    fn finish(mut self) -> Result<(W, PackFacts, stream::Facts)> {
        let end = Piece {
            content: vec![0; 2 * BLOCK],
            ..Piece::default()
        };
        let packed = self.compressor.pack(end)?;
        self.writer.append(packed)?;
        let (output, written) = self.writer.finish()?;
        Ok((output, self.facts, written))
    }
}
