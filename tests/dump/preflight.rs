//! What stands in the way is told at once, with what mends it.

use super::options;
use crate::support::postgres::Cluster;
use sg::Kind;
use sg::monitor::Silent;
use sg::postgres::dump::dump;
use sg::postgres::preflight;

const FORBIDDEN: &str = "CREATE ROLE clerk LOGIN;
    CREATE SCHEMA closed; CREATE TABLE closed.t (n int); CREATE SEQUENCE closed.s;
    CREATE TABLE one (n int); CREATE TABLE two (n int); CREATE TABLE open (n serial);
    INSERT INTO open VALUES (1); GRANT SELECT ON open TO clerk;
    CREATE TABLE guarded (n int); GRANT SELECT ON guarded TO clerk; ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    SELECT lo_create(4711);";

#[test]
fn everything_missing_is_listed_and_the_grants_mend_it() {
    let cluster = Cluster::start();
    cluster.create("app", &[]);
    cluster.sql("app", FORBIDDEN);
    let mut wanted = options(&cluster, "app");
    wanted.info = cluster.conninfo_as("app", "clerk");
    let error = dump(&wanted, Vec::new(), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Permission);
    let message = error.to_string();
    for part in [
        "no USAGE on schema closed",
        "no SELECT on table closed.t",
        "no SELECT on table public.one",
        "no SELECT on table public.two",
        "no SELECT on sequence closed.s",
        "no SELECT on sequence public.open_n_seq",
        "row security hides rows of table public.guarded",
        "no SELECT on large object 4711",
    ] {
        assert!(message.contains(part), "'{part}' is not in: {message}");
    }
    assert!(!message.contains("public.open\n"), "{message}");
    let hint = error.hint().unwrap();
    for part in [
        "GRANT SELECT ON TABLE public.one TO clerk;",
        "ALTER ROLE clerk BYPASSRLS;",
    ] {
        assert!(hint.contains(part), "'{part}' is not in: {hint}");
    }
    // What --print-grants prints is enough, whatever the release.
    let server: u32 = cluster
        .sql(
            "app",
            "SELECT current_setting('server_version_num')::int / 10000",
        )
        .parse()
        .unwrap();
    for major in [13, server] {
        cluster.sql(
            "app",
            "DROP OWNED BY clerk; DROP ROLE clerk; CREATE ROLE clerk LOGIN",
        );
        assert!(dump(&wanted, Vec::new(), &Silent).is_err());
        cluster.sql(
            "postgres",
            &preflight::grants("clerk", &["app".to_owned()], major),
        );
        let dumped = dump(&wanted, Vec::new(), &Silent).unwrap();
        assert_eq!(dumped.content.large_objects, 1);
    }
}

#[test]
fn names_that_are_not_utf8_are_refused_by_name() {
    let cluster = Cluster::start();
    let plain = ["--template=template0", "--encoding=SQL_ASCII", "--locale=C"];
    cluster.create("plain", &plain);
    // Only names matter: rows may hold any bytes.
    cluster.sql(
        "plain",
        "CREATE TABLE \"gr\u{fc}n\" (t bytea); INSERT INTO \"gr\u{fc}n\" VALUES ('\\xff')",
    );
    dump(&options(&cluster, "plain"), Vec::new(), &Silent).unwrap();
    let made = cluster.psql("plain", b"CREATE TABLE \"gr\xfcn\" (n int, \"\xe9\" int)");
    crate::support::postgres::expect(&made, "psql");
    let error = dump(&options(&cluster, "plain"), Vec::new(), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{error}");
    let message = error.to_string();
    assert!(message.contains(r"relation 'gr\xfcn'"), "{message}");
    assert!(message.contains(r"column '\xe9'"), "{message}");
    assert!(!message.contains(r"\xc3"), "{message}");
    assert!(error.hint().unwrap().contains("pg_dump"), "{error}");
}

#[test]
fn a_server_without_room_for_the_locks_says_how_much_it_needs() {
    let cluster = Cluster::with(
        &["--encoding=UTF8", "--locale=C.UTF-8"],
        &[
            "max_locks_per_transaction=10",
            "max_connections=10",
            "max_wal_senders=0",
        ],
    );
    cluster.create("many", &[]);
    cluster.sql(
        "many",
        "CREATE PROCEDURE make() LANGUAGE plpgsql AS $$BEGIN
             FOR n IN 1..6000 LOOP EXECUTE format('CREATE TABLE t%s ()', n);
                 IF n % 100 = 0 THEN COMMIT; END IF; END LOOP; END$$;
         CALL make();",
    );
    let error = dump(&options(&cluster, "many"), Vec::new(), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(error.to_string().contains("6000 tables"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("max_locks_per_transaction to 901 "), "{hint}");
}
