//! Statistics for the planner, so that the first queries are planned well: table by table, so that
//! all connections take part.

use super::apply::Connector;
use crate::error::Result;
use crate::postgres::Session;

/// Tables of fewer blocks than these are analyzed together: 8 MiB.
const SMALL: i64 = 1024;

/// So many small ones at most.
const TOGETHER: usize = 200;

/// As `ANALYZE` chooses. What belongs to a partitioned table is analyzed with it.
const TABLES: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), \
       coalesce(pg_catalog.pg_relation_size(c.oid), 0) \
         / pg_catalog.current_setting('block_size')::bigint \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND NOT c.relisshared \
       AND c.relpersistence <> 't' \
     ORDER BY 2, 1";

/// The statements that analyze the whole database, the longest last. Where names may be in another
/// encoding than UTF-8, which the client library speaks, it is one statement without any.
///
/// # Errors
/// The catalogs can't be read.
pub(super) fn plan(session: &mut Session, connector: &Connector) -> Result<Vec<String>> {
    if connector.encoding != "UTF8" {
        return Ok(vec!["ANALYZE".to_owned()]);
    }
    let rows = session.query(TABLES, &[])?;
    let (small, large): (Vec<_>, Vec<_>) = rows
        .iter()
        .map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1)))
        .partition(|(_, blocks)| *blocks < SMALL);
    let names: Vec<String> = small.into_iter().map(|(name, _)| name).collect();
    let together = names.chunks(TOGETHER).map(|names| names.join(", "));
    let alone = large.into_iter().map(|(name, _)| name);
    Ok(together
        .chain(alone)
        .map(|names| format!("ANALYZE {names}"))
        .collect())
}
