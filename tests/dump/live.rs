//! A dump of a database that is in use, and of one that goes away.

use super::{dumped, options};
use crate::support::postgres::{ADMIN, Cluster};
use sg::Kind;
use sg::monitor::{Collector, Monitor, Note, Silent};
use sg::postgres::dump::dump;
use sg::postgres::{Conninfo, Session};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Accounts whose balances always sum up to nothing, large enough for several chunks.
const ACCOUNTS: &str = "CREATE TABLE accounts AS
     SELECT n AS id, 0::bigint AS balance, repeat(md5(n::text), 10) AS pad FROM generate_series(1, 60000) n;
     CREATE TABLE log (n int)";

#[test]
fn writers_do_not_disturb_the_snapshot() {
    let cluster = Cluster::start();
    cluster.create("live", &[]);
    cluster.sql("live", ACCOUNTS);
    let ended = AtomicBool::new(false);
    let (file, content) = thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !ended.load(Ordering::Relaxed) {
                n += 1;
                cluster.sql(
                    "live",
                    "BEGIN; UPDATE accounts SET balance = balance + 1 WHERE id % 1000 = 0;
                     UPDATE accounts SET balance = balance - 1 WHERE id % 1000 = 1; 
                     INSERT INTO log SELECT generate_series(1, 10);
                     INSERT INTO accounts VALUES (-1, 5, ''), (-1, -5, ''); COMMIT",
                );
            }
            n
        });
        // Some dumps, so that there is surely a writer in the middle of one.
        for _ in 0..2 {
            dumped(&options(&cluster, "live"));
        }
        let last = dumped(&options(&cluster, "live"));
        ended.store(true, Ordering::Relaxed);
        last
    });
    cluster.create("twin", &[]);
    super::round_trip::restore_into(&cluster, &file, "twin");
    assert_eq!(
        cluster.sql("twin", "SELECT sum(balance) FROM accounts"),
        "0"
    );
    for table in &content.tables {
        let rows = cluster.sql("twin", &format!("SELECT count(*) FROM {}", table.name));
        assert_eq!(rows, table.rows.to_string(), "{}", table.name);
    }
    // Both tables are of the same moment.
    assert_eq!(
        cluster.sql(
            "twin",
            "SELECT (SELECT count(*) FROM log) / 5 = (SELECT count(*) FROM accounts WHERE id < 0)"
        ),
        "t"
    );
}

/// An output that calls somebody at its first byte.
struct Tripwire<F: FnMut()> {
    at_first: Option<F>,
    bytes: Vec<u8>,
}

