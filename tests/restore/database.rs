//! Whole databases, judged by pg_dump before and after.

use super::craft;
use crate::dump::round_trip::assert_same;
use crate::support::postgres::Cluster;
use sg::Kind;
use sg::monitor::Silent;
use sg::postgres::Session;
use sg::postgres::dump::dump;
use sg::postgres::restore::{self, Filter, Options, Outcome, Source};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) const SHOP: &str = "
    CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL UNIQUE, note text);
    CREATE TABLE \"Order\" (id bigserial PRIMARY KEY, customer int REFERENCES customer,
        at timestamptz DEFAULT now(), total numeric CHECK (total >= 0));
    CREATE INDEX ON \"Order\" (customer);
    CREATE INDEX by_time ON \"Order\" (at) INCLUDE (total);
    COMMENT ON INDEX by_time IS 'for reports';
    ALTER TABLE \"Order\" CLUSTER ON by_time;
    CREATE TABLE part (k int, v text) PARTITION BY RANGE (k);
    CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (500);
    CREATE TABLE part_b PARTITION OF part FOR VALUES FROM (500) TO (1000);
    ALTER TABLE part ADD PRIMARY KEY (k);
    CREATE TABLE nothing ();
    CREATE VIEW totals AS SELECT c.id, c.name, sum(total) FROM customer c
        JOIN \"Order\" o ON o.customer = c.id GROUP BY c.id;
    CREATE MATERIALIZED VIEW m AS SELECT * FROM totals;
    CREATE UNIQUE INDEX ON m (id);
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
    CREATE TRIGGER t BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION f();
    DO $do$ BEGIN IF current_setting('server_version_num')::int >= 140000 THEN
        EXECUTE 'CREATE FUNCTION g(int) RETURNS int LANGUAGE sql
            BEGIN ATOMIC SELECT CASE $1 WHEN 1 THEN 2 END; END'; END IF; END $do$;
    INSERT INTO customer SELECT i, 'name ' || i, E'a\\tb\\\\.\\n' || i FROM generate_series(1, 2000) i;
    INSERT INTO \"Order\" (customer, total) SELECT 1 + i % 2000, i FROM generate_series(1, 20000) i;
    INSERT INTO part SELECT i, repeat('x', i) FROM generate_series(0, 999) i;
    CREATE TABLE large (id int PRIMARY KEY, t text) WITH (fillfactor = 90);
    CREATE INDEX ON large (t);
    INSERT INTO large SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 45000) i;
    INSERT INTO nothing SELECT FROM generate_series(1, 3);
    REFRESH MATERIALIZED VIEW m;
    SELECT lo_from_bytea(4711, 'hello');
    COMMENT ON LARGE OBJECT 4711 IS 'a greeting';
";

/// Restores `file` into `database`, with two connections.
pub(crate) fn restore(
    cluster: &Cluster,
    file: &Path,
    database: &str,
    options: &Options,
) -> sg::Result<Outcome> {
    let source = Source::open(file, 2)?;
    let (mut control, preflight) =
        restore::look(&source, &cluster.conninfo(database), options, false)?;
    restore::replace(&source, &mut control, &preflight, options, &Silent)
}

pub(crate) fn two_jobs() -> Options {
    Options {
        jobs: 2,
        ..Options::default()
    }
}

/// Fails with the first line in which two dumps differ.
#[track_caller]
pub(crate) fn same(one: &[u8], other: &[u8]) {
    assert_same(
        &String::from_utf8_lossy(one),
        &String::from_utf8_lossy(other),
    );
}

/// The databases of a server, but for its own.
pub(crate) fn databases(cluster: &Cluster) -> String {
    cluster.sql(
        "postgres",
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database \
         WHERE NOT datistemplate AND datname <> 'postgres'",
    )
}

/// Makes the database `shop` and dumps it.
pub(super) fn shop(cluster: &Cluster, directory: &Path) -> PathBuf {
    cluster.create("shop", &[]);
    cluster.sql("shop", SHOP);
    craft::dump(cluster, "shop", &directory.join("shop.sql.gz"), 20_000)
}

