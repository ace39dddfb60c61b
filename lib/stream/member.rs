//! Members as they lie in a file: split from it without decompressing, then decompressed one by one.

use super::{Codec, MEMBER_MAX, SLICE_MAX, gzip, zstandard};
use crate::error::{Context, Error, Result};
use std::io::{ErrorKind, Read};

/// The longest member that is believed: content that does not compress, and room for headers.
const LENGTH_MAX: usize = MEMBER_MAX + MEMBER_MAX / 8 + 64 * 1024;

/// What a member is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds content.
    Content,
    /// It carries a slice of the index.
    Index(Vec<u8>),
    /// It carries the footer.
    Footer(Vec<u8>),
}

impl Role {
    /// What a payload says that it is.
    pub(super) fn of_payload(payload: &[u8]) -> Result<Self> {
        match payload {
            [b'I', slice @ ..] if slice.len() <= SLICE_MAX => Ok(Self::Index(slice.to_vec())),
            [b'F', footer @ ..] => Ok(Self::Footer(footer.to_vec())),
            _ => Err(Error::damaged("a member carries something unknown")),
        }
    }
}

/// One member, whole and as it lies in the file.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes, with header and trailer.
    pub bytes: Vec<u8>,
    codec: Codec,
    header: usize,
}

impl Member {
    /// What it is there for.
    ///
    /// # Errors
    /// It is damaged, or of a later format.
    pub fn role(&self) -> Result<Role> {
        match self.codec {
            Codec::Gzip => gzip::role(&self.bytes, self.header),
            Codec::Zstd => zstandard::role(&self.bytes),
            Codec::None => Ok(Role::Content),
        }
        .map_err(|error| at(self.offset, &error))
    }

    /// The length of its content as it claims; decompressing it tells whether that is true.
    pub fn content_bytes(&self) -> Option<u64> {
        match self.codec {
            Codec::Gzip => {
                let length = self.bytes.last_chunk::<4>()?;
                Some(u32::from_le_bytes(*length).into())
            }
            Codec::Zstd => {
                let frame = self.bytes.get(self.header..)?;
                zstd::zstd_safe::get_frame_content_size(frame)
                    .ok()
                    .flatten()
            }
            Codec::None => Some(self.bytes.len() as u64),
        }
    }
}

fn at(offset: u64, error: &Error) -> Error {
    Error::damaged(format!("at byte {offset}: {error}"))
}

/// Splits a stream into its members; reads nothing but headers and lengths.
pub struct Members<R> {
    input: R,
    codec: Codec,
    offset: u64,
    ended: bool,
}

impl<R: Read> Members<R> {
    /// The members of `input`, whose first byte lies at `offset` of the file.
    pub fn new(input: R, codec: Codec, offset: u64) -> Self {
        Self {
            input,
            codec,
            offset,
            ended: false,
        }
    }

    /// Gives the input back, behind the last member taken.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn take(&mut self) -> Result<Option<Member>> {
        let member = match self.codec {
            Codec::None => self.block()?,
            Codec::Gzip | Codec::Zstd => self.member()?,
        };
        if let Some(member) = &member {
            self.offset += member.bytes.len() as u64;
        }
        Ok(member)
    }

    /// Uncompressed content has no members; any length will do.
    fn block(&mut self) -> Result<Option<Member>> {
        let mut bytes = vec![0; MEMBER_MAX];
        let length = fill(&mut self.input, &mut bytes)?;
        bytes.truncate(length);
        Ok((length > 0).then_some(Member {
            offset: self.offset,
            bytes,
            codec: Codec::None,
            header: 0,
        }))
    }

    fn member(&mut self) -> Result<Option<Member>> {
        let offset = self.offset;
        let mut bytes = vec![0; gzip::HEADER_READ];
        if let Codec::Zstd = self.codec {
            bytes.truncate(zstandard::HEADER_READ);
        }
        let mut got = fill(&mut self.input, &mut bytes)?;
        if got == 0 {
            return Ok(None);
        }
        if let (Codec::Zstd, zstandard::HEADER_READ) = (self.codec, got) {
            bytes.resize(zstandard::header_length(&bytes), 0);
            got += fill(&mut self.input, &mut bytes[got..])?;
        }
        let least = bytes.len();
        if got < least {
            return Err(Error::damaged(format!(
                "at byte {offset}: the file is cut off inside the header of a member"
            )));
        }
        let (length, header) = match self.codec {
            Codec::Zstd => zstandard::parse_header(&bytes).map(|h| (h.length, h.header)),
            _ => gzip::parse_header(&bytes).map(|h| (h.length, h.header)),
        }
        .filter(|&(length, header)| length <= LENGTH_MAX && length >= least && header <= length)
        .ok_or_else(|| {
            Error::damaged(format!(
                "at byte {offset}: no member begins where one should"
            ))
        })?;
        bytes.resize(length, 0);
        if fill(&mut self.input, &mut bytes[least..])? < length - least {
            return Err(Error::damaged(format!(
                "at byte {offset}: the file is cut off inside a member"
            )));
        }
        Ok(Some(Member {
            offset,
            bytes,
            codec: self.codec,
            header,
        }))
    }
}

