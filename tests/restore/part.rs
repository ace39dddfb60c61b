//! Single tables and schemas, brought back into a database in use.

use super::craft;
use super::database::{SHOP, same, two_jobs};
use crate::support::postgres::Cluster;
use sg::monitor::{Collector, Note, Silent};
use sg::postgres::restore::{Outcome, Partial, Selection, Source};
use sg::stream::Reader;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn part(
    cluster: &Cluster,
    file: &Path,
    database: &str,
    selection: &Selection,
) -> sg::Result<(Outcome, Vec<Note>)> {
    let monitor = Collector::new(&Silent);
    let source = Source::open(file, 2)?;
    let info = cluster.conninfo(database);
    let options = two_jobs();
    let outcome = Partial::look(&source, &info, selection, &options)?.restore(&monitor)?;
    Ok((outcome, monitor.notes()))
}

fn tables(names: &[&str]) -> Selection {
    Selection {
        tables: names.iter().map(|&name| name.to_owned()).collect(),
        ..Selection::default()
    }
}

fn shop(directory: &Path) -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    cluster.create("shop", &[]);
    cluster.sql("shop", SHOP);
    let file = craft::dump(&cluster, "shop", &directory.join("shop.sql.gz"), 20_000);
    (cluster, file)
}

#[test]
fn a_table_lost_at_night_comes_back_whole() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let dump =
        |database: &str| cluster.pg_dump(database, &["-t", "\"Order\"", "-t", "\"Order_id_seq\""]);
    let before = dump("shop");
    cluster.sql("shop", "DROP TABLE \"Order\" CASCADE");

    let (outcome, notes) = part(&cluster, &file, "shop", &tables(&["Order"])).unwrap();
    assert_eq!((outcome.tables, outcome.rows), (1, 20_000));
    assert_eq!(notes, []);
    same(&dump("shop"), &before);
    assert_eq!(
        cluster.sql(
            "shop",
            "INSERT INTO \"Order\" (total) VALUES (1) RETURNING id"
        ),
        "20001"
    );
    // What is there is not touched.
    let error = part(&cluster, &file, "shop", &tables(&["public.Order"])).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
}

#[test]
fn what_a_table_refers_to_and_is_referred_by_is_told_where_it_is_missing() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    cluster.create("other", &[]);
    let (_, notes) = part(&cluster, &file, "other", &tables(&["Order"])).unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].message.contains("FOREIGN KEY"), "{notes:?}");
    assert_eq!(
        cluster.sql("other", "SELECT count(*) FROM \"Order\""),
        "20000"
    );

    cluster.sql("shop", "DROP TABLE customer CASCADE");
    let (_, notes) = part(&cluster, &file, "shop", &tables(&["customer"])).unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(notes[0].code, "foreign-key-of-another");
    assert_eq!(
        cluster.sql("shop", "SELECT count(*) FROM pg_trigger WHERE tgname = 't'"),
        "1"
    );
}

#[test]
fn partitions_come_with_their_parent_and_a_failure_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let before = cluster.pg_dump("shop", &["-t", "part*"]);
    cluster.sql("shop", "DROP TABLE part");
    let (outcome, notes) = part(&cluster, &file, "shop", &tables(&["part"])).unwrap();
    assert_eq!((outcome.tables, outcome.rows, notes), (3, 1000, vec![]));
    same(&cluster.pg_dump("shop", &["-t", "part*"]), &before);

    // A column's type is missing: nothing of the table stays.
    cluster.sql(
        "shop",
        "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE moody (m mood)",
    );
    let file = craft::dump(&cluster, "shop", &directory.path().join("m.sql.gz"), 1000);
    cluster.create("other", &[]);
    let empty = cluster.pg_dump("other", &[]);
    assert!(part(&cluster, &file, "other", &tables(&["part", "moody"])).is_err());
    same(&cluster.pg_dump("other", &[]), &empty);
}

