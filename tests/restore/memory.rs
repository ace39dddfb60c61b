//! A database that is larger than the memory that may be used: dumped, read back, restored, compared.

use crate::support::postgres::Cluster;
use crate::support::{bounded, child, scratch};
use std::process::Command;

#[test]
fn memory_stays_bounded_whatever_the_size_of_the_database() {
    let (cluster, store) = (Cluster::start(), scratch());
    cluster.create("shop", &[]);
    // Noise, so that what waits to be written is long, too; half of it in one table, and many small ones.
    cluster.sql(
        "shop",
        "CREATE FUNCTION noise(n int) RETURNS text LANGUAGE sql AS
             'SELECT string_agg(md5(random()::text), '''') FROM generate_series(1, n)';
         CREATE TABLE huge AS SELECT id, noise(40) FROM generate_series(1, 120000) id;
         ALTER TABLE huge ADD PRIMARY KEY (id);
         CREATE TABLE wide AS SELECT id, noise(40000) FROM generate_series(1, 40) id;
         DO 'BEGIN FOR n IN 1..500 LOOP
             EXECUTE format(''CREATE TABLE small_%s AS SELECT id FROM generate_series(1, 20) id'', n);
         END LOOP; END'",
    );
    let ours = |name: &str| -> Command {
        let mut command = child(name);
        command.envs(cluster.environment()).args(["--jobs", "2"]);
        command
    };
    let dump = bounded(
        ours("sg-dump-db")
            .args(["--quiet", "--database", "shop", "--directory"])
            .arg(store.path()),
    );
    assert_eq!(bounded(ours("sg-verify").arg(&dump)), dump);
    let mut restore = child("sg-restore");
    restore.envs(cluster.environment()).arg("db").arg(&dump);
    bounded(restore.args(["--jobs", "2", "--to", "copy", "--yes"]));
    let rows = "SELECT count(*) || ' ' || sum(length(noise)) FROM huge";
    assert_eq!(cluster.sql("copy", rows), cluster.sql("shop", rows));
}