#[test]
fn a_database_comes_back_as_pg_dump_sees_it() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    let before = cluster.pg_dump("shop", &[]);

    let outcome = restore(&cluster, &file, "copy", &two_jobs()).unwrap();
    assert_eq!(outcome.kept, None);
    same(&cluster.pg_dump("copy", &[]), &before);
    assert_eq!(databases(&cluster), "copy shop");
}

#[test]
fn tables_of_one_connections_share_come_back_frozen_and_a_larger_one_in_turns() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    cluster.create("shares", &[]);
    cluster.sql(
        "shares",
        "CREATE TABLE a (id int PRIMARY KEY, t text);
         CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a, t text);
         CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b, t text);
         CREATE INDEX ON b (a);
         INSERT INTO a SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 45000) i;
         INSERT INTO b SELECT i, 45001 - i, repeat(md5(i::text), 4) FROM generate_series(1, 45000) i;
         INSERT INTO c SELECT i, 1 + i % 45000, repeat(md5(i::text), 4)
             FROM generate_series(1, 130000) i;",
    );
    let file = directory.path().join("shares.sql.gz");
    let file = craft::dump(&cluster, "shares", &file, 1 << 20);
    restore(&cluster, &file, "twin", &two_jobs()).unwrap();
    // Two connections leave the rows of the largest table in an order of their own.
    let without = ["--exclude-table-data=c"];
    same(
        &cluster.pg_dump("twin", &without),
        &cluster.pg_dump("shares", &without),
    );
    let rows = "SELECT md5(string_agg(c::text, '' ORDER BY id)) FROM c";
    assert_eq!(cluster.sql("twin", rows), cluster.sql("shares", rows));
    // Since version 14 what went in frozen is marked as such, but for pages that the server keeps ready.
    let frozen = cluster.sql(
        "twin",
        "SELECT current_setting('server_version_num')::int < 140000
             OR bool_and(relallvisible * 10 > relpages * 9)
         FROM pg_class WHERE relname IN ('a', 'b')",
    );
    assert_eq!(frozen, "t");
}

#[test]
fn the_database_replaced_is_kept_and_its_clients_are_sent_away() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    cluster.sql("shop", "DROP TABLE \"Order\" CASCADE");
    let mut client = Session::connect(&cluster.conninfo("shop")).unwrap();
    client.batch("SELECT 1").unwrap();

    let outcome = restore(&cluster, &file, "shop", &two_jobs()).unwrap();
    let kept = outcome.kept.unwrap();
    assert!(kept.starts_with("shop_before_2"), "{kept}");
    assert_eq!(databases(&cluster), format!("shop {kept}"));
    assert_eq!(
        cluster.sql("shop", "SELECT count(*) FROM \"Order\""),
        "20000"
    );
    assert_eq!(
        cluster.sql(&kept, "SELECT to_regclass('\"Order\"') IS NULL"),
        "t"
    );
    assert_eq!(
        cluster.sql(
            "postgres",
            "SELECT datconnlimit FROM pg_database WHERE datname = 'shop'"
        ),
        "-1"
    );
    assert!(client.batch("SELECT 1").is_err());

    let options = Options {
        drop_old: true,
        ..two_jobs()
    };
    cluster.sql("postgres", &format!("DROP DATABASE \"{kept}\""));
    assert_eq!(
        restore(&cluster, &file, "shop", &options).unwrap().kept,
        None
    );
    assert_eq!(databases(&cluster), "shop");
}

#[test]
fn everything_that_stands_in_the_way_is_told_at_once() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    cluster.create("shop", &[]);
    cluster.sql(
        "shop",
        "CREATE ROLE ann; CREATE ROLE joe; CREATE TABLE t (); CREATE TABLE u (); \
         ALTER TABLE t OWNER TO ann; GRANT SELECT ON u TO joe",
    );
    let file = craft::dump(&cluster, "shop", &directory.path().join("d.sql.gz"), 1000);
    cluster.sql("shop", "DROP OWNED BY ann, joe; DROP ROLE ann, joe");

    let error = restore(&cluster, &file, "shop", &two_jobs()).unwrap_err();
    assert!(error.to_string().contains("ann, joe"), "{error}");
    assert_eq!(error.kind(), Kind::Config);
    let without = Options {
        filter: Filter {
            no_owner: true,
            no_privileges: true,
            ..Filter::default()
        },
        ..two_jobs()
    };
    restore(&cluster, &file, "shop", &without).unwrap();
}

