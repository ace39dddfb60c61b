//! How COPY names a table, whatever the encoding of the dump.
//!
//! The client library speaks UTF-8. Where a dump is written in another encoding, and the names in a
//! statement are more than ASCII, the catalogs tell the names in UTF-8, and COPY is told the encoding
//! of the rows.

use super::apply::Connector;
use crate::error::{Error, Result};
use crate::postgres::Session;
use crate::postgres::script::{Relation, literal, quote};

/// What a COPY statement for a table is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The table.
    pub(super) table: String,
    /// The columns in parentheses, or nothing.
    pub(super) columns: String,
    /// ` WITH (…)`, or nothing.
    pub(super) options: String,
}

impl Names {
    /// The statement that takes rows in.
    pub(super) fn copy_in(&self) -> String {
        format!(
            "COPY {} {} FROM stdin{}",
            self.table, self.columns, self.options
        )
    }

    /// The statement that takes rows in as if all had seen them: into a table made or emptied in the
    /// same transaction.
    pub(super) fn copy_in_frozen(&self) -> String {
        let options = match self.options.strip_suffix(')') {
            Some(options) => format!("{options}, FREEZE)"),
            None => " WITH (FREEZE)".to_owned(),
        };
        format!("COPY {} {} FROM stdin{options}", self.table, self.columns)
    }

    /// The statement that hands all rows out.
    pub(super) fn copy_out(&self) -> String {
        format!(
            "COPY {} {} TO stdout{}",
            self.table, self.columns, self.options
        )
    }

    /// The statement that hands the rows out that `from` yields: the table, perhaps with ONLY and
    /// WHERE.
    pub(super) fn copy_out_of(&self, from: &str) -> String {
        let columns = self.columns.strip_prefix('(').unwrap_or_default();
        let columns = columns.strip_suffix(')').unwrap_or_default();
        format!(
            "COPY (SELECT {columns} FROM {from}) TO stdout{}",
            self.options
        )
    }
}

impl Connector {
    /// Runs `act` with the names for COPY of `table`; `head` is the statement that its rows have in
    /// the dump. What `act` sends to the server is in UTF-8, unless the names are ASCII.
    ///
    /// # Errors
    /// The names can't be put into UTF-8, or `act` fails.
    pub(super) fn copying<T>(
        &self,
        session: &mut Session,
        table: &Relation,
        head: &[u8],
        act: impl FnOnce(&mut Session, &Names) -> Result<T>,
    ) -> Result<T> {
        let mut names = Names {
            table: table.quoted(),
            ..Names::default()
        };
        if self.speaks_utf8() || head.is_ascii() {
            let head = std::str::from_utf8(head).map_err(|_| not_utf8(table))?;
            names.columns = columns_of(head);
            return act(session, &names);
        }
        session.batch("SET client_encoding = 'UTF8'")?;
        names.columns = columns(session, table)?;
        names.options = format!(" WITH (ENCODING {})", literal(&self.encoding));
        let result = act(session, &names)?;
        session.batch(&format!("SET client_encoding = {}", quote(&self.encoding)))?;
        Ok(result)
    }

    /// Whether statements of the dump are in UTF-8, or in no encoding that the server would convert.
    pub(super) fn speaks_utf8(&self) -> bool {
        matches!(self.encoding.as_str(), "" | "UTF8" | "SQL_ASCII")
    }
}

fn not_utf8(table: &Relation) -> Error {
    Error::damaged(format!(
        "the names of table {table} or its columns are not in UTF-8"
    ))
    .with_hint("gunzip and psql restore this dump.")
}

/// The columns that pg_dump would name, in parentheses.
fn columns(session: &mut Session, table: &Relation) -> Result<String> {
    let rows = session.query(
        "SELECT attname::text FROM pg_catalog.pg_attribute \
         WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 \
           AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        &[&table.quoted()],
    )?;
    let names: Vec<String> = rows.iter().map(|row| quote(row.get(0))).collect();
    Ok(if names.is_empty() {
        String::new()
    } else {
        format!("({})", names.join(", "))
    })
}

/// The columns in a COPY statement, with their parentheses; nothing if it names none.
fn columns_of(statement: &str) -> String {
    let end = statement.rfind(" FROM ").unwrap_or(statement.len());
    let head = &statement[..end];
    // A quoted name may hold parentheses; the list is what ends the statement's head.
    if !head.ends_with(')') {
        return String::new();
    }
    let mut quoted = false;
    let mut open = None;
    for (at, byte) in head.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => open = open.or(Some(at)),
            _ => {}
        }
    }
    open.map_or_else(String::new, |open| head[open..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_a_copy_are_found() {
        for (statement, columns) in [
            ("COPY public.t (a, \"b)(\") FROM stdin;", "(a, \"b)(\")"),
            ("COPY public.\"t (x)\" (a) FROM stdin;", "(a)"),
            ("COPY public.t  FROM stdin;", ""),
        ] {
            assert_eq!(columns_of(statement), columns, "{statement}");
        }
    }
}
