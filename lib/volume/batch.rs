//! Small entries on their way into the archive: a thread opens, reads, hashes and compresses a whole
//! batch of them at once.

use super::entry::{Entry, padding};
use super::findings::Findings;
use super::large::{Large, LargePiece};
use super::metadata::{self, State};
use super::names::Names;
use super::sparse::Map;
use super::walk::Found;
use super::{header, tree_hash};
use crate::error::{Context, Error, Result};
use crate::stream::{
    Compression, Compressor, ContentHash, EntryKind, Item, Packed, Pending, Piece,
};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Small entries that are archived together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Small>,
    weight: u64,
}

#[derive(Debug)]
struct Small {
    found: Found,
    kind: EntryKind,
    /// The path of its first name, if this is a further one.
    first: Option<Vec<u8>>,
}

impl Batch {
    /// Adds an entry that takes about `weight` bytes of the archive.
    pub(super) fn push(
        &mut self,
        found: Found,
        kind: EntryKind,
        first: Option<Vec<u8>>,
        weight: u64,
    ) {
        self.entries.push(Small { found, kind, first });
        self.weight += weight;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how many bytes of the archive it takes.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }
}

/// What one thread needs to archive.
pub(super) struct Packer<'a> {
    compressor: Result<Compressor>,
    findings: &'a Findings<'a>,
    names: Names,
}

impl<'a> Packer<'a> {
    pub(super) fn new(compression: Compression, findings: &'a Findings<'a>) -> Self {
        Self {
            compressor: Compressor::new(compression),
            findings,
            names: Names::default(),
        }
    }

    fn pack(&mut self, piece: Piece) -> Result<Packed> {
        match &mut self.compressor {
            Ok(compressor) => compressor.pack(piece),
            Err(error) => Err(Error::new(error.kind(), error.to_string())),
        }
    }

    pub(super) fn batch(&mut self, batch: Batch) -> Result<Packed> {
        let mut content = Vec::with_capacity(batch.weight as usize);
        let mut records: Vec<Pending> = Vec::with_capacity(batch.entries.len());
        for small in batch.entries {
            let start = content.len();
            match self.append(&small, &mut content) {
                Ok(item) => records.push(Pending {
                    item,
                    skip: start as u32,
                    length: (content.len() - start) as u64,
                    opened: false,
                }),
                Err(error) => {
                    content.truncate(start);
                    self.findings.unread(&small.found.path, &error);
                }
            }
        }
        self.pack(Piece {
            content,
            records,
            opens: false,
        })
    }

    /// Appends one entry, headers, content and padding.
    fn append(&mut self, small: &Small, content: &mut Vec<u8>) -> Result<Item> {
        if small.kind == EntryKind::File && small.first.is_none() {
            return self.append_file(small, content);
        }
        let found = &small.found;
        let mut entry = metadata::entry(found, small.kind, &found.metadata, None, &mut self.names)?;
        if let Some(first) = &small.first {
            // Its attributes stand with the first name.
            entry.kind = EntryKind::Hardlink;
            entry.link.clone_from(first);
            entry.size = 0;
            (entry.access, entry.default) = (None, None);
            entry.xattrs.clear();
        }
        header::write(&entry, content)?;
        Ok(item(&entry, None, false))
    }

    fn append_file(&mut self, small: &Small, content: &mut Vec<u8>) -> Result<Item> {
        let found = &small.found;
        let unreadable = || format!("cannot read '{}'", found.path.display());
        let (file, before) = open(found)?;
        let mut entry = metadata::entry(found, small.kind, &before, Some(&file), &mut self.names)?;
        entry.sparse = map(&file, &before)?;
        header::write(&entry, content)?;
        // The map is already there, behind the headers; it is hashed with the data.
        let head = entry.sparse.as_ref().map_or(0, Map::head) as usize;
        let start = content.len() - head;
        let stored = entry.stored();
        let end = start + stored as usize;
        let complete = if entry.sparse.is_some() {
            content.resize(end, 0);
            read(&file, entry.sparse.as_ref(), 0, &mut content[start..])
        } else {
            read_to(&file, content, end)
        }
        .context(unreadable)?;
        let digest = blake3::hash(&content[start..]);
        content.resize(content.len() + padding(stored), 0);
        let changed = change(&before, &file.metadata().context(unreadable)?, complete);
        if let Some(what) = changed {
            self.findings.changed(&found.path, what);
        }
        Ok(item(&entry, Some(digest.into()), changed.is_some()))
    }

