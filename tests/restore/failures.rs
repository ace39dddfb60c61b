//! Whatever fails, the database in use is as it was, and nothing is left beside it.

use super::craft;
use super::database::{SHOP, databases, restore, same, shop, two_jobs};
use crate::dump::round_trip::{EVERYTHING, ROLES};
use crate::support::disk::SmallDisk;
use crate::support::postgres::Cluster;
use crate::support::program;
use sg::Kind;
use sg::manifest::content::Properties;
use sg::monitor::{Collector, Silent};
use sg::postgres::Session;
use sg::postgres::restore::apply::Connector;
use sg::postgres::restore::{self, Compare, Control, Options, Source};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use tempfile::TempDir;

#[test]
fn whatever_fails_leaves_everything_as_it_was() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    cluster.sql("shop", "CREATE TABLE mine (); CREATE ROLE joe");
    let whole = fs::read(&file).unwrap();

    // A flipped bit anywhere in the middle is found by a checksum while it is restored, or before.
    for at in [whole.len() / 3, whole.len() / 2, whole.len() * 2 / 3] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        let file = directory.path().join("damaged.sql.gz");
        fs::write(&file, damaged).unwrap();
        let error = restore(&cluster, &file, "shop", &two_jobs()).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{error}");
    }
    // So is a backend that dies: one that is held up in the midst of taking rows.
    cluster.sql(
        "shop",
        "CREATE FUNCTION slow() RETURNS bool LANGUAGE plpgsql AS $$BEGIN
             IF current_database() LIKE 'shop_restoring%' THEN PERFORM pg_sleep(600); END IF;
             RETURN true; END$$;
         CREATE TABLE held (n int CHECK (slow())); INSERT INTO held VALUES (1);",
    );
    let before = cluster.pg_dump("shop", &[]);
    let file = craft::dump(&cluster, "shop", &file, 20_000);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut killer = Session::connect(&cluster.conninfo("postgres")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let killed = killer
                    .query(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE datname LIKE 'shop_restoring%' AND query LIKE 'COPY%' LIMIT 1",
                        &[],
                    )
                    .unwrap();
                if !killed.is_empty() {
                    return;
                }
            }
        });
        let error = restore(&cluster, &file, "shop", &two_jobs()).unwrap_err();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    });
    assert_eq!(databases(&cluster), "shop");
    same(&cluster.pg_dump("shop", &[]), &before);
}

#[test]
fn rows_that_differ_from_what_was_recorded_are_never_swapped_in() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    let tampered = craft::dump_with(
        &cluster,
        "shop",
        &directory.path().join("tampered.sql.gz"),
        20_000,
        |digest| digest.sum ^= 1,
    );
    let before = cluster.pg_dump("shop", &[]);
    let error = restore(&cluster, &tampered, "shop", &two_jobs()).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
    assert!(error.to_string().contains("not what was dumped"), "{error}");
    same(&cluster.pg_dump("shop", &[]), &before);
    assert_eq!(databases(&cluster), "shop");
    // Nobody looks; nobody sees.
    let blind = Options {
        compare: Compare::Rows,
        ..two_jobs()
    };
    restore(&cluster, &tampered, "copy", &blind).unwrap();
    restore(&cluster, &file, "again", &two_jobs()).unwrap();
}

#[test]
fn a_sequence_that_stands_elsewhere_than_recorded_is_never_swapped_in() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    cluster.create("shop", &[]);
    cluster.sql("shop", SHOP);
    let mut dump = program("sg-dump-db");
    for name in sg::postgres::Conninfo::variables() {
        dump.env_remove(name);
    }
    dump.envs(cluster.environment())
        .args(["--database=shop", "--directory"])
        .arg(directory.path());
    let path = String::from_utf8(dump.output().unwrap().stdout).unwrap();
    let path = Path::new(path.trim_end());
    restore(&cluster, path, "copy", &two_jobs()).unwrap();

    // As if the dump had set it back: what the manifest recorded is another value.
    let seal = path.with_file_name(format!("{}.json", path.file_name().unwrap().display()));
    let text = fs::read_to_string(&seal).unwrap();
    let changed = text.replace("\"value\": 20000", "\"value\": 20001");
    assert_ne!(text, changed);
    fs::write(&seal, changed).unwrap();
    let before = cluster.pg_dump("shop", &[]);
    let error = restore(&cluster, path, "shop", &two_jobs()).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
    let told = "sequence public.Order_id_seq stands at 20000, was dumped at 20001";
    assert!(error.to_string().contains(told), "{error}");
    same(&cluster.pg_dump("shop", &[]), &before);
}

/// A server is busy, and notices a while later that who held the lock has gone.
#[test]
fn a_restore_right_after_another_waits_until_the_server_has_noticed_its_end() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    let ended = Control::new(&cluster.conninfo("shop")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(700));
            drop(ended);
        });
        restore(&cluster, &file, "shop", &two_jobs()).unwrap();
    });
}

#[test]
fn what_a_killed_run_left_is_cleared_and_a_live_one_is_left_alone() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    let mut live = Control::new(&cluster.conninfo("shop")).unwrap();
    let side = live.create(&Properties::default(), None).unwrap();
    let error = restore(&cluster, &file, "shop", &two_jobs()).unwrap_err();
    assert_eq!(error.kind(), Kind::Locked, "{error}");
    assert!(databases(&cluster).contains(&side));
    drop(live);
    // Somebody's own database, though it looks like ours, stays.
    cluster.create("shop_restoring_20200101_000000", &[]);
    restore(&cluster, &file, "shop", &two_jobs()).unwrap();
    let left = databases(&cluster);
    assert!(!left.contains(&side), "{left}");
    assert!(left.contains("shop_restoring_20200101_000000"), "{left}");
}

