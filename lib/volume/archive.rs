//! Reading a tar archive in order, whoever wrote it: v7, ustar, GNU and PAX, with long names, big
//! numbers, and holes in all the ways that GNU tar has had for them.
//!
//! Nothing in an archive is believed: lengths are bounded before memory is taken for them, and every
//! header has a checksum. What the paths may mean is left to who extracts.

use super::entry::{BLOCK, Entry, padding};
use super::sparse::{self, Map};
use super::{fields, pax};
use crate::error::{Context, Error, Result};
use crate::stream::EntryKind;
use std::io::{self, Read};

/// The longest extended header that is believed; attributes of 64 KiB are the most that Linux has.
const EXTENSION_MAX: u64 = 16 << 20;

type Block = [u8; BLOCK];

/// An archive that is read from front to back.
pub struct Archive<R> {
    input: R,
    position: u64,
    start: u64,
    /// What is left of the present entry's content.
    left: u64,
    /// The zeros behind it.
    padding: u64,
    /// What was read of its content already: the map of its holes.
    head: Vec<u8>,
    globals: Vec<(Vec<u8>, Vec<u8>)>,
    end: Option<End>,
}

/// How an archive ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the mark of its end, two blocks of zeros.
    Marked,
    /// Without: between two entries, there is just no more.
    Bare,
}

