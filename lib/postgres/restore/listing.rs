//! What is inside a backup, without restoring it: the tables of a dump, the entries of an archive.

use crate::error::{Error, Kind, Result};
use crate::postgres::script::{judge, summary};
use crate::stream::{EntryKind, Item, Reader};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;

/// One thing inside a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Inside {
    /// A table.
    Table {
        /// Its name, with its schema.
        name: String,
        /// How many rows it has.
        rows: u64,
        /// Length of its rows as text, in bytes.
        bytes: u64,
    },
    /// An entry of an archive.
    Entry {
        /// Its path; what is not UTF-8 in it is replaced.
        path: String,
        /// What it is.
        kind: EntryKind,
        /// Its length in bytes.
        bytes: u64,
    },
}

/// Hands over everything inside, sorted by name for tables, in the order of the file for entries.
/// `name` is the bytes of the path or name as they are.
///
/// # Errors
/// The backup is damaged or of a kind that can't be looked into, or `each` fails.
pub fn list(
    reader: &Reader,
    jobs: usize,
    mut each: impl FnMut(&[u8], &Inside) -> Result<()>,
) -> Result<()> {
    let tables = match by_index(reader, &mut each) {
        Ok(Some(tables)) => tables,
        Ok(None) => in_order(reader.contents(jobs)?)?,
        // What the index of a dump says can be found out again by reading everything.
        Err(error) if error.kind() == Kind::Damaged => {
            in_order(reader.content_without_index()?).map_err(|_| error)?
        }
        Err(error) => return Err(error),
    };
    for (name, (rows, bytes)) in tables {
        let table = Inside::Table {
            name: name.clone(),
            rows,
            bytes,
        };
        each(name.as_bytes(), &table)?;
    }
    Ok(())
}

/// The tables by their names, with their rows and bytes.
type Tables = BTreeMap<String, (u64, u64)>;

fn add(tables: &mut Tables, name: String, rows: u64, bytes: u64) {
    let table = tables.entry(name).or_default();
    table.0 += rows;
    table.1 += bytes;
}

/// Hands over the entries of an archive and returns the tables of a dump, both by the index; `None`:
/// there is none.
fn by_index(
    reader: &Reader,
    each: &mut impl FnMut(&[u8], &Inside) -> Result<()>,
) -> Result<Option<Tables>> {
    let Some(index) = reader.index()? else {
        return Ok(None);
    };
    let mut tables = Tables::new();
    for record in index {
        let record = record?;
        match record.item {
            Item::Rows {
                schema,
                table,
                rows,
                ..
            } => {
                let name = format!("{schema}.{table}");
                add(&mut tables, name, rows, record.place.length);
            }
            Item::Entry {
                path, kind, size, ..
            } => {
                let entry = Inside::Entry {
                    path: String::from_utf8_lossy(&path).into_owned(),
                    kind,
                    bytes: size,
                };
                each(&path, &entry)?;
            }
            Item::Sql(_) => {}
        }
    }
    Ok(Some(tables))
}

/// The tables of a dump without an index.
fn in_order(content: impl Read) -> Result<Tables> {
    let verdict = judge(content).map_err(|error| match error.kind() {
        Kind::Usage => error,
        kind => Error::new(kind, error.to_string())
            .with_hint("Only dumps can be listed without an index; use tar for an archive."),
    })?;
    let mut tables = Tables::new();
    for table in verdict.tables {
        let name = summary(table.statement.as_bytes()).relation;
        let name = name.map_or(table.statement, |relation| relation.to_string());
        add(&mut tables, name, table.digest.rows, table.bytes);
    }
    Ok(tables)
}
