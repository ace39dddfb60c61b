//! From a live database to a file that stock tools restore.

mod live;
mod preflight;
mod program;
pub(crate) mod round_trip;
mod session;
mod ways_in;

use crate::support::postgres::Cluster;
use crate::support::scratch;
use sg::manifest::content::Database;
use sg::monitor::Silent;
use sg::postgres::dump::{Options, dump};
use sg::verify::{self, Verdict, verify};

/// How a test dumps unless it wants something else.
pub(crate) fn options(cluster: &Cluster, database: &str) -> Options {
    Options {
        info: cluster.conninfo(database),
        compression: "gzip:1".parse().unwrap(),
        jobs: 3,
        exclude_table_data: Vec::new(),
    }
}

/// Dumps a database; returns the file and what is in it. Whatever was dumped, sg-verify must not take
/// it for damaged.
pub(crate) fn dumped(options: &Options) -> (Vec<u8>, Database) {
    let dumped = dump(options, Vec::new(), &Silent).unwrap();
    let directory = scratch();
    let path = directory.path().join("dump.sql.gz");
    std::fs::write(&path, &dumped.output).unwrap();
    let report = verify(&path, &verify::Options { jobs: 2 }, &Silent).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.notes);
    let rows: u64 = dumped.content.tables.iter().map(|table| table.rows).sum();
    assert_eq!(report.found.rows, rows);
    (dumped.output, dumped.content)
}
