//! Tables, or schemas, brought back into a database in use: in one transaction, so that whoever uses
//! it sees either all of it or nothing.

use super::apply::{Connector, each_statement};
use super::compare::{Comparison, Expected};
use super::rows::{Queue, load};
use super::selection::{Chosen, Selection};
use super::source::{Layout, Parts, Source, Streamed};
use super::stream::{self, Rows, Tables, Visitor};
use super::{Options, Outcome, encoding, expected_of};
use crate::error::{Error, Kind, Result};
use crate::monitor::{Monitor, Note, Severity};
use crate::postgres::digest::Digest;
use crate::postgres::script::{Entry, Relation, Summary, What};
use crate::postgres::{Conninfo, Session};
use crate::stream::Part;
use std::collections::BTreeSet;

/// A partial restore that has been found possible.
pub struct Partial<'a> {
    source: &'a Source,
    selection: &'a Selection,
    options: &'a Options,
    chosen: Chosen,
    connector: Connector,
    session: Session,
}

impl<'a> Partial<'a> {
    /// Finds what `selection` asks for in the dump, and that the database of `to` can take it.
    ///
    /// # Errors
    /// The dump has no such table, or the database has one of that name.
    pub fn look(
        source: &'a Source,
        to: &Conninfo,
        selection: &'a Selection,
        options: &'a Options,
    ) -> Result<Self> {
        let chosen = selection.choose(source, options.jobs)?;
        let connector = Connector {
            info: to.clone(),
            encoding: encoding(source)?,
            role: options.role.clone(),
        };
        let mut this = Self {
            source,
            selection,
            options,
            chosen,
            session: connector.connect()?,
            connector,
        };
        this.check()?;
        Ok(this)
    }

    /// The tables that will come back, with the numbers of their rows.
    pub fn tables(&self) -> impl Iterator<Item = (&Relation, u64)> {
        let tables = self.chosen.tables.iter();
        tables.map(|table| (table, self.source.rows(table)))
    }

    fn check(&mut self) -> Result<()> {
        let mut present = Vec::new();
        for table in &self.chosen.tables {
            let exists: bool = self.session.value(
                "SELECT pg_catalog.to_regclass($1) IS NOT NULL",
                &[&table.quoted()],
            )?;
            if exists != self.selection.data_only {
                present.push(table.to_string());
            } else if exists {
                let filled: bool = self.session.value(
                    &format!("SELECT EXISTS (SELECT FROM {})", table.quoted()),
                    &[],
                )?;
                if filled {
                    return Err(
                        Error::new(Kind::Config, format!("table {table} is not empty"))
                            .with_hint("--data-only fills empty tables; TRUNCATE it first."),
                    );
                }
            }
        }
        if present.is_empty() {
            return Ok(());
        }
        let names = present.join(", ");
        let database = self.connector.info.database();
        Err(if self.selection.data_only {
            Error::new(Kind::Config, format!("database '{database}' lacks {names}"))
                .with_hint("Leave --data-only out to create it.")
        } else {
            Error::new(
                Kind::Config,
                format!("database '{database}' has {names} already"),
            )
            .with_hint("Name another database with --to, or rename the table that is there.")
        })
    }

