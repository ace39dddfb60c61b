//! What belongs to a database besides its content: what is needed to create its twin, and its own
//! settings, rights, owner and comment, which no plain `pg_dump` brings along.

use super::Session;
use super::programs::Program;
use crate::error::Result;
use crate::manifest::content::{Database, Extension, Properties};
use crate::monitor::{Monitor, Note, Severity};

/// The settings whose value is a list of names, each quoted by itself.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// The roles that own or may do something here: whoever restores needs them.
const ROLES: &str = r"
SELECT DISTINCT r.rolname::text
FROM (SELECT refobjid AS oid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
      WHERE d.datname = current_database() AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
      UNION ALL SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database()
      UNION ALL SELECT (aclexplode(datacl)).grantee FROM pg_catalog.pg_database
                WHERE datname = current_database()
      UNION ALL SELECT relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
                ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ) AS used JOIN pg_catalog.pg_roles r ON r.oid = used.oid
WHERE r.rolname !~ '^pg_'
ORDER BY 1";

/// What the manifest says of the database, but for what the dump itself finds out.
pub(super) fn facts(session: &mut Session, program: &Program) -> Result<Database> {
    let version: String = session.value("SHOW server_version", &[])?;
    let version = version
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    let roles = session
        .query(ROLES, &[])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let extensions = session
        .query(
            "SELECT extname::text, extversion FROM pg_catalog.pg_extension ORDER BY 1",
            &[],
        )?
        .iter()
        .map(|row| Extension {
            name: row.get(0),
            version: row.get(1),
        })
        .collect();
    let row = "SELECT pg_catalog.to_char(pg_catalog.now(), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
                      CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
                           ELSE pg_catalog.pg_current_wal_lsn()::text END,
                      pg_catalog.pg_database_size(pg_catalog.current_database()),
                      (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata),
                      pg_catalog.current_database()::text";
    let rows = session.query(row, &[])?;
    let mut database = Database {
        server_version: version,
        client_version: program.version.clone(),
        properties: properties(session)?,
        extensions,
        roles,
        ..Database::default()
    };
    for row in rows {
        database.snapshot_time = row.get(0);
        database.snapshot_lsn = row.get(1);
        database.size_bytes = row.get::<_, i64>(2).unsigned_abs();
        database.large_objects = row.get::<_, i64>(3).unsigned_abs();
        database.database = row.get(4);
    }
    Ok(database)
}

fn properties(session: &mut Session) -> Result<Properties> {
    // The catalog grew: providers came with 15, ICU's rules with 16, the builtin one with 17.
    let (provider, version) = if session.major() >= 15 {
        (
            "CASE d.datlocprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END",
            "d.datcollversion",
        )
    } else {
        ("'libc'", "NULL")
    };
    let locale = match session.major() {
        17.. => "d.datlocale",
        15..=16 => "d.daticulocale",
        _ => "NULL",
    };
    let rules = if session.major() >= 16 {
        "d.daticurules"
    } else {
        "NULL"
    };
    let sql = format!(
        "SELECT pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_encoding_to_char(d.encoding)::text,
                {provider}, d.datcollate::text, d.datctype::text, {locale}::text, {rules}::text,
                {version}::text, t.spcname::text, d.datconnlimit,
                pg_catalog.shobj_description(d.oid, 'pg_database'), d.datacl::text[],
                coalesce((SELECT s.setconfig FROM pg_catalog.pg_db_role_setting s
                          WHERE s.setdatabase = d.oid AND s.setrole = 0), '{{}}')
         FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
         WHERE d.datname = pg_catalog.current_database()"
    );
    let rows = session.query(&sql, &[])?;
    Ok(rows
        .first()
        .map_or_else(Properties::default, |row| Properties {
            owner: row.get(0),
            encoding: row.get(1),
            locale_provider: row.get(2),
            collate: row.get(3),
            ctype: row.get(4),
            locale: row.get(5),
            icu_rules: row.get(6),
            collation_version: row.get(7),
            tablespace: row.get(8),
            connection_limit: row.get(9),
            comment: row.get(10),
            acl: row.get(11),
            settings: row.get(12),
        }))
}

/// The statements that give a database these properties, whatever its name. `%1$I` stands for that
/// name; a literal `%` is doubled. What the one who restores may not do becomes a warning.
fn statements(session: &mut Session) -> Result<Vec<String>> {
    let mut statements = Vec::new();
    let settings = "SELECT r.rolname::text, unnest(s.setconfig)
         FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
              LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
         WHERE d.datname = pg_catalog.current_database() AND (s.setrole = 0 OR r.oid IS NOT NULL)
         ORDER BY s.setrole";
    for row in session.query(settings, &[])? {
        let (role, setting): (Option<String>, String) = (row.get(0), row.get(1));
        let Some((name, value)) = setting.split_once('=') else {
            continue;
        };
        let whom = match role {
            Some(role) => format!("ROLE {} IN DATABASE %1$I", doubled(&identifier(&role))),
            None => "DATABASE %1$I".to_owned(),
        };
        let value = if LISTS.contains(&name) {
            list(value)
        } else {
            literal(value)
        };
        let (name, value) = (doubled(&identifier(name)), doubled(&value));
        statements.push(format!("ALTER {whom} SET {name} TO {value}"));
    }
    let database = "SELECT d.datconnlimit, pg_catalog.shobj_description(d.oid, 'pg_database'),
                pg_catalog.pg_get_userbyid(d.datdba)::text, d.datacl IS NOT NULL
         FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
    let mut rights_changed = false;
    for row in session.query(database, &[])? {
        let limit: i32 = row.get(0);
        if limit >= 0 {
            statements.push(format!("ALTER DATABASE %1$I CONNECTION LIMIT {limit}"));
        }
        if let Some(comment) = row.get::<_, Option<String>>(1) {
            statements.push(format!(
                "COMMENT ON DATABASE %1$I IS {}",
                doubled(&literal(&comment))
            ));
        }
        let owner = doubled(&identifier(row.get(2)));
        statements.push(format!("ALTER DATABASE %1$I OWNER TO {owner}"));
        rights_changed = row.get(3);
    }
    let labels = "SELECT l.provider, l.label
         FROM pg_catalog.pg_shseclabel l JOIN pg_catalog.pg_database d ON d.oid = l.objoid
         WHERE l.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
           AND d.datname = pg_catalog.current_database()";
    for row in session.query(labels, &[])? {
        let (provider, label) = (
            doubled(&identifier(row.get(0))),
            doubled(&literal(row.get(1))),
        );
        statements.push(format!(
            "SECURITY LABEL FOR {provider} ON DATABASE %1$I IS {label}"
        ));
    }
    if rights_changed {
        statements.extend(rights(session)?);
    }
    Ok(statements)
}