#[test]
fn rows_alone_and_a_schema_alone() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let before = cluster.pg_dump("shop", &[]);
    let data = Selection {
        data_only: true,
        ..Selection::default()
    };
    assert!(part(&cluster, &file, "shop", &data).is_err());
    cluster.sql("shop", "TRUNCATE customer, \"Order\", part, nothing, large");
    part(&cluster, &file, "shop", &data).unwrap();
    same(&cluster.pg_dump("shop", &[]), &before);

    cluster.sql(
        "shop",
        "CREATE SCHEMA s; CREATE TYPE s.pair AS (a int); CREATE TABLE s.t (p s.pair)",
    );
    let before = cluster.pg_dump("shop", &["-n", "s"]);
    let file = craft::dump(&cluster, "shop", &directory.path().join("s.sql.gz"), 1000);
    let schema = Selection {
        schemas: vec!["s".into()],
        ..Selection::default()
    };
    cluster.sql("shop", "DROP SCHEMA s CASCADE");
    part(&cluster, &file, "shop", &schema).unwrap();
    same(&cluster.pg_dump("shop", &["-n", "s"]), &before);
}

/// What people have from the time before, and a dump of ours that lost its end.
#[test]
fn a_dump_without_an_index_gives_single_tables_too() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let whole = std::fs::read(&file).unwrap();
    let footer = Reader::open(&file).unwrap().footer().unwrap().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let lost = write("lost.sql.gz", &whole[..footer.index_offset as usize]);
    let plain = cluster.pg_dump("shop", &[]);
    let foreign = write("foreign.sql", &plain);
    let inserts = write("inserts.sql", &cluster.pg_dump("shop", &["--inserts"]));

    let orders = ["-t", "\"Order\"", "-t", "\"Order_id_seq\""];
    let before = (
        cluster.pg_dump("shop", &orders),
        cluster.pg_dump("shop", &["-t", "part*"]),
    );
    for file in [&lost, &foreign, &inserts] {
        cluster.sql("shop", "DROP TABLE \"Order\" CASCADE; DROP TABLE part");
        let (outcome, notes) = part(&cluster, file, "shop", &tables(&["Order", "part"])).unwrap();
        assert_eq!(
            (outcome.tables, outcome.rows),
            (4, 21_000),
            "{}",
            file.display()
        );
        assert_eq!(notes, []);
        same(&cluster.pg_dump("shop", &orders), &before.0);
        same(&cluster.pg_dump("shop", &["-t", "part*"]), &before.1);
        let next = "INSERT INTO \"Order\" (total) VALUES (1) RETURNING id";
        assert_eq!(cluster.sql("shop", next), "20001");

        // Rows alone, and all but rows.
        cluster.sql("shop", "TRUNCATE \"Order\"");
        let alone = Selection {
            data_only: true,
            ..tables(&["Order"])
        };
        assert_eq!(part(&cluster, file, "shop", &alone).unwrap().0.rows, 20_000);
        same(&cluster.pg_dump("shop", &orders), &before.0);
        cluster.sql("shop", "DROP TABLE \"Order\" CASCADE");
        let without = Selection {
            schema_only: true,
            ..tables(&["Order"])
        };
        assert_eq!(part(&cluster, file, "shop", &without).unwrap().0.rows, 0);
        assert_eq!(cluster.sql("shop", "SELECT count(*) FROM \"Order\""), "0");
        part(&cluster, file, "shop", &alone).unwrap();
        same(&cluster.pg_dump("shop", &orders), &before.0);
    }

    // What was cut off, or would run something, is refused before anything is touched.
    cluster.sql("shop", "DROP TABLE \"Order\" CASCADE");
    let now = cluster.pg_dump("shop", &[]);
    let cut = write("cut.sql", &plain[..plain.len() / 2]);
    let hostile = write(
        "hostile.sql",
        &[b"\\! touch /nowhere\n", &plain[..]].concat(),
    );
    for file in [cut, hostile] {
        assert!(part(&cluster, &file, "shop", &tables(&["Order"])).is_err());
        same(&cluster.pg_dump("shop", &[]), &now);
    }
}

#[test]
fn a_name_that_is_not_there_or_not_unique_is_explained() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let error = part(&cluster, &file, "shop", &tables(&["order"])).unwrap_err();
    assert_eq!(error.hint(), Some("Did you mean public.Order?"));
    cluster.sql("shop", "CREATE SCHEMA s; CREATE TABLE s.part ()");
    let file = craft::dump(&cluster, "shop", &directory.path().join("s.sql.gz"), 1000);
    let error = part(&cluster, &file, "shop", &tables(&["part"])).unwrap_err();
    assert!(
        error.hint().unwrap().contains("public.part, s.part"),
        "{error:?}"
    );
}