    /// Brings it back.
    ///
    /// # Errors
    /// Anything failed; all is as before.
    pub fn restore(mut self, monitor: &dyn Monitor) -> Result<Outcome> {
        self.session.batch("BEGIN")?;
        if self.selection.data_only {
            // As pg_restore --disable-triggers; whoever may not, loads with them.
            let _ = self.optionally("SET LOCAL session_replication_role = replica".as_bytes())?;
        } else {
            self.create_schemas()?;
        }
        let source = self.source;
        let expected = match &source.layout {
            Layout::Indexed(parts) => self.by_index(parts, monitor)?,
            Layout::Streamed(streamed) => self.front_to_back(streamed, monitor)?,
        };
        let how = source.comparable(self.options.compare);
        let comparison = Comparison::new(&self.connector, expected, how, monitor);
        let only = std::slice::from_mut(&mut self.session);
        let (expected, different) = comparison.finish(only, Vec::new())?;
        if let Some(difference) = different.first() {
            return Err(Error::damaged(format!(
                "what was restored is not what was dumped: {difference}"
            ))
            .with_hint("All is as before."));
        }
        self.session.batch("COMMIT")?;
        for key in &self.chosen.incoming {
            monitor.note(Note::new(
                Severity::Low,
                "foreign-key-of-another",
                self.connector.info.database(),
                format!(
                    "another table referred to this one; if that is lost: {}",
                    key.split_whitespace().collect::<Vec<_>>().join(" ")
                ),
            ));
        }
        if self.options.analyze {
            for table in &self.chosen.tables {
                self.session.batch(&format!("ANALYZE {}", table.quoted()))?;
            }
        }
        Ok(Outcome {
            database: self.connector.info.database().to_owned(),
            kept: None,
            tables: self.chosen.tables.len() as u64,
            rows: expected.iter().map(|table| table.digest.rows).sum(),
        })
    }

    /// Brings it back, and nothing else is read; yields the tables as they should be then.
    fn by_index(&mut self, parts: &Parts, monitor: &dyn Monitor) -> Result<Vec<Expected>> {
        if !self.selection.data_only {
            self.statements(parts, Part::PreData, monitor)?;
        }
        let mut expected = Vec::new();
        if !self.selection.schema_only {
            self.load(parts, monitor)?;
            self.sequences(parts)?;
            expected = expected_of(self.source, parts)?;
            expected.retain(|table| self.chosen.tables.contains(&table.table));
        }
        if !self.selection.data_only {
            self.statements(parts, Part::PostData, monitor)?;
        }
        Ok(expected)
    }

