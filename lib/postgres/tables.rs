//! Which tables have rows to dump, and how the work on them is cut.
//!
//! pg_dump's rules are followed: ordinary tables outside the system's schemas that no extension owns,
//! and of those an extension owns the ones that it declared to hold users' data. What pg_dump itself
//! says belongs to the schema is held against the outcome (see [`super::schema`]).

use super::Session;
use crate::error::{Error, Kind, Result};
use std::collections::HashSet;

/// How much of a table, with what lies beside it in TOAST, one COPY reads: enough that its start
/// costs nothing, little enough that the threads end together.
const CHUNK: u64 = 16 << 20;

/// A table whose rows are dumped.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// `WHERE …`, for an extension's configuration table.
    pub(super) condition: Option<String>,
    /// Its rows are to be dumped.
    pub(super) wanted: bool,
    /// No extension owns it, so pg_dump lists it in its schema.
    pub(super) listed: bool,
    /// Its name, quoted, for statements.
    pub(super) quoted: String,
    /// The columns, quoted, for a SELECT.
    selected: String,
    /// `COPY … FROM stdin;`, in the encoding of the dump.
    pub(super) header: Vec<u8>,
    /// Bytes in its main file and, where it has one, its TOAST table.
    pub(super) bytes: u64,
    pages: u64,
    /// Parts of it can be read by the place of the rows.
    divisible: bool,
}

/// A stretch of a table that one COPY reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Which table, by its place in the list.
    pub(super) table: usize,
    /// Pages from and up to; `None`: all.
    pub(super) pages: Option<(u64, Option<u64>)>,
}

const LIST: &str = r"
WITH configured AS (
    SELECT x.oid, x.condition
    FROM pg_catalog.pg_extension e,
         unnest(e.extconfig, e.extcondition) AS x (oid, condition)
), chosen AS (
    SELECT c.oid, NULL::text AS condition, true AS listed
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                        AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')
    UNION ALL
    SELECT oid, nullif(condition, ''), false FROM configured
)
SELECT c.oid, n.nspname::text, c.relname::text, chosen.condition, chosen.listed,
       coalesce(a.names, '{}'), coalesce(a.quoted, ''),
       format('%I.%I', n.nspname, c.relname),
       convert_to(format('COPY %I.%I %sFROM stdin;', n.nspname, c.relname, '(' || a.quoted || ') ')
                  || E'\n', pg_catalog.getdatabaseencoding()),
       pg_catalog.pg_relation_size(c.oid),
       CASE WHEN c.reltoastrelid <> 0 THEN coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) ELSE 0 END,
       coalesce(am.amname = 'heap', false),
       c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery()
FROM chosen JOIN pg_catalog.pg_class c ON c.oid = chosen.oid
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
     LEFT JOIN LATERAL (
         SELECT pg_catalog.array_agg(attname::text ORDER BY attnum) AS names,
                pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum) AS quoted
         FROM pg_catalog.pg_attribute
         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
     ) a ON true
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
ORDER BY 2, 3";

/// Lists the tables, sorted by schema and name.
pub(super) fn list(session: &mut Session) -> Result<Vec<Table>> {
    let page: i32 = session.value("SELECT current_setting('block_size')::int", &[])?;
    let by_place = session.major() >= 14;
    let rows = session.query(LIST, &[])?;
    Ok(rows
        .iter()
        .map(|row| {
            let main = row.get::<_, Option<i64>>(9).unwrap_or(0).unsigned_abs();
            Table {
                oid: row.get(0),
                schema: row.get(1),
                name: row.get(2),
                condition: row.get(3),
                // On a standby there is nothing of an unlogged table to read.
                wanted: !row.get::<_, bool>(12),
                listed: row.get(4),
                columns: row.get(5),
                selected: row.get(6),
                quoted: row.get(7),
                header: row.get(8),
                bytes: main + row.get::<_, i64>(10).unsigned_abs(),
                pages: main / u64::from(page.unsigned_abs()),
                divisible: by_place && row.get(11),
            }
        })
        .collect())
}

/// Keeps the tables from being dropped, truncated or rewritten while they are read.
///
/// # Errors
/// A table is gone or kept by somebody else, or the server has no room for so many locks.
pub(super) fn lock(session: &mut Session, tables: &[Table]) -> Result<()> {
    for some in tables.chunks(500) {
        let names: Vec<_> = some.iter().map(|table| table.quoted.as_str()).collect();
        let locked = session.batch(&format!(
            "LOCK TABLE ONLY {} IN ACCESS SHARE MODE",
            names.join(", ONLY ")
        ));
        locked.map_err(|error| too_many(session, tables.len(), error))?;
    }
    Ok(())
}

