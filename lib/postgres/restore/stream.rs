//! The way back of a dump without an index: from front to back, over one connection.
//!
//! It was judged before anything was touched; since then the file may have changed, so every
//! element passes the same guard again.

use super::compare::Expected;
use super::fill::Work;
use super::source::Streamed;
use crate::error::{Error, Result};
use crate::postgres::Session;
use crate::postgres::digest::Digest;
use crate::postgres::script::{Element, Guard, Lexer, Relation, summary};
use std::collections::BTreeMap;

/// Rows are sent in blocks of this many bytes.
const BLOCK: usize = 1 << 20;

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
    let mut lexer = Lexer::new(streamed.content(&work.source.reader, work.options.jobs)?);
    let mut guard = Guard::default();
    let mut tables: BTreeMap<Relation, Expected> = BTreeMap::new();
    while let Some(element) = lexer.next()? {
        guard.check(&element)?;
        match element {
            Element::Statement(sql) => {
                if !work.options.filter.drops(&summary(sql)) {
                    work.connector.apply(session, "", sql)?;
                }
            }
            Element::Copy(sql) => {
                let statement = String::from_utf8(sql.to_vec()).map_err(|_| {
                    Error::damaged("a COPY statement is not in UTF-8")
                        .with_hint("Restore this dump with psql.")
                })?;
                let relation = summary(sql).relation;
                let sql = sql.to_vec();
                let (digest, bytes) = copy(work, session, &statement, &mut lexer)?;
                // A very old dump does not say which schema it means; psql would not know either.
                if let Some(table) = relation {
                    let expected = tables.entry(table.clone()).or_insert(Expected {
                        table,
                        head: sql,
                        digest: Digest::default(),
                        bytes: 0,
                    });
                    expected.digest += digest;
                    expected.bytes += bytes;
                }
            }
            Element::Comment(_) | Element::Command { .. } | Element::Rows(_) | Element::RowsEnd => {
            }
        }
    }
    Ok(tables.into_values().collect())
}

fn copy<R: std::io::Read>(
    work: &Work<'_>,
    session: &mut Session,
    statement: &str,
    lexer: &mut Lexer<R>,
) -> Result<(Digest, u64)> {
    let mut bytes = 0;
    let mut copy = session.copy_in(statement)?;
    let mut digest = Digest::default();
    let mut block = Vec::with_capacity(BLOCK);
    while let Some(Element::Rows(rows)) = lexer.next()? {
        digest.add_rows(rows);
        bytes += rows.len() as u64;
        work.monitor.advance(rows.len() as u64);
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