impl<F: FnMut()> Write for Tripwire<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(mut call) = self.at_first.take() {
            call();
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_server_process_that_is_killed_fails_the_dump() {
    let cluster = Cluster::start();
    cluster.create("victim", &[]);
    // More than what may wait between the connections and the output.
    cluster.sql("victim", &ACCOUNTS.replace("60000", "240000"));
    for whom in ["state = 'active'", "state LIKE 'idle in%'"] {
        let output = Tripwire {
            bytes: Vec::new(),
            at_first: Some(|| {
                let sql = format!(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE datname = 'victim' AND application_name = 'sg-toolkit' AND {whom}"
                );
                // A connection is idle for a moment between two chunks.
                let hit = (0..3000).any(|_| {
                    thread::sleep(Duration::from_millis(20));
                    cluster.sql("postgres", &sql) != "0"
                });
                assert!(hit, "nobody was {whom}");
            }),
        };
        let error = dump(&options(&cluster, "victim"), output, &Silent)
            .err()
            .unwrap();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    }
}

#[test]
fn a_full_disk_fails_the_dump() {
    let cluster = Cluster::start();
    cluster.create("big", &[]);
    cluster.sql("big", ACCOUNTS);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let error = dump(&options(&cluster, "big"), full, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.hint().unwrap().contains("space"));
}

#[test]
fn a_standby_is_dumped_like_its_primary() {
    let primary = Cluster::with(
        &["--encoding=UTF8", "--locale=C.UTF-8"],
        &["wal_level=replica"],
    );
    primary.create("app", &[]);
    primary.sql("app", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n; CREATE UNLOGGED TABLE u AS SELECT 1");
    let mut standby = Cluster::stopped();
    let made = primary
        .server_command("pg_basebackup")
        .args(["--checkpoint=fast", "--write-recovery-conf", "-D"])
        .arg(standby.data())
        .output()
        .unwrap();
    crate::support::postgres::expect(&made, "pg_basebackup");
    standby.run(&[]);
    let (_, theirs) = dumped(&options(&standby, "app"));
    let (_, ours) = dumped(&options(&primary, "app"));
    let logged: Vec<_> = ours
        .tables
        .iter()
        .filter(|table| table.name == "t")
        .cloned()
        .collect();
    assert_eq!(theirs.tables, logged);
    assert_eq!(theirs.snapshot_lsn, None);

    // Where both are named, the wanted kind is found, wherever it stands in the list.
    let reached = |wanted: &str, first: &Path, second: &Path| {
        let (first, second) = (first.display(), second.display());
        let text =
            format!("host={first},{second} user={ADMIN} dbname=app target_session_attrs={wanted}");
        let mut session = Session::connect(&Conninfo::resolve(Some(&text), |_| None)?)?;
        session.value::<bool>("SELECT pg_is_in_recovery()", &[])
    };
    let (at_primary, at_standby) = (primary.path().to_owned(), standby.path().to_owned());
    for (one, other) in [(&at_primary, &at_standby), (&at_standby, &at_primary)] {
        for (wanted, standby) in [
            ("prefer-standby", true),
            ("standby", true),
            ("read-only", true),
            ("primary", false),
            ("read-write", false),
        ] {
            let found = reached(wanted, one, other).unwrap();
            assert_eq!(found, standby, "{wanted}");
        }
    }
    standby.stop();
    assert!(!reached("prefer-standby", &at_standby, &at_primary).unwrap());
    let error = reached("standby", &at_primary, &at_standby).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[test]
fn excluded_rows_stay_away_but_their_table_comes() {
    let cluster = Cluster::start();
    cluster.create("app", &[]);
    cluster.sql(
        "app",
        "CREATE SCHEMA audit; CREATE TABLE audit.log AS SELECT 1 AS n; CREATE TABLE kept AS SELECT 2 AS n",
    );
    let mut wanted = options(&cluster, "app");
    wanted.exclude_table_data = vec!["audit.*".to_owned()];
    let notes = Collector::new(&Silent);
    let dumped = dump(&wanted, Vec::new(), &notes as &dyn Monitor).unwrap();
    assert!(notes.notes().iter().all(|note: &Note| !note.is_finding()));
    cluster.create("twin", &[]);
    super::round_trip::restore_into(&cluster, &dumped.output, "twin");
    let counts = "SELECT (SELECT count(*) FROM audit.log), (SELECT count(*) FROM kept)";
    assert_eq!(cluster.sql("twin", counts), "0|1");
    assert_eq!(dumped.content.tables.len(), 1);
}

#[test]
fn a_table_truncated_before_it_could_be_locked_is_not_dumped_empty() {
    let cluster = Cluster::start();
    cluster.create("live", &[]);
    cluster.sql(
        "live",
        "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n",
    );
    let mut other = Session::connect(&cluster.conninfo("live")).unwrap();
    other
        .batch("BEGIN; TRUNCATE t; INSERT INTO t VALUES (7), (8)")
        .unwrap();
    let content = thread::scope(|scope| {
        let dumping = scope.spawn(|| dumped(&options(&cluster, "live")).1);
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while cluster.sql("postgres", waiting) == "0" {
            assert!(!dumping.is_finished(), "the dump did not wait for the lock");
        }
        other.batch("COMMIT").unwrap();
        dumping.join().unwrap()
    });
    assert_eq!(content.tables[0].rows, 2);
}
