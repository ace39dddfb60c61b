//! What of a dump is to come back when not all of it is: tables with everything that hangs on them,
//! or whole schemas.

use super::apply::each_statement;
use super::source::{Layout, Source};
use super::stream::{self, Rows, Visitor};
use crate::error::{Error, Kind, Result};
use crate::postgres::script::{Entry, Relation, Summary, What};
use crate::stream::Part;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Tables, as `NAME` or `SCHEMA.NAME`; with their partitions.
    pub tables: Vec<String>,
    /// Schemas.
    pub schemas: Vec<String>,
    /// Only their rows, into tables that exist and are empty.
    pub data_only: bool,
    /// Everything but rows.
    pub schema_only: bool,
}

/// What that comes down to in a dump.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// The tables.
    pub tables: BTreeSet<Relation>,
    /// The sequences that belong to them.
    pub sequences: BTreeSet<Relation>,
    /// Schemas that are wanted whole.
    schemas: BTreeSet<String>,
    /// Indexes seen so far on the tables.
    indexes: BTreeSet<Relation>,
    /// Foreign keys of other tables that refer to the chosen ones, as SQL.
    pub incoming: Vec<String>,
}

/// How relations of a dump hang together.
#[derive(Default)]
struct Ties {
    tables: BTreeSet<Relation>,
    /// Partitions, by their parent.
    partitions: BTreeMap<Relation, Vec<Relation>>,
    /// Sequences, by the table that owns them.
    sequences: BTreeMap<Relation, Vec<Relation>>,
    schemas: BTreeSet<String>,
}

impl Visitor for Ties {
    fn statement(&mut self, entry: Option<&Entry>, summary: &Summary, _: &[u8]) -> Result<()> {
        self.add(entry, summary);
        Ok(())
    }

    fn rows(&mut self, _: Option<Relation>, _: &[u8], _: &mut Rows) -> Result<()> {
        Ok(())
    }
}

impl Ties {
    fn read(source: &Source, jobs: usize) -> Result<Self> {
        let mut ties = Self::default();
        match &source.layout {
            Layout::Indexed(parts) => {
                for place in parts.of(Part::PreData) {
                    each_statement(source.reader.content(place)?, |entry, summary, _| {
                        ties.add(entry, summary);
                        Ok(())
                    })?;
                }
            }
            Layout::Streamed(streamed) => {
                stream::walk(streamed.content(&source.reader, jobs)?, &mut ties)?;
            }
        }
        Ok(ties)
    }

    fn add(&mut self, entry: Option<&Entry>, summary: &Summary) {
        if let Some(entry) = entry.filter(|entry| entry.kind == "SCHEMA") {
            self.schemas.insert(entry.name.clone());
        }
        let Some(relation) = summary.relation.clone() else {
            return;
        };
        match &summary.what {
            What::Table => {
                self.tables.insert(relation);
            }
            What::AttachPartition(child) => {
                self.partitions
                    .entry(relation)
                    .or_default()
                    .push(child.clone());
            }
            What::OwnedBy(table) => {
                self.sequences
                    .entry(table.clone())
                    .or_default()
                    .push(relation);
            }
            // The sequence of an identity column is made by altering its table.
            What::AlterTable => {
                if let Some(entry) = entry.filter(|entry| entry.kind == "SEQUENCE") {
                    let schema = entry.schema.clone().unwrap_or_default();
                    let sequence = Relation::new(schema, &entry.name);
                    self.sequences.entry(relation).or_default().push(sequence);
                }
            }
            _ => {}
        }
    }
}

impl Selection {
    /// Whether a part of the dump is wanted, and not all of it.
    pub fn is_partial(&self) -> bool {
        !self.tables.is_empty() || !self.schemas.is_empty() || self.data_only
    }

    /// Finds the tables in the dump.
    ///
    /// # Errors
    /// There is no such table or schema, or there are several tables of that name.
    pub fn choose(&self, source: &Source, jobs: usize) -> Result<Chosen> {
        let ties = Ties::read(source, jobs)?;
        let mut chosen = Chosen::default();
        let mut pending: Vec<Relation> = Vec::new();
        for name in &self.tables {
            pending.push(find(name, &ties.tables)?);
        }
        for schema in &self.schemas {
            let tables = ties.tables.iter().filter(|table| table.schema == *schema);
            let before = pending.len();
            pending.extend(tables.cloned());
            if pending.len() == before && !ties.schemas.contains(schema) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("there is no schema '{schema}' in the dump"),
                ));
            }
            chosen.schemas.insert(schema.clone());
        }
        if self.tables.is_empty() && self.schemas.is_empty() {
            pending.extend(ties.tables.iter().cloned());
        }
        while let Some(table) = pending.pop() {
            pending.extend(ties.partitions.get(&table).into_iter().flatten().cloned());
            let sequences = ties.sequences.get(&table).into_iter().flatten();
            chosen.sequences.extend(sequences.cloned());
            chosen.tables.insert(table);
        }
        Ok(chosen)
    }
}

fn find(name: &str, tables: &BTreeSet<Relation>) -> Result<Relation> {
    let fits = |table: &&Relation| table.name == name || table.to_string() == name;
    let found: Vec<&Relation> = tables.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let like: Vec<String> = tables
                .iter()
                .filter(|table| table.name.eq_ignore_ascii_case(name))
                .map(Relation::to_string)
                .collect();
            let error = Error::new(
                Kind::Usage,
                format!("there is no table '{name}' in the dump"),
            );
            Err(match like.first() {
                Some(like) => error.with_hint(format!("Did you mean {like}?")),
                None => error.with_hint("sg-restore list shows what is inside."),
            })
        }
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Error::new(
                Kind::Usage,
                format!("there are several tables '{name}' in the dump"),
            )
            .with_hint(format!("Say which: {}.", names.join(", "))))
        }
    }
}

impl Chosen {
    /// Whether a statement belongs to what was chosen. Statements have to come in their order.
    pub fn wants(&mut self, entry: Option<&Entry>, summary: &Summary, sql: &[u8]) -> bool {
        if let What::ForeignKey { refers, .. } = &summary.what
            && let Some(table) = &summary.relation
            && self.tables.contains(refers)
            && !self.tables.contains(table)
        {
            self.incoming
                .push(String::from_utf8_lossy(sql).into_owned());
        }
        if let (What::AttachPartition(child), Some(parent)) = (&summary.what, &summary.relation) {
            return self.tables.contains(parent) && self.tables.contains(child);
        }
        let wanted = summary.relation.as_ref().is_some_and(|relation| {
            self.tables.contains(relation)
                || self.sequences.contains(relation)
                || self.indexes.contains(relation)
        }) || entry.is_some_and(|entry| self.is_of_schema(entry));
        if wanted && let (Some(entry), Some(table)) = (entry, &summary.relation) {
            let index = match &summary.what {
                What::Index if entry.kind == "INDEX" => Some(&entry.name),
                What::Key(key) => Some(&key.name),
                _ => None,
            };
            // An index lives in the schema of its table.
            let index = index.map(|index| Relation::new(&table.schema, index));
            self.indexes.extend(index);
        }
        wanted
    }

    fn is_of_schema(&self, entry: &Entry) -> bool {
        let of = |name: &str| self.schemas.contains(name);
        entry.schema.as_deref().is_some_and(of)
            || (entry.kind == "SCHEMA" && of(&entry.name))
            || entry.name.strip_prefix("SCHEMA ").is_some_and(of)
    }
}
