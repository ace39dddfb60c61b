//! The content of a dump: parts of SQL and statements with rows, which must cover it without a gap,
//! and each hold what its record in the index says.

use super::Outcome;
use super::members::{Check, Content};
use crate::error::{Error, Result};
use crate::postgres::digest::Digest;
use crate::postgres::statement::StatementReader;
use crate::stream::{Item, Part, Record};
use crate::words::count;
use std::collections::BTreeMap;

/// Rows of each table, by schema and name, with the length of their text in bytes.
pub(super) type Tables = BTreeMap<(String, String), (Digest, u64)>;

/// What pg_dump and pg_dumpall write at the end of a whole dump.
const TRAILERS: [&[u8]; 2] = [
    b"PostgreSQL database dump complete",
    b"PostgreSQL database cluster dump complete",
];

/// How much of the end is kept to look for the trailer.
const TAIL: usize = 4096;

pub(super) struct DumpCheck {
    indexed: bool,
    /// What the present content belongs to, and how much of it is to come.
    current: Option<Current>,
    tables: Tables,
    last: Option<Part>,
    tail: Vec<u8>,
}

struct Current {
    record: Record,
    left: u64,
    statement: StatementReader,
}

impl DumpCheck {
    pub(super) fn new(indexed: bool) -> Self {
        Self {
            indexed,
            current: None,
            tables: Tables::new(),
            last: None,
            tail: Vec::new(),
        }
    }

    fn keep_tail(&mut self, content: &[u8]) {
        let from = content.len().saturating_sub(TAIL);
        self.tail.extend_from_slice(&content[from..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }

    fn part(&mut self, content: &[u8]) -> Result<()> {
        let Some(current) = &mut self.current else {
            return Err(Error::damaged(
                "there is content that the index does not know",
            ));
        };
        current.left = current
            .left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| Error::damaged("there is more content than the index says"))?;
        if let Item::Rows { .. } = current.record.item {
            current.statement.push(content)?;
        }
        if current.left == 0
            && let Some(current) = self.current.take()
        {
            match current.record.item {
                Item::Rows { .. } => {
                    let (digest, bytes) = current.statement.finish()?;
                    self.rows(current.record.item, digest, bytes)?;
                }
                Item::Sql(part) => self.last = Some(part),
                Item::Entry { .. } => {
                    return Err(Error::damaged("the index of a dump speaks of files"));
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, item: Item, found: Digest, bytes: u64) -> Result<()> {
        let Item::Rows {
            schema,
            table,
            rows,
            digest,
        } = item
        else {
            return Err(Error::damaged("rows where the index has none"));
        };
        if found != (Digest { rows, sum: digest }) {
            return Err(Error::damaged(format!(
                "{schema}.{table} has {} with another digest where the index says {rows}",
                count(found.rows, "row")
            )));
        }
        let sum = self.tables.entry((schema, table)).or_default();
        sum.0 += found;
        sum.1 += bytes;
        Ok(())
    }
}

impl Check for DumpCheck {
    fn member(&mut self, begins: Vec<Record>, content: Content) -> Result<()> {
        if !self.indexed {
            // Without an index nobody knows whose rows these are; the checksums still count.
            if let Content::Bytes(content) = &content {
                self.keep_tail(content);
            }
            return Ok(());
        }
        let mut begins = begins.into_iter();
        let first = begins.next();
        if begins.next().is_some() {
            return Err(Error::damaged(
                "the index has two parts in one member of a dump",
            ));
        }
        if let Some(record) = first {
            if self.current.is_some() {
                return Err(Error::damaged("a part of the dump ends early"));
            }
            if record.place.skip != 0 {
                return Err(Error::damaged("a part of the dump begins inside a member"));
            }
            self.current = Some(Current {
                left: record.place.length,
                record,
                statement: StatementReader::default(),
            });
        }
        match content {
            Content::Bytes(content) => {
                self.keep_tail(&content);
                self.part(&content)
            }
            Content::Rows { digest, bytes, .. } => match self.current.take() {
                Some(current) => self.rows(current.record.item, digest, bytes),
                None => Err(Error::damaged("rows where the index has none")),
            },
            Content::Entries { .. } => Err(Error::damaged("the index of a dump speaks of files")),
        }
    }

    fn finish(&mut self, outcome: &mut Outcome) -> Result<()> {
        let ended = matches!(self.last, Some(Part::Trailer | Part::Globals));
        if self.indexed && (self.current.is_some() || !ended) {
            return Err(Error::damaged("the dump ends early"));
        }
        let whole = |trailer: &&[u8]| memchr::memmem::find(&self.tail, trailer).is_some();
        if !TRAILERS.iter().any(whole) {
            return Err(Error::damaged("the dump ends without pg_dump's trailer"));
        }
        let tables = std::mem::take(&mut self.tables);
        outcome.found.tables = tables.len() as u64;
        outcome.found.rows = tables.values().map(|(digest, _)| digest.rows).sum();
        outcome.tables = self.indexed.then_some(tables);
        Ok(())
    }
}
