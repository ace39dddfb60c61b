//! What compresses content into members.

use super::{MEMBER_MAX, Packed, Piece, gzip, zstandard};
use crate::error::{Error, Kind, Result};
use std::fmt;
use std::str::FromStr;

/// How the members of a file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// gzip, by libdeflate; levels 1 to 12.
    Gzip,
    /// zstd; levels 1 to 19.
    Zstd,
    /// Not at all. Such a file has no index.
    None,
}

/// A codec and its level; written `gzip:5`, `zstd:3`, `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// Its level; 0 for [`Codec::None`].
    pub level: i32,
}

impl Compression {
    /// What follows `.sql` or `.tar` in a file's name.
    pub fn extension(self) -> &'static str {
        match self.codec {
            Codec::Gzip => ".gz",
            Codec::Zstd => ".zst",
            Codec::None => "",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.codec {
            Codec::Gzip => write!(f, "gzip:{}", self.level),
            Codec::Zstd => write!(f, "zstd:{}", self.level),
            Codec::None => f.write_str("none"),
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let (codec, default, most) = match name {
            "gzip" | "gz" => (Codec::Gzip, 5, 12),
            "zstd" | "zst" => (Codec::Zstd, 3, 19),
            "none" if level.is_none() => (Codec::None, 0, 0),
            _ => {
                return Err(
                    Error::new(Kind::Usage, format!("'{text}' is no compression"))
                        .with_hint("Use gzip[:LEVEL], zstd[:LEVEL] or none."),
                );
            }
        };
        let level = match level {
            None => default,
            Some(level) => level
                .parse()
                .ok()
                .filter(|level| (1..=most).contains(level))
                .ok_or_else(|| {
                    Error::new(Kind::Usage, format!("'{level}' is no level of {name}"))
                        .with_hint(format!("The levels of {name} are 1 to {most}."))
                })?,
        };
        Ok(Self { codec, level })
    }
}

/// One thread's compressor: content in, members out.
pub struct Compressor(Engine);

enum Engine {
    Gzip {
        wanted: libdeflater::Compressor,
        probe: libdeflater::Compressor,
        store: libdeflater::Compressor,
        /// Where members are made: it is as long as any has needed, while they are shorter and kept.
        scratch: Vec<u8>,
    },
    Zstd(zstd::bulk::Compressor<'static>),
    None,
}

impl Compressor {
    /// A compressor for `compression`.
    ///
    /// # Errors
    /// The level does not exist, or memory is short.
    pub fn new(compression: Compression) -> Result<Self> {
        let deflate = |level| {
            libdeflater::CompressionLvl::new(level)
                .map(libdeflater::Compressor::new)
                .map_err(|_| Error::new(Kind::Usage, format!("gzip has no level {level}")))
        };
        Ok(Self(match compression.codec {
            Codec::Gzip => Engine::Gzip {
                wanted: deflate(compression.level)?,
                probe: deflate(1)?,
                store: deflate(0)?,
                scratch: Vec::new(),
            },
            Codec::Zstd => {
                let mut engine = zstd::bulk::Compressor::new(compression.level)
                    .and_then(|mut engine| {
                        engine.include_checksum(true)?;
                        engine.include_contentsize(true)?;
                        Ok(engine)
                    })
                    .map_err(|cause| Error::io("cannot set up zstd", cause))?;
                engine
                    .include_dictid(false)
                    .map_err(|cause| Error::io("cannot set up zstd", cause))?;
                Engine::Zstd(engine)
            }
            Codec::None => Engine::None,
        }))
    }

    /// Compresses a piece; content longer than [`MEMBER_MAX`] becomes several members in a row.
    ///
    /// # Errors
    /// The codec failed, which for memory in hand means that memory is short.
    pub fn pack(&mut self, piece: Piece) -> Result<Packed> {
        let Piece {
            content,
            records,
            opens,
        } = piece;
        let length = content.len() as u64;
        let (bytes, members) = if let Engine::None = self.0 {
            (content, 1)
        } else {
            let mut bytes = Vec::new();
            let mut members = 0;
            for part in content.chunks(MEMBER_MAX) {
                self.member(part, &mut bytes)?;
                members += 1;
            }
            (bytes, members)
        };
        Ok(Packed {
            bytes,
            content: length,
            members,
            records,
            opens,
        })
    }

    /// Appends one member with `content` to `out`.
    fn member(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        match &mut self.0 {
            Engine::Gzip {
                wanted,
                probe,
                store,
                scratch,
            } => {
                let engine = if compresses(content, probe, scratch) {
                    wanted
                } else {
                    store
                };
                let room = room(scratch, engine.deflate_compress_bound(content.len()));
                let length = engine
                    .deflate_compress(content, room)
                    .map_err(|_| Error::new(Kind::Failed, "deflate ran out of room"))?;
                out.reserve_exact(gzip::HEADER + length + gzip::TRAILER);
                out.resize(start + gzip::HEADER, 0);
                out.extend_from_slice(&scratch[..length]);
                out.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
                out.extend_from_slice(&(content.len() as u32).to_le_bytes());
                gzip::write_header(&mut out[start..]);
            }
            Engine::Zstd(engine) => {
                let bound = zstd::zstd_safe::compress_bound(content.len());
                out.resize(start + zstandard::HEADER + bound, 0);
                let length = engine
                    .compress_to_buffer(content, &mut out[start + zstandard::HEADER..])
                    .map_err(|cause| Error::io("zstd failed", cause))?;
                out.truncate(start + zstandard::HEADER + length);
                zstandard::write_header(&mut out[start..]);
            }
            Engine::None => out.extend_from_slice(content),
        }
        Ok(())
    }
}

/// At least so many bytes of `scratch`.
fn room(scratch: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if scratch.len() < bytes {
        scratch.resize(bytes, 0);
    }
    scratch
}

/// Whether an attempt is worth the effort: looks at three samples. Images, archives and encrypted
/// files are most of an object store, and deflate spends as long on them as on text.
fn compresses(content: &[u8], probe: &mut libdeflater::Compressor, scratch: &mut Vec<u8>) -> bool {
    const SAMPLE: usize = 4096;
    if content.len() < 8 * SAMPLE {
        return true;
    }
    let scratch = room(scratch, probe.deflate_compress_bound(SAMPLE));
    [0, content.len() / 2, content.len() - SAMPLE]
        .into_iter()
        .any(|at| {
            probe
                .deflate_compress(&content[at..at + SAMPLE], scratch)
                .map_or(true, |length| length < SAMPLE - SAMPLE / 32)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["gzip:5", "zstd:3", "none"] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
        }
        for text in ["gzip:0", "gzip:13", "zstd:x", "lzma", "none:1", ""] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
