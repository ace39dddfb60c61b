//! Dumps without an index: another tool's, or ours with the index lost.

use super::database::{databases, restore, same, shop, two_jobs};
use crate::support::postgres::Cluster;
use sg::Kind;
use sg::monitor::Silent;
use sg::postgres::restore::Source;
use sg::stream::Reader;
use sg::verify::{self, Verdict, verify};
use std::fs;
use std::io::Write;
use tempfile::TempDir;

#[test]
fn a_dump_by_pg_dump_alone_comes_back_and_a_cut_or_hostile_one_is_refused() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    shop(&cluster, directory.path());
    let plain = cluster.pg_dump("shop", &[]);
    let file = directory.path().join("foreign.sql.gz");
    let write = |text: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        fs::write(&file, gzip.finish().unwrap()).unwrap();
    };
    write(&plain);
    restore(&cluster, &file, "copy", &two_jobs()).unwrap();
    same(&cluster.pg_dump("copy", &[]), &plain);

    for cut in [plain.len() / 4, plain.len() / 2, plain.len() - 60] {
        write(&plain[..cut]);
        let error = restore(&cluster, &file, "copy", &two_jobs()).unwrap_err();
        assert_eq!(error.kind(), Kind::Damaged, "{error}");
    }
    let touched = directory.path().join("touched");
    let shell = format!("\\! touch {}\n", touched.display());
    write(&[shell.as_bytes(), &plain].concat());
    let error = restore(&cluster, &file, "copy", &two_jobs()).unwrap_err();
    assert!(error.to_string().contains("line 1 "), "{error}");
    assert!(!touched.exists());
    same(&cluster.pg_dump("copy", &[]), &plain);
    assert_eq!(databases(&cluster), "copy shop");
}

#[test]
fn a_dump_whose_index_is_lost_comes_back_and_one_that_lost_rows_does_not() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    let file = shop(&cluster, directory.path());
    let whole = fs::read(&file).unwrap();
    let before = cluster.pg_dump("shop", &[]);
    let index = Reader::open(&file)
        .unwrap()
        .footer()
        .unwrap()
        .unwrap()
        .index_offset as usize;

    let cut = directory.path().join("cut.sql.gz");
    for length in [whole.len() - 1, index + 10, index] {
        fs::write(&cut, &whole[..length]).unwrap();
        restore(&cluster, &cut, "copy", &two_jobs()).unwrap();
        same(&cluster.pg_dump("copy", &[]), &before);
    }
    fs::write(&cut, &whole[..index - 10]).unwrap();
    let error = restore(&cluster, &cut, "copy", &two_jobs()).unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
}

#[test]
fn a_dump_that_creates_its_database_is_whole_but_not_for_us() {
    let cluster = Cluster::start();
    let directory = TempDir::new().unwrap();
    shop(&cluster, directory.path());
    let file = directory.path().join("create.sql");
    fs::write(&file, cluster.pg_dump("shop", &["--create"])).unwrap();
    let report = verify(&file, &verify::Options { jobs: 2 }, &Silent).unwrap();
    assert_eq!(report.verdict, Verdict::Findings, "{:?}", report.notes);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.code == "creates-database")
    );
    let error = Source::open(&file, 2).err().unwrap();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    assert!(error.hint().unwrap().contains("psql"), "{error}");
}
