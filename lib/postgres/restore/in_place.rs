//! Filling a database that exists: where none can be created, or none renamed. It has to be empty,
//! and if filling it fails, it is emptied again.

use crate::error::{Error, Kind, Result};
use crate::postgres::Session;
use crate::postgres::script::quote;

/// The catalogs whose entries are dropped one by one, those first that take others along or stand in
/// their way. What belongs to an entry of another (a table's type, an extension's functions) goes
/// with it.
const CATALOGS: [(&str, &str); 23] = [
    ("pg_event_trigger", ""),
    (
        "pg_subscription",
        "subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())",
    ),
    ("pg_publication", ""),
    ("pg_extension", ""),
    ("pg_namespace", "nspname !~ '^pg_'"),
    ("pg_foreign_data_wrapper", ""),
    ("pg_foreign_server", ""),
    ("pg_class", "relkind IN ('r', 'p', 'v', 'm', 'S', 'f')"),
    ("pg_type", ""),
    ("pg_proc", ""),
    ("pg_operator", ""),
    ("pg_opclass", ""),
    ("pg_opfamily", ""),
    ("pg_cast", ""),
    ("pg_collation", ""),
    ("pg_conversion", ""),
    ("pg_transform", ""),
    ("pg_language", ""),
    ("pg_am", ""),
    ("pg_ts_config", ""),
    ("pg_ts_dict", ""),
    ("pg_ts_parser", ""),
    ("pg_ts_template", ""),
];

/// How many large objects go in one transaction, each of which takes a lock.
const LARGE_OBJECTS_AT_ONCE: i64 = 500;

/// Refuses a database that holds anything.
///
/// # Errors
/// It holds something, or can't be asked.
pub(super) fn check_empty(session: &mut Session) -> Result<()> {
    let objects = objects(session)?;
    let large_objects = large_objects(session)?;
    let first = match (objects.first(), large_objects) {
        (Some(object), _) => format!("{} {}", object.kind, object.identity),
        (None, 1..) => "a large object".to_owned(),
        (None, _) => return Ok(()),
    };
    Err(Error::new(
        Kind::Config,
        format!(
            "database '{}' is not empty: {first} is there",
            session.info().database()
        ),
    )
    .with_hint("Leave --in-place out to restore beside it and swap, or name an empty database."))
}

/// Takes out again whatever a failed restore has brought. Each object goes in a transaction of its
/// own: all at once would take more locks than a server has.
///
/// # Errors
/// Something can't be dropped.
pub(super) fn empty(session: &mut Session) -> Result<()> {
    loop {
        let mut statements = default_privileges(session)?;
        statements.extend(objects(session)?.iter().map(Object::drop));
        for _ in (0..large_objects(session)?).step_by(LARGE_OBJECTS_AT_ONCE as usize) {
            statements.push(format!(
                "SELECT pg_catalog.lo_unlink(oid) FROM (SELECT oid \
                 FROM pg_catalog.pg_largeobject_metadata LIMIT {LARGE_OBJECTS_AT_ONCE}) l"
            ));
        }
        if statements.is_empty() {
            return Ok(());
        }
        let mut failure = None;
        let mut progress = false;
        for statement in &statements {
            // What can't be dropped may have gone with another object, or go after it.
            match session.batch(statement) {
                Ok(()) => progress = true,
                Err(error) if error.kind() == Kind::Unavailable => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        if let Some(failure) = failure.filter(|_| !progress) {
            return Err(failure);
        }
    }
}

/// Something that is not the server's own.
struct Object {
    /// As `pg_identify_object` calls it, e.g. `materialized view`.
    kind: String,
    /// Its name as SQL needs it, with its schema and arguments.
    identity: String,
}

impl Object {
    fn drop(&self) -> String {
        let Self { kind, identity } = self;
        match kind.as_str() {
            "function" | "procedure" | "aggregate" => format!("DROP ROUTINE {identity} CASCADE"),
            "foreign-data wrapper" => format!("DROP FOREIGN DATA WRAPPER {identity} CASCADE"),
            "transform" => format!(
                "DROP TRANSFORM {} CASCADE",
                identity.replace(" on language ", " LANGUAGE ")
            ),
            // A slot at the publishing server was never made.
            "subscription" => format!(
                "ALTER SUBSCRIPTION {identity} DISABLE; \
                 ALTER SUBSCRIPTION {identity} SET (slot_name = NONE); DROP SUBSCRIPTION {identity}"
            ),
            _ => format!("DROP {kind} {identity} CASCADE"),
        }
    }
}

fn objects(session: &mut Session) -> Result<Vec<Object>> {
    let of = |(at, (catalog, condition)): (usize, &(&str, &str))| {
        let and = if condition.is_empty() { "" } else { " AND " };
        format!(
            "SELECT {at} AS place, 'pg_catalog.{catalog}'::pg_catalog.regclass AS classid, oid AS objid \
             FROM pg_catalog.{catalog} WHERE oid >= 16384{and}{condition}"
        )
    };
    let all: Vec<String> = CATALOGS.iter().enumerate().map(of).collect();
    // The server's own objects have lower numbers. Its temporary schemas come and go.
    let sql = format!(
        "SELECT i.type, i.identity FROM ({}) o, \
           pg_catalog.pg_identify_object(o.classid, o.objid, 0) i \
         WHERE coalesce(i.schema, '') !~ '^pg_' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
           WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = 0 \
             AND d.deptype IN ('i', 'e', 'P', 'S')) \
         ORDER BY o.place, o.objid",
        all.join(" UNION ALL ")
    );
    let rows = session.query(&sql, &[])?;
    Ok(rows
        .iter()
        .map(|row| Object {
            kind: row.get(0),
            identity: row.get(1),
        })
        .collect())
}

fn large_objects(session: &mut Session) -> Result<i64> {
    session.value(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata",
        &[],
    )
}

/// What makes the default privileges those of a new database.
fn default_privileges(session: &mut Session) -> Result<Vec<String>> {
    let sql = "SELECT pg_catalog.pg_get_userbyid(d.defaclrole)::text, n.nspname::text, \
           CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' \
             WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' \
             ELSE 'LARGE OBJECTS' END, \
           ARRAY(SELECT DISTINCT coalesce(r.rolname::text, '') \
             FROM pg_catalog.aclexplode(d.defaclacl) a \
               LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee) \
         FROM pg_catalog.pg_default_acl d \
           LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace";
    let mut statements = Vec::new();
    for row in session.query(sql, &[])? {
        let (role, schema): (String, Option<String>) = (row.get(0), row.get(1));
        let (kind, grantees): (String, Vec<String>) = (row.get(2), row.get(3));
        let mut start = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {}", quote(&role));
        if let Some(schema) = &schema {
            start.push_str(&format!(" IN SCHEMA {}", quote(schema)));
        }
        let mut statement = String::new();
        for grantee in grantees {
            let grantee = if grantee.is_empty() {
                "PUBLIC".to_owned()
            } else {
                quote(&grantee)
            };
            statement.push_str(&format!("{start} REVOKE ALL ON {kind} FROM {grantee};"));
        }
        if schema.is_none() {
            statement.push_str(&format!("{start} GRANT ALL ON {kind} TO {};", quote(&role)));
            if matches!(kind.as_str(), "FUNCTIONS" | "TYPES") {
                statement.push_str(&format!("{start} GRANT ALL ON {kind} TO PUBLIC;"));
            }
        }
        statements.push(statement);
    }
    Ok(statements)
}
