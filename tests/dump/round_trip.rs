//! A database and its twin, restored by gunzip and psql alone, give the same pg_dump.

use super::{dumped, options};
use crate::support::postgres::{Cluster, expect, feed, without_keys};
use std::collections::BTreeMap;
use std::process::Command;

pub(crate) const EVERYTHING: &str = include_str!("everything.sql");
pub(crate) const ROLES: &str =
    "CREATE ROLE sg_owner; CREATE ROLE sg_reader; CREATE ROLE sg_writer;";

/// The content of a file, by stock gunzip.
fn gunzip(file: &[u8]) -> Vec<u8> {
    let output = feed(Command::new("gunzip").arg("-c"), file);
    expect(&output, "gunzip");
    output.stdout
}

/// Restores a file into the new database `twin` by psql.
fn restore(cluster: &Cluster, file: &[u8], twin: &str, arguments: &[&str]) {
    cluster.create(twin, &[&["--template=template0"], arguments].concat());
    restore_into(cluster, file, twin);
}

/// Restores a file into an empty database by gunzip and psql.
pub(super) fn restore_into(cluster: &Cluster, file: &[u8], database: &str) {
    expect(&cluster.psql(database, &gunzip(file)), "psql");
}

/// What pg_dump writes, its lines sorted within each COPY: the order of rows is nobody's promise.
pub(crate) fn judged(cluster: &Cluster, database: &str) -> String {
    let dump = cluster.pg_dump(database, &[]);
    let text = String::from_utf8_lossy(&without_keys(&dump)).into_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    let mut start = None;
    for at in 0..lines.len() {
        match start {
            None if lines[at].starts_with("COPY ") && lines[at].ends_with("FROM stdin;") => {
                start = Some(at + 1);
            }
            Some(from) if lines[at] == "\\." => {
                lines[from..at].sort_unstable();
                start = None;
            }
            _ => {}
        }
    }
    lines.join("\n")
}

/// Fails with the first line that differs.
#[track_caller]
pub(crate) fn assert_same(one: &str, other: &str) {
    for (at, (a, b)) in one.lines().zip(other.lines()).enumerate() {
        assert_eq!(a, b, "line {at}");
    }
    assert_eq!(one.lines().count(), other.lines().count());
}

#[test]
fn everything_comes_back() {
    let cluster = Cluster::start();
    cluster.sql("postgres", ROLES);
    cluster.create("source", &[]);
    cluster.sql("source", EVERYTHING);
    let (file, content) = dumped(&options(&cluster, "source"));
    restore(&cluster, &file, "twin", &[]);
    assert_same(&judged(&cluster, "source"), &judged(&cluster, "twin"));
    for table in &content.tables {
        let name = format!(
            "\"{}\".\"{}\"",
            table.schema.replace('"', "\"\""),
            table.name.replace('"', "\"\"")
        );
        let rows = cluster.sql("twin", &format!("SELECT count(*) FROM ONLY {name}"));
        assert_eq!(rows, table.rows.to_string(), "{name}");
    }
    assert_eq!(content.large_objects, 2);
    assert!(content.roles.contains(&"sg_owner".to_owned()));
}

#[test]
fn other_encodings_come_back_byte_for_byte() {
    let cluster = Cluster::start();
    for (encoding, sql) in [
        ("LATIN1", "CREATE TABLE \"t\u{fc}r\" (\"\u{e9}\" text); INSERT INTO \"t\u{fc}r\" VALUES ('na\u{ef}ve'), (chr(255));
                    CREATE SEQUENCE \"\u{e4}\"; COMMENT ON TABLE \"t\u{fc}r\" IS '\u{e9}\u{e8}'"),
        ("SQL_ASCII", "CREATE TABLE plain (t text); INSERT INTO plain VALUES (convert_from('\\xff80c328', 'SQL_ASCII'))"),
    ] {
        let source = format!("source_{}", encoding.to_lowercase());
        let twin = format!("twin_{}", encoding.to_lowercase());
        let arguments = ["--template=template0", "--encoding", encoding, "--locale=C"];
        cluster.create(&source, &arguments);
        let sql = format!("SET client_encoding = 'UTF8'; {sql}");
        cluster.sql(&source, &sql);
        let (file, content) = dumped(&options(&cluster, &source));
        assert_eq!(content.properties.encoding, encoding);
        restore(&cluster, &file, &twin, &["--encoding", encoding, "--locale=C"]);
        assert_eq!(cluster.pg_dump(&source, &[]), cluster.pg_dump(&twin, &[]), "{encoding}");
    }
}

