//! Holds a restored database against what was recorded when it was dumped: every table's rows, read
//! back and hashed. (What the manifest alone says, [`super::recorded`] looks at.)

use super::apply::Connector;
use super::difference::Difference;
use super::meanwhile::Either;
use super::work::{Board, Next, share};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::postgres::Session;
use crate::postgres::digest::Digest;
use crate::postgres::script::Relation;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// The content of every row.
    #[default]
    Full,
    /// The number of rows.
    Rows,
    /// Nothing.
    None,
}

/// A table as it should be.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Its name.
    pub(super) table: Relation,
    /// The statement that its rows have in the dump.
    pub(super) head: Vec<u8>,
    /// The number of its rows and their digest.
    pub(super) digest: Digest,
    /// Length of its rows in bytes, for progress.
    pub(super) bytes: u64,
}

/// So many blocks of a table are read by one connection at a time: 32 MiB.
const STRETCH: i64 = 4096;

/// A stretch of a table.
pub(super) struct Stretch {
    /// Which of the expected tables.
    of: usize,
    /// What to select from, if it is not all of a table.
    from: Option<String>,
    bytes: u64,
}

/// A part of a comparison that one connection does.
pub(super) enum Reading {
    /// Find out what there is to read.
    Survey,
    /// Read this.
    Stretch(Stretch),
}

/// A comparison, begun as soon as all rows are in and whenever a connection has nothing better to do.
///
/// That indexes and foreign keys may still come does no harm: building them changes no row.
pub(super) struct Comparison<'a> {
    connector: &'a Connector,
    expected: Vec<Expected>,
    how: Compare,
    monitor: &'a dyn Monitor,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    plan: Plan,
    found: Vec<Digest>,
    missing: Vec<Difference>,
}

#[derive(Default)]
enum Plan {
    #[default]
    Unknown,
    Asking,
    /// What is left to read.
    Known(Vec<Stretch>),
}

