//! Filling an empty database from a dump: schema, rows, indexes, and then the comparison.

use super::apply::{self, Connector, each_statement};
use super::build::{self, ForeignKeys, LoadAndBuild};
use super::compare::{Compare, Comparison, Expected};
use super::difference::Difference;
use super::meanwhile::{Either, Meanwhile};
use super::rows::{self, Queue};
use super::schedule::{ForeignKey, Schedule, Statement, Step};
use super::side::Control;
use super::source::{self, Layout, Parts, Source};
use super::{Options, Outcome, Trial, analyze, recorded, stream, terminate, work};
use crate::error::{Error, Kind, Result};
use crate::monitor::{Monitor, Note, Severity};
use crate::postgres::Session;
use crate::postgres::script::{Element, Lexer, Relation, Summary, What, summary};
use crate::stream::Part;
use crate::words::count;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Instant;

/// A table of this many bytes of COPY text has its indexes built side by side.
const LARGE: u64 = 4 << 20;

/// No COPY statement is longer, in bytes: 1,600 columns with names of 63 bytes, quoted.
const STATEMENT_MAX: u64 = 1 << 18;

/// Fills the database `name`, which is empty, and compares it; what differs is a failure.
pub(super) fn fill(
    source: &Source,
    control: &mut Control,
    name: &str,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome> {
    let trial = fill_and_compare(source, control, name, options, monitor)?;
    let Some(first) = trial.differences.first() else {
        return Ok(trial.outcome);
    };
    let others = match trial.differences.len() {
        1 => String::new(),
        all => format!("; so do {}", count(all - 1, "other thing")),
    };
    let message = format!("what was restored is not what was dumped: {first}{others}");
    Err(Error::new(Kind::Damaged, message)
        .with_hint("All is as before. --compare none restores without looking."))
}

/// Fills the database `name`, which is empty, and tells in what it is not what was dumped.
pub(super) fn fill_and_compare(
    source: &Source,
    control: &mut Control,
    name: &str,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Trial> {
    let begun = Instant::now();
    let info = control.session().pinned().with_database(name);
    let work = Work {
        source,
        options,
        monitor,
        connector: Connector {
            info,
            encoding: encoding(source)?,
            role: options.role.clone(),
        },
    };
    let mut sessions = (0..options.jobs.max(1))
        .map(|_| work.connector.connect())
        .collect::<Result<Vec<_>>>()?;
    let comparison = match &source.layout {
        Layout::Indexed(parts) => work.indexed(parts, control, &mut sessions)?,
        Layout::Streamed(streamed) => {
            work.comparison(stream::fill(&work, streamed, &mut sessions)?)
        }
    };
    // Statistics are gathered beside the comparison, and not waited for before it.
    let restoring = begun.elapsed();
    let (expected, differences) = work.finish(comparison, &mut sessions)?;
    Ok(Trial {
        outcome: Outcome {
            database: control.target().to_owned(),
            kept: None,
            tables: expected.len() as u64,
            rows: expected.iter().map(|table| table.digest.rows).sum(),
        },
        differences,
        restoring,
        comparing: begun.elapsed().saturating_sub(restoring),
    })
}

/// The encoding that the dump says it is written in.
pub(super) fn encoding(source: &Source) -> Result<String> {
    let mut encoding = String::new();
    let parts = match &source.layout {
        Layout::Indexed(parts) => parts,
        Layout::Streamed(streamed) => {
            let set = |ask: &&(Summary, Vec<u8>)| {
                ask.0.what == What::Setting("client_encoding".to_owned())
            };
            let set = streamed.asks.iter().find(set);
            return Ok(set.map_or(encoding, |(_, text)| source::encoding_in(text)));
        }
    };
    if let Some(place) = parts.of(Part::PreData).next() {
        // It stands among the first lines.
        let mut lexer = Lexer::new(source.reader.content(place)?);
        for _ in 0..50 {
            match lexer.next()? {
                Some(Element::Statement(text))
                    if summary(text).what == What::Setting("client_encoding".into()) =>
                {
                    encoding = source::encoding_in(text);
                    break;
                }
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(encoding)
}

/// One restore under way.
pub(super) struct Work<'a> {
    pub(super) source: &'a Source,
    pub(super) options: &'a Options,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) connector: Connector,
}

impl Work<'_> {
    /// Fills the database by the index, with all connections.
    fn indexed(
        &self,
        parts: &Parts,
        control: &mut Control,
        sessions: &mut [Session],
    ) -> Result<Comparison<'_>> {
        let Some(first) = sessions.first_mut() else {
            return Ok(self.comparison(Vec::new()));
        };
        self.monitor.stage("creating", None);
        self.run(parts, Part::PreData, first)?;
        let large = self.large(parts, first)?;
        let left_alone = Self::keep_autovacuum_off(&large, first)?;
        let weigh = |table: &Relation| parts.tables.get(table).map_or(0, |rows| rows.bytes);
        let mut schedule = Schedule::new(|table: &Relation| weigh(table) >= LARGE);
        for place in parts.of(Part::PostData) {
            each_statement(self.source.reader.content(place)?, |entry, summary, sql| {
                if self.options.filter.drops(summary) {
                    return Ok(());
                }
                schedule.push(entry, summary, sql)
            })?;
        }
        let mut steps = schedule.finish().into_iter().peekable();
        self.monitor.stage("loading", Some(self.source.bytes()));
        // The first builds may begin while other tables are still being loaded.
        let builds = match steps.next_if(|step| matches!(step, Step::Builds(_))) {
            Some(Step::Builds(builds)) => builds,
            _ => BTreeMap::new(),
        };
        let rows = !self.options.schema_only;
        // And these while others are still being built, unless something else stands between.
        let keys = match steps.next_if(|step| matches!(step, Step::ForeignKeys(_))) {
            Some(Step::ForeignKeys(keys)) => keys,
            _ => Vec::new(),
        };
        let mut queue = rows
            .then(|| Queue::new(&self.source.reader, parts, None))
            .transpose()?;
        if let Some(queue) = &mut queue {
            queue.load_whole(&large, parts, sessions.len());
        }
        let comparison = self.comparison(if rows {
            expected_of(self.source, parts)?
        } else {
            Vec::new()
        });
        let board = LoadAndBuild::new(queue, builds, keys, &weigh, sessions.len());
        self.share(control, sessions, board, &comparison)?;
        if let Some(first) = sessions.first_mut().filter(|_| rows) {
            self.run(parts, Part::LargeObjects, first)?;
        }
        self.monitor.stage("building", None);
        for step in steps {
            match step {
                Step::Builds(builds) => {
                    let board = LoadAndBuild::new(None, builds, Vec::new(), &weigh, sessions.len());
                    self.share(control, sessions, board, &comparison)?;
                }
                Step::ForeignKeys(keys) => {
                    let board = Meanwhile::new(ForeignKeys::new(keys, &weigh), &comparison);
                    let act = |session: &mut Session, work: &Either<ForeignKey>| match work {
                        Either::Work(key) => build::check(session, &self.connector, key),
                        Either::Reading(reading) => comparison.read(session, reading),
                    };
                    let name = self.connector.info.database();
                    work::share(sessions, board, act, || terminate(control, name))?;
                }
                Step::Alone(statements) => {
                    if let Some(first) = sessions.first_mut() {
                        for Statement { settings, sql } in &statements {
                            self.connector.apply(first, settings, sql)?;
                        }
                    }
                }
            }
        }
        if let Some(first) = sessions.first_mut() {
            for table in left_alone {
                first.batch(&format!("ALTER TABLE {table} RESET (autovacuum_enabled)"))?;
            }
            // At the end, because a materialized view that is filled again may draw from one.
            if rows {
                self.run(parts, Part::Sequences, first)?;
            }
            self.run(parts, Part::Properties, first)?;
        }
        Ok(comparison)
    }

    fn share(
        &self,
        control: &mut Control,
        sessions: &mut [Session],
        board: LoadAndBuild<'_>,
        comparison: &Comparison<'_>,
    ) -> Result<()> {
        let name = self.connector.info.database();
        work::share(
            sessions,
            Meanwhile::new(board, comparison),
            |session, work| match work {
                Either::Work(work) => build::act(
                    session,
                    &self.connector,
                    &self.source.reader,
                    work,
                    self.monitor,
                ),
                Either::Reading(reading) => comparison.read(session, reading),
            },
            || terminate(control, name),
        )
    }

    /// The large tables, as they were just created: those that may be emptied once more, so that
    /// nobody can have seen them. An extension's tables are not among them; it may have filled them.
    fn large(&self, parts: &Parts, session: &mut Session) -> Result<Vec<Relation>> {
        let mut tables = Vec::new();
        if !self.connector.speaks_utf8() {
            return Ok(tables);
        }
        for (table, _) in parts.tables.iter().filter(|(_, rows)| rows.bytes >= LARGE) {
            let ours: bool = session.value(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
                 WHERE oid = pg_catalog.to_regclass($1) AND relkind = 'r' \
                   AND pg_catalog.has_table_privilege(oid, 'TRUNCATE') \
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid \
                     AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                     AND d.deptype = 'e'))",
                &[&table.quoted()],
            )?;
            if ours {
                tables.push(table.clone());
            }
        }
        Ok(tables)
    }

    /// Keeps the server from vacuuming large tables while they are filled: it holds up the builds of
    /// their indexes, and there is nothing to clean. Yields the tables for which that has to be
    /// taken back; those whose owner has set it himself are not among them.
    fn keep_autovacuum_off(large: &[Relation], session: &mut Session) -> Result<Vec<String>> {
        let mut tables = Vec::new();
        for table in large {
            let name = table.quoted();
            let free: bool = session.value(
                "SELECT coalesce(pg_catalog.array_to_string(reloptions, ' '), '') \
                   !~ 'autovacuum_enabled' \
                 FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)",
                &[&name],
            )?;
            if free {
                session.batch(&format!(
                    "ALTER TABLE {name} SET (autovacuum_enabled = off)"
                ))?;
                tables.push(name);
            }
        }
        Ok(tables)
    }

    /// Runs all statements of one part, in order.
    fn run(&self, parts: &Parts, part: Part, session: &mut Session) -> Result<()> {
        for place in parts.of(part) {
            each_statement(self.source.reader.content(place)?, |_, summary, sql| {
                if self.options.filter.drops(summary) {
                    return Ok(());
                }
                self.connector.apply(session, "", sql)
            })?;
            for notice in session.notices() {
                if notice.severity() == "WARNING" {
                    self.monitor.note(Note::new(
                        Severity::Low,
                        "server-warning",
                        self.connector.info.database(),
                        notice.message().to_owned(),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The comparison of what is there in the end with `expected`.
    fn comparison(&self, expected: Vec<Expected>) -> Comparison<'_> {
        let how = self.source.comparable(self.options.compare);
        Comparison::new(&self.connector, expected, how, self.monitor)
    }

    /// Ends the comparison and lets the server learn about the new tables; yields these, and what
    /// differs.
    fn finish(
        &self,
        comparison: Comparison<'_>,
        sessions: &mut [Session],
    ) -> Result<(Vec<Expected>, Vec<Difference>)> {
        let statements = match sessions.first_mut().filter(|_| self.options.analyze) {
            Some(first) => analyze::plan(first, &self.connector)?,
            None => Vec::new(),
        };
        let (expected, mut differences) = comparison.finish(sessions, statements)?;
        let all = self.options.compare != Compare::None && !self.options.schema_only;
        if let (Some(dumped), Some(first)) = (self.source.database(), sessions.first_mut())
            && all
        {
            differences.extend(
                self.connector
                    .in_utf8(first, |session| recorded::differences(session, dumped))?,
            );
        }
        Ok((expected, differences))
    }
}

/// The tables as they should be.
pub(super) fn expected_of(source: &Source, parts: &Parts) -> Result<Vec<Expected>> {
    let mut expected = Vec::with_capacity(parts.tables.len());
    for (table, rows) in &parts.tables {
        let mut head = Vec::new();
        if let Some(first) = rows.first {
            let start = source.reader.content(first)?.take(STATEMENT_MAX);
            head = rows::head_of(&apply::read_all(start)?)?;
        }
        expected.push(Expected {
            table: table.clone(),
            head,
            digest: rows.digest,
            bytes: rows.bytes,
        });
    }
    Ok(expected)
}
