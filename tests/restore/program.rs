//! The program: what it asks, prints and returns; and what is left when it is killed.

use super::craft;
use super::database::{SHOP, databases, same};
use crate::support::postgres::{Cluster, feed};
use crate::support::{child, program};
use nix::unistd::{Uid, User, geteuid};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

fn sg_restore(cluster: &Cluster, arguments: &[&str], input: &str) -> Output {
    program("sg-restore")
        .envs(cluster.environment())
        .args(arguments)
        .write_stdin(input)
        .output()
        .unwrap()
}

fn shop(directory: &Path) -> (Cluster, String) {
    let cluster = Cluster::start();
    cluster.create("shop", &[]);
    cluster.sql("shop", SHOP);
    let file = craft::dump(&cluster, "shop", &directory.join("shop.sql.gz"), 20_000);
    (cluster, file.to_str().unwrap().to_owned())
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until the server has noticed that its client was killed: what it was told last, a swap say, it
/// does first.
fn until_alone(cluster: &Cluster) {
    let others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sg-toolkit'";
    while cluster.sql("postgres", others) != "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_done_before_somebody_says_so() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let output = sg_restore(&cluster, &["db", &file, "--to", "shop"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        words(&output).contains("will be replaced"),
        "{}",
        words(&output)
    );
    assert!(words(&output).contains("--yes"), "{}", words(&output));
    let output = sg_restore(&cluster, &["db", &file, "--to", "shop", "--dry-run"], "");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(databases(&cluster), "shop");

    // The path may come through a pipe; the name of what was restored goes on.
    let output = sg_restore(&cluster, &["db", "--to", "copy", "--yes"], &file);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!(output.stdout, b"copy\n");
    assert_eq!(databases(&cluster), "copy shop");
    let output = sg_restore(
        &cluster,
        &["db", &file, "--to", "copy", "--table", "part", "--yes"],
        "",
    );
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
}

#[test]
fn on_a_terminal_the_word_is_asked_for() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let restore = assert_cmd::cargo::cargo_bin("sg-restore");
    // script(1) gives it a terminal, and types what comes on standard input.
    let typed = |answer: &str| {
        let command = format!("{} db {file} --to copy", restore.display());
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .envs(cluster.environment())
            .env("SHELL", "/bin/sh");
        feed(&mut script, answer.as_bytes())
    };
    let refused = typed("yes\n");
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(said.contains("Type RESTORE to go on"), "{said}");
    assert!(said.contains("nothing was done"), "{said}");
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert_eq!(databases(&cluster), "shop");
    let done = typed("RESTORE\n");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}");
    assert_eq!(databases(&cluster), "copy shop");
}

#[test]
fn a_killed_run_leaves_the_database_as_it_was_and_the_next_clears_up() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let before = cluster.pg_dump("shop", &[]);
    for round in 0..12 {
        let mut child = child("sg-restore")
            .envs(cluster.environment())
            .args([
                "db",
                &file,
                "--to",
                "shop",
                "--yes",
                "--quiet",
                "--drop-old",
            ])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + 60 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        until_alone(&cluster);
        // Killed before the swap or after it, the database is one or the other, and both are whole.
        same(&cluster.pg_dump("shop", &[]), &before);
    }
    let output = sg_restore(
        &cluster,
        &["db", &file, "--to", "shop", "--yes", "--drop-old"],
        "",
    );
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let left = databases(&cluster);
    assert!(!left.contains("restoring"), "{left}");
    same(&cluster.pg_dump("shop", &[]), &before);
}

#[test]
fn what_is_inside_is_listed() {
    let directory = TempDir::new().unwrap();
    let (cluster, file) = shop(directory.path());
    let output = sg_restore(&cluster, &["list", &file], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("20000 rows") && text.contains("public.Order"),
        "{text}"
    );
    let output = sg_restore(&cluster, &["list", &file, "--json"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\"name\":\"public.customer\",\"rows\":2000"),
        "{text}"
    );
    let output = sg_restore(&cluster, &["list", &file, "-0"], "");
    assert!(output.stdout.starts_with(b"public.Order\0"));
}

#[test]
fn globals_bring_what_is_missing_and_leave_what_is_there() {
    let directory = TempDir::new().unwrap();
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE ROLE ann LOGIN PASSWORD 'old'; CREATE ROLE joe; GRANT joe TO ann",
    );
    let dump = cluster.command("pg_dumpall").arg("-g").output().unwrap();
    let file = directory.path().join("globals.sql");
    std::fs::write(&file, dump.stdout).unwrap();
    let file = file.to_str().unwrap();
    cluster.sql("postgres", "DROP ROLE joe; ALTER ROLE ann PASSWORD 'new'");
    let password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'ann'";
    let new = cluster.sql("postgres", password);

    let output = sg_restore(&cluster, &["globals", file, "--yes"], "");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert!(
        words(&output).contains("created 1 role and 0 tablespaces"),
        "{}",
        words(&output)
    );
    assert_eq!(cluster.sql("postgres", password), new);
    assert_eq!(
        cluster.sql("postgres", "SELECT pg_has_role('ann', 'joe', 'MEMBER')"),
        "t"
    );
    let output = sg_restore(&cluster, &["globals", file, "--yes", "--overwrite"], "");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_ne!(cluster.sql("postgres", password), new);
}

#[test]
fn root_needs_no_role_where_only_the_servers_user_is_let_in() {
    if !geteuid().is_root() {
        println!("only root can become somebody else");
        return;
    }
    let directory = TempDir::new().unwrap();
    let (mut cluster, file) = shop(directory.path());
    let owner = Uid::from_raw(fs::metadata(cluster.path()).unwrap().uid());
    let owner = User::from_uid(owner).unwrap().unwrap().name;
    if owner != "postgres" {
        cluster.sql("postgres", &format!("CREATE ROLE {owner} SUPERUSER LOGIN"));
    }
    cluster.sql("postgres", "CREATE ROLE clerk SUPERUSER LOGIN");
    cluster.stop();
    fs::write(cluster.data().join("pg_hba.conf"), "local all all peer\n").unwrap();
    cluster.run(&[]);
    let as_root = |name: &str, user: Option<&str>, arguments: &[&str]| {
        let mut command = program(name);
        command.envs(cluster.environment()).env_remove("PGUSER");
        command
            .envs(user.map(|user| ("PGUSER", user)))
            .args(arguments)
            .output()
            .unwrap()
    };
    let restored = as_root("sg-restore", None, &["db", &file, "--to", "twin", "--yes"]);
    assert_eq!(restored.status.code(), Some(0), "{}", words(&restored));
    let store = directory.path().join("store");
    let store = store.to_str().unwrap();
    let dumped = as_root("sg-dump-db", None, &["--database", "twin", "-d", store]);
    assert_eq!(dumped.status.code(), Some(0), "{}", words(&dumped));
    // Who names another user is taken at his word, and root is not that one.
    let refused = as_root(
        "sg-dump-db",
        Some("clerk"),
        &["--database", "twin", "-d", store],
    );
    assert_eq!(refused.status.code(), Some(77), "{}", words(&refused));
}