impl<'a> Comparison<'a> {
    /// A comparison with `expected`; nothing is read yet.
    pub(super) fn new(
        connector: &'a Connector,
        expected: Vec<Expected>,
        how: Compare,
        monitor: &'a dyn Monitor,
    ) -> Self {
        let plan = match how {
            Compare::None => Plan::Known(Vec::new()),
            Compare::Full | Compare::Rows => Plan::Unknown,
        };
        let found = vec![Digest::default(); expected.len()];
        Self {
            connector,
            expected,
            how,
            monitor,
            state: Mutex::new(State {
                plan,
                found,
                missing: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to read next.
    pub(super) fn next(&self) -> Next<Reading> {
        let mut state = self.state();
        match &mut state.plan {
            Plan::Unknown => {
                state.plan = Plan::Asking;
                Next::Do(Reading::Survey)
            }
            Plan::Asking => Next::Wait,
            Plan::Known(stretches) => stretches
                .pop()
                .map_or(Next::Done, |stretch| Next::Do(Reading::Stretch(stretch))),
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// A table can't be read.
    pub(super) fn read(&self, session: &mut Session, reading: &Reading) -> Result<()> {
        match reading {
            Reading::Survey => {
                let (stretches, missing) = stretches(session, self.connector, &self.expected)?;
                let mut state = self.state();
                state.plan = Plan::Known(stretches);
                state.missing = missing;
            }
            Reading::Stretch(stretch) => {
                let table = &self.expected[stretch.of];
                let digest = read(session, self.connector, table, stretch, self.how)?;
                self.monitor.advance(stretch.bytes);
                self.state().found[stretch.of] += digest;
            }
        }
        Ok(())
    }

    /// Reads what is left over `sessions`, runs the statements `besides` at the same time, the last
    /// first, and yields the tables as they should be, and what differs.
    ///
    /// # Errors
    /// A table can't be read, or a statement fails.
    pub(super) fn finish(
        self,
        sessions: &mut [Session],
        besides: Vec<String>,
    ) -> Result<(Vec<Expected>, Vec<Difference>)> {
        let bytes = |stretches: &Vec<Stretch>| stretches.iter().map(|stretch| stretch.bytes).sum();
        let left = match &self.state().plan {
            Plan::Known(stretches) => bytes(stretches),
            Plan::Unknown | Plan::Asking => self.expected.iter().map(|table| table.bytes).sum(),
        };
        match self.how {
            Compare::None => self.monitor.stage("analyzing", None),
            Compare::Full | Compare::Rows => self.monitor.stage("comparing", Some(left)),
        }
        let board = Rest {
            comparison: &self,
            besides,
        };
        let act = |session: &mut Session, work: &Either<String>| match work {
            Either::Work(statement) => session.batch(statement),
            Either::Reading(reading) => self.read(session, reading),
        };
        share(sessions, board, act, || {})?;
        let state = self.state.into_inner();
        let State { found, missing, .. } = state.unwrap_or_else(PoisonError::into_inner);
        let mut differences = missing;
        let read = self.how != Compare::None;
        for (expected, found) in self.expected.iter().zip(found).filter(|_| read) {
            let table = || expected.table.clone();
            if differences.contains(&Difference::NoTable(table())) {
                continue;
            }
            let dumped = expected.digest;
            if dumped.rows != found.rows {
                differences.push(Difference::Rows {
                    table: table(),
                    found: found.rows,
                    dumped: dumped.rows,
                });
            } else if self.how == Compare::Full && dumped != found {
                differences.push(Difference::Content(table()));
            }
        }
        Ok((self.expected, differences))
    }
}

/// What is left when nothing else is to be done: the rest of a comparison, and some statements.
struct Rest<'a> {
    comparison: &'a Comparison<'a>,
    besides: Vec<String>,
}

impl Board for Rest<'_> {
    type Work = Either<String>;

    fn next(&mut self, _running: usize) -> Result<Next<Self::Work>> {
        Ok(match self.besides.pop() {
            Some(statement) => Next::Do(Either::Work(statement)),
            None => match self.comparison.next() {
                Next::Do(reading) => Next::Do(Either::Reading(reading)),
                Next::Wait => Next::Wait,
                Next::Done => Next::Done,
            },
        })
    }

    fn done(&mut self, _work: &Self::Work) -> Result<()> {
        Ok(())
    }
}

/// Reads one stretch.
fn read(
    session: &mut Session,
    connector: &Connector,
    table: &Expected,
    stretch: &Stretch,
    how: Compare,
) -> Result<Digest> {
    let mut digest = Digest::default();
    connector.copying(session, &table.table, &table.head, |session, names| {
        if how == Compare::Rows {
            let only = format!("ONLY {}", names.table);
            let from = stretch.from.as_ref().unwrap_or(&only);
            let rows: i64 = session.value(&format!("SELECT count(*) FROM {from}"), &[])?;
            digest.rows = rows.cast_unsigned();
            return Ok(());
        }
        let sql = match &stretch.from {
            None => names.copy_out(),
            Some(from) => names.copy_out_of(from),
        };
        session.copy_out(&sql, |row| {
            digest.add_row(row.strip_suffix(b"\n").unwrap_or(row));
            Ok(())
        })
    })?;
    Ok(digest)
}

/// The stretches of all tables, and the tables that are not there.
fn stretches(
    session: &mut Session,
    connector: &Connector,
    expected: &[Expected],
) -> Result<(Vec<Stretch>, Vec<Difference>)> {
    // The kinds and sizes of all tables, and which rows of an extension's tables are dumped.
    let rows = connector.in_utf8(session, |session| {
        session.query(
            "SELECT n.nspname::text, c.relname::text, c.relkind::text, \
           CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) \
             / pg_catalog.current_setting('block_size')::bigint ELSE 0 END::bigint, \
           coalesce(e.condition, '') \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN (SELECT pg_catalog.unnest(extconfig) AS oid, \
             pg_catalog.unnest(extcondition) AS condition FROM pg_catalog.pg_extension) e \
           ON e.oid = c.oid \
         WHERE c.relkind IN ('r', 'p', 'f')",
            &[],
        )
    })?;
    let mut present = BTreeMap::new();
    for row in &rows {
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        let (kind, blocks, condition): (String, i64, String) = (row.get(2), row.get(3), row.get(4));
        present.insert(Relation::new(schema, name), (kind, blocks, condition));
    }
    let ranges = session.major() >= 14;
    let mut stretches = Vec::new();
    let mut missing = Vec::new();
    for (of, table) in expected.iter().enumerate() {
        let Some((kind, blocks, condition)) = present.get(&table.table) else {
            missing.push(Difference::NoTable(table.table.clone()));
            continue;
        };
        let name = table.table.quoted();
        let mut add = |condition: &str, share: u64| {
            // A table that is not one itself can be read by a query only.
            let from = match (kind.as_str(), condition) {
                ("r", "") => None,
                ("r", _) => Some(format!("ONLY {name} {condition}")),
                _ => Some(format!("{name} {condition}")),
            };
            stretches.push(Stretch {
                of,
                from,
                bytes: table.bytes / share,
            });
        };
        if *blocks <= 2 * STRETCH || !ranges || !condition.is_empty() {
            add(condition, 1);
            continue;
        }
        let count = blocks.cast_unsigned().div_ceil(STRETCH.cast_unsigned());
        for from in (0..*blocks).step_by(STRETCH as usize) {
            let to = from + STRETCH;
            let bound = if to < *blocks {
                format!(" AND ctid < '({to},0)'")
            } else {
                String::new()
            };
            add(&format!("WHERE ctid >= '({from},0)'{bound}"), count);
        }
    }
    // The largest first: they are taken from the end.
    stretches.sort_by_key(|stretch| stretch.bytes);
    Ok((stretches, missing))
}
