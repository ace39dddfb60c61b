//! The fields of a tar header, and what PAX records put in their place.

use super::entry::{BLOCK, Entry, Time};
use super::pax;
use super::sparse::Map;
use crate::error::{Error, Result};
use crate::stream::EntryKind;

/// Where a header says what kind of entry follows.
pub(super) const TYPE: usize = 156;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The length of the content that a header announces.
pub(super) fn size(block: &[u8; BLOCK]) -> Option<u64> {
    number(&block[124..136])
}

/// A field up to its first NUL.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    memchr::memchr(0, field).map_or(field, |end| &field[..end])
}

/// A number that can't be negative: octal digits, or two's complement with the top bit set (GNU's).
pub(super) fn number(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|number| u64::try_from(number).ok())
}

/// A number that may be negative.
fn signed(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(0x80 | 0xff) => {
            let (sign, digits) = (field[0] as i8 >> 7, &field[1..]);
            let negative = field[0] == 0xff;
            let fill = if negative { sign as u8 } else { 0 };
            let (high, low) = digits.split_at(digits.len().saturating_sub(8));
            if high.iter().any(|&byte| byte != fill) {
                return None;
            }
            let start = if negative { -1i64 } else { 0 };
            let value = low
                .iter()
                .fold(start, |sum, &byte| sum << 8 | i64::from(byte));
            ((value < 0) == negative).then_some(value)
        }
        _ => {
            let text = until_nul(field).trim_ascii();
            if text.is_empty() {
                return Some(0);
            }
            if !text.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
                return None;
            }
            i64::from_str_radix(std::str::from_utf8(text).ok()?, 8).ok()
        }
    }
}

/// Whether a header's checksum is right; some old writers took the bytes as signed.
pub(super) fn checksum_is_right(block: &[u8; BLOCK]) -> bool {
    let (mut unsigned, mut as_signed) = (0i64, 0i64);
    for (at, &byte) in block.iter().enumerate() {
        let byte = if CHECKSUM.contains(&at) { b' ' } else { byte };
        unsigned += i64::from(byte);
        as_signed += i64::from(byte as i8);
    }
    signed(&block[CHECKSUM]).is_some_and(|sum| sum == unsigned || sum == as_signed)
}

/// Adds the extents of GNU tar's old format: pairs of 12-byte numbers, until an empty one.
pub(super) fn old_extents(fields: &[u8], pairs: &mut Vec<(u64, u64)>) -> Option<()> {
    for pair in fields.chunks_exact(24) {
        if pair[0] == 0 || pair[12] == 0 {
            break;
        }
        pairs.push((number(&pair[..12])?, number(&pair[12..])?));
    }
    Some(())
}

/// An entry while its headers are read.
pub(super) struct Builder {
    pub(super) entry: Entry,
    /// Length of its content as archived.
    pub(super) stored: u64,
    /// What GNU tar's PAX formats 0.0 and 0.1 say of holes.
    pairs: Vec<(u64, u64)>,
    offset: Option<u64>,
    has_pairs: bool,
    /// Whether the format is 1.0, whose map stands before the content.
    major: u64,
    real_size: Option<u64>,
    real_name: Option<Vec<u8>>,
}