#[test]
fn whatever_a_failed_restore_in_place_has_brought_goes_again() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    cluster.sql("postgres", ROLES);
    cluster.create("source", &[]);
    cluster.sql("source", EVERYTHING);
    // What stands in the way of being dropped: functions that types hold, operators without schemas
    // of their own, rights given in advance, a trigger that forbids to drop, a slot that is nowhere.
    cluster.sql(
        "source",
        "CREATE TYPE stretch AS RANGE (subtype = int4);
         CREATE FUNCTION same(a stretch, b stretch) RETURNS bool LANGUAGE sql AS 'SELECT $1 = $2';
         CREATE OPERATOR === (leftarg = stretch, rightarg = stretch, function = same);
         CREATE OPERATOR FAMILY few USING btree;
         CREATE COLLATION mine FROM \"C\";
         CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
         CREATE FUNCTION as_text(stretch) RETURNS text LANGUAGE sql AS 'SELECT lower($1)::text';
         CREATE CAST (stretch AS text) WITH FUNCTION as_text(stretch);
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO sg_reader;
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO sg_reader;
         CREATE FUNCTION never() RETURNS event_trigger LANGUAGE plpgsql
             AS $$BEGIN RAISE EXCEPTION 'never'; END$$;
         CREATE EVENT TRIGGER never ON sql_drop EXECUTE FUNCTION never();
         CREATE SUBSCRIPTION far CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false);",
    );
    let plain = String::from_utf8(cluster.pg_dump("source", &[])).unwrap();
    let end = "-- PostgreSQL database dump complete";
    let file = directory.path().join("failing.sql");
    fs::write(&file, plain.replace(end, &format!("SELECT 1/0;\n{end}"))).unwrap();
    cluster.create("empty", &[]);
    let fresh = cluster.pg_dump("empty", &[]);
    let source = Source::open(&file, 2).unwrap();
    let info = cluster.conninfo("empty");
    let (mut control, preflight) = restore::look(&source, &info, &two_jobs(), true).unwrap();
    let notes = Collector::new(&Silent);
    let error =
        restore::fill_in_place(&source, &mut control, &preflight, &two_jobs(), &notes).unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
    assert_eq!(notes.notes(), []);
    same(&cluster.pg_dump("empty", &[]), &fresh);
}

#[test]
fn a_full_disk_of_the_server_leaves_the_database_as_it_was() {
    let directory = TempDir::new().unwrap();
    // Where the server's user may go.
    let place = tempfile::Builder::new()
        .prefix("sg-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in("/var/tmp")
        .unwrap();
    let Some(disk) = SmallDisk::mount(place.path(), "30m") else {
        return;
    };
    let cluster = Cluster::start();
    cluster.give_to_server(&disk.0);
    cluster.sql(
        "postgres",
        &format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display()),
    );
    cluster.create("shop", &["--tablespace=small"]);
    cluster.sql(
        "shop",
        "CREATE TABLE t (n int PRIMARY KEY, t text);
         INSERT INTO t SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 20000) n;",
    );
    // What a new database copies takes room on the disk only when it is written out.
    cluster.sql("postgres", "CHECKPOINT");
    let made = program("sg-dump-db")
        .envs(cluster.environment())
        .args(["--quiet", "--database", "shop", "--directory"])
        .arg(directory.path())
        .output()
        .unwrap();
    let file = String::from_utf8(made.stdout).unwrap();
    let source = Source::open(Path::new(file.trim_end()), 2).unwrap();
    let info = cluster.conninfo("shop");
    let (mut control, preflight) = restore::look(&source, &info, &two_jobs(), false).unwrap();
    assert_eq!(preflight.tablespace.as_deref(), Some("small"));
    let heard = Collector::new(&Silent);
    let restored = restore::replace(&source, &mut control, &preflight, &two_jobs(), &heard);
    let error = restored.unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(heard.notes(), []);
    assert_eq!(databases(&cluster), "shop");
    assert_eq!(cluster.sql("shop", "SELECT count(*) FROM t"), "20000");
}

#[test]
fn a_statement_that_a_deadlock_ends_is_run_again() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE a (); CREATE TABLE b ()");
    let connect = |settings: &str| {
        let mut session = Session::connect(&cluster.conninfo("postgres")).unwrap();
        session.batch(settings).unwrap();
        session
    };
    let until_waiting = |many: &str, applied: &ScopedJoinHandle<'_, sg::Result<()>>| {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while cluster.sql("postgres", waiting) != many {
            assert!(!applied.is_finished(), "the statement did not wait");
        }
    };
    let connector = Connector {
        info: cluster.conninfo("postgres"),
        encoding: String::new(),
        role: None,
    };
    // Whoever waits last closes the circle, and looks for it after his own time.
    let mut gate = connect("SELECT pg_advisory_lock(1)");
    let mut other = connect("SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE b");
    std::thread::scope(|scope| {
        let applied = scope.spawn(|| {
            let mut session = connector.connect().unwrap();
            session.batch("SET deadlock_timeout = '10ms'").unwrap();
            let statement = "DO $$BEGIN LOCK TABLE public.a; PERFORM pg_advisory_xact_lock(1); \
                             LOCK TABLE public.b; CREATE TABLE public.c (); END$$";
            connector.apply_alone(&mut session, "", statement.as_bytes())
        });
        until_waiting("1", &applied);
        let others = scope.spawn(|| other.batch("LOCK TABLE a; COMMIT"));
        until_waiting("2", &applied);
        gate.batch("SELECT pg_advisory_unlock(1)").unwrap();
        others.join().unwrap().unwrap();
        applied.join().unwrap().unwrap();
    });
    assert!(cluster.log().contains("deadlock detected"));
    assert_eq!(cluster.sql("postgres", "SELECT count(*) FROM c"), "0");
}
