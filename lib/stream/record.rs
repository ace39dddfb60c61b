//! The records of an index: what is where.
//!
//! # Encoding, version 1
//! postcard's, of each record's difference from the one before: most entries of an archive begin
//! where the last one ended, have headers of the usual length, and share a directory. In a tree of
//! small files the index would else be a fiftieth of the archive.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// Where a stretch of content lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where in the file the member begins that holds the stretch's first byte.
    pub member: u64,
    /// How many bytes of that member's content come before it.
    pub skip: u32,
    /// Its length in bytes of content; it may go on through the following members.
    pub length: u64,
}

/// A part of a dump that is SQL, and not rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Everything that has to be there before the rows: settings, schemas, types, tables.
    PreData,
    /// The values of the sequences.
    Sequences,
    /// Large objects.
    LargeObjects,
    /// Everything that is better built after the rows: indexes, constraints, triggers.
    PostData,
    /// What belongs to the database itself: its settings, rights, comment.
    Properties,
    /// Roles and tablespaces of the whole server.
    Globals,
    /// The last lines.
    Trailer,
}

/// What an entry of an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A further name of a file that came earlier.
    Hardlink,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// The first 16 bytes of a BLAKE3.
///
/// It tells damage from what was archived, which 128 bits do; the SHA-256 in the manifest is what
/// stands against a forger. In a tree of small files each byte of it is a thousandth of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentHash([u8; 16]);

impl From<blake3::Hash> for ContentHash {
    fn from(hash: blake3::Hash) -> Self {
        let (half, _) = hash.as_bytes().split_at(16);
        let mut first = [0; 16];
        first.copy_from_slice(half);
        Self(first)
    }
}

/// What a stretch of content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A part of a dump's SQL.
    Sql(Part),
    /// Rows of one table: one whole statement, `COPY … FROM stdin;` to `\.`.
    Rows {
        /// The table's schema.
        schema: String,
        /// Its name.
        table: String,
        /// How many rows.
        rows: u64,
        /// The sum of the rows' hashes (see `postgres::digest`).
        digest: u128,
    },
    /// One entry of an archive, headers and padding included.
    Entry {
        /// Its path as in the archive, without the slash at a directory's end.
        path: Vec<u8>,
        /// What it is.
        kind: EntryKind,
        /// Its length in bytes, holes included; 0 if it is no regular file.
        size: u64,
        /// Of a regular file's content as archived: of one with holes, their map and its data.
        digest: Option<ContentHash>,
        /// It changed while it was read: what is archived may never have existed at one time.
        changed: bool,
    },
}

/// One line of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub item: Item,
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
struct Difference<'a> {
    /// From the member of the record before to this one's, in bytes of the file.
    hop: i64,
    /// Content bytes before it in its member; `None`: it begins where the one before it ended, or
    /// with its member.
    skip: Option<u32>,
    /// How much longer it is than its item lets expect.
    surplus: i64,
    #[serde(borrow)]
    item: ItemDifference<'a>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum ItemDifference<'a> {
    Sql(Part),
    Rows {
        schema: &'a str,
        table: &'a str,
        rows: u64,
        digest: u128,
    },
    Entry {
        /// How many bytes its path has in common with the entry before.
        shared: u32,
        rest: &'a [u8],
        kind: EntryKind,
        size: u64,
        digest: Option<ContentHash>,
        changed: bool,
    },
}

/// What stands before the next record, which is encoded against it.
#[derive(Debug, Default)]
pub(super) struct Before {
    place: Place,
    path: Vec<u8>,
}

