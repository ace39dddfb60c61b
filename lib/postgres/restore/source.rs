//! The dump that is to come back: what its index and its manifest say is inside.

use super::compare::Compare;
use crate::error::{Error, Kind, Result};
use crate::manifest::content::Database;
use crate::manifest::{Content, Manifest};
use crate::postgres::digest::Digest;
use crate::postgres::script::{Relation, Summary, Verdict, What, judge_with, summary};
use crate::stream::{Item, Part, Place, Reader};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// A dump that has been opened and found fit to be restored.
pub struct Source {
    /// Its file.
    pub reader: Reader,
    /// Its manifest, if there is one beside it.
    pub manifest: Option<Manifest>,
    /// What is inside.
    pub layout: Layout,
}

/// How its parts are reached.
pub enum Layout {
    /// By the index.
    Indexed(Parts),
    /// From front to back: another tool wrote it, or the index is lost.
    Streamed(Streamed),
}

/// A dump without an index, as far as judging it has told.
#[derive(Clone, Debug, Default)]
pub struct Streamed {
    /// What is inside.
    pub verdict: Verdict,
    /// What its statements ask of the server, with their text where that matters.
    pub asks: Vec<(Summary, Vec<u8>)>,
    /// Whether it had an index that is lost or damaged.
    pub index_lost: bool,
}

impl Streamed {
    fn judge(reader: &Reader, index_lost: bool, jobs: usize) -> Result<Self> {
        let mut this = Self {
            index_lost,
            ..Self::default()
        };
        let content = this.content(reader, jobs)?;
        this.verdict = judge_with(content, |statement| this.see(statement))?;
        if this.verdict.connects {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "'{}' was made by pg_dump --create or pg_dumpall: it says itself where it goes",
                    reader.path().display()
                ),
            )
            .with_hint("Restore it with psql, or dump one database, without --create."));
        }
        Ok(this)
    }

    /// All content, in order.
    ///
    /// # Errors
    /// It can't be read.
    pub fn content(&self, reader: &Reader, jobs: usize) -> Result<Box<dyn Read>> {
        Ok(if self.index_lost {
            Box::new(reader.content_without_index()?)
        } else {
            Box::new(reader.contents(jobs)?)
        })
    }

    fn see(&mut self, statement: &[u8]) {
        let seen = summary(statement);
        let setting = match &seen.what {
            What::Setting(name) => {
                matches!(name.as_str(), "client_encoding" | "default_tablespace")
            }
            What::Owner(_)
            | What::Privileges(_)
            | What::Attached(_)
            | What::Extension(_)
            | What::Authorization(_)
            | What::UserMapping(_) => false,
            _ => return,
        };
        let text = if setting {
            statement.to_vec()
        } else {
            Vec::new()
        };
        self.asks.push((seen, text));
    }
}

/// The parts of an indexed dump.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// SQL, in the order of the file.
    pub sql: Vec<(Part, Place)>,
    /// The tables with rows.
    pub tables: BTreeMap<Relation, Rows>,
}

/// The rows of one table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows {
    /// In how many pieces they come.
    pub pieces: u64,
    /// Their number and digest.
    pub digest: Digest,
    /// Length of the pieces in bytes of content.
    pub bytes: u64,
    /// The first piece; its first line is the COPY statement.
    pub first: Option<Place>,
}

impl Parts {
    /// Reads the index.
    ///
    /// # Errors
    /// It is damaged, or not that of a database.
    pub fn read(reader: &Reader) -> Result<Option<Self>> {
        let Some(index) = reader.index()? else {
            return Ok(None);
        };
        let mut parts = Self::default();
        for record in index {
            let record = record?;
            match record.item {
                Item::Sql(part) => parts.sql.push((part, record.place)),
                Item::Rows {
                    schema,
                    table,
                    rows,
                    digest,
                } => {
                    let table = parts
                        .tables
                        .entry(Relation::new(schema, table))
                        .or_default();
                    table.first.get_or_insert(record.place);
                    table.pieces += 1;
                    table.digest += Digest { rows, sum: digest };
                    table.bytes += record.place.length;
                }
                Item::Entry { .. } => return Err(no_database(reader.path(), "an archive")),
            }
        }
        if parts.sql.iter().any(|(part, _)| *part == Part::Globals) {
            return Err(
                no_database(reader.path(), "a dump of roles and tablespaces")
                    .with_hint("Restore it with sg-restore globals."),
            );
        }
        Ok(Some(parts))
    }

    /// The stretches of SQL of one kind, in order.
    pub fn of(&self, wanted: Part) -> impl Iterator<Item = Place> + '_ {
        self.sql
            .iter()
            .filter(move |(part, _)| *part == wanted)
            .map(|(_, place)| *place)
    }
}

