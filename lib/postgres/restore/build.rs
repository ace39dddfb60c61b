//! The boards of a restore: rows, the indexes that wait for them, and the foreign keys that wait for
//! indexes.

use super::apply::Connector;
use super::rows::{self, Queue, Turn};
use super::schedule::{Builds, ForeignKey, Statement};
use super::work::{Board, Next};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::postgres::Session;
use crate::postgres::script::Relation;
use crate::stream::Reader;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// A piece of work of [`LoadAndBuild`].
pub(super) enum Work {
    /// Rows to send.
    Rows(Turn),
    /// An index to build, on how many processors besides its own.
    Index(Relation, Statement, usize),
    /// What follows the indexes of a table.
    After(Relation, Vec<Statement>),
    /// A foreign key between tables with all their indexes.
    Key(ForeignKey),
}

/// Rows first, in the order of the file; then, and as soon as a table is complete, its indexes, those
/// of the largest tables first, so that what is left for the end is small; and as soon as two tables
/// are done, the foreign keys between them, of which only one at a time can be checked on a table.
pub(super) struct LoadAndBuild<'a> {
    queue: Option<Queue>,
    builds: BTreeMap<Relation, Builds>,
    /// Indexes of a table that are not yet built.
    open: BTreeMap<Relation, usize>,
    ready: BinaryHeap<Ready>,
    /// Tables for which something is still to be built.
    unbuilt: BTreeSet<Relation>,
    keys: ForeignKeys,
    /// The size of the largest table that waits for another one's indexes, to check a foreign key.
    awaited: BTreeMap<Relation, u64>,
    weigh: &'a (dyn Fn(&Relation) -> u64 + Sync),
    jobs: usize,
}

/// A table with something to be done.
#[derive(PartialEq, Eq)]
struct Ready {
    weight: u64,
    table: Relation,
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> Ordering {
        self.weight
            .cmp(&other.weight)
            .then_with(|| other.table.cmp(&self.table))
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> LoadAndBuild<'a> {
    /// The work of loading what `queue` hands out, of building `builds` and of adding `keys`. `weigh`
    /// tells the size of a table; 0 for what is no table with rows of its own.
    pub(super) fn new(
        queue: Option<Queue>,
        builds: BTreeMap<Relation, Builds>,
        keys: Vec<ForeignKey>,
        weigh: &'a (dyn Fn(&Relation) -> u64 + Sync),
        jobs: usize,
    ) -> Self {
        let complete: Vec<Relation> = builds
            .keys()
            .filter(|table| queue.as_ref().is_none_or(|queue| queue.is_complete(table)))
            .cloned()
            .collect();
        let mut awaited: BTreeMap<Relation, u64> = BTreeMap::new();
        for ForeignKey { tables, .. } in &keys {
            let most = awaited.entry(tables[1].clone()).or_default();
            *most = weigh(&tables[0]).max(*most);
        }
        let mut board = Self {
            queue,
            unbuilt: builds.keys().cloned().collect(),
            builds,
            open: BTreeMap::new(),
            ready: BinaryHeap::new(),
            keys: ForeignKeys::new(keys, weigh),
            awaited,
            weigh,
            jobs,
        };
        for table in complete {
            board.complete(&table);
        }
        board
    }

    /// The rows of a table are in.
    fn complete(&mut self, table: &Relation) {
        if let Some(builds) = self.builds.get(table) {
            let indexes = builds.indexes.len();
            self.open.insert(table.clone(), indexes);
            for _ in 0..indexes.max(1) {
                self.push(table);
            }
        }
    }

    /// Something can be done for a table.
    fn push(&mut self, table: &Relation) {
        let awaited = self.awaited.get(table).copied().unwrap_or_default();
        self.ready.push(Ready {
            weight: (self.weigh)(table).max(awaited),
            table: table.clone(),
        });
    }

    /// A foreign key that can be checked now. What is no ordinary table has parts, so it waits for
    /// everything.
    fn key(&mut self) -> Option<ForeignKey> {
        if !self.rows_are_in() {
            return None;
        }
        let (unbuilt, weigh) = (&self.unbuilt, self.weigh);
        self.keys.take(|key| {
            let done = |table| weigh(table) > 0 && !unbuilt.contains(table);
            unbuilt.is_empty() || key.tables.iter().all(done)
        })
    }
}

impl Board for LoadAndBuild<'_> {
    type Work = Work;

