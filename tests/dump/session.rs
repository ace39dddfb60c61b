//! A session's ways in, and what it says when there is none.

use crate::support::postgres::Cluster;
use sg::Kind;
use sg::postgres::{Conninfo, Session};
use std::collections::HashMap;

#[test]
fn rows_of_any_length_come_out_as_they_are() {
    let cluster = Cluster::start();
    let mut session = Session::connect(&cluster.conninfo("postgres")).unwrap();
    assert!(session.major() >= 13);
    // Lengths around the bounds of buffers, and one far beyond.
    let sql = "COPY (SELECT repeat('x', n) FROM unnest(ARRAY[0, 1, 8191, 262139, 262140, 300000, \
               3000000, 5]) n) TO STDOUT";
    for _ in 0..3 {
        let mut lengths = Vec::new();
        session
            .copy_out(sql, |row| {
                assert!(row.ends_with(b"\n"));
                lengths.push(row.len() - 1);
                Ok(())
            })
            .unwrap();
        assert_eq!(
            lengths,
            [0, 1, 8191, 262_139, 262_140, 300_000, 3_000_000, 5]
        );
        assert_eq!(session.value::<i32>("SELECT 41 + 1", &[]).unwrap(), 42);
    }
}

#[test]
fn rows_go_in_and_a_wrong_one_is_told() {
    let cluster = Cluster::start();
    let mut session = Session::connect(&cluster.conninfo("postgres")).unwrap();
    session.batch("CREATE TABLE t (n int)").unwrap();
    let mut copy = session.copy_in("COPY t FROM STDIN").unwrap();
    for n in 0..1000 {
        copy.send(format!("{n}\n").into_bytes()).unwrap();
    }
    assert_eq!(copy.finish().unwrap(), 1000);
    let mut copy = session.copy_in("COPY t FROM STDIN").unwrap();
    copy.send(b"no number\n".to_vec()).unwrap();
    let error = copy.finish().unwrap_err();
    assert!(error.to_string().contains("no number"), "{error}");
    drop(session.copy_in("COPY t FROM STDIN").unwrap());
    assert_eq!(
        session.value::<i64>("SELECT count(*) FROM t", &[]).unwrap(),
        1000
    );
}

#[test]
fn a_session_that_the_server_ends_says_why() {
    let cluster = Cluster::start();
    let mut session = Session::connect(&cluster.conninfo("postgres")).unwrap();
    let pid: i32 = session.value("SELECT pg_backend_pid()", &[]).unwrap();
    cluster.sql("postgres", &format!("SELECT pg_terminate_backend({pid})"));
    let error = session.query("SELECT 1", &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(
        error.to_string().contains("terminating connection"),
        "{error}"
    );
}

#[test]
fn a_session_takes_leave() {
    let cluster = Cluster::start();
    drop(Session::connect(&cluster.conninfo("postgres")).unwrap());
    cluster.sql("postgres", "SELECT 1");
    assert!(
        !cluster.log().contains("unexpected EOF"),
        "{}",
        cluster.log()
    );
}

#[test]
fn who_cannot_get_in_learns_the_reason_and_the_cure() {
    let cluster = Cluster::start();
    let error = Session::connect(&cluster.conninfo("absent")).err().unwrap();
    assert!(
        error.to_string().contains("\"absent\" does not exist"),
        "{error}"
    );

    let nowhere = HashMap::from([("PGHOST", "/nonexistent"), ("PGUSER", "u")]);
    let info = Conninfo::resolve(Some("d"), |name| nowhere.get(name).map(|&v| v.to_owned()));
    let error = Session::connect(&info.unwrap()).err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.hint().unwrap().contains("PGHOST"));

    let password = std::fs::read_to_string(cluster.data().join("pg_hba.conf")).unwrap();
    cluster.sql(
        "postgres",
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE clerk LOGIN PASSWORD 'right'",
    );
    std::fs::write(
        cluster.data().join("pg_hba.conf"),
        format!("local all clerk scram-sha-256\n{password}"),
    )
    .unwrap();
    cluster.sql("postgres", "SELECT pg_reload_conf()");
    let info = |password: &str| {
        let host = cluster.path().display();
        Conninfo::new(Some(&format!(
            "host={host} dbname=postgres user=clerk {password}"
        )))
        .unwrap()
    };
    let until_reloaded = || {
        for _ in 0..3000 {
            if let Err(error) = Session::connect(&info("passfile=/nonexistent")) {
                return error;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("pg_hba.conf was not read again");
    };
    let error = until_reloaded();
    assert_eq!(error.kind(), Kind::Permission);
    assert!(error.hint().unwrap().contains("pgpass"), "{error}");
    let error = Session::connect(&info("password=wrong")).err().unwrap();
    assert_eq!(error.kind(), Kind::Permission);
    assert!(Session::connect(&info("password=right")).is_ok());
}