/// What extended headers say about the entry that follows.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<R: Read> Archive<R> {
    /// Reads the archive whose bytes `input` yields, decompressed.
    pub fn new(input: R) -> Self {
        Self {
            input,
            position: 0,
            start: 0,
            left: 0,
            padding: 0,
            head: Vec::new(),
            globals: Vec::new(),
            end: None,
        }
    }

    /// The next entry; `None` behind the last. What was not read of the one before is passed over.
    ///
    /// # Errors
    /// The archive is damaged, cut off, or holds something that can't be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.end.is_some() {
            return Ok(None);
        }
        self.pass_over()?;
        self.start = self.position;
        let mut extensions = Extensions::default();
        loop {
            let Some(block) = self.header()? else {
                if self.start + 2 * (BLOCK as u64) < self.position
                    || !extensions.records.is_empty()
                    || extensions.path.is_some()
                {
                    return Err(self.damaged("the archive ends inside an entry"));
                }
                return Ok(None);
            };
            let size =
                fields::size(&block).ok_or_else(|| self.damaged("a header has no length"))?;
            match block[fields::TYPE] {
                b'x' | b'X' => {
                    let content = self.extension(size)?;
                    for (key, value) in pax::records(&content)? {
                        extensions.records.push((key.to_vec(), value.to_vec()));
                    }
                }
                b'g' => {
                    let content = self.extension(size)?;
                    for (key, value) in pax::records(&content)? {
                        self.globals.retain(|(known, _)| known != key);
                        self.globals.push((key.to_vec(), value.to_vec()));
                    }
                }
                b'L' => extensions.path = Some(fields::until_nul(&self.extension(size)?).to_vec()),
                b'K' => extensions.link = Some(fields::until_nul(&self.extension(size)?).to_vec()),
                // A label of the archive, no file.
                b'V' => self.skip(size + padding(size) as u64)?,
                _ => return self.entry(&block, size, extensions).map(Some),
            }
        }
    }

    /// What is left of the content of the present entry, as archived: without holes, and without
    /// [`head`](Self::head).
    pub fn content(&mut self) -> Content<'_, R> {
        Content(self)
    }

    /// What was read already of the content of the present entry: the map of its holes, as text.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Where the present entry's first header begins, in bytes from the beginning.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where the present entry ends, padding included.
    pub fn end_of_entry(&self) -> u64 {
        self.position + self.left + self.padding
    }

    /// Whether a header was met that speaks of all entries behind it.
    pub fn has_globals(&self) -> bool {
        !self.globals.is_empty()
    }

    /// How the archive ends; `None` as long as entries come.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Gives the input back, behind the mark of the end once that was reached.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The header of the present entry; its content becomes what is to be read next.
    fn entry(&mut self, block: &Block, size: u64, extensions: Extensions) -> Result<Entry> {
        let mut builder = fields::Builder::new(block, size)
            .ok_or_else(|| self.damaged("a header has a number that is none"))?;
        for (key, value) in self.globals.iter().chain(&extensions.records) {
            builder.record(key, value)?;
        }
        if let Some(path) = extensions.path {
            builder.entry.path = path;
        }
        if let Some(link) = extensions.link {
            builder.entry.link = link;
        }
        self.head.clear();
        let mut size = builder.stored;
        if block[fields::TYPE] == b'S' {
            let (pairs, real) = self.old_sparse(block)?;
            builder.entry.size = real;
            builder.entry.sparse = Some(Map::new(pairs, real, 0)?);
        } else if builder.has_text_map() {
            let mut left = size;
            let (pairs, taken) = sparse::read_text(|| {
                left = left
                    .checked_sub(BLOCK as u64)
                    .ok_or_else(|| Error::damaged("the map of a file with holes is cut off"))?;
                let block = self.block()?;
                self.head.extend_from_slice(&block);
                Ok(block)
            })?;
            builder.entry.sparse = Some(Map::new(pairs, builder.real_size(), taken)?);
            size = left;
        }
        let entry = builder.finish()?;
        if entry.kind == EntryKind::File && entry.stored() != size + self.head.len() as u64 {
            return Err(self.damaged("a file with holes has another length than its map says"));
        }
        self.left = match entry.kind {
            EntryKind::File => size,
            // GNU tar's incremental archives list a directory's names as its content.
            EntryKind::Directory if block[fields::TYPE] == b'D' => size,
            _ => 0,
        };
        self.padding = padding(self.left) as u64;
        Ok(entry)
    }

    /// The map of GNU tar's old format for holes, some of which is in blocks behind the header.
    fn old_sparse(&mut self, header: &Block) -> Result<(Vec<(u64, u64)>, u64)> {
        let damaged = || Error::damaged("the map of a file with holes is damaged");
        let real = fields::number(&header[483..495]).ok_or_else(damaged)?;
        let mut pairs = Vec::new();
        fields::old_extents(&header[386..482], &mut pairs).ok_or_else(damaged)?;
        let mut more = header[482] != 0;
        while more {
            let block = self.block()?;
            fields::old_extents(&block[..504], &mut pairs).ok_or_else(damaged)?;
            more = block[504] != 0;
            if pairs.len() > sparse::READ_MAX {
                return Err(damaged());
            }
        }
        Ok((pairs, real))
    }

    /// A header that is none of the end mark's blocks, its checksum right.
    fn header(&mut self) -> Result<Option<Block>> {
        let mut block = [0; BLOCK];
        if !self.block_or_end(&mut block)? {
            self.end = Some(End::Bare);
            return Ok(None);
        }
        if block.iter().all(|&byte| byte == 0) {
            // The second block may be missing; some writers have only one.
            self.block_or_end(&mut block)?;
            self.end = Some(End::Marked);
            return Ok(None);
        }
        if !fields::checksum_is_right(&block) {
            return Err(self.damaged("a header has a wrong checksum"));
        }
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > EXTENSION_MAX {
            return Err(self.damaged("an extended header is too long to be true"));
        }
        let mut content = Vec::new();
        let got = (&mut self.input)
            .take(size)
            .read_to_end(&mut content)
            .context(|| "cannot read the archive")?;
        self.position += got as u64;
        if (got as u64) < size {
            return Err(self.cut_off());
        }
        self.skip(padding(size) as u64)?;
        Ok(content)
    }

    fn block(&mut self) -> Result<Block> {
        let mut block = [0; BLOCK];
        if self.block_or_end(&mut block)? {
            Ok(block)
        } else {
            Err(self.cut_off())
        }
    }

    /// Reads a block; `false` at the end of the input.
    fn block_or_end(&mut self, block: &mut Block) -> Result<bool> {
        let mut got = 0;
        while got < BLOCK {
            match self.input.read(&mut block[got..]) {
                Ok(0) if got == 0 => return Ok(false),
                Ok(0) => return Err(self.cut_off()),
                Ok(n) => got += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context(|| "cannot read the archive"),
            }
        }
        self.position += BLOCK as u64;
        Ok(true)
    }

    fn pass_over(&mut self) -> Result<()> {
        let rest = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        self.skip(rest)
    }

    fn skip(&mut self, length: u64) -> Result<()> {
        let skipped = io::copy(&mut (&mut self.input).take(length), &mut io::sink())
            .context(|| "cannot read the archive")?;
        self.position += skipped;
        if skipped < length {
            Err(self.cut_off())
        } else {
            Ok(())
        }
    }

    fn cut_off(&self) -> Error {
        self.damaged("the archive is cut off")
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(format!("at byte {} of the content: {what}", self.position))
    }
}