#[test]
fn an_empty_database_is_filled_in_place_and_another_refused() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    cluster.create("empty", &[]);
    let in_place = |file: &Path, database: &str| {
        let source = Source::open(file, 2)?;
        let info = cluster.conninfo(database);
        let (mut control, preflight) = restore::look(&source, &info, &two_jobs(), true)?;
        restore::fill_in_place(&source, &mut control, &preflight, &two_jobs(), &Silent)
    };
    let fresh = cluster.pg_dump("empty", &[]);
    let tampered = directory.path().join("tampered.sql.gz");
    craft::dump_with(&cluster, "shop", &tampered, 20_000, |digest| {
        digest.rows += 1;
    });
    let error = in_place(&tampered, "empty").unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
    same(&cluster.pg_dump("empty", &[]), &fresh);

    in_place(&file, "empty").unwrap();
    same(
        &cluster.pg_dump("empty", &[]),
        &cluster.pg_dump("shop", &[]),
    );
    let error = in_place(&file, "shop").unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert!(in_place(&file, "absent").is_err());
}

#[test]
fn a_sequence_that_a_view_draws_from_stands_where_it_stood() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    cluster.create("source", &[]);
    cluster.sql(
        "source",
        "CREATE SEQUENCE s; CREATE MATERIALIZED VIEW drawn AS SELECT nextval('s') AS n;
         SELECT nextval('s');",
    );
    let dumped = dump(
        &crate::dump::options(&cluster, "source"),
        Vec::new(),
        &Silent,
    )
    .unwrap();
    let file = directory.path().join("source.sql.gz");
    fs::write(&file, dumped.output).unwrap();
    restore(&cluster, &file, "twin", &two_jobs()).unwrap();
    let value = |database: &str| cluster.sql(database, "SELECT last_value FROM s");
    assert_eq!(value("twin"), value("source"));
}

#[test]
fn the_work_is_done_as_a_role_and_without_tablespaces_on_request() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let place = cluster.path().join("place");
    fs::create_dir(&place).unwrap();
    cluster.give_to_server(&place);
    cluster.sql(
        "postgres",
        &format!("CREATE TABLESPACE apart LOCATION '{}'", place.display()),
    );
    cluster.sql("postgres", "CREATE ROLE boss SUPERUSER; CREATE ROLE clerk");
    cluster.create("source", &[]);
    cluster.sql(
        "source",
        "CREATE TABLE t (n int PRIMARY KEY) TABLESPACE apart;
         ALTER TABLE t OWNER TO clerk; INSERT INTO t VALUES (1);
         CREATE INDEX ON t (n) TABLESPACE apart;",
    );
    let file = craft::dump(
        &cluster,
        "source",
        &directory.path().join("a.sql.gz"),
        20_000,
    );
    let other = Cluster::start();
    let mut options = two_jobs();
    options.filter.no_owner = true;
    other.sql("postgres", "CREATE ROLE boss SUPERUSER");
    let error = restore(&other, &file, "twin", &options).unwrap_err();
    assert!(error.to_string().contains("--no-tablespaces"), "{error}");
    options.filter.no_tablespaces = true;
    options.role = Some("boss".to_owned());
    restore(&other, &file, "twin", &options).unwrap();
    let found =
        "SELECT tableowner || ' ' || coalesce(tablespace, 'default') || ' ' || (SELECT n FROM t)
                 FROM pg_tables WHERE tablename = 't'";
    assert_eq!(other.sql("twin", found), "boss default 1");
    let spaces = "SELECT count(*) FROM pg_class WHERE reltablespace NOT IN (0, 1664)";
    assert_eq!(other.sql("twin", spaces), "0");
    options.role = Some("nobody".to_owned());
    let error = restore(&other, &file, "twin", &options).unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
    assert_eq!(databases(&other), "twin");
}
