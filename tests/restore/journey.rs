//! The whole way: dumped by us, restored by us, judged by pg_dump.

use super::database::{databases, restore, same, two_jobs};
use crate::dump::round_trip::{EVERYTHING, ROLES, assert_same, judged};
use crate::dump::{dumped, options};
use crate::support::postgres::Cluster;
use std::fs;
use tempfile::TempDir;

#[test]
fn everything_that_a_database_can_hold_comes_back() {
    let cluster = Cluster::start();
    cluster.sql("postgres", ROLES);
    cluster.create("source", &[]);
    cluster.sql("source", EVERYTHING);
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("everything.sql.gz");
    fs::write(&file, dumped(&options(&cluster, "source")).0).unwrap();

    let outcome = restore(&cluster, &file, "twin", &two_jobs()).unwrap();
    assert_eq!(outcome.kept, None);
    assert_same(&judged(&cluster, "source"), &judged(&cluster, "twin"));

    restore(&cluster, &file, "source", &two_jobs()).unwrap();
    assert_same(&judged(&cluster, "source"), &judged(&cluster, "twin"));
    assert!(databases(&cluster).contains("source_before_"));
}

#[test]
fn databases_in_other_encodings_come_back() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let source = encoding.to_lowercase();
        let arguments = ["--template=template0", "--locale=C", "--encoding", encoding];
        cluster.create(&source, &arguments);
        cluster.sql(
            &source,
            "SET client_encoding = 'UTF8'; CREATE TABLE t (id int PRIMARY KEY, a text); \
             INSERT INTO t VALUES (1, 'ünï'), (2, E'\\\\'); COMMENT ON TABLE t IS 'Bücher'; \
             CREATE TABLE \"Größe\" (\"Maß\" text); INSERT INTO \"Größe\" VALUES ('groß'); \
             CREATE INDEX \"über\" ON \"Größe\" (\"Maß\")",
        );
        let file = directory.path().join(format!("{source}.sql.gz"));
        fs::write(&file, dumped(&options(&cluster, &source)).0).unwrap();
        let twin = format!("{source}_twin");
        let before = cluster.pg_dump(&source, &[]);
        let outcome = restore(&cluster, &file, &twin, &two_jobs()).unwrap();
        assert_eq!(outcome.rows, 3);
        same(&cluster.pg_dump(&twin, &[]), &before);
    }
}
