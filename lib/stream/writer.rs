//! The writing end: packed pieces in, in their final order; a file with index and footer out.

use super::index::IndexWriter;
use super::record::{Item, Place, Record};
use super::{Codec, Compression, Footer, SLICE_MAX, gzip, zstandard};
use crate::error::{Context, Result};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};

/// A record whose place in the file is not known before its piece is written.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What it is.
    pub item: Item,
    /// Content bytes before it: in this piece, or, if `opened`, in the piece that opened it.
    pub skip: u32,
    /// Its length in bytes of content.
    pub length: u64,
    /// It began in the last piece that was marked with [`Piece::opens`].
    pub opened: bool,
}

/// Content that is compressed on its own, so that it begins with a member and ends with one.
#[derive(Debug, Default)]
pub struct Piece {
    /// The content; more than `MEMBER_MAX` bytes become several members.
    pub content: Vec<u8>,
    /// What ends in it.
    pub records: Vec<Pending>,
    /// Something begins with it that ends in a later piece.
    pub opens: bool,
}

/// A compressed [`Piece`].
#[derive(Debug)]
pub struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) content: u64,
    pub(super) members: u64,
    pub(super) records: Vec<Pending>,
    pub(super) opens: bool,
}

impl Packed {
    /// Length of the content in bytes.
    pub fn content_bytes(&self) -> u64 {
        self.content
    }

    /// What ends in it.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.records.iter().map(|record| &record.item)
    }

    /// Length of the compressed members in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Length of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Length of the content in bytes.
    pub content_bytes: u64,
}

/// Writes one file.
pub struct Writer<W> {
    output: W,
    codec: Codec,
    sum: Sha256,
    position: u64,
    content: u64,
    members: u64,
    opened: u64,
    index: IndexWriter,
}

impl<W: Write> Writer<W> {
    /// Writes to `output`, which should be at its beginning.
    ///
    /// # Errors
    /// The index can't be set up.
    pub fn new(output: W, compression: Compression) -> Result<Self> {
        Ok(Self {
            output,
            codec: compression.codec,
            sum: Sha256::new(),
            position: 0,
            content: 0,
            members: 0,
            opened: 0,
            index: IndexWriter::new()?,
        })
    }

    /// Appends a piece and enters its records into the index.
    ///
    /// # Errors
    /// The output fails.
    pub fn append(&mut self, packed: Packed) -> Result<()> {
        if packed.opens {
            self.opened = self.position;
        }
        for pending in packed.records {
            self.index.push(&Record {
                place: Place {
                    member: if pending.opened {
                        self.opened
                    } else {
                        self.position
                    },
                    skip: pending.skip,
                    length: pending.length,
                },
                item: pending.item,
            })?;
        }
        self.content += packed.content;
        self.members += packed.members;
        self.put(&packed.bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.output
            .write_all(bytes)
            .context(|| "cannot write the backup")?;
        self.sum.update(bytes);
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Writes index and footer; gives the output back, and what was written.
    ///
    /// # Errors
    /// The output fails, or the spooled index can't be read.
    pub fn finish(mut self) -> Result<(W, Facts)> {
        let index = std::mem::replace(&mut self.index, IndexWriter::new()?);
        if self.codec != Codec::None {
            let (mut spool, index_bytes, records) = index.finish()?;
            let footer = Footer {
                index_offset: self.position,
                index_bytes,
                records,
                content_bytes: self.content,
                members: self.members,
            };
            let mut left = index_bytes;
            while left > 0 {
                let mut slice = vec![b'I'];
                (&mut spool)
                    .take(SLICE_MAX as u64)
                    .read_to_end(&mut slice)
                    .context(|| "cannot read the spooled index")?;
                left = left.saturating_sub(slice.len() as u64 - 1);
                self.carry(&slice)?;
            }
            self.carry(&footer.encode())?;
        }
        self.output.flush().context(|| "cannot write the backup")?;
        let facts = Facts {
            bytes: self.position,
            sha256: hex(&self.sum.finalize()),
            content_bytes: self.content,
        };
        Ok((self.output, facts))
    }

    fn carry(&mut self, payload: &[u8]) -> Result<()> {
        let member = match self.codec {
            Codec::Zstd => zstandard::carrier(payload),
            _ => gzip::carrier(payload),
        };
        self.put(&member)
    }
}

/// Bytes as lower-case hexadecimal digits, as sha256sum writes them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