    fn next(&mut self, running: usize) -> Result<Next<Work>> {
        if let Some(queue) = &mut self.queue
            && let Some(turn) = queue.next()?
        {
            return Ok(Next::Do(Work::Rows(turn)));
        }
        if let Some(key) = self.key() {
            return Ok(Next::Do(Work::Key(key)));
        }
        while let Some(Ready { table, .. }) = self.ready.pop() {
            let Some(builds) = self.builds.get_mut(&table) else {
                continue;
            };
            if let Some(index) = builds.indexes.pop() {
                let alone = running == 0 && self.ready.is_empty();
                let helpers = if alone { self.jobs - 1 } else { 0 };
                return Ok(Next::Do(Work::Index(table, index, helpers)));
            }
            let after = std::mem::take(&mut builds.after);
            if !after.is_empty() {
                return Ok(Next::Do(Work::After(table, after)));
            }
        }
        if running > 0 {
            return Ok(Next::Wait);
        }
        // Nothing is left that a key could wait for; none may be forgotten.
        Ok(match self.keys.take(|_| true) {
            Some(key) => Next::Do(Work::Key(key)),
            None => Next::Done,
        })
    }

    fn done(&mut self, work: &Work) -> Result<()> {
        match work {
            Work::Rows(turn) => {
                if self.queue.as_mut().is_some_and(|queue| queue.done(turn)) {
                    self.complete(&turn.table);
                }
            }
            Work::Index(table, ..) => {
                if let Some(open) = self.open.get_mut(table) {
                    *open = open.saturating_sub(1);
                    if *open == 0 {
                        if self.builds.get(table).is_some_and(|b| b.after.is_empty()) {
                            self.unbuilt.remove(table);
                        } else {
                            self.push(table);
                        }
                    }
                }
            }
            Work::After(table, _) => {
                self.unbuilt.remove(table);
            }
            Work::Key(key) => self.keys.done(key)?,
        }
        Ok(())
    }

    fn rows_are_in(&self) -> bool {
        self.queue.as_ref().is_none_or(Queue::is_empty)
    }
}

/// Does one piece of work.
///
/// # Errors
/// The dump is damaged, or the server refuses.
pub(super) fn act(
    session: &mut Session,
    connector: &Connector,
    reader: &Reader,
    work: &Work,
    monitor: &dyn Monitor,
) -> Result<()> {
    match work {
        Work::Rows(turn) => rows::load(session, connector, reader, turn, monitor),
        Work::Index(_, statement, helpers) => {
            let settings = format!(
                "SET max_parallel_maintenance_workers = {helpers};{}",
                statement.settings
            );
            connector.apply_alone(session, &settings, &statement.sql)
        }
        Work::Key(key) => check(session, connector, key),
        Work::After(_, statements) => statements.iter().try_for_each(|statement| {
            connector.apply_alone(session, &statement.settings, &statement.sql)
        }),
    }
}

/// How the server is to plan the check of a foreign key, for which it takes `maintenance_work_mem`.
///
/// A hash table that fits in memory but in no cache costs three times what walking both indexes side
/// by side does, which is possible without a look at the table, as its rows went in as seen by all.
const CHECKING: &str = "SET maintenance_work_mem = '32MB'; SET random_page_cost = 1";

/// Adds a foreign key, which checks all rows.
///
/// # Errors
/// The server refuses, or a row refers to nothing.
pub(super) fn check(session: &mut Session, connector: &Connector, key: &ForeignKey) -> Result<()> {
    let statement = &key.statement;
    session.batch(CHECKING)?;
    connector.apply_alone(session, &statement.settings, &statement.sql)?;
    session.batch("RESET random_page_cost; RESET maintenance_work_mem")
}

