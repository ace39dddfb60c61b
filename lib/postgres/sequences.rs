//! The values of the sequences, as pg_dump writes them.
//!
//! A sequence is outside of transactions: its value is that of the moment it is read, which is after
//! the snapshot. So it may run ahead of the rows, never behind.

use super::Session;
use crate::error::Result;
use crate::manifest::content::Sequence;
use std::fmt::Write;

const LIST: &str = r"
SELECT c.oid, n.nspname::text, c.relname::text, format('%I.%I', n.nspname, c.relname),
       NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     AND d.objid = c.oid AND d.deptype = 'e')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery())
  AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     AND d.objid = c.oid AND d.deptype = 'e')
       OR c.oid = ANY (SELECT unnest(extconfig) FROM pg_catalog.pg_extension))
ORDER BY 2, 3";

/// How many sequences one query reads.
const AT_ONCE: usize = 200;

/// The sequences, and the SQL that sets them.
#[derive(Default)]
pub(super) struct Sequences {
    pub(super) values: Vec<Sequence>,
    /// Those that no extension owns.
    pub(super) listed: Vec<u32>,
    /// In the encoding of the dump.
    pub(super) sql: Vec<u8>,
}

/// Reads all sequences.
pub(super) fn read(session: &mut Session) -> Result<Sequences> {
    let mut sequences = Sequences::default();
    let rows = session.query(LIST, &[])?;
    for some in rows.chunks(AT_ONCE) {
        let mut query = String::new();
        for row in some {
            let (oid, name): (u32, &str) = (row.get(0), row.get(3));
            if row.get(4) {
                sequences.listed.push(oid);
            }
            let union = if query.is_empty() { "" } else { " UNION ALL " };
            // Writing to a String cannot fail.
            let _ = write!(
                query,
                "{union}SELECT {oid}::oid, last_value, is_called FROM {name}"
            );
        }
        let sql = format!(
            "SELECT v.last_value, v.is_called, convert_to(format('SELECT pg_catalog.setval(%L, %s, %s);',
                    format('%I.%I', n.nspname, c.relname), v.last_value, v.is_called::text)
                    || E'\\n', pg_catalog.getdatabaseencoding()), n.nspname::text, c.relname::text
             FROM ({query}) AS v (oid, last_value, is_called)
                  JOIN pg_catalog.pg_class c ON c.oid = v.oid
                  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             ORDER BY 4, 5"
        );
        for row in session.query(&sql, &[])? {
            sequences.sql.extend_from_slice(row.get(2));
            sequences.values.push(Sequence {
                schema: row.get(3),
                name: row.get(4),
                value: row.get(0),
                called: row.get(1),
            });
        }
    }
    if !sequences.sql.is_empty() {
        sequences.sql.push(b'\n');
    }
    Ok(sequences)
}
