//! The way back of a dump without an index: from front to back, over one connection.
//!
//! It was judged before anything was touched; since then the file may have changed, so every
//! element passes the same guard again.

use super::compare::Expected;
use super::fill::Work;
use super::source::Streamed;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::postgres::Session;
use crate::postgres::digest::Digest;
use crate::postgres::script::{Element, Entry, Guard, Lexer, Relation, Summary, summary};
use std::collections::BTreeMap;
use std::io::Read;

/// Rows are sent in blocks of this many bytes.
const BLOCK: usize = 1 << 20;

/// What is done with a dump that comes by from front to back.
pub(super) trait Visitor {
    /// A statement, under the heading that pg_dump wrote above it.
    ///
    /// # Errors
    /// It can't be done.
    fn statement(&mut self, entry: Option<&Entry>, summary: &Summary, sql: &[u8]) -> Result<()>;

    /// A COPY statement whose rows come next from `lexer`. Those that are not taken are passed over.
    ///
    /// # Errors
    /// They can't be taken.
    fn rows(&mut self, relation: Option<Relation>, sql: &[u8], lexer: &mut Rows) -> Result<()>;
}

/// A lexer of the content of a dump.
pub(super) type Rows = Lexer<Box<dyn Read>>;

/// Shows all of a dump to `visitor`.
///
/// # Errors
/// The dump is damaged, or the visitor fails.
pub(super) fn walk(content: Box<dyn Read>, visitor: &mut impl Visitor) -> Result<()> {
    let mut lexer = Lexer::new(content);
    let mut guard = Guard::default();
    let mut entry = None;
    while let Some(element) = lexer.next()? {
        guard.check(&element)?;
        match element {
            Element::Comment(text) => entry = Entry::parse(text).or(entry),
            Element::Statement(sql) => visitor.statement(entry.as_ref(), &summary(sql), sql)?,
            Element::Copy(sql) => {
                let sql = sql.to_vec();
                visitor.rows(summary(&sql).relation, &sql, &mut lexer)?;
            }
            Element::Command { .. } | Element::Rows(_) | Element::RowsEnd => {}
        }
    }
    Ok(())
}

/// Feeds the whole dump to the first of `sessions`; yields the tables as they came by, with the
/// numbers of their rows.
///
/// # Errors
/// The dump is damaged, or the server refuses something.
pub(super) fn fill(
    work: &Work<'_>,
    streamed: &Streamed,
    sessions: &mut [Session],
) -> Result<Vec<Expected>> {
    let Some(session) = sessions.first_mut() else {
        return Ok(Vec::new());
    };
    work.monitor.stage("loading", Some(work.source.bytes()));
    let mut filling = Filling {
        work,
        session,
        tables: Tables::default(),
    };
    let content = streamed.content(&work.source.reader, work.options.jobs)?;
    walk(content, &mut filling)?;
    Ok(filling.tables.expected())
}

struct Filling<'a> {
    work: &'a Work<'a>,
    session: &'a mut Session,
    tables: Tables,
}

impl Visitor for Filling<'_> {
    fn statement(&mut self, _: Option<&Entry>, summary: &Summary, sql: &[u8]) -> Result<()> {
        if self.work.options.filter.drops(summary) {
            return Ok(());
        }
        self.work.connector.apply(self.session, "", sql)
    }

    fn rows(&mut self, relation: Option<Relation>, sql: &[u8], lexer: &mut Rows) -> Result<()> {
        let (digest, bytes) = copy(self.session, sql, lexer, self.work.monitor)?;
        // A very old dump does not say which schema it means; psql would not know either.
        if let Some(table) = relation {
            self.tables.add(table, sql, digest, bytes);
        }
        Ok(())
    }
}

/// The tables whose rows have come by.
#[derive(Default)]
pub(super) struct Tables(BTreeMap<Relation, Expected>);

impl Tables {
    /// Adds rows of a table, which the statement `sql` took in.
    pub(super) fn add(&mut self, table: Relation, sql: &[u8], digest: Digest, bytes: u64) {
        let expected = self.0.entry(table.clone()).or_insert_with(|| Expected {
            table,
            head: sql.to_vec(),
            digest: Digest::default(),
            bytes: 0,
        });
        expected.digest += digest;
        expected.bytes += bytes;
    }

    /// How they should be now.
    pub(super) fn expected(self) -> Vec<Expected> {
        self.0.into_values().collect()
    }
}

/// Sends the rows that come next from `lexer`, by the statement before them.
///
/// # Errors
/// The dump is damaged, or the server refuses them.
pub(super) fn copy(
    session: &mut Session,
    sql: &[u8],
    lexer: &mut Rows,
    monitor: &dyn Monitor,
) -> Result<(Digest, u64)> {
    let statement = std::str::from_utf8(sql).map_err(|_| {
        Error::damaged("a COPY statement is not in UTF-8").with_hint("Restore this dump with psql.")
    })?;
    let mut bytes = 0;
    let mut copy = session.copy_in(statement)?;
    let mut digest = Digest::default();
    let mut block = Vec::with_capacity(BLOCK);
    while let Some(Element::Rows(rows)) = lexer.next()? {
        digest.add_rows(rows);
        bytes += rows.len() as u64;
        monitor.advance(rows.len() as u64);
        block.extend_from_slice(rows);
        if block.len() >= BLOCK {
            copy.send(std::mem::replace(&mut block, Vec::with_capacity(BLOCK)))?;
        }
    }
    if !block.is_empty() {
        copy.send(block)?;
    }
    copy.finish()?;
    Ok((digest, bytes))
}