impl<R: Read> Iterator for Members<R> {
    type Item = Result<Member>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let taken = self.take().transpose();
        self.ended = !matches!(taken, Some(Ok(_)));
        taken
    }
}

/// Reads until `buffer` is full or the input ends; returns how many bytes it got.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context(|| "cannot read the backup"),
        }
    }
    Ok(got)
}

/// One thread's decompressor.
pub struct Decompressor {
    deflate: libdeflater::Decompressor,
    zstd: zstd::bulk::Decompressor<'static>,
}

impl Decompressor {
    /// A decompressor for members of any codec.
    ///
    /// # Errors
    /// Memory is short.
    pub fn new() -> Result<Self> {
        Ok(Self {
            deflate: libdeflater::Decompressor::new(),
            zstd: zstd::bulk::Decompressor::new().context(|| "cannot set up zstd")?,
        })
    }

    /// The content of a member, checked against the member's own checksum.
    ///
    /// # Errors
    /// The member is damaged.
    pub fn content(&mut self, member: &Member) -> Result<Vec<u8>> {
        match member.codec {
            Codec::Gzip => self.inflate(&member.bytes, member.header),
            Codec::Zstd => self.frame(&member.bytes[member.header..]),
            Codec::None => Ok(member.bytes.clone()),
        }
        .map_err(|error| at(member.offset, &error))
    }

    fn inflate(&mut self, member: &[u8], header: usize) -> Result<Vec<u8>> {
        let trailer = member.len() - gzip::TRAILER;
        let number = |from: usize| {
            u32::from_le_bytes([
                member[from],
                member[from + 1],
                member[from + 2],
                member[from + 3],
            ])
        };
        let length = number(trailer + 4) as usize;
        if length > MEMBER_MAX {
            return Err(Error::damaged(
                "a member claims more content than one holds",
            ));
        }
        let mut content = vec![0; length];
        let got = self
            .deflate
            .deflate_decompress(&member[header..trailer], &mut content)
            .map_err(|_| Error::damaged("a member does not decompress"))?;
        if got != length || crc32fast::hash(&content) != number(trailer) {
            return Err(Error::damaged(
                "the content of a member has a wrong checksum",
            ));
        }
        Ok(content)
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let length = zstd::zstd_safe::get_frame_content_size(frame)
            .ok()
            .flatten()
            .filter(|&length| length <= MEMBER_MAX as u64)
            .ok_or_else(|| Error::damaged("a frame claims more content than one holds"))?;
        if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
            return Err(Error::damaged("a frame has a wrong length"));
        }
        let content = self
            .zstd
            .decompress(frame, length as usize)
            .map_err(|_| Error::damaged("a frame does not decompress, or has a wrong checksum"))?;
        if content.len() as u64 != length {
            return Err(Error::damaged("a frame has less content than it claims"));
        }
        Ok(content)
    }
}
