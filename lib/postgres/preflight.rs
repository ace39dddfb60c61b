//! Everything that stands in the way of a dump, told at once and before it begins.
//!
//! pg_dump stops at the first table that it may not read; whoever then grants that one right meets
//! the next refusal the night after. And where row security hides rows, there is nothing to see at all.

use super::Session;
use super::programs::Program;
use crate::error::{Error, Kind, Result};
use std::fmt::Write;

/// What pg_dump asks of whoever dumps: what is missing, and the statement that mends it.
const MISSING: &str = r"
WITH schemas AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace n
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relations AS (
    SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name, c.relrowsecurity,
           EXISTS (SELECT FROM pg_catalog.pg_depend d
                   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                     AND d.objid = c.oid AND d.deptype = 'e')
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)) AS owned
    FROM pg_catalog.pg_class c JOIN schemas n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
)
SELECT 1, format('no USAGE on schema %I', nspname),
       format('GRANT USAGE ON SCHEMA %I TO %I;', nspname, current_user)
FROM schemas s WHERE NOT pg_catalog.has_schema_privilege(s.oid, 'USAGE')
  AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = s.oid AND c.relkind IN ('r', 'p', 'S'))
UNION ALL
SELECT 2, format('no SELECT on table %s', name), format('GRANT SELECT ON TABLE %s TO %I;', name, current_user)
FROM relations WHERE relkind <> 'S' AND NOT owned AND NOT pg_catalog.has_table_privilege(oid, 'SELECT')
UNION ALL
SELECT 3, format('no SELECT on sequence %s', name),
       format('GRANT SELECT ON SEQUENCE %s TO %I;', name, current_user)
FROM relations WHERE CASE WHEN relkind = 'S' AND NOT owned
                          THEN NOT pg_catalog.has_sequence_privilege(oid, 'SELECT') END
UNION ALL
SELECT 4, format('row security hides rows of table %s', name), format('ALTER ROLE %I BYPASSRLS;', current_user)
FROM relations WHERE relkind = 'r' AND relrowsecurity AND pg_catalog.row_security_active(oid)
UNION ALL
SELECT 5, format('no SELECT on large object %s', l.oid),
       format('GRANT SELECT ON LARGE OBJECT %s TO %I;', l.oid, current_user)
FROM pg_catalog.pg_largeobject_metadata l
WHERE NOT pg_catalog.pg_has_role(l.lomowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(l.lomacl) a
                  WHERE a.privilege_type = 'SELECT'
                    AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))
  AND NOT pg_catalog.current_setting('lo_compat_privileges')::bool
ORDER BY 1, 2";

/// All names with bytes beyond ASCII.
const NAMES: &str = r"
SELECT kind, pg_catalog.convert_to(name, 'SQL_ASCII') FROM (
    SELECT 'schema', nspname::text FROM pg_catalog.pg_namespace
    UNION ALL SELECT 'relation', relname::text FROM pg_catalog.pg_class
    UNION ALL SELECT 'column', attname::text FROM pg_catalog.pg_attribute
    UNION ALL SELECT 'type', typname::text FROM pg_catalog.pg_type
    UNION ALL SELECT 'function', proname::text FROM pg_catalog.pg_proc
    UNION ALL SELECT 'constraint', conname::text FROM pg_catalog.pg_constraint
    UNION ALL SELECT 'role', rolname::text FROM pg_catalog.pg_roles
) AS names (kind, name)
WHERE pg_catalog.octet_length(pg_catalog.convert_to(name, 'SQL_ASCII'))
      > pg_catalog.octet_length(pg_catalog.regexp_replace(name, '[^ -~]', '', 'g'))
GROUP BY 1, 2 ORDER BY 1, 2";

/// How many lines an error lists; the rest is counted.
const LINES: usize = 1000;

/// Finds the pg_dump to use and checks that the session's user may dump the whole database.
///
/// # Errors
/// One that lists all that is missing, with the statements that mend it as its hint.
pub fn check(session: &mut Session) -> Result<Program> {
    check_names(session)?;
    let program = Program::find("pg_dump", session.major());
    let mut problems = Vec::new();
    let mut cures: Vec<String> = Vec::new();
    for row in session.query(MISSING, &[])? {
        problems.push(row.get::<_, String>(1));
        let cure: String = row.get(2);
        if !cures.contains(&cure) {
            cures.push(cure);
        }
    }
    let denied = !problems.is_empty();
    if denied {
        // Nobody but a superuser sees to it that later tables can be read, too.
        let user = session.info().user();
        cures.push(format!(
            "(sg-dump-db --print-grants {user} prints what makes a role that may dump everything, also what comes later.)"
        ));
    }
    match program {
        Ok(program) if !denied => return Ok(program),
        Ok(_) => {}
        Err(error) if !denied => return Err(error),
        Err(error) => {
            problems.insert(0, error.to_string());
            cures.insert(0, error.hint().unwrap_or_default().to_owned());
        }
    }
    let kind = if denied {
        Kind::Permission
    } else {
        Kind::Config
    };
    let database = session.info().database();
    let user = session.info().user();
    let message = format!(
        "user '{user}' cannot dump database '{database}':{}",
        listed(&problems)
    );
    Err(Error::new(kind, message).with_hint(format!("What mends it:{}", listed(&cures))))
}

