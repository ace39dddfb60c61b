//! A whole application comes back, or all of it is as it was: cut off anywhere, gone on with, taken back.

mod deployment;
mod faults;
mod health;

use crate::backup::Shop;
use crate::support::{install_script, program};
use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

/// A stand-in for systemd: units are files that say whether they run.
const SYSTEMCTL: &str = r#"#!/bin/sh
state=$(dirname "$0")/units
while case "$1" in --*) true;; *) false;; esac; do shift; done
verb=$1; shift
for last; do :; done
case "$verb $*" in
"show --property=Version") echo Version=1 ;;
*ActiveState*) if [ -e "$state/$last" ]; then echo active; else echo inactive; fi ;;
*LoadState*) echo loaded ;;
start*) : >"$state/$last" ;;
stop*) rm -f "$state/$last" ;;
esac
"#;

/// Files by all that is known of them; of directories neither the size, which is the file system's own,
/// nor the time, which each file in them that is replaced changes.
const FILES: &str = r#"
find srv etc/app -path 'srv/shop.before-*' -prune -o -type d -exec stat -c '%n %a %U' {} + | sort
find srv etc/app -path 'srv/shop.before-*' -prune -o -type f -exec stat -c '%n %a %U %s %Y' {} + | sort
find srv etc/app -path 'srv/shop.before-*' -prune -o -type f -exec sha256sum {} + | sort
ls bin/units
"#;

const ROLES: &str =
    "(SELECT string_agg(rolname, ' ' ORDER BY 1) FROM pg_roles WHERE rolname !~ '^pg_')";

impl Shop {
    fn with_units() -> Self {
        let shop = Self::new();
        shop.write("bin/units/shop.service", "");
        install_script(SYSTEMCTL, &shop.path("bin/systemctl"));
        // Well is the application that has its October.
        shop.settings(&format!(
            "SG_UNITS=shop.service\nSG_HEALTH_TIMEOUT=0s\nSG_HEALTH_COMMAND=\"grep -q October {}\"\n",
            shop.path("srv/shop/invoice.txt").display()
        ));
        shop
    }

    fn restore(&self, arguments: &[&str], crash_at: Option<u32>) -> Output {
        let at = crash_at.map(|at| ("SG_CRASH_AT", at.to_string()));
        self.restore_with(arguments, at.as_slice())
    }

    fn restore_with(&self, arguments: &[&str], environment: &[(&str, String)]) -> Output {
        program("sg-restore")
            .current_dir(self.directory.path())
            .envs(self.cluster.environment())
            .env("SG_CONFIG_DIRECTORY", self.path("etc/sg"))
            .env("SG_JOURNAL_DIRECTORY", self.path("journal"))
            .env("SG_JOBS", "2")
            .env_remove("SG_NO_AUDIT")
            .env("SG_AUDIT_FILE", self.path("audit.jsonl"))
            .env(
                "PATH",
                format!(
                    "{}:{}",
                    self.path("bin").display(),
                    std::env::var("PATH").unwrap()
                ),
            )
            .envs(environment.iter().cloned())
            .args(["system", "shop", "--yes"])
            .args(arguments)
            .output()
            .unwrap()
    }

    #[track_caller]
    fn must(&self, arguments: &[&str]) -> String {
        let output = self.restore(arguments, None);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {words}");
        words
    }

    /// Everything there is of the application, by checksums.
    fn state(&self) -> String {
        let dump = self.cluster.pg_dump("shop", &[]);
        let roles = self.cluster.sql("postgres", &format!("SELECT {ROLES}"));
        let dump = String::from_utf8_lossy(&dump);
        format!("{}{roles}\n{dump}", self.files())
    }

    /// The same where it is looked at often: of the database the rows and the owner.
    fn glance(&self) -> String {
        let database = self.cluster.sql(
            "shop",
            &format!(
                "SELECT (SELECT md5(string_agg(o::text, ' ' ORDER BY id)) FROM orders o), \
                 (SELECT relowner::regrole FROM pg_class WHERE oid = 'orders'::regclass), {ROLES}"
            ),
        );
        format!("{}{database}\n", self.files())
    }

