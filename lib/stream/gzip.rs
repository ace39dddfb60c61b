//! gzip members (RFC 1952) with the `IG` subfield that tells their length, and empty ones that
//! carry a payload in the `SG` subfield.

use super::Role;
use crate::error::{Error, Result};

const MAGIC: [u8; 4] = [0x1f, 0x8b, 8, FEXTRA];
const FEXTRA: u8 = 4;
/// Magic, time (0), extra flags (0), system (255: unknown).
const FIXED: usize = 10;
/// Two bytes of XLEN, then the subfield: name, length, the member's length.
const IG: usize = 2 + 8;
/// Header of a member with content.
pub(super) const HEADER: usize = FIXED + IG;
/// CRC-32 and length of the content.
pub(super) const TRAILER: usize = 8;
/// Deflate's empty block.
const EMPTY: [u8; 2] = [3, 0];

/// The most bytes that have to be read to know where a member ends.
pub(super) const HEADER_READ: usize = HEADER;

/// What the header of a member says.
pub(super) struct Header {
    /// Length of the whole member in bytes.
    pub(super) length: usize,
    /// Length of the header in bytes.
    pub(super) header: usize,
}

/// Writes a header into the first [`HEADER`] bytes of `member`, which already has its body and
/// trailer.
pub(super) fn write_header(member: &mut [u8]) {
    let length = member.len() as u32;
    fill_header(member, 8, length);
}

fn fill_header(out: &mut [u8], xlen: u16, member_length: u32) {
    out[..4].copy_from_slice(&MAGIC);
    out[4..9].fill(0);
    out[9] = 255;
    out[10..12].copy_from_slice(&xlen.to_le_bytes());
    out[12..16].copy_from_slice(b"IG\x04\x00");
    out[16..20].copy_from_slice(&member_length.to_le_bytes());
}

/// An empty member that carries `payload`.
pub(super) fn carrier(payload: &[u8]) -> Vec<u8> {
    let xlen = 8 + 4 + payload.len();
    let length = HEADER + 4 + payload.len() + EMPTY.len() + TRAILER;
    let mut out = vec![0; HEADER];
    fill_header(&mut out, xlen as u16, length as u32);
    out.extend_from_slice(b"SG");
    out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&EMPTY);
    out.extend_from_slice(&[0; TRAILER]);
    out
}

/// Reads the header at the start of `bytes` (at least [`HEADER_READ`] of them). `None`: a gzip
/// member without our subfield, so made by another tool, or no gzip at all.
pub(super) fn parse_header(bytes: &[u8]) -> Option<Header> {
    let ours = bytes.len() >= HEADER
        && bytes[..4] == MAGIC
        && bytes[4..10] == [0, 0, 0, 0, 0, 255]
        && bytes[12..16] == *b"IG\x04\x00";
    if !ours {
        return None;
    }
    let header = FIXED + 2 + usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let length = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]) as usize;
    // As a damaged one may, it could end before the subfield that is in it.
    let fits = header >= HEADER && length >= header + EMPTY.len() + TRAILER;
    fits.then_some(Header { length, header })
}

/// Whether `bytes` begin as any gzip file does.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

/// What a whole member carries, and its payload where it has no content.
pub(super) fn role(member: &[u8], header: usize) -> Result<Role> {
    let extra = &member[HEADER..header];
    if extra.is_empty() {
        return Ok(Role::Content);
    }
    let payload = match extra {
        [b'S', b'G', low, high, payload @ ..]
            if usize::from(u16::from_le_bytes([*low, *high])) == payload.len() =>
        {
            payload
        }
        _ => {
            return Err(Error::damaged(
                "a gzip member has an unknown FEXTRA subfield",
            ));
        }
    };
    if member[header..header + EMPTY.len()] != EMPTY || member.len() != header + 10 {
        return Err(Error::damaged("an index member has content"));
    }
    if member[header + 2..] != [0; TRAILER] {
        return Err(Error::damaged("an index member has a wrong trailer"));
    }
    Role::of_payload(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a flipped bit makes of a header is refused, or is another role: never a panic.
    #[test]
    fn a_flipped_bit_of_a_header_is_an_error() {
        let mut content = [&[0; HEADER][..], &EMPTY, &[0; TRAILER]].concat();
        write_header(&mut content);
        for sound in [content, carrier(b"payload")] {
            let whole = parse_header(&sound).unwrap();
            assert_eq!(whole.length, sound.len());
            for bit in 0..whole.header * 8 {
                let mut flipped = sound.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let Some(header) = parse_header(&flipped) else {
                    continue;
                };
                assert!(header.header >= HEADER, "bit {bit}");
                if header.length == flipped.len() {
                    // Whichever: it comes back.
                    let _ = role(&flipped, header.header);
                }
            }
        }
        let mut short = carrier(b"");
        short[10] = 0;
        assert!(
            parse_header(&short).is_none(),
            "it ends before its subfield"
        );
    }
}