/// Refuses names that are not UTF-8, which only a database without an encoding can have: what is
/// asked of the server, and the manifest, are in UTF-8.
fn check_names(session: &mut Session) -> Result<()> {
    let encoding: String = session.value(
        "SELECT pg_catalog.pg_encoding_to_char(encoding)::text FROM pg_catalog.pg_database
         WHERE datname = pg_catalog.current_database()",
        &[],
    )?;
    if encoding != "SQL_ASCII" {
        return Ok(());
    }
    let wrong: Vec<String> = session
        .query(NAMES, &[])?
        .iter()
        .filter_map(|row| {
            let (kind, name): (&str, &[u8]) = (row.get(0), row.get(1));
            let wrong = std::str::from_utf8(name).is_err();
            wrong.then(|| format!("{kind} '{}'", name.escape_ascii()))
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!(
        "database '{}' is in SQL_ASCII and has names that are not UTF-8:{}",
        session.info().database(),
        listed(&wrong)
    );
    Err(Error::new(Kind::Config, message).with_hint(
        "Rename them (in psql, after SET client_encoding = 'SQL_ASCII'), or dump this database with pg_dump.",
    ))
}

fn listed(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines.iter().take(LINES) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {line}");
    }
    if lines.len() > LINES {
        let _ = write!(text, "\n  … and {} more", lines.len() - LINES);
    }
    text
}

/// The SQL that makes `role` one that may dump the databases and change nothing; to be run by a
/// superuser, in each of the databases. `major` is the server's release.
pub fn grants(role: &str, databases: &[String], major: u32) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let name = quoted(role);
    let literal = format!("'{}'", role.replace('\'', "''"));
    let mut sql = format!(
        "-- Run as a superuser.\n\
         DO $$ BEGIN\n    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal}) THEN\n        \
         CREATE ROLE {name} LOGIN;\n    END IF;\nEND $$;\n\
         -- Row security would hide rows from the dump.\n\
         ALTER ROLE {name} BYPASSRLS;\n\
         ALTER ROLE {name} SET default_transaction_read_only = on;\n"
    );
    if major >= 14 {
        sql.push_str(&format!("GRANT pg_read_all_data TO {name};\n"));
    }
    for database in databases {
        sql.push_str(&format!(
            "\nGRANT CONNECT ON DATABASE {0} TO {name};\n\\connect {0}\n",
            quoted(database)
        ));
        if major < 14 {
            sql.push_str(&format!(
                "DO $$ DECLARE s name; BEGIN\n    FOR s IN SELECT nspname FROM pg_catalog.pg_namespace\n             \
                 WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP\n        \
                 EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', s, {literal});\n        \
                 EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', s, {literal});\n        \
                 EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', s, {literal});\n    \
                 END LOOP;\nEND $$;\n\
                 -- What comes later has to be granted by whoever makes it: ALTER DEFAULT PRIVILEGES.\n"
            ));
        }
        sql.push_str(&format!(
            "DO $$ DECLARE o oid; BEGIN\n    FOR o IN SELECT oid FROM pg_catalog.pg_largeobject_metadata LOOP\n        \
             EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO %I', o, {literal});\n    END LOOP;\nEND $$;\n"
        ));
    }
    sql
}

/// About how many bytes a dump will need, from the sizes of the tables: what is in TOAST has been
/// compressed before. Errs on the small side, as it is there to refuse what can't succeed.
///
/// # Errors
/// The server can't be asked.
pub fn estimate(session: &mut Session) -> Result<u64> {
    let sql = "SELECT coalesce(sum(pg_catalog.pg_relation_size(c.oid) / 12
                  + CASE WHEN c.reltoastrelid = 0 THEN 0
                         ELSE pg_catalog.pg_relation_size(c.reltoastrelid) / 4 END), 0)::bigint
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
    Ok(session.value::<i64>(sql, &[])?.unsigned_abs())
}
