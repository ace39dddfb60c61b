//! The rows' way back: pieces of the dump, found by the index, decompressed by the thread that sends
//! them, so that all connections fill tables at once, the same one if it is large.

use super::apply::Connector;
use super::source::Parts;
use crate::crash;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::postgres::Session;
use crate::postgres::script::Relation;
use crate::postgres::script::{Element, Lexer};
use crate::stream::{Decompressor, Item, Member, Place, Reader, Record, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

/// How much of a table one COPY takes, in bytes of content, before another connection may go on
/// with it: small enough that all of them end at about the same time.
const TURN: u64 = 16 << 20;

/// A table of more pieces is never loaded by one connection alone: their places are held in memory.
const WHOLE_MAX: u64 = 1 << 16;

/// Pieces of one table that go into one COPY.
pub(super) struct Turn {
    /// The table.
    pub(super) table: Relation,
    /// Where the pieces lie.
    pub(super) pieces: Vec<Place>,
    /// They are all that the table has, and nobody has looked at it yet: they go in as rows that
    /// every transaction has seen already.
    pub(super) whole: bool,
}

/// Hands out the rows of a dump in the order of its index.
pub(super) struct Queue {
    records: Peekable<Box<dyn Iterator<Item = Result<Record>> + Send>>,
    /// Pieces not yet loaded, by table.
    left: BTreeMap<Relation, u64>,
    wanted: Option<BTreeSet<Relation>>,
    /// Pieces of tables that are loaded in one go, as far as they have come by.
    whole: BTreeMap<Relation, Vec<Place>>,
    /// A whole table that came by while another turn was gathered.
    ready: Option<Turn>,
}

impl Queue {
    /// The rows of `reader`, of all tables or of those `wanted`.
    ///
    /// # Errors
    /// The index can't be read.
    pub(super) fn new(
        reader: &Reader,
        parts: &Parts,
        wanted: Option<BTreeSet<Relation>>,
    ) -> Result<Self> {
        let records: Box<dyn Iterator<Item = Result<Record>> + Send> = match reader.index()? {
            Some(index) => Box::new(index),
            None => return Err(Error::damaged("the index is gone")),
        };
        let left = parts
            .tables
            .iter()
            .filter(|(table, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(table)))
            .map(|(table, rows)| (table.clone(), rows.pieces))
            .collect();
        Ok(Self {
            records: records.peekable(),
            left,
            wanted,
            whole: BTreeMap::new(),
            ready: None,
        })
    }

    /// Lets each of `tables` be loaded by one connection in one transaction, unless it is more than
    /// the share of one of `jobs` connections in all rows.
    pub(super) fn load_whole(&mut self, tables: &[Relation], parts: &Parts, jobs: usize) {
        let all: u64 = parts.tables.values().map(|rows| rows.bytes).sum();
        let fits = |table: &&Relation| {
            parts.tables.get(table).is_some_and(|rows| {
                rows.bytes <= all / jobs.max(1) as u64 && rows.pieces <= WHOLE_MAX
            })
        };
        let whole = tables.iter().filter(fits);
        self.whole = whole.map(|table| (table.clone(), Vec::new())).collect();
    }

    /// Puts a piece to those of its table, if that is loaded in one go; `false` if it is not.
    fn gather(&mut self, table: &Relation, place: Place) -> bool {
        let Some(pieces) = self.whole.get_mut(table) else {
            return false;
        };
        pieces.push(place);
        if self.left.get(table) == Some(&(pieces.len() as u64)) {
            let pieces = self.whole.remove(table).unwrap_or_default();
            self.ready = Some(Turn {
                table: table.clone(),
                pieces,
                whole: true,
            });
        }
        true
    }

    /// The next turn; `None` when all have been handed out.
    ///
    /// # Errors
    /// The index is damaged.
    pub(super) fn next(&mut self) -> Result<Option<Turn>> {
        let mut turn: Option<Turn> = None;
        let mut bytes = 0;
        while self.ready.is_none() {
            let (relation, place) = match self.records.peek() {
                None => break,
                Some(Ok(Record {
                    item: Item::Rows { schema, table, .. },
                    place,
                })) => (Relation::new(schema, table), *place),
                Some(_) => {
                    self.records.next().transpose()?;
                    continue;
                }
            };
            let same = turn.as_ref().is_none_or(|turn| turn.table == relation);
            let wanted = self.wanted.as_ref().is_none_or(|w| w.contains(&relation));
            if wanted && !self.gather(&relation, place) {
                if !same || bytes >= TURN {
                    return Ok(turn);
                }
                bytes += place.length;
                let turn = turn.get_or_insert_with(|| Turn {
                    table: relation,
                    pieces: Vec::new(),
                    whole: false,
                });
                turn.pieces.push(place);
            }
            self.records.next().transpose()?;
        }
        Ok(turn.or_else(|| self.ready.take()))
    }

    /// Notes that a turn is done; `true` if the table is complete now.
    pub(super) fn done(&mut self, turn: &Turn) -> bool {
        let left = self.left.get_mut(&turn.table);
        left.is_none_or(|left| {
            *left = left.saturating_sub(turn.pieces.len() as u64);
            *left == 0
        })
    }

    /// Whether all rows of all tables are in.
    pub(super) fn is_empty(&self) -> bool {
        self.left.values().all(|&left| left == 0)
    }

    /// Whether all rows of a table are in, as far as they are wanted.
    pub(super) fn is_complete(&self, table: &Relation) -> bool {
        self.left.get(table).is_none_or(|left| *left == 0)
    }
}

/// Sends one turn over a connection.
///
/// # Errors
/// The dump is damaged, or the server refuses the rows.
pub(super) fn load(
    session: &mut Session,
    connector: &Connector,
    reader: &Reader,
    turn: &Turn,
    monitor: &dyn Monitor,
) -> Result<()> {
    let Some(&first) = turn.pieces.first() else {
        return Ok(());
    };
    let mut pieces = Pieces {
        reader,
        decompressor: Decompressor::new()?,
        members: None,
    };
    let mut start = Some(pieces.next(first, true)?);
    let head = start
        .as_deref()
        .map(head_of)
        .transpose()?
        .unwrap_or_default();
    if turn.whole {
        let table = turn.table.quoted();
        session.batch(&format!("BEGIN; TRUNCATE TABLE ONLY {table}"))?;
    }
    connector.copying(session, &turn.table, &head, |session, names| {
        let mut copy = session.copy_in(&if turn.whole {
            names.copy_in_frozen()
        } else {
            names.copy_in()
        })?;
        for &place in &turn.pieces {
            let mut piece = Unpacking {
                left: place.length,
                held: Vec::new(),
                head: Some(&head),
                table: &turn.table,
            };
            while piece.left > 0 {
                let content = match start.take() {
                    Some(content) => content,
                    None => pieces.next(place, piece.head.is_some())?,
                };
                let rows = piece.rows_of(content)?;
                if !rows.is_empty() {
                    copy.send(rows)?;
                    crash::within();
                }
            }
            monitor.advance(place.length);
        }
        copy.finish().map(|_| ())
    })?;
    if turn.whole {
        session.batch("COMMIT")?;
    }
    Ok(())
}

/// What ends a piece.
const END: &[u8] = b"\\.\n\n";

/// One piece on its way from members to rows.
struct Unpacking<'a> {
    /// Bytes of content still to come.
    left: u64,
    /// What may be the beginning of the piece's end, which may fall on the bound of two members.
    held: Vec<u8>,
    /// The statement that the piece has to begin with, until it has come by.
    head: Option<&'a [u8]>,
    table: &'a Relation,
}