impl Before {
    /// Appends `record` to `out`.
    pub(super) fn encode(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<()> {
        let place = record.place;
        let item = match &record.item {
            Item::Sql(part) => ItemDifference::Sql(*part),
            Item::Rows {
                schema,
                table,
                rows,
                digest,
            } => ItemDifference::Rows {
                schema,
                table,
                rows: *rows,
                digest: *digest,
            },
            Item::Entry {
                path,
                kind,
                size,
                digest,
                changed,
            } => {
                let same = path.iter().zip(&self.path).take_while(|(a, b)| a == b);
                let shared = same.count();
                ItemDifference::Entry {
                    shared: shared as u32,
                    rest: &path[shared..],
                    kind: *kind,
                    size: *size,
                    digest: *digest,
                    changed: *changed,
                }
            }
        };
        let difference = Difference {
            hop: place.member.wrapping_sub(self.place.member).cast_signed(),
            skip: (place.skip != self.skip(place.member)).then_some(place.skip),
            surplus: place.length.wrapping_sub(usual(&item)).cast_signed(),
            item,
        };
        *out = postcard::to_extend(&difference, std::mem::take(out)).map_err(|cause| {
            Error::new(Kind::Failed, "cannot encode the index").with_source(cause)
        })?;
        self.move_on(record);
        Ok(())
    }

    /// The record at the start of `bytes`, and how many of them it takes.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Result<(Record, usize)> {
        let (difference, rest) =
            postcard::take_from_bytes::<Difference<'_>>(bytes).map_err(|cause| {
                Error::damaged("a record of the index is damaged").with_source(cause)
            })?;
        let member = self.place.member.wrapping_add_signed(difference.hop);
        let place = Place {
            member,
            skip: difference.skip.unwrap_or_else(|| self.skip(member)),
            length: usual(&difference.item).wrapping_add_signed(difference.surplus),
        };
        let record = Record {
            place,
            item: self.item(difference.item)?,
        };
        self.move_on(&record);
        Ok((record, bytes.len() - rest.len()))
    }

    fn item(&self, difference: ItemDifference<'_>) -> Result<Item> {
        Ok(match difference {
            ItemDifference::Sql(part) => Item::Sql(part),
            ItemDifference::Rows {
                schema,
                table,
                rows,
                digest,
            } => Item::Rows {
                schema: schema.to_owned(),
                table: table.to_owned(),
                rows,
                digest,
            },
            ItemDifference::Entry {
                shared,
                rest,
                kind,
                size,
                digest,
                changed,
            } => {
                let start = self
                    .path
                    .get(..shared as usize)
                    .ok_or_else(|| Error::damaged("a path in the index is damaged"))?;
                Item::Entry {
                    path: [start, rest].concat(),
                    kind,
                    size,
                    digest,
                    changed,
                }
            }
        })
    }

    /// Where a record in `member` most likely begins.
    fn skip(&self, member: u64) -> u32 {
        if member == self.place.member {
            u64::from(self.place.skip).wrapping_add(self.place.length) as u32
        } else {
            0
        }
    }

    fn move_on(&mut self, record: &Record) {
        self.place = record.place;
        if let Item::Entry { path, .. } = &record.item {
            self.path.clone_from(path);
        }
    }
}

/// The length of content that an item lets expect, in bytes.
fn usual(item: &ItemDifference<'_>) -> u64 {
    const BLOCK: u64 = 512;
    match item {
        // A header, and content in whole blocks.
        ItemDifference::Entry { size, .. } => size
            .checked_next_multiple_of(BLOCK)
            .unwrap_or_default()
            .wrapping_add(BLOCK),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item() -> impl Strategy<Value = Item> {
        prop_oneof![
            Just(Item::Sql(Part::PostData)),
            ("\\PC*", "\\PC*", any::<(u64, u128)>()).prop_map(|(schema, table, (rows, digest))| {
                Item::Rows {
                    schema,
                    table,
                    rows,
                    digest,
                }
            }),
            any::<(Vec<u8>, u64, Option<[u8; 16]>, bool)>().prop_map(
                |(path, size, digest, changed)| Item::Entry {
                    path,
                    kind: EntryKind::File,
                    size,
                    digest: digest.map(ContentHash),
                    changed,
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn any_records_come_back(
            all in prop::collection::vec((any::<(u64, u32, u64)>(), item()), 0..20)
        ) {
            let records: Vec<Record> = all
                .into_iter()
                .map(|((member, skip, length), item)| Record {
                    place: Place { member, skip, length },
                    item,
                })
                .collect();
            let (mut out, mut before) = (Vec::new(), Before::default());
            for record in &records {
                before.encode(record, &mut out).unwrap();
            }
            let (mut at, mut before) = (0, Before::default());
            for record in &records {
                let (read, length) = before.decode(&out[at..]).unwrap();
                prop_assert_eq!(&read, record);
                at += length;
            }
            prop_assert_eq!(at, out.len());
        }

        #[test]
        fn no_bytes_are_too_much(bytes: Vec<u8>) {
            let _ = Before::default().decode(&bytes);
        }
    }
}
