//! Files with holes: where their data lies, how an archive says so, and how stretches of what is
//! archived map to stretches of the file.
//!
//! Archives carry them in GNU tar's PAX format 1.0: the map stands as text before the data, padded to
//! a block, so that the header stays small however many extents there are. GNU tar, bsdtar and Python
//! read it; a tool that does not gets the data behind the text.

use super::entry::{BLOCK, padding};
use crate::error::{Context, Error, Result};
use nix::errno::Errno;
use nix::unistd::{Whence, lseek64};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Holes that save less than this in all are not worth a map.
const WORTH: u64 = 64 * 1024;
/// The most extents that an archive of ours lists; beyond that the smallest holes are archived as
/// the zeros that they read as.
const WRITTEN_MAX: usize = 1 << 16;
/// The most extents that are believed of an archive.
pub(super) const READ_MAX: usize = 1 << 20;

/// A stretch of data in a file with holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Extent {
    /// Where it begins in the file.
    offset: u64,
    /// Its length in bytes.
    length: u64,
    /// How many bytes of data come before it.
    before: u64,
}

/// A part of an extent: where it lies among what is archived and where in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in what is archived of the file, the map included.
    pub stored: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Where the data of a file lies, in order and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    extents: Vec<Extent>,
    /// Length of the map where it stands as text before the data; 0 where the header has it.
    head: u64,
}

impl Map {
    /// The map of these offsets and lengths, for a file of `size` bytes, whose text takes `head`
    /// bytes before the data.
    ///
    /// # Errors
    /// They overlap, are out of order or beyond the end, or are too many.
    pub fn new(pairs: impl IntoIterator<Item = (u64, u64)>, size: u64, head: u64) -> Result<Self> {
        let mut map = Self {
            extents: Vec::new(),
            head,
        };
        let (mut end, mut before) = (0, 0);
        for (offset, length) in pairs {
            let next = offset
                .checked_add(length)
                .filter(|&next| offset >= end && next <= size);
            end = next.ok_or_else(|| Error::damaged("the map of a file with holes is damaged"))?;
            if length > 0 {
                map.extents.push(Extent {
                    offset,
                    length,
                    before,
                });
                before += length;
            }
            if map.extents.len() > READ_MAX {
                return Err(Error::damaged("the map of a file with holes is too long"));
            }
        }
        Ok(map)
    }

    /// Asks the file system for the holes of `file`, which is `size` bytes long. `None`: there are
    /// none worth a map.
    ///
    /// # Errors
    /// The file can't be sought in.
    pub fn of_file(file: &File, size: u64) -> Result<Option<Self>> {
        let unreadable = || "cannot look for holes";
        let mut pairs: Vec<(u64, u64)> = Vec::new();
        let mut least = 0;
        let mut at = 0;
        while at < size {
            let seek = |from: u64, whence| lseek64(file, from as i64, whence);
            let start = match seek(at, Whence::SeekData) {
                Ok(start) => start as u64,
                Err(Errno::ENXIO) => break,
                // A file system that knows no holes.
                Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(None),
                Err(errno) => return Err(errno).context(unreadable),
            };
            let end = match seek(start, Whence::SeekHole) {
                Ok(end) => (end as u64).min(size),
                Err(Errno::ENXIO) => break,
                Err(errno) => return Err(errno).context(unreadable),
            };
            if start >= end {
                break;
            }
            at = end;
            join(&mut pairs, (start, end - start), least);
            while pairs.len() > WRITTEN_MAX {
                least = if least == 0 { 4096 } else { least * 2 };
                let all = std::mem::take(&mut pairs);
                all.into_iter()
                    .for_each(|pair| join(&mut pairs, pair, least));
            }
        }
        let data: u64 = pairs.iter().map(|&(_, length)| length).sum();
        if size - data < WORTH {
            return Ok(None);
        }
        let mut map = Self::new(pairs, size, 0)?;
        map.head = map.text(size).len() as u64;
        Ok(Some(map))
    }

    /// The map as text, padded to a block.
    pub(super) fn text(&self, size: u64) -> Vec<u8> {
        // An empty extent at the end tells tools that count on it how long the file is.
        let ends_with_hole = self
            .extents
            .last()
            .is_none_or(|last| last.offset + last.length < size);
        let mut text = format!("{}\n", self.extents.len() + usize::from(ends_with_hole));
        for extent in &self.extents {
            // Writing to memory can't fail.
            let _ = write!(text, "{}\n{}\n", extent.offset, extent.length);
        }
        if ends_with_hole {
            let _ = write!(text, "{size}\n0\n");
        }
        let mut text = text.into_bytes();
        text.resize(text.len() + padding(text.len() as u64), 0);
        text
    }

    /// How many bytes are archived of the file, the map included.
    pub fn stored(&self) -> u64 {
        self.head
            + self
                .extents
                .last()
                .map_or(0, |last| last.before + last.length)
    }