    fn files(&self) -> String {
        let output = Command::new("sh")
            .args(["-euc", FILES])
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether a run was cut off at this place, or came through because there are not so many.
    fn is_cut_off(&self, arguments: &[&str], at: u32) -> bool {
        let output = self.restore(arguments, Some(at));
        let words = String::from_utf8_lossy(&output.stderr);
        let killed = output.status.signal() == Some(9);
        assert!(killed || output.status.success(), "at {at}: {words}");
        killed
    }

    /// Takes up the run that was cut off, in one direction or the other; whether there was one. Before
    /// its first line there is none, and only then.
    fn take_up(&self, direction: &str, at: u32) -> bool {
        let output = self.restore(&[direction], None);
        let words = String::from_utf8_lossy(&output.stderr);
        let expected = if at == 1 { 2 } else { 0 };
        assert_eq!(output.status.code(), Some(expected), "at {at}: {words}");
        output.status.success()
    }

    /// As on a host where nothing was restored yet.
    fn forget(&self) {
        // It may be a disk of its own.
        fs::remove_dir_all(self.path("journal/shop")).unwrap();
    }

    /// What restores have left lying about beside the application.
    fn left(&self) -> String {
        let databases = self.cluster.sql(
            "postgres",
            "SELECT coalesce(string_agg(datname, ' '), '') FROM pg_database WHERE datname ~ '^shop_'",
        );
        let trees: Vec<String> = fs::read_dir(self.path("srv"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "shop" && !name.starts_with(".shop.restoring-"))
            .collect();
        format!("{databases}{}", trees.join(" "))
    }

    /// The application lives on after its backup.
    fn live_on(&self) {
        self.write("srv/shop/invoice.txt", "November\n");
        self.write("etc/app/shop.ini", "port = 2\n");
        self.write("etc/app/later.ini", "x\n");
        self.cluster.sql(
            "shop",
            "DELETE FROM orders WHERE id > 100; ALTER TABLE orders OWNER TO postgres; DROP ROLE clerk",
        );
    }
}

#[test]
fn everything_comes_back_and_can_be_put_back_until_the_old_is_given_up() {
    let shop = Shop::with_units();
    shop.backup(&["--marker", "marker"]);
    let then = shop.state();
    shop.live_on();
    let now = shop.state();
    assert_ne!(now, then);

    let words = shop.must(&["--dry-run"]);
    assert!(words.contains("1. stop shop.service"), "{words}");
    assert!(
        words.contains("shop.env") || words.contains("never measured here"),
        "{words}"
    );
    assert_eq!(shop.state(), now);

    shop.must(&["--marker", "marker"]);
    // What came later stays; all else is as it was then.
    fs::rename(shop.path("etc/app/later.ini"), shop.path("later")).unwrap();
    assert_eq!(shop.state(), then);
    fs::rename(shop.path("later"), shop.path("etc/app/later.ini")).unwrap();
    shop.must(&["--rollback"]);
    assert_eq!(shop.state(), now);
    assert_eq!(shop.left(), "");

    let words = shop.must(&[]);
    assert!(words.contains("; the restore of 2"), "{words}");
    assert_ne!(shop.left(), "");
    shop.must(&["--drop-old"]);
    assert_eq!(shop.left(), "");
    let output = shop.restore(&["--rollback"], None);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    // Who did all that is told, each with its end, and the last that it failed.
    let trail = fs::read_to_string(shop.path("audit.jsonl")).unwrap();
    let lines: Vec<Value> = trail
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |field: &str| -> Vec<&str> {
        let field = lines.iter().map(|line| line[field].as_str().unwrap());
        field.collect()
    };
    let done = ["begun", "done"];
    assert_eq!(
        told("result"),
        [done, done, done, done, ["begun", "failed"]].concat()
    );
    assert!(told("action").iter().all(|action| *action == "restore"));
    assert!(told("app").iter().all(|app| *app == "shop"));
    assert!(told("detail")[0].contains("db_shop_"), "{trail}");
    assert!(told("detail")[2].contains("taken back"), "{trail}");
    assert!(told("detail")[6].contains("given up"), "{trail}");
}

#[test]
fn an_application_that_is_not_well_afterwards_is_put_back() {
    let shop = Shop::with_units();
    shop.write("srv/shop/invoice.txt", "September\n");
    shop.backup(&[]);
    shop.write("srv/shop/invoice.txt", "October\n");
    shop.live_on();
    let now = shop.state();
    let output = shop.restore(&[], None);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("not well") && words.contains("everything is as it was before"),
        "{words}"
    );
    assert_eq!(shop.state(), now);
    assert_eq!(shop.left(), "");
}

#[test]
fn everything_in_the_way_is_told_at_once() {
    let shop = Shop::with_units();
    let paths = shop.backup(&[]);
    fs::remove_file(&paths[2]).unwrap();
    shop.cluster
        .sql("shop", "DROP TABLE orders; DROP ROLE clerk");
    let now = shop.state();
    let output = shop.restore(&["--skip-globals"], None);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{words}");
    assert!(words.contains("volume 'files' has no backup"), "{words}");
    assert!(words.contains("roles are missing: clerk"), "{words}");
    assert_eq!(shop.state(), now);
    shop.must(&["--only", "globals", "--only", "db:shop"]);
    assert_eq!(
        shop.cluster.sql("shop", "SELECT count(*) FROM orders"),
        "500"
    );
}

/// Each place where a run can be cut off, until one comes through.
#[test]
fn cut_off_anywhere_it_can_be_taken_back() {
    let shop = Shop::with_units();
    shop.backup(&[]);
    shop.live_on();
    let now = shop.glance();
    let places = (1..)
        .take_while(|&at| shop.is_cut_off(&[], at))
        .inspect(|&at| {
            shop.take_up("--rollback", at);
            assert_eq!(shop.glance(), now, "taken back after {at}");
            assert_eq!(shop.left(), "", "taken back after {at}");
            shop.forget();
        })
        .count();
    assert!(places > 20, "{places}");
    // And in the middle of them: rows that are sent, files that are written.
    shop.must(&["--rollback"]);
    shop.forget();
    let places = (1..)
        .take_while(|&at| {
            let within = ("SG_CRASH_WITHIN", at.to_string());
            let output = shop.restore_with(&[], &[within]);
            let words = String::from_utf8_lossy(&output.stderr);
            let killed = output.status.signal() == Some(9);
            assert!(killed || output.status.success(), "within {at}: {words}");
            killed
        })
        .inspect(|&at| {
            shop.must(&["--rollback"]);
            assert_eq!(shop.glance(), now, "taken back within {at}");
            assert_eq!(shop.left(), "", "taken back within {at}");
            shop.forget();
        })
        .count();
    assert!(places > 5, "{places}");
}

/// The same, and each place on the way back as well.
#[test]
fn cut_off_anywhere_it_can_be_gone_on_with() {
    let shop = Shop::with_units();
    shop.backup(&[]);
    shop.live_on();
    let now = shop.glance();
    shop.must(&[]);
    let then = shop.glance();
    assert_ne!(then, now);
    shop.must(&["--rollback"]);
    shop.forget();
    let mut way_back = 1..;
    let mut places_back = None;
    let places = (1..)
        .take_while(|&at| shop.is_cut_off(&[], at))
        .inspect(|&at| {
            if !shop.take_up("--resume", at) {
                return;
            }
            assert_eq!(shop.glance(), then, "gone on with after {at}");
            if places_back.is_none() {
                let back_at = way_back.next().unwrap();
                if !shop.is_cut_off(&["--rollback"], back_at) {
                    places_back = Some(back_at - 1);
                }
            }
            shop.must(&["--rollback"]);
            assert_eq!(shop.glance(), now, "after {at}");
            assert_eq!(shop.left(), "", "after {at}");
            shop.forget();
        })
        .count();
    assert!(places > 20, "{places}");
    // The way back is the shorter one, so it was cut off everywhere.
    assert!(
        places_back.is_some_and(|places| places > 10),
        "{places_back:?}"
    );
}