/// `error`, or, if the server's table of locks is full, how large it would have to be. pg_dump locks
/// the same tables, and the table of locks has the same size for everybody.
fn too_many(session: &mut Session, tables: usize, error: Error) -> Error {
    if !error
        .hint()
        .unwrap_or_default()
        .contains("max_locks_per_transaction")
    {
        return error;
    }
    let sql = "SELECT sum(setting::bigint)::bigint FROM pg_catalog.pg_settings
               WHERE name IN ('max_connections', 'max_prepared_transactions')";
    let shares = session
        .batch("ROLLBACK")
        .and_then(|()| session.value::<i64>(sql, &[]));
    let Ok(shares) = shares else { return error };
    // Half as many again: others lock tables, too, and indexes take locks of their own.
    let wanted = (tables as i64 * 3 / 2) / shares.max(1) + 1;
    let database = session.info().database();
    Error::new(
        Kind::Config,
        format!("the server has too little room for the locks on the {tables} tables of database '{database}'"),
    )
    .with_hint(format!(
        "Set max_locks_per_transaction to {} or more in postgresql.conf, and restart the server; \
         pg_dump needs it, too.",
        wanted.max(64)
    ))
}

/// The tables that got new files between the snapshot and the lock, by TRUNCATE or a rewriting ALTER
/// TABLE: the snapshot would find them empty. pg_dump does not notice.
pub(super) fn rewritten(session: &mut Session, tables: &[Table]) -> Result<HashSet<u32>> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    // The column is read by the snapshot, the function looks at the present.
    let sql = "SELECT oid FROM pg_catalog.pg_class WHERE oid = ANY($1) \
               AND relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(oid)";
    let rows = session.query(sql, &[&oids])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Cuts the work into chunks, those of the biggest tables first.
pub(super) fn plan(tables: &[Table]) -> Vec<Chunk> {
    let mut order: Vec<usize> = (0..tables.len()).filter(|&at| tables[at].wanted).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(tables[at].bytes));
    order
        .into_iter()
        .flat_map(|at| chunks(at, &tables[at]))
        .collect()
}

fn chunks(at: usize, table: &Table) -> Vec<Chunk> {
    let whole = Chunk {
        table: at,
        pages: None,
    };
    if !table.divisible || table.bytes <= CHUNK || table.columns.is_empty() {
        return vec![whole];
    }
    let step = (CHUNK * table.pages / table.bytes).max(1);
    let starts = (0..table.pages).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    starts
        .map(|start| {
            let end = start + step;
            Chunk {
                table: at,
                // The last one has no end: the table may have grown since its size was asked.
                pages: Some((start, (end < table.pages).then_some(end))),
            }
        })
        .collect()
}

impl Table {
    /// Whether it is known to have no rows without asking.
    pub(super) fn is_empty(&self) -> bool {
        self.pages == 0 && self.divisible
    }

    /// The statement that yields a chunk's rows, in `encoding`.
    pub(super) fn copy(&self, chunk: &Chunk, encoding: &str) -> String {
        let Self {
            selected, quoted, ..
        } = self;
        let source = match (chunk.pages, &self.condition) {
            (None, None) if self.selected.is_empty() => quoted.clone(),
            (None, None) => format!("{quoted} ({selected})"),
            (pages, condition) => {
                let condition = condition.as_deref().unwrap_or("WHERE true");
                let place = match pages {
                    None => String::new(),
                    Some((from, None)) => format!(" AND ctid >= '({from},0)'"),
                    Some((from, Some(to))) => {
                        format!(" AND ctid >= '({from},0)' AND ctid < '({to},0)'")
                    }
                };
                format!("(SELECT {selected} FROM ONLY {quoted} {condition}{place})")
            }
        };
        format!("COPY {source} TO STDOUT (ENCODING '{encoding}')")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, pages: u64, toast: u64) -> Table {
        Table {
            oid: 1,
            schema: "public".into(),
            name: name.into(),
            columns: vec!["a".into()],
            condition: None,
            wanted: true,
            listed: true,
            quoted: format!("public.{name}"),
            selected: "a".into(),
            header: Vec::new(),
            bytes: pages * 8192 + toast,
            pages,
            divisible: true,
        }
    }

    #[test]
    fn chunks_cover_every_page_once_and_the_biggest_table_comes_first() {
        let tables = [
            table("small", 10, 0),
            table("big", 100_000, 0),
            table("none", 0, 0),
        ];
        let plan = plan(&tables);
        assert_eq!(plan[0].table, 1);
        assert_eq!(plan.last().unwrap().table, 2);
        let mut next = Some(0);
        for chunk in plan.iter().filter(|chunk| chunk.table == 1) {
            let (from, to) = chunk.pages.unwrap();
            assert_eq!(Some(from), next);
            next = to;
        }
        assert_eq!(next, None);
    }

    #[test]
    fn a_table_with_much_toast_is_cut_finer() {
        let of = |toast| plan(&[table("t", 4096, toast)]).len();
        assert_eq!(of(0), 2);
        assert!(of(1 << 30) > 60);
    }

    #[test]
    fn the_statement_says_what_to_read() {
        let mut table = table("t", 10, 0);
        let whole = Chunk {
            table: 0,
            pages: None,
        };
        assert_eq!(
            table.copy(&whole, "UTF8"),
            "COPY public.t (a) TO STDOUT (ENCODING 'UTF8')"
        );
        let part = Chunk {
            table: 0,
            pages: Some((5, Some(9))),
        };
        table.condition = Some("WHERE b".into());
        assert_eq!(
            table.copy(&part, "LATIN1"),
            "COPY (SELECT a FROM ONLY public.t WHERE b AND ctid >= '(5,0)' AND ctid < '(9,0)') \
             TO STDOUT (ENCODING 'LATIN1')"
        );
    }
}