/// The content of an entry, as archived.
pub struct Content<'a, R>(&'a mut Archive<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer
            .len()
            .min(usize::try_from(self.0.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let got = self.0.input.read(&mut buffer[..most])?;
        if got == 0 {
            return Err(self.0.cut_off().into());
        }
        self.0.left -= got as u64;
        self.0.position += got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::entry::Time;
    use crate::volume::header;
    use proptest::prelude::*;

    /// An archive with entries of several kinds, one with a long name and one with holes.
    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, kind, size) in [
            ("d".to_owned(), EntryKind::Directory, 0),
            ("d/file".to_owned(), EntryKind::File, 700),
            ("long/".repeat(80), EntryKind::Symlink, 0),
            ("holes".to_owned(), EntryKind::File, 10_000),
        ] {
            let mut entry = Entry::new(path.as_bytes(), kind);
            entry.size = size;
            entry.link = b"target".to_vec();
            entry.mtime = Time {
                seconds: -5,
                nanoseconds: 7,
            };
            entry.xattrs = vec![(b"user.a=b".to_vec(), b"\n8 path=\n\0".to_vec())];
            if path == "holes" {
                entry.sparse = Some(Map::new([(512, 600), (5000, 1)], size, BLOCK as u64).unwrap());
            }
            header::write(&entry, &mut bytes).unwrap();
            let data = entry.stored() - entry.sparse.as_ref().map_or(0, Map::head);
            bytes.extend((0..data).map(|n| n as u8));
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        bytes
    }

    /// All entries, with the length of their content.
    fn read(bytes: &[u8]) -> Result<Vec<(Entry, u64)>> {
        let mut archive = Archive::new(bytes);
        let mut entries = Vec::new();
        while let Some(entry) = archive.next_entry()? {
            let content = io::copy(&mut archive.content(), &mut io::sink())
                .map_err(|cause| Error::io("cannot read", cause))?;
            entries.push((entry, content));
        }
        Ok(entries)
    }

    #[test]
    fn what_is_written_is_read() {
        let entries = read(&sample()).unwrap();
        assert_eq!(entries.len(), 4);
        assert_eq!(
            entries[2].0.path,
            "long/".repeat(80).trim_end_matches('/').as_bytes()
        );
        assert_eq!((entries[3].0.size, entries[3].1), (10_000, 601));
        assert!(entries.iter().all(|(entry, _)| entry.xattrs.len() == 1));
    }

    #[test]
    fn every_cut_is_found_or_is_between_entries() {
        let sample = sample();
        let whole = read(&sample).unwrap();
        for cut in 0..sample.len() - 2 * BLOCK {
            if let Ok(entries) = read(&sample[..cut]) {
                assert!(cut % BLOCK == 0 && entries.len() < whole.len() + 1, "{cut}");
                assert_eq!(entries, whole[..entries.len()], "{cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 0usize..9000, byte in any::<u8>(), repair in any::<bool>()) {
            let mut bytes = sample();
            let at = at % bytes.len();
            bytes[at] = byte;
            let start = at / BLOCK * BLOCK;
            if repair && bytes[start + 257..start + 262] == *b"ustar" {
                // A header whose checksum was put right again: a liar, and not an accident.
                let header = tar::Header::from_byte_slice(&bytes[start..start + BLOCK]);
                let mut header = header.clone();
                header.set_cksum();
                bytes[start..start + BLOCK].copy_from_slice(header.as_bytes());
            }
            let _ = read(&bytes);
        }
    }
}