impl Unpacking<'_> {
    /// The rows in the next member's content.
    fn rows_of(&mut self, mut content: Vec<u8>) -> Result<Vec<u8>> {
        self.left = self
            .left
            .checked_sub(content.len() as u64)
            .ok_or_else(|| Error::damaged("a piece of rows ends inside a member"))?;
        if let Some(head) = self.head.take() {
            let rest = content
                .strip_prefix(head)
                .and_then(|rest| rest.strip_prefix(b"\n"))
                .ok_or_else(|| self.damaged("begin as its others do"))?;
            content.drain(..content.len() - rest.len());
        }
        if !self.held.is_empty() {
            self.held.append(&mut content);
            content = std::mem::take(&mut self.held);
        }
        if self.left == 0 {
            let rows = content.strip_suffix(END).map(<[u8]>::len);
            content.truncate(rows.ok_or_else(|| self.damaged("end as one does"))?);
        } else if self.left < END.len() as u64 {
            self.held = std::mem::take(&mut content);
        }
        Ok(content)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(format!("a piece of table {} does not {what}", self.table))
    }
}

/// The COPY statement that a piece begins with.
///
/// # Errors
/// It begins otherwise.
pub(super) fn head_of(content: &[u8]) -> Result<Vec<u8>> {
    match Lexer::new(content).next()? {
        Some(Element::Copy(statement)) if content.starts_with(statement) => Ok(statement.to_vec()),
        _ => Err(Error::damaged("a piece of rows does not begin with COPY")),
    }
}

/// Content of pieces, member by member; pieces that follow each other are read in one go.
struct Pieces<'a> {
    reader: &'a Reader,
    decompressor: Decompressor,
    /// What comes next, and where in the file that is.
    members: Option<(u64, Members)>,
}

type Members = Box<dyn Iterator<Item = Result<Member>>>;

impl Pieces<'_> {
    fn next(&mut self, place: Place, first: bool) -> Result<Vec<u8>> {
        if first && place.skip != 0 {
            return Err(Error::damaged("a piece of rows begins inside a member"));
        }
        let (at, mut members) = match self.members.take() {
            Some((at, members)) if !first || at == place.member => (at, members),
            _ => {
                let members: Members = Box::new(self.reader.members(place.member));
                (place.member, members)
            }
        };
        let member = members
            .next()
            .ok_or_else(|| Error::damaged("the file ends inside the rows of a table"))??;
        if member.role()? != Role::Content {
            return Err(Error::damaged("the rows of a table run into the index"));
        }
        let content = self.decompressor.content(&member)?;
        self.members = Some((at + member.bytes.len() as u64, members));
        Ok(content)
    }
}
