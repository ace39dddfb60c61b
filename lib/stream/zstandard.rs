//! zstd frames (RFC 8878), each behind a skippable frame that tells its length, and skippable
//! frames that carry the index.

use super::Role;
use crate::error::{Error, Result};

const SKIPPABLE: [u8; 4] = 0x184D_2A5D_u32.to_le_bytes();
const FRAME: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// Magic and length of a skippable frame.
const SKIP_HEADER: usize = 8;
/// The skippable frame before a frame of content: `M` and the frame's length.
pub(super) const HEADER: usize = SKIP_HEADER + 5;

/// The bytes that tell how long the header is: a carrier may be shorter than [`HEADER`].
pub(super) const HEADER_READ: usize = SKIP_HEADER + 1;

/// How many bytes the header has that begins with `bytes`, [`HEADER_READ`] of them.
pub(super) fn header_length(bytes: &[u8]) -> usize {
    if bytes[SKIP_HEADER] == b'M' {
        HEADER
    } else {
        HEADER_READ
    }
}

/// What the header of a member says.
pub(super) struct Header {
    pub(super) length: usize,
    pub(super) header: usize,
}

/// Writes a header into the first [`HEADER`] bytes of `member`, which already has its frame.
pub(super) fn write_header(member: &mut [u8]) {
    let frame = (member.len() - HEADER) as u32;
    member[..4].copy_from_slice(&SKIPPABLE);
    member[4..8].copy_from_slice(&5u32.to_le_bytes());
    member[8] = b'M';
    member[9..13].copy_from_slice(&frame.to_le_bytes());
}

/// A skippable frame that carries `payload`.
pub(super) fn carrier(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(SKIP_HEADER + payload.len());
    out.extend_from_slice(&SKIPPABLE);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// Reads the header at the start of `bytes`. `None`: not a member of ours.
pub(super) fn parse_header(bytes: &[u8]) -> Option<Header> {
    if bytes.len() <= SKIP_HEADER || bytes[..4] != SKIPPABLE {
        return None;
    }
    let payload = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    match bytes[8] {
        b'M' if payload == 5 && bytes.len() >= HEADER => {
            let frame = u32::from_le_bytes([bytes[9], bytes[10], bytes[11], bytes[12]]) as usize;
            (frame > 4).then_some(Header {
                length: HEADER + frame,
                header: HEADER,
            })
        }
        b'I' | b'F' if payload <= super::SLICE_MAX + 1 => Some(Header {
            length: SKIP_HEADER + payload,
            header: SKIP_HEADER,
        }),
        _ => None,
    }
}

/// Whether `bytes` begin as a zstd file does, ours or another's.
pub(super) fn is_zstd(bytes: &[u8]) -> bool {
    bytes.starts_with(&FRAME)
        || (bytes.len() >= 4 && bytes[0] & 0xf0 == 0x50 && bytes[1..4] == SKIPPABLE[1..])
}

/// What a whole member carries.
pub(super) fn role(member: &[u8]) -> Result<Role> {
    if member[8] == b'M' {
        if member.len() < HEADER + 4 || member[HEADER..HEADER + 4] != FRAME {
            return Err(Error::damaged("a zstd frame has a wrong magic number"));
        }
        return Ok(Role::Content);
    }
    Role::of_payload(&member[SKIP_HEADER..])
}
