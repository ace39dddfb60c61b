//! The footer: the last member of a file, of a fixed size, that says where the index is and how much
//! there has to be.
//!
//! Without it a file that was cut exactly between two members would look whole to every gzip.
//!
//! # Format, version 1
//! `F`, the version (1 byte), then little-endian: where the first index member begins (8 bytes), the
//! length of the index (8), the number of its records (8), the length of all content (8), the number
//! of content members (8), the CRC-32 of everything so far (4).

use crate::error::{Error, Result};

const VERSION: u8 = 1;
/// Length of the payload, the `F` included.
const LENGTH: usize = 2 + 5 * 8 + 4;

/// What a footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where in the file the first index member begins; the footer's own place if there is none.
    pub index_offset: u64,
    /// Length of the index in bytes, as its members carry it.
    pub index_bytes: u64,
    /// Number of its records.
    pub records: u64,
    /// Length of all content in bytes.
    pub content_bytes: u64,
    /// Number of members with content.
    pub members: u64,
}

impl Footer {
    /// Length in bytes of the `.gz` member that carries a footer.
    pub(super) const GZIP_MEMBER: u64 = (super::gzip::HEADER + 4 + LENGTH + 2 + 8) as u64;
    /// Length in bytes of the skippable frame that carries a footer.
    pub(super) const ZSTD_MEMBER: u64 = (8 + LENGTH) as u64;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut payload = vec![b'F', VERSION];
        for number in [
            self.index_offset,
            self.index_bytes,
            self.records,
            self.content_bytes,
            self.members,
        ] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        payload.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        payload
    }

    /// Reads a footer from what a member carries behind its `F`.
    ///
    /// # Errors
    /// It is damaged, or of a later version.
    pub fn decode(payload: &[u8]) -> Result<Self> {
        if payload.len() != LENGTH - 1 {
            return Err(Error::damaged("the footer has a wrong length"));
        }
        let (body, sum) = payload.split_at(LENGTH - 5);
        let mut hash = crc32fast::Hasher::new();
        hash.update(b"F");
        hash.update(body);
        if hash.finalize().to_le_bytes() != *sum {
            return Err(Error::damaged("the footer has a wrong checksum"));
        }
        if body[0] != VERSION {
            return Err(Error::damaged(format!(
                "the footer is of the unknown version {}",
                body[0]
            ))
            .with_hint("Use a newer sg-toolkit, or gunzip."));
        }
        let mut numbers = body[1..].chunks_exact(8).map(|bytes| {
            bytes
                .iter()
                .rev()
                .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
        });
        let mut next = || numbers.next().unwrap_or_default();
        Ok(Self {
            index_offset: next(),
            index_bytes: next(),
            records: next(),
            content_bytes: next(),
            members: next(),
        })
    }
}