/// Foreign keys: the largest first, and at one time none two that lock the same table, which would
/// wait for each other or die in a deadlock.
pub(super) struct ForeignKeys {
    keys: Vec<ForeignKey>,
    locked: BTreeSet<Relation>,
}

impl ForeignKeys {
    /// The work of adding `keys`; `weigh` tells the size of a table.
    pub(super) fn new(mut keys: Vec<ForeignKey>, weigh: &dyn Fn(&Relation) -> u64) -> Self {
        keys.sort_by_key(|key| std::cmp::Reverse(weigh(&key.tables[0])));
        Self {
            keys,
            locked: BTreeSet::new(),
        }
    }

    /// Takes the largest key that is `ready` and whose tables are free, and locks these.
    fn take(&mut self, ready: impl Fn(&ForeignKey) -> bool) -> Option<ForeignKey> {
        let free = |key: &ForeignKey| key.tables.iter().all(|table| !self.locked.contains(table));
        let at = self.keys.iter().position(|key| ready(key) && free(key))?;
        let key = self.keys.remove(at);
        self.locked.extend(key.tables.iter().cloned());
        Some(key)
    }
}

impl Board for ForeignKeys {
    type Work = ForeignKey;

    fn next(&mut self, running: usize) -> Result<Next<ForeignKey>> {
        Ok(match self.take(|_| true) {
            Some(key) => Next::Do(key),
            None if running > 0 => Next::Wait,
            None => Next::Done,
        })
    }

    fn done(&mut self, key: &ForeignKey) -> Result<()> {
        for table in &key.tables {
            self.locked.remove(table);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sql: &str) -> Statement {
        Statement {
            settings: String::new(),
            sql: sql.as_bytes().to_vec(),
        }
    }

    fn builds(indexes: &[&str], after: &[&str]) -> Builds {
        Builds {
            indexes: indexes.iter().map(|sql| statement(sql)).collect(),
            after: after.iter().map(|sql| statement(sql)).collect(),
        }
    }

    fn key(from: &Relation, to: &Relation) -> ForeignKey {
        ForeignKey {
            tables: [from.clone(), to.clone()],
            statement: statement(&format!("{from} > {to}")),
        }
    }

    fn name(work: &Work) -> String {
        let (Work::Index(_, Statement { sql, .. }, _)
        | Work::Key(ForeignKey {
            statement: Statement { sql, .. },
            ..
        })) = work
        else {
            let Work::After(table, _) = work else {
                return "rows".to_owned();
            };
            return format!("after {table}");
        };
        String::from_utf8(sql.clone()).unwrap()
    }

    #[test]
    fn a_foreign_key_comes_as_soon_as_its_tables_are_built_and_none_is_forgotten() {
        let of = |name: &str| Relation::new("s", name);
        let (large, small, middle, parted) = (of("large"), of("small"), of("middle"), of("parted"));
        let sizes = BTreeMap::from([(&large, 100), (&middle, 50), (&small, 1)]);
        let weigh = |table: &Relation| sizes.get(table).copied().unwrap_or(0);
        let all = BTreeMap::from([
            (large.clone(), builds(&["l"], &[])),
            (middle.clone(), builds(&["m"], &[])),
            (small.clone(), builds(&[], &["s"])),
        ]);
        let keys = vec![
            key(&parted, &small),
            key(&middle, &small),
            key(&large, &small),
        ];
        let mut board = LoadAndBuild::new(None, all, keys, &weigh, 2);
        let mut running: Vec<Work> = Vec::new();
        let mut seen = Vec::new();
        loop {
            // Two at a time; the one begun first ends first.
            match board.next(running.len()).unwrap() {
                Next::Do(work) => {
                    seen.push(name(&work));
                    running.push(work);
                    if running.len() < 2 {
                        continue;
                    }
                }
                Next::Wait => {}
                Next::Done => break,
            }
            let done = running.remove(0);
            board.done(&done).unwrap();
        }
        // What the largest table waits for comes before what is larger than that itself.
        assert_eq!(
            seen,
            [
                "l",
                "after s.small",
                "m",
                "s.large > s.small",
                "s.middle > s.small",
                "s.parted > s.small"
            ]
        );
    }
}