    /// The same of a dump without an index: all else passes by.
    fn front_to_back(
        &mut self,
        streamed: &Streamed,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Expected>> {
        monitor.stage("loading", None);
        let content = streamed.content(&self.source.reader, self.options.jobs)?;
        let mut picking = Picking {
            partial: self,
            monitor,
            tables: Tables::default(),
            inserted: BTreeSet::new(),
        };
        stream::walk(content, &mut picking)?;
        let Picking {
            mut tables,
            inserted,
            ..
        } = picking;
        // Nobody has counted these; but each statement of theirs was done.
        for table in inserted {
            let sql = format!("SELECT count(*) FROM ONLY {}", table.quoted());
            let rows: i64 = self.session.value(&sql, &[])?;
            let rows = rows.cast_unsigned();
            tables.add(table, b"", Digest { rows, sum: 0 }, 0);
        }
        Ok(tables.expected())
    }

    /// Creates the schemas of the tables where they are missing.
    fn create_schemas(&mut self) -> Result<()> {
        let schemas: BTreeSet<&str> = self
            .chosen
            .tables
            .iter()
            .map(|table| table.schema.as_str())
            .collect();
        for schema in schemas {
            let exists: bool = self.session.value(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)",
                &[&schema],
            )?;
            if !exists && !self.selection.schemas.iter().any(|name| name == schema) {
                let sql = format!("CREATE SCHEMA {}", crate::postgres::script::quote(schema));
                self.session.batch(&sql)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, parts: &Parts, monitor: &dyn Monitor) -> Result<()> {
        let tables = self.chosen.tables.clone();
        let of = |table: &Relation| parts.tables.get(table).map_or(0, |rows| rows.bytes);
        monitor.stage("loading", Some(tables.iter().map(of).sum()));
        let mut queue = Queue::new(&self.source.reader, parts, Some(tables))?;
        while let Some(turn) = queue.next()? {
            load(
                &mut self.session,
                &self.connector,
                &self.source.reader,
                &turn,
                monitor,
            )?;
        }
        Ok(())
    }

    fn sequences(&mut self, parts: &Parts) -> Result<()> {
        for place in parts.of(Part::Sequences) {
            each_statement(self.source.reader.content(place)?, |_, summary, sql| {
                let wanted = summary
                    .relation
                    .as_ref()
                    .is_some_and(|sequence| self.chosen.sequences.contains(sequence));
                if wanted {
                    self.connector.apply(&mut self.session, "", sql)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Runs the statements of a part that belong to what was chosen.
    fn statements(&mut self, parts: &Parts, part: Part, monitor: &dyn Monitor) -> Result<()> {
        for place in parts.of(part) {
            each_statement(self.source.reader.content(place)?, |entry, summary, sql| {
                self.statement(entry, summary, sql, monitor)
            })?;
        }
        Ok(())
    }

    fn statement(
        &mut self,
        entry: Option<&Entry>,
        summary: &Summary,
        sql: &[u8],
        monitor: &dyn Monitor,
    ) -> Result<()> {
        if self.options.filter.drops(summary) {
            return Ok(());
        }
        match &summary.what {
            What::Setting(name) if name.starts_with("default_table") => {
                return self.connector.apply(&mut self.session, "", sql);
            }
            What::Setting(_) => return Ok(()),
            _ => {}
        }
        if !self.chosen.wants(entry, summary, sql) {
            return Ok(());
        }
        // Without these the table is not what it was; without the others it is, but for a finding.
        let needed = matches!(
            summary.what,
            What::Table
                | What::Insert
                | What::Sequence
                | What::SequenceValue
                | What::OwnedBy(_)
                | What::AlterTable
                | What::AttachPartition(_)
                | What::AlterIndex
                | What::Index
                | What::Key(_)
                | What::Exclusion
        );
        if needed {
            return self.connector.apply(&mut self.session, "", sql);
        }
        if let Some(error) = self.optionally(sql)? {
            let subject = summary.relation.as_ref().map(Relation::to_string);
            monitor.note(Note::new(
                Severity::Low,
                "left-out",
                subject.unwrap_or_else(|| self.connector.info.database().to_owned()),
                format!("could not be brought back whole: {error}"),
            ));
        }
        Ok(())
    }

    /// Runs a statement that may fail; yields its failure.
    fn optionally(&mut self, sql: &[u8]) -> Result<Option<Error>> {
        self.session.batch("SAVEPOINT optional")?;
        match self.connector.apply(&mut self.session, "", sql) {
            Ok(()) => {
                self.session.batch("RELEASE optional")?;
                Ok(None)
            }
            Err(error) if error.kind() == Kind::Unavailable => Err(error),
            Err(error) => {
                self.session.batch("ROLLBACK TO optional")?;
                Ok(Some(error))
            }
        }
    }
}

/// Picks from a dump that comes by what was chosen.
struct Picking<'a, 'b> {
    partial: &'a mut Partial<'b>,
    monitor: &'a dyn Monitor,
    tables: Tables,
    /// The tables whose rows come by INSERT.
    inserted: BTreeSet<Relation>,
}

impl Visitor for Picking<'_, '_> {
    fn statement(&mut self, entry: Option<&Entry>, summary: &Summary, sql: &[u8]) -> Result<()> {
        let selection = self.partial.selection;
        let wanted = match summary.what {
            What::Insert | What::SequenceValue => !selection.schema_only,
            _ => !selection.data_only,
        };
        if !wanted {
            return Ok(());
        }
        if let (What::Insert, Some(table)) = (&summary.what, &summary.relation)
            && self.partial.chosen.tables.contains(table)
        {
            self.inserted.insert(table.clone());
        }
        self.partial.statement(entry, summary, sql, self.monitor)
    }

    fn rows(&mut self, relation: Option<Relation>, sql: &[u8], lexer: &mut Rows) -> Result<()> {
        let chosen = &self.partial.chosen.tables;
        let Some(table) = relation.filter(|table| chosen.contains(table)) else {
            return Ok(());
        };
        if !self.partial.selection.schema_only {
            let session = &mut self.partial.session;
            let (digest, bytes) = stream::copy(session, sql, lexer, self.monitor)?;
            self.tables.add(table, sql, digest, bytes);
        }
        Ok(())
    }
}
