//! The bytes of a backup: a plain `.gz` or `.zst` that any tool reads from front to back, laid out
//! so that this one can write and read it on all cores and find any part without the rest.
//!
//! # Format, version 1
//! A file is a chain of *members*, each holding at most [`MEMBER_MAX`] bytes of content and
//! decompressing by itself:
//!
//! * `.gz`: members of RFC 1952, each with the FEXTRA subfield `IG` (mgzip's and pgzip's): the
//!   length of the whole member, 4 bytes, little-endian. So a reader hops from one to the next.
//! * `.zst`: frames of RFC 8878, each behind a skippable frame (magic `0x184D2A5D`) with the byte
//!   `M` and the frame's length, 4 bytes, little-endian.
//!
//! Behind the content come members without content, which other tools pass over: a second FEXTRA
//! subfield `SG` (in `.zst` a skippable frame of the same magic) that begins with
//!
//! * `I`: a slice of the *index* (see [`index`]), at most [`SLICE_MAX`] bytes, because busybox stops
//!   at a longer FEXTRA;
//! * `F`: the *footer*, always last and of a fixed size, which points to the index (see
//!   [`footer`]).
//!
//! The idea of an index in empty members is eStargz's, that of one in skippable frames the zstd
//! seekable format's. Uncompressed output has neither; like a file of another tool, it is read in
//! order.

pub mod compress;
pub mod contents;
pub mod footer;
mod gzip;
pub mod index;
pub mod member;
pub mod reader;
pub mod record;
pub mod writer;
mod zstandard;

pub use compress::{Codec, Compression, Compressor};
pub use footer::Footer;
pub use member::{Decompressor, Member, Role};
pub use reader::Reader;
pub use record::{ContentHash, EntryKind, Item, Part, Place, Record};
pub use writer::{Facts, Packed, Pending, Piece, Writer};

/// The most content that one member holds, in bytes.
pub const MEMBER_MAX: usize = 1 << 20;

/// The most bytes of the index in one member.
pub const SLICE_MAX: usize = 8000;