/// The rights, after all others were taken away.
fn rights(session: &mut Session) -> Result<Vec<String>> {
    let sql =
        "SELECT coalesce(r.rolname::text, ''), a.grantee = 0, a.privilege_type, a.is_grantable,
                      a.grantee = d.datdba
         FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
              LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
         WHERE d.datname = pg_catalog.current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL)
         ORDER BY a.grantee, a.privilege_type";
    let mut statements = vec!["REVOKE ALL ON DATABASE %1$I FROM PUBLIC".to_owned()];
    let owner: String = session.value(
        "SELECT pg_catalog.pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database
         WHERE datname = pg_catalog.current_database()",
        &[],
    )?;
    let owner = doubled(&identifier(&owner));
    statements.push(format!("REVOKE ALL ON DATABASE %1$I FROM {owner}"));
    for row in session.query(sql, &[])? {
        let role: String = row.get(0);
        let grantee = if row.get(1) {
            "PUBLIC".to_owned()
        } else {
            doubled(&identifier(&role))
        };
        let privilege: &str = row.get(2);
        let option = if row.get(3) && !row.get::<_, bool>(4) {
            " WITH GRANT OPTION"
        } else {
            ""
        };
        statements.push(format!(
            "GRANT {privilege} ON DATABASE %1$I TO {grantee}{option}"
        ));
    }
    Ok(statements)
}

/// The part of the dump that restores the properties, in the encoding of the dump.
pub(super) fn sql(session: &mut Session) -> Result<Vec<u8>> {
    let mut text = String::from("--\n-- Properties of the database itself\n--\n\n");
    for statement in statements(session)? {
        let body = format!(
            "BEGIN\n    EXECUTE format({}, current_database());\nEXCEPTION WHEN OTHERS THEN\n    \
             RAISE WARNING 'a property of the database was not restored: %', SQLERRM;\nEND",
            literal(&statement)
        );
        text.push_str(&format!("DO {};\n\n", literal(&body)));
    }
    session.value(
        "SELECT convert_to($1, pg_catalog.getdatabaseencoding())",
        &[&text],
    )
}

/// Tells what pg_dump leaves out without a word.
pub(super) fn left_out(session: &mut Session, monitor: &dyn Monitor) -> Result<()> {
    let mappings = "SELECT foreign_server_name::text, authorization_identifier::text
         FROM information_schema.user_mapping_options WHERE option_name = 'password' AND option_value IS NULL";
    for row in session.query(mappings, &[])? {
        let (server, user): (String, String) = (row.get(0), row.get(1));
        monitor.note(Note::new(
            Severity::Low,
            "user-mapping-password",
            format!("{server}, {user}"),
            "the password of this user mapping is not visible to the dumping user and not in the dump",
        ));
    }
    let may_see: bool = session.value(
        "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT')",
        &[],
    )?;
    let subscriptions = "SELECT subname::text FROM pg_catalog.pg_subscription s
         JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database()";
    for row in session.query(subscriptions, &[])? {
        let (severity, message) = if may_see {
            (
                Severity::Info,
                "the subscription comes back disabled and not connected: enable it after a restore",
            )
        } else {
            (
                Severity::Medium,
                "the subscription is not in the dump: only a superuser can dump it",
            )
        };
        monitor.note(Note::new(
            severity,
            "subscription",
            row.get::<_, String>(0),
            message,
        ));
    }
    Ok(())
}

/// For the inside of a text that goes through `format`.
fn doubled(text: &str) -> String {
    text.replace('%', "%%")
}

/// A name, quoted.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string, quoted for a server with `standard_conforming_strings`.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A list of names as the server keeps it, `"$user", public`, each name as a string of its own.
fn list(value: &str) -> String {
    let mut names = vec![String::new()];
    let mut quoted = false;
    let mut chars = value.chars().peekable();
    while let (Some(char), Some(name)) = (chars.next(), names.last_mut()) {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            ' ' if !quoted => {}
            other => name.push(other),
        }
    }
    let quoted: Vec<_> = names.iter().map(|name| literal(name)).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_list_are_quoted_one_by_one() {
        assert_eq!(
            list(r#""$user", public, "a "" ,b""#),
            r#"'$user', 'public', 'a " ,b'"#
        );
        assert_eq!(list(""), "''");
    }
}