fn no_database(path: &Path, what: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("'{}' is {what}, not the dump of a database", path.display()),
    )
}

impl Source {
    /// Opens the dump at `path`, with its manifest; reads its index, or, where it has none, all of
    /// it, to judge it.
    ///
    /// # Errors
    /// It is damaged, cut off, no dump of a database, or not the one that its manifest speaks of.
    pub fn open(path: &Path, jobs: usize) -> Result<Self> {
        if path.is_dir() {
            return Err(
                Error::new(Kind::Usage, format!("'{}' is a directory", path.display()))
                    .with_hint("A dump in pg_dump's directory format is restored with pg_restore."),
            );
        }
        let reader = Reader::open(path)?;
        let manifest = Manifest::beside(path)?;
        if let Some(manifest) = &manifest
            && manifest.bytes != reader.bytes()
        {
            return Err(Error::damaged(format!(
                "'{}' has {} bytes where its manifest says {}",
                path.display(),
                reader.bytes(),
                manifest.bytes
            ))
            .with_hint("It was changed since it was made; use another backup."));
        }
        let layout = match Parts::read(&reader) {
            Ok(Some(parts)) => Layout::Indexed(parts),
            Ok(None) => Layout::Streamed(Streamed::judge(&reader, false, jobs)?),
            // What the index says can be found out again by reading everything. That the content is
            // whole is then told by its last line, as in a dump by another tool.
            Err(error) if error.kind() == Kind::Damaged => {
                Layout::Streamed(Streamed::judge(&reader, true, jobs).map_err(|_| error)?)
            }
            Err(error) => return Err(error),
        };
        let source = Self {
            reader,
            manifest,
            layout,
        };
        source.agrees()?;
        Ok(source)
    }

    /// What the manifest says of the database.
    pub fn database(&self) -> Option<&Database> {
        match self.manifest.as_ref().map(|manifest| &manifest.content) {
            Some(Content::Database(database)) => Some(database),
            _ => None,
        }
    }

    /// What was found inside is what the manifest, written at the same time by the same hand, says.
    fn agrees(&self) -> Result<()> {
        let Some(database) = self.database() else {
            return Ok(());
        };
        let found = self.digests();
        for table in &database.tables {
            let relation = Relation::new(&table.schema, &table.name);
            let same = found.get(&relation).is_some_and(|found| {
                found.rows == table.rows && format!("{:032x}", found.sum) == table.digest
            });
            if !same {
                return Err(Error::damaged(format!(
                    "'{}' and its manifest disagree about table {relation}",
                    self.reader.path().display()
                ))
                .with_hint("Rows are missing or changed; use another backup."));
            }
        }
        Ok(())
    }

    /// The digests of all tables inside.
    fn digests(&self) -> BTreeMap<Relation, Digest> {
        match &self.layout {
            Layout::Indexed(parts) => parts
                .tables
                .iter()
                .map(|(table, rows)| (table.clone(), rows.digest))
                .collect(),
            Layout::Streamed(streamed) => {
                let mut digests: BTreeMap<Relation, Digest> = BTreeMap::new();
                for table in &streamed.verdict.tables {
                    if let Some(relation) = summary(table.statement.as_bytes()).relation {
                        *digests.entry(relation).or_default() += table.digest;
                    }
                }
                digests
            }
        }
    }

    /// How much can be compared of what is wanted: pg_dump writes times in the server's zone, so what another
    /// tool dumped has other digests.
    pub(super) fn comparable(&self, wanted: Compare) -> Compare {
        match (&self.layout, wanted) {
            (Layout::Streamed(streamed), Compare::Full) if !streamed.index_lost => Compare::Rows,
            (_, wanted) => wanted,
        }
    }

    /// Number of the rows of a table.
    pub fn rows(&self, table: &Relation) -> u64 {
        self.digests().get(table).map_or(0, |digest| digest.rows)
    }

    /// Length of all rows in bytes, as text.
    pub fn bytes(&self) -> u64 {
        match &self.layout {
            Layout::Indexed(parts) => parts.tables.values().map(|rows| rows.bytes).sum(),
            Layout::Streamed(streamed) => streamed
                .verdict
                .tables
                .iter()
                .map(|table| table.bytes)
                .sum(),
        }
    }
}

/// The value in `SET client_encoding = 'UTF8';`.
pub(super) fn encoding_in(statement: &[u8]) -> String {
    let text = String::from_utf8_lossy(statement);
    text.split('\'').nth(1).unwrap_or_default().to_owned()
}