    /// How many of these the map takes.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// What the bytes `from..to` of what is archived hold of the file, the map left out.
    pub fn segments(&self, from: u64, to: u64) -> impl Iterator<Item = Segment> + '_ {
        let (low, high) = (
            from.max(self.head) - self.head,
            to.max(self.head) - self.head,
        );
        let first = self
            .extents
            .partition_point(|extent| extent.before + extent.length <= low);
        self.extents[first..]
            .iter()
            .take_while(move |extent| extent.before < high)
            .map(move |extent| {
                let start = extent.before.max(low);
                let end = (extent.before + extent.length).min(high);
                Segment {
                    stored: self.head + start,
                    offset: extent.offset + (start - extent.before),
                    length: end - start,
                }
            })
    }
}

/// Appends a stretch, or lengthens the last one if the hole between them is shorter than `least`.
fn join(pairs: &mut Vec<(u64, u64)>, (offset, length): (u64, u64), least: u64) {
    match pairs.last_mut() {
        Some(last) if offset - (last.0 + last.1) < least => last.1 = offset + length - last.0,
        _ => pairs.push((offset, length)),
    }
}

/// Reads the map that stands as text before the data: numbers of whole blocks come in through
/// `block` until the map is complete. Returns the pairs and how many bytes the text took.
///
/// # Errors
/// `block` fails, or it is no such map.
pub(super) fn read_text(
    mut block: impl FnMut() -> Result<[u8; BLOCK]>,
) -> Result<(Vec<(u64, u64)>, u64)> {
    let damaged = || Error::damaged("the map of a file with holes is damaged");
    let mut taken = 0;
    let mut current = [0; BLOCK];
    let mut at = BLOCK;
    let mut number = || -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            if at == BLOCK {
                current = block()?;
                taken += BLOCK as u64;
                at = 0;
            }
            at += 1;
            match current[at - 1] {
                b'\n' => return super::pax::decimal(&digits).ok_or_else(damaged),
                _ if digits.len() == 20 => return Err(damaged()),
                digit => digits.push(digit),
            }
        }
    };
    let count = number()?;
    if count > READ_MAX as u64 {
        return Err(damaged());
    }
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((number()?, number()?));
    }
    Ok((pairs, taken))
}

/// Writes what is archived of a file, from `offset` of that on, to where it belongs.
pub(super) fn write(file: &File, map: Option<&Map>, offset: u64, buffer: &[u8]) -> io::Result<()> {
    let Some(map) = map else {
        return file.write_all_at(buffer, offset);
    };
    map.segments(offset, offset + buffer.len() as u64)
        .try_for_each(|segment| {
            let start = (segment.stored - offset) as usize;
            file.write_all_at(
                &buffer[start..start + segment.length as usize],
                segment.offset,
            )
        })
}

/// Reads back what [`write`] wrote; what belongs to the map is left as it is.
pub(super) fn read(
    file: &File,
    map: Option<&Map>,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    let Some(map) = map else {
        return file.read_exact_at(buffer, offset);
    };
    map.segments(offset, offset + buffer.len() as u64)
        .try_for_each(|segment| {
            let start = (segment.stored - offset) as usize;
            file.read_exact_at(
                &mut buffer[start..start + segment.length as usize],
                segment.offset,
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_comes_back_from_its_text() {
        let pairs: Vec<(u64, u64)> = (0..200).map(|n| (n * 10_000_000_000, 1 + n)).collect();
        let size = 10_000_000_000_000;
        let map = Map::new(pairs.clone(), size, 0).unwrap();
        let text = map.text(size);
        assert_eq!(text.len() % BLOCK, 0);
        let mut blocks = text.chunks_exact(BLOCK);
        let (read, taken) = read_text(|| Ok(blocks.next().unwrap().try_into().unwrap())).unwrap();
        assert_eq!(taken, text.len() as u64);
        assert_eq!(read[..200], pairs);
        assert_eq!(read[200], (size, 0));
        assert_eq!(Map::new(read, size, 0).unwrap(), map);
    }

    #[test]
    fn segments_cover_every_byte_once() {
        let map = Map::new([(100, 10), (200, 0), (300, 30), (1000, 5)], 2000, 512).unwrap();
        assert_eq!(map.stored(), 512 + 45);
        for step in [1, 7, 40, 600] {
            let mut seen = Vec::new();
            for from in (0..map.stored()).step_by(step) {
                for segment in map.segments(from, from + step as u64) {
                    seen.extend(
                        (0..segment.length).map(|n| (segment.stored + n, segment.offset + n)),
                    );
                }
            }
            let wanted: Vec<(u64, u64)> = (100..110)
                .chain(300..330)
                .chain(1000..1005)
                .enumerate()
                .map(|(n, offset)| (512 + n as u64, offset))
                .collect();
            assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn impossible_maps_are_refused() {
        for pairs in [
            vec![(0, 11)],
            vec![(5, 5), (9, 1)],
            vec![(5, 1), (1, 1)],
            vec![(u64::MAX, 2)],
        ] {
            assert!(Map::new(pairs, 10, 0).is_err());
        }
        let mut endless = || -> Result<[u8; BLOCK]> { Ok([b'1'; BLOCK]) };
        assert!(read_text(&mut endless).is_err());
    }

    #[test]
    fn small_holes_give_way_to_large_ones() {
        let mut pairs = Vec::new();
        for pair in [(0, 10), (20, 10), (1000, 10)] {
            join(&mut pairs, pair, 100);
        }
        assert_eq!(pairs, [(0, 30), (1000, 10)]);
    }
}