impl Builder {
    /// What the header itself says.
    pub(super) fn new(block: &[u8; BLOCK], stored: u64) -> Option<Self> {
        let posix = block[257..263] == *b"ustar\0";
        let gnu = block[257..265] == *b"ustar  \0";
        let mut path = until_nul(&block[..100]).to_vec();
        let prefix = until_nul(match block[508..512] == *b"tar\0" {
            true => &block[345..476],
            false => &block[345..500],
        });
        if posix && !prefix.is_empty() {
            path = [prefix, b"/", &path].concat();
        }
        let kind = match block[TYPE] {
            b'1' => EntryKind::Hardlink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' | b'D' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            // What came before ustar knew directories by their slash.
            _ if path.ends_with(b"/") => EntryKind::Directory,
            // POSIX says that what is unknown is a file.
            _ => EntryKind::File,
        };
        let mut entry = Entry::new(path, kind);
        entry.size = stored;
        entry.mode = (number(&block[100..108])? & 0o7777) as u32;
        entry.uid = number(&block[108..116])?;
        entry.gid = number(&block[116..124])?;
        entry.mtime = Time {
            seconds: signed(&block[136..148])?,
            nanoseconds: 0,
        };
        entry.link = until_nul(&block[157..257]).to_vec();
        if posix || gnu {
            entry.user = until_nul(&block[265..297]).to_vec();
            entry.group = until_nul(&block[297..329]).to_vec();
            if matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
                entry.device = (
                    u32::try_from(number(&block[329..337])?).ok()?,
                    u32::try_from(number(&block[337..345])?).ok()?,
                );
            }
        }
        Some(Self {
            entry,
            stored,
            pairs: Vec::new(),
            offset: None,
            has_pairs: false,
            major: 0,
            real_size: None,
            real_name: None,
        })
    }

    /// Takes one PAX record.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let damaged = || {
            Error::damaged(format!(
                "the PAX record '{}' is damaged",
                key.escape_ascii()
            ))
        };
        let number = || pax::decimal(value).ok_or_else(damaged);
        let entry = &mut self.entry;
        match key {
            b"path" => entry.path = value.to_vec(),
            b"linkpath" => entry.link = value.to_vec(),
            b"size" => {
                self.stored = number()?;
                entry.size = self.stored;
            }
            b"uid" => entry.uid = number()?,
            b"gid" => entry.gid = number()?,
            b"uname" => entry.user = value.to_vec(),
            b"gname" => entry.group = value.to_vec(),
            b"mtime" => entry.mtime = pax::time(value).ok_or_else(damaged)?,
            b"SCHILY.acl.access" => entry.access = Some(value.to_vec()),
            b"SCHILY.acl.default" => entry.default = Some(value.to_vec()),
            b"GNU.sparse.major" => self.major = number()?,
            b"GNU.sparse.name" => self.real_name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.real_size = Some(number()?),
            b"GNU.sparse.map" => {
                self.has_pairs = true;
                self.pairs = map(value).ok_or_else(damaged)?;
            }
            b"GNU.sparse.offset" => self.offset = Some(number()?),
            b"GNU.sparse.numbytes" => {
                self.has_pairs = true;
                self.pairs
                    .push((self.offset.take().ok_or_else(damaged)?, number()?));
            }
            _ => {
                let name = if key == b"RHT.security.selinux" {
                    b"security.selinux".to_vec()
                } else if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    pax::unescape(name)
                } else {
                    return Ok(());
                };
                entry.xattrs.retain(|(known, _)| *known != name);
                entry.xattrs.push((name, value.to_vec()));
            }
        }
        Ok(())
    }

    /// Whether a map of holes stands before the content.
    pub(super) fn has_text_map(&self) -> bool {
        self.major == 1 && self.entry.kind == EntryKind::File
    }

    /// The length of the file, holes included.
    pub(super) fn real_size(&self) -> u64 {
        self.real_size.unwrap_or(self.stored)
    }

    /// The entry, complete.
    pub(super) fn finish(mut self) -> Result<Entry> {
        let real_size = self.real_size();
        let entry = &mut self.entry;
        if let Some(name) = self.real_name {
            entry.path = name;
        }
        if entry.kind == EntryKind::File {
            if self.has_pairs && entry.sparse.is_none() {
                entry.sparse = Some(Map::new(self.pairs, real_size, 0)?);
            }
            if self.major == 1 || self.has_pairs {
                entry.size = real_size;
            }
        } else {
            entry.size = 0;
        }
        while entry.path.len() > 1 && entry.path.ends_with(b"/") {
            entry.path.pop();
        }
        Ok(self.entry)
    }
}

/// The map of format 0.1: `offset,length,offset,length…`.
fn map(text: &[u8]) -> Option<Vec<(u64, u64)>> {
    let numbers = text
        .split(|&byte| byte == b',')
        .filter(|number| !number.is_empty())
        .map(pax::decimal)
        .collect::<Option<Vec<u64>>>()?;
    let pairs = numbers.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| pairs.map(|pair| (pair[0], pair[1])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_all_their_forms() {
        assert_eq!(signed(b"0000644\0"), Some(0o644));
        assert_eq!(signed(b"   644 \0"), Some(0o644));
        assert_eq!(signed(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(signed(b"\x80\0\0\0\0\0\x01\0\0\0\0\0"), Some(1 << 40));
        assert_eq!(
            signed(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
            Some(-2)
        );
        assert_eq!(signed(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        for text in [
            &b"0000648\0"[..],
            b"-0000001",
            b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x81\0\0\0\0\0\0\0",
        ] {
            assert_eq!(signed(text), None, "{}", text.escape_ascii());
        }
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), None);
    }

    #[test]
    fn maps_of_the_format_0_1_are_read() {
        assert_eq!(map(b"0,5,10,1"), Some(vec![(0, 5), (10, 1)]));
        assert_eq!(map(b""), Some(vec![]));
        assert_eq!(map(b"0,5,10"), None);
        assert_eq!(map(b"0,x"), None);
    }
}
