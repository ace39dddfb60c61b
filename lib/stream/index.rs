//! The index: what lies where in a file, so that one table or one file comes back without reading
//! the rest.
//!
//! # Format, version 1
//! The index is a sequence of [`Record`]s in the order of the content, each encoded against the one
//! before it (see [`record`](super::record)). It is cut into blocks of whole records, the first of
//! which has none before it; each block is deflated and stands behind a header of three 4-byte
//! little-endian numbers: its length, its length deflated, the CRC-32 of the block. The bytes of all
//! blocks in a row are what the index members of the file carry in slices.
//!
//! Writing and reading both hold one block at a time: the index of a million files needs no more
//! memory than that of ten.

use super::record::{Before, Record};
use crate::error::{Context, Error, Kind, Result};
use std::io::{Read, Seek, SeekFrom, Write};
use tempfile::SpooledTempFile;

/// A block is cut when it has so many bytes.
const BLOCK: usize = 64 * 1024;
/// A block that claims more is damaged: a record holds one path, or one name of a table.
const BLOCK_MAX: usize = 4 * BLOCK;
/// An index of more bytes is spooled to a file while it is written.
const IN_MEMORY: usize = 1 << 20;
const LEVEL: i32 = 6;

/// Takes records and keeps them, deflated, until the content is complete.
pub(super) struct IndexWriter {
    block: Vec<u8>,
    before: Before,
    engine: libdeflater::Compressor,
    spool: SpooledTempFile,
    records: u64,
    length: u64,
}

impl IndexWriter {
    pub(super) fn new() -> Result<Self> {
        let level = libdeflater::CompressionLvl::new(LEVEL)
            .map_err(|_| Error::new(Kind::Failed, "gzip lacks the level of the index"))?;
        Ok(Self {
            block: Vec::with_capacity(BLOCK),
            before: Before::default(),
            engine: libdeflater::Compressor::new(level),
            spool: SpooledTempFile::new(IN_MEMORY),
            records: 0,
            length: 0,
        })
    }

    pub(super) fn push(&mut self, record: &Record) -> Result<()> {
        self.before.encode(record, &mut self.block)?;
        self.records += 1;
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut packed = vec![0; self.engine.deflate_compress_bound(self.block.len())];
        let length = self
            .engine
            .deflate_compress(&self.block, &mut packed)
            .map_err(|_| Error::new(Kind::Failed, "deflate ran out of room"))?;
        let mut header = [0; 12];
        header[..4].copy_from_slice(&(self.block.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        header[8..].copy_from_slice(&crc32fast::hash(&self.block).to_le_bytes());
        self.spool
            .write_all(&header)
            .and_then(|()| self.spool.write_all(&packed[..length]))
            .context(|| "cannot spool the index to the directory for temporary files")?;
        self.length += (header.len() + length) as u64;
        self.block.clear();
        self.before = Before::default();
        Ok(())
    }

    /// Hands the index over: its bytes, their number, and that of the records.
    pub(super) fn finish(mut self) -> Result<(SpooledTempFile, u64, u64)> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        self.spool
            .seek(SeekFrom::Start(0))
            .context(|| "cannot read the spooled index")?;
        Ok((self.spool, self.length, self.records))
    }
}

/// Reads records from the bytes of an index.
pub struct IndexReader<R> {
    input: R,
    engine: libdeflater::Decompressor,
    block: Vec<u8>,
    before: Before,
    at: usize,
    ended: bool,
}

impl<R: Read> IndexReader<R> {
    /// Reads the index whose bytes `input` yields.
    pub fn new(input: R) -> Self {
        Self {
            input,
            engine: libdeflater::Decompressor::new(),
            block: Vec::new(),
            before: Before::default(),
            at: 0,
            ended: false,
        }
    }

    fn take(&mut self) -> Result<Option<Record>> {
        if self.at == self.block.len() && !self.refill()? {
            return Ok(None);
        }
        let (record, length) = self.before.decode(&self.block[self.at..])?;
        self.at += length;
        Ok(Some(record))
    }

    fn refill(&mut self) -> Result<bool> {
        let mut header = [0; 12];
        let mut got = 0;
        while got < header.len() {
            match self
                .input
                .read(&mut header[got..])
                .context(|| "cannot read the index")?
            {
                0 if got == 0 => return Ok(false),
                0 => return Err(Error::damaged("the index is cut off")),
                n => got += n,
            }
        }
        let number = |from: usize| {
            u32::from_le_bytes([
                header[from],
                header[from + 1],
                header[from + 2],
                header[from + 3],
            ])
        };
        let (length, packed_length) = (number(0) as usize, number(4) as usize);
        if length == 0 || length > BLOCK_MAX || packed_length > BLOCK_MAX + BLOCK {
            return Err(Error::damaged(
                "a block of the index has an impossible length",
            ));
        }
        let mut packed = vec![0; packed_length];
        self.input
            .read_exact(&mut packed)
            .context(|| "the index is cut off")?;
        self.block.resize(length, 0);
        let got = self
            .engine
            .deflate_decompress(&packed, &mut self.block)
            .map_err(|_| Error::damaged("a block of the index does not decompress"))?;
        if got != length || crc32fast::hash(&self.block) != number(8) {
            return Err(Error::damaged("a block of the index has a wrong checksum"));
        }
        self.at = 0;
        self.before = Before::default();
        Ok(true)
    }
}

impl<R: Read> Iterator for IndexReader<R> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let taken = self.take().transpose();
        self.ended = !matches!(taken, Some(Ok(_)));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::record::{EntryKind, Item, Place};
    use proptest::prelude::*;

    fn entry(n: u64) -> Record {
        Record {
            place: Place {
                member: n,
                skip: n as u32,
                length: n * 512,
            },
            item: Item::Entry {
                path: format!("a/rather/long/path/{n}").into_bytes(),
                kind: EntryKind::File,
                size: n,
                digest: Some(blake3::hash(&n.to_le_bytes()).into()),
                changed: false,
            },
        }
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut writer = IndexWriter::new().unwrap();
        for record in records {
            writer.push(record).unwrap();
        }
        let (mut spool, length, count) = writer.finish().unwrap();
        let mut bytes = Vec::new();
        spool.read_to_end(&mut bytes).unwrap();
        assert_eq!((bytes.len() as u64, count), (length, records.len() as u64));
        bytes
    }

    #[test]
    fn many_records_come_back() {
        let records: Vec<_> = (0..20_000).map(entry).collect();
        let read: Result<Vec<_>> = IndexReader::new(written(&records).as_slice()).collect();
        assert_eq!(read.unwrap(), records);
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_found(at in 0usize..3000, bit in 0u8..8) {
            let records: Vec<_> = (0..50).map(entry).collect();
            let mut bytes = written(&records);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let read: Result<Vec<_>> = IndexReader::new(bytes.as_slice()).collect();
            // Deflate leaves up to seven bits of its last byte unused.
            prop_assert!(read.map_or(true, |read| read == records));
        }
    }
}
