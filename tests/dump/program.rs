//! sg-dump-db as it is called.

use crate::support::postgres::Cluster;
use crate::support::{program, scratch};
use sg::manifest::{Content, Manifest};
use std::path::Path;

fn sg_dump_db(cluster: &Cluster) -> assert_cmd::Command {
    let mut command = program("sg-dump-db");
    for name in sg::postgres::Conninfo::variables() {
        command.env_remove(name);
    }
    command.envs(cluster.environment());
    command
}

#[test]
fn several_databases_and_globals_become_sealed_backups() {
    let cluster = Cluster::start();
    for name in ["one", "two"] {
        cluster.create(name, &[]);
        cluster.sql(name, "CREATE TABLE t AS SELECT generate_series(1, 10) AS n");
    }
    cluster.sql("postgres", "CREATE ROLE somebody PASSWORD 'secret'");
    let directory = scratch();
    let output = sg_dump_db(&cluster)
        .args([
            "--database",
            "one",
            "--database",
            "two",
            "--globals",
            "--app",
            "shop",
        ])
        .args(["--reason", "before the upgrade", "--directory"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let paths: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(paths.len(), 3);
    for path in &paths {
        let manifest = Manifest::beside(Path::new(path)).unwrap().unwrap();
        assert_eq!(manifest.app.as_deref(), Some("shop"));
        assert_eq!(manifest.reason.as_deref(), Some("before the upgrade"));
        match manifest.content {
            Content::Database(content) => assert_eq!(content.tables[0].rows, 10),
            Content::Globals(content) => {
                assert!(content.passwords);
                assert!(content.roles.contains(&"somebody".to_owned()));
            }
            Content::Volume(_) => panic!("no volume was asked for"),
        }
    }
    // The same, verified by our own program.
    let verified = program("sg-verify").args(&paths).output().unwrap();
    assert_eq!(
        verified.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let cluster = Cluster::start();
    let directory = scratch();
    let output = sg_dump_db(&cluster)
        .args([
            "--database",
            "absent",
            "--database",
            "postgres",
            "--directory",
        ])
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("\"absent\" does not exist"), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    let left = std::fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains("absent")
        });
    assert_eq!(left.count(), 0);
}

#[test]
fn the_bytes_go_to_standard_output_on_request() {
    let cluster = Cluster::start();
    let output = sg_dump_db(&cluster)
        .args([
            "--database",
            "postgres",
            "--output",
            "-",
            "--compress",
            "none",
        ])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("--\n-- PostgreSQL database dump\n"));
    assert_eq!(
        text.matches("-- PostgreSQL database dump complete").count(),
        1
    );
    assert_eq!(
        text.matches("\n\\restrict ").count(),
        text.matches("\n\\unrestrict ").count()
    );
}

#[test]
fn an_unreachable_server_is_69() {
    let mut command = program("sg-dump-db");
    let output = command
        .env("PGHOST", "/nonexistent")
        .args(["--database", "x", "--output", "-"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint:"));
}