#[test]
fn wide_tables_and_long_rows_come_back() {
    let cluster = Cluster::start();
    cluster.create("source", &[]);
    let columns: Vec<String> = (0..1600).map(|n| format!("c{n} int")).collect();
    cluster.sql(
        "source",
        &format!(
            "CREATE TABLE wide ({});
             INSERT INTO wide (c0, c799, c1599) SELECT n, n, n FROM generate_series(1, 2000) n;
             CREATE TABLE long (id int, t text, b bytea);
             ALTER TABLE long ALTER t SET STORAGE EXTENDED;
             INSERT INTO long SELECT n, repeat('0123456789', n * 500000), decode(repeat('ff', n * 1000), 'hex')
             FROM generate_series(0, 4) n;",
            columns.join(", ")
        ),
    );
    let (file, content) = dumped(&options(&cluster, "source"));
    assert_eq!(
        content
            .tables
            .iter()
            .map(|table| table.rows)
            .collect::<Vec<_>>(),
        [5, 2000]
    );
    restore(&cluster, &file, "twin", &[]);
    assert_same(&judged(&cluster, "source"), &judged(&cluster, "twin"));
}

#[test]
fn the_databases_own_properties_come_back_under_another_name() {
    let cluster = Cluster::start();
    cluster.create("source", &[]);
    cluster.sql(
        "source",
        r#"CREATE ROLE boss; CREATE ROLE guest;
           ALTER DATABASE source SET search_path = "$user", "odd, schema", public;
           ALTER DATABASE source SET work_mem = '7MB'; ALTER DATABASE source SET app.note = 'it''s 100%';
           ALTER ROLE guest IN DATABASE source SET statement_timeout = '5s';
           COMMENT ON DATABASE source IS 'it''s 100% $sg$ ours';
           ALTER DATABASE source CONNECTION LIMIT 42;
           REVOKE ALL ON DATABASE source FROM PUBLIC; GRANT CONNECT ON DATABASE source TO guest WITH GRANT OPTION;
           ALTER DATABASE source OWNER TO boss;"#,
    );
    let (file, content) = dumped(&options(&cluster, "source"));
    assert_eq!(content.properties.owner, "boss");
    restore(&cluster, &file, "twin", &[]);
    let properties = |name: &str| {
        cluster.sql(
            "postgres",
            &format!(
                "SELECT datdba::regrole, datacl, datconnlimit, shobj_description(oid, 'pg_database'),
                        ARRAY(SELECT setrole || ' ' || array_to_string(setconfig, ';') FROM pg_db_role_setting
                              WHERE setdatabase = d.oid ORDER BY 1)
                 FROM pg_database d WHERE datname = '{name}'"
            ),
        )
    };
    assert_eq!(properties("source"), properties("twin"));
    assert!(properties("twin").contains("it's 100%"));
}

/// The rows of each COPY statement, sorted, several statements of one table added up.
fn rows_of(dump: &[u8]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut tables = BTreeMap::<_, Vec<_>>::new();
    let mut lines = dump.split(|&byte| byte == b'\n');
    while let Some(line) = lines.next() {
        if line.starts_with(b"COPY ") && line.ends_with(b" FROM stdin;") {
            let rows = tables.entry(line.to_vec()).or_default();
            rows.extend(
                lines
                    .by_ref()
                    .take_while(|row| row != b"\\.")
                    .map(<[u8]>::to_vec),
            );
            rows.sort_unstable();
        }
    }
    tables
}

#[test]
fn the_rows_are_those_of_pg_dump_to_the_byte() {
    let cluster = Cluster::start();
    cluster.create("source", &[]);
    cluster.sql(
        "source",
        // An extension's tables, as its script would have declared them.
        "CREATE EXTENSION hstore;
         CREATE TABLE mine AS SELECT n, CASE WHEN n % 7 <> 0 THEN md5(n::text) END FROM generate_series(1, 200000) n;
         CREATE TABLE configured AS SELECT generate_series(1, 10) AS n;
         CREATE TABLE internal AS SELECT 1 AS n;
         CREATE SEQUENCE internal_seq;
         ALTER EXTENSION hstore ADD TABLE configured;
         ALTER EXTENSION hstore ADD TABLE internal;
         ALTER EXTENSION hstore ADD SEQUENCE internal_seq;
         UPDATE pg_extension SET extconfig = ARRAY['configured'::regclass::oid], extcondition = ARRAY['WHERE n > 4']
         WHERE extname = 'hstore';",
    );
    let (file, content) = dumped(&options(&cluster, "source"));
    let ours = rows_of(&gunzip(&file));
    let theirs = rows_of(&cluster.pg_dump("source", &[]));
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    assert!(ours == theirs);
    let counts: Vec<_> = content
        .tables
        .iter()
        .map(|table| (table.name.as_str(), table.rows))
        .collect();
    assert_eq!(counts, [("configured", 6), ("mine", 200_000)]);
    assert_eq!(content.sequences.len(), 0);
}