    /// The headers of a large file, in a member of their own.
    pub(super) fn opening(&mut self, large: &Large) -> Result<Packed> {
        let content = large.headers().to_vec();
        self.pack(Piece {
            content,
            records: Vec::new(),
            opens: true,
        })
    }

    /// A piece of a large file's content.
    pub(super) fn piece(&mut self, large: &Large, number: u64) -> Result<LargePiece> {
        let (mut content, offset) = large.read(number, self.findings);
        let hash = tree_hash::piece(&content, offset, large.stored());
        let last = number + 1 == large.pieces();
        if last {
            content.resize(content.len() + padding(large.stored()), 0);
        }
        let packed = self.pack(Piece {
            content,
            records: Vec::new(),
            opens: false,
        })?;
        Ok(LargePiece { packed, hash, last })
    }
}

/// What the index says of an entry.
pub(super) fn item(entry: &Entry, digest: Option<ContentHash>, changed: bool) -> Item {
    Item::Entry {
        path: entry.path.clone(),
        kind: entry.kind,
        size: entry.size,
        digest,
        changed,
    }
}

/// Opens a regular file that the walk found, and makes sure that it is still the same one: nothing
/// else is read in its place, and a pipe that came there does not block.
pub(super) fn open(found: &Found) -> Result<(File, std::fs::Metadata)> {
    let unreadable = || format!("cannot read '{}'", found.path.display());
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let open = |flags| {
        found
            .root
            .beneath
            .open(found.inside(), flags, Mode::empty())
    };
    // Only the owner and root may leave the access time as it is.
    let user = nix::unistd::geteuid();
    let file = if user.is_root() || user.as_raw() == found.metadata.uid() {
        match open(flags | OFlag::O_NOATIME) {
            // A root that is none outside its own namespace.
            Err(error) if error.raw_os_error() == Some(nix::libc::EPERM) => open(flags),
            result => result,
        }
    } else {
        open(flags)
    };
    let file = File::from(file.context(unreadable)?);
    let metadata = file.metadata().context(unreadable)?;
    if !metadata::same_file(&metadata, &found.metadata) {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "another file took its place",
        ))
        .context(unreadable);
    }
    Ok((file, metadata))
}

/// The holes of a file, where it has any.
pub(super) fn map(file: &File, metadata: &std::fs::Metadata) -> Result<Option<Map>> {
    if metadata.blocks() * 512 >= metadata.len() {
        return Ok(None);
    }
    Map::of_file(file, metadata.len())
}

/// Reads what is archived of a file, from `offset` of that on, into `buffer`; what is no longer there
/// stays zero. Returns whether all was there.
pub(super) fn read(
    file: &File,
    map: Option<&Map>,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<bool> {
    let Some(map) = map else {
        return read_at(file, buffer, offset);
    };
    let mut complete = true;
    for segment in map.segments(offset, offset + buffer.len() as u64) {
        let start = (segment.stored - offset) as usize;
        let part = &mut buffer[start..start + segment.length as usize];
        complete &= read_at(file, part, segment.offset)?;
    }
    Ok(complete)
}

/// Appends a file's content until `content` ends at `end`, with zeros for what is missing. Returns whether all was
/// there.
fn read_to(file: &File, content: &mut Vec<u8>, end: usize) -> io::Result<bool> {
    let start = content.len();
    content.reserve(end - start);
    while content.len() < end {
        let offset = (content.len() - start) as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(content), offset) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let complete = content.len() >= end;
    content.resize(end, 0);
    Ok(complete)
}

fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<bool> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Ok(false),
            Ok(got) => {
                buffer = &mut buffer[got..];
                offset += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// What happened to a file between two looks at it, in words.
pub(super) fn change(
    before: &std::fs::Metadata,
    after: &std::fs::Metadata,
    complete: bool,
) -> Option<&'static str> {
    if !complete || after.len() < before.len() {
        Some("became shorter while it was read; the rest is archived as zeros")
    } else if after.len() > before.len() {
        Some("became longer while it was read; what was added is not archived")
    } else if State::of(before) != State::of(after) {
        Some("changed while it was read")
    } else {
        None
    }
}
