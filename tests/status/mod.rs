//! sg-status: what it says of real stores, settings, drills and incidents, to whom, and in which form.

mod files;
mod monitoring;

use crate::support::{backup, manifest, program, scratch};
use assert_cmd::Command;
use jiff::{SignedDuration, Timestamp};
use sg::manifest::Proof;
use sg::manifest::proof::Check;
use sg::store::{BackupName, Local};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// A host with settings and a store; nothing of the real one is looked at.
struct Host(TempDir);

impl Host {
    /// A shop with a database and a volume, backed up two hours ago and in the nights before, each read
    /// back, and what `settings` say besides.
    fn new(settings: &str) -> Self {
        let host = Self(scratch());
        for directory in ["etc", "store", "drills", "alerts"] {
            fs::create_dir(host.path(directory)).unwrap();
        }
        host.configure(
            "shop",
            &format!("SG_DATABASE=shop\nSG_VOLUMES=\"shop-files=/srv/the shop\"\n{settings}"),
        );
        for night in (0..5).rev() {
            host.backup(Some("shop"), "db", "shop", hours(2 + 24 * night));
            host.backup(Some("shop"), "volume", "shop-files", hours(2 + 24 * night));
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn configure(&self, app: &str, settings: &str) {
        fs::write(self.path(&format!("etc/{app}.conf")), settings).unwrap();
    }

    /// Makes a backup that was read back.
    fn backup(&self, app: Option<&str>, kind: &str, name: &str, old: SignedDuration) -> PathBuf {
        let store = Local::open(&self.path("store"));
        let name = BackupName::new(kind, name, Timestamp::now() - old, ".sql.gz").unwrap();
        let path = backup(&store, &name, app, b"a backup");
        let proof = Proof {
            sha256: manifest(&name, app, b"a backup").sha256,
            verified: Some(Check {
                at: Timestamp::now(),
                tool: "test 1".to_owned(),
                sound: true,
                findings: Vec::new(),
                since: None,
            }),
            restored: None,
        };
        store
            .write_beside(&name.proof(), &proof.encode().unwrap())
            .unwrap();
        path
    }

    /// The program, as it is called on this host.
    fn status(&self, arguments: &[&str]) -> Command {
        let mut command = program("sg-status");
        for (option, place) in [
            ("--directory", "store"),
            ("--config-directory", "etc"),
            ("--drills", "drills"),
            ("--state-directory", "alerts"),
        ] {
            command.arg(option).arg(self.path(place));
        }
        // What systemd says of the real host is not ours.
        command.env("PATH", "/nowhere").env("LC_ALL", "C.UTF-8");
        command.args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.status(arguments).output().unwrap()
    }
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The answer of a plugin, after it was held against the guidelines: one line, and performance data of
/// the form 'label'=value[unit];[warn];[crit];[min];[max].
#[track_caller]
fn answer(output: &Output, status: i32, begin: &str) -> String {
    let line = text(&output.stdout);
    assert_eq!(output.status.code(), Some(status), "{line}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(line.starts_with(begin), "{line}");
    assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
    let (_, figures) = line.trim_end().split_once(" | ").unwrap_or_default();
    let number = r"-?[0-9]+(\.[0-9]+)?";
    let figure = format!("^'[^'=]+'={number}(s|B)?(;({number})?){{0,4}}$");
    let figure = regex_lite::Regex::new(&figure).unwrap();
    for each in figures
        .split(" '")
        .enumerate()
        .filter(|(_, each)| !each.is_empty())
    {
        let each = if each.0 == 0 {
            each.1.to_owned()
        } else {
            format!("'{}", each.1)
        };
        assert!(figure.is_match(&each), "{each}");
    }
    line
}

#[test]
fn a_plugin_answers_in_one_line_with_its_own_statuses() {
    let host = Host::new("");
    let line = answer(&host.output(&["--check"]), 0, "SG OK: 1 application, ");
    for figure in ["'shop age'=72", "s;;108000;0 ", "'shop size'=16B;;;0"] {
        assert!(line.contains(figure), "'{figure}' in {line}");
    }
    answer(&host.output(&["--check", "--app", "shop"]), 0, "SG OK: ");

    host.configure("shop", "SG_DATABASE=shop\nSG_RPO=1h\nSG_MAX_AGE=3h");
    let line = answer(
        &host.output(&["--check"]),
        1,
        "SG WARNING: shop: db shop: the newest backup is 2 h",
    );
    assert!(line.contains("s;3600;10800;0"), "{line}");
    host.configure("shop", "SG_DATABASE='shop other'\nSG_MAX_AGE=1h");
    let line = answer(&host.output(&["--check"]), 2, "SG CRITICAL: shop: ");
    assert!(line.contains("(and 1 more problem)"), "{line}");
}

#[test]
fn a_plugin_that_can_not_know_says_so() {
    let host = Host::new("");
    answer(
        &host.output(&["--check", "--nonsense"]),
        3,
        "SG UNKNOWN: unexpected argument '--nonsense'",
    );
    answer(
        &host.output(&["--check", "--app", "shoop"]),
        3,
        "SG UNKNOWN: there is no application 'shoop'",
    );
    fs::create_dir(host.path("etc/press.conf")).unwrap();
    answer(&host.output(&["--check"]), 3, "SG UNKNOWN: cannot read '");
    fs::remove_dir(host.path("etc/press.conf")).unwrap();
    fs::rename(host.path("store"), host.path("gone")).unwrap();
    let line = answer(
        &host.output(&["--check"]),
        3,
        "SG UNKNOWN: cannot read the store '",
    );
    assert!(line.contains("No such file"), "{line}");
    // Elsewhere the statuses are those of all programs.
    assert_eq!(host.output(&[]).status.code(), Some(74));
    assert_eq!(host.output(&["--nonsense"]).status.code(), Some(2));
}

#[test]
fn settings_say_what_is_waited_for() {
    let host = Host::new("");
    // What nobody asks for any more, of this application and of one that is gone.
    host.backup(Some("shop"), "db", "before", hours(24 * 90));
    host.backup(Some("gone"), "db", "gone", hours(24 * 90));
    assert_eq!(host.output(&["--json"]).status.code(), Some(0));
    let of = |name: &str| -> serde_json::Value {
        let object: serde_json::Value =
            serde_json::from_slice(&host.output(&["--json"]).stdout).unwrap();
        let apps = object["applications"].as_array().unwrap().clone();
        apps.into_iter().find(|app| app["app"] == name).unwrap()
    };
    let wanted = |app: &serde_json::Value| -> Vec<(String, bool)> {
        let sources = app["sources"].as_array().unwrap().iter();
        let mut sources: Vec<_> = sources
            .map(|source| {
                (
                    source["name"].as_str().unwrap().to_owned(),
                    source["wanted"].as_bool().unwrap(),
                )
            })
            .collect();
        sources.sort();
        sources
    };
    let expected = [("before", false), ("shop", true), ("shop-files", true)];
    assert_eq!(
        wanted(&of("shop")),
        expected.map(|(name, wanted)| (name.to_owned(), wanted))
    );
    assert_eq!(wanted(&of("gone")), [("gone".to_owned(), false)]);
    assert_eq!(of("gone")["state"], "ok");

    // All databases: what the last run passed over is there no more.
    host.configure("shop", "SG_ALL=yes");
    assert_eq!(wanted(&of("shop"))[0], ("before".to_owned(), false));
    assert_eq!(wanted(&of("shop"))[1], ("shop".to_owned(), true));

    // Of what there is nothing yet.
    host.configure("press", "SG_GLOBALS=yes\nSG_VOLUMES='a=/srv/a b=/srv/b c'");
    let press = of("press");
    let names: Vec<String> = wanted(&press).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "main"]);
    assert_eq!(press["state"], "critical");
    assert_eq!(press["problems"][0]["code"], "no-backup");
    assert_eq!(host.output(&["--json"]).status.code(), Some(3));

    // Without any settings everything counts.
    for app in ["shop", "press"] {
        fs::remove_file(host.path(&format!("etc/{app}.conf"))).unwrap();
    }
    assert_eq!(of("gone")["state"], "critical");
}

#[test]
fn goals_come_from_files_and_wrong_ones_are_told() {
    let host = Host::new("SG_RTO='1h 30min'\nSG_MAX_AGE=soon\n");
    fs::write(
        host.path("etc/sg.conf"),
        "SG_RPO=26h\nSG_KEEP_DAILY=seven\n",
    )
    .unwrap();
    let object: serde_json::Value =
        serde_json::from_slice(&host.output(&["--json"]).stdout).unwrap();
    let shop = &object["applications"][0];
    assert_eq!(shop["rpo"], 26 * 3600);
    assert_eq!(shop["max_age"], 26 * 4500, "a quarter more");
    assert_eq!(shop["rto"], 5400);
    let wrong = object["problems"].as_array().unwrap();
    let wrong: Vec<&str> = wrong
        .iter()
        .map(|problem| problem["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        wrong,
        [
            "SG_MAX_AGE=soon is not understood",
            "SG_KEEP_DAILY=seven is not understood"
        ]
    );
}

#[test]
fn drills_and_open_failures_are_seen() {
    let host = Host::new("SG_RTO=1h");
    let report = |outcome: &str| {
        let at = Timestamp::now() - hours(24);
        let report = format!(
            r#"{{"format": 1, "app": "shop", "started": "{at}", "verdict": "{outcome}",
                "rto": {{"seconds": 90.5, "target": 3600, "met": true}}, "sources": [], "findings": []}}"#
        );
        fs::write(host.path("drills/shop_20261120_043000.json"), report).unwrap();
    };
    report("proven");
    let line = answer(&host.output(&["--check"]), 0, "SG OK");
    assert!(line.contains("'shop recovery'=90.500s;;3600;0"), "{line}");
    report("damaged");
    answer(
        &host.output(&["--check"]),
        2,
        "SG CRITICAL: shop: restore drill: ",
    );
    report("proven");
    // As sg-alert remembers it, for no channel is set up.
    program("sg-alert")
        .args(["sg-dump-db@shop.service", "--state-directory"])
        .arg(host.path("alerts"))
        .arg("--config-directory")
        .arg(host.path("etc"))
        .args([
            "--to",
            "night@example.org",
            "--smtp-url",
            "smtp://127.0.0.1:9",
            "--timeout",
            "1s",
        ])
        .assert()
        .success();
    let line = answer(
        &host.output(&["--check"]),
        2,
        "SG CRITICAL: shop: sg-dump-db@shop.service: ",
    );
    assert!(line.contains("database dump failed"), "{line}");
}

/// What a terminal gets.
fn on_terminal(host: &Host, variables: &[(&str, &str)]) -> String {
    let mut line = vec![
        assert_cmd::cargo::cargo_bin("sg-status")
            .display()
            .to_string(),
    ];
    for (option, place) in [
        ("--directory", "store"),
        ("--config-directory", "etc"),
        ("--drills", "drills"),
        ("--state-directory", "alerts"),
    ] {
        line.push(format!("{option} {}", host.path(place).display()));
    }
    let output = Command::new("script")
        .args(["-qec", &line.join(" "), "/dev/null"])
        .env("TZ", "UTC")
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

#[test]
fn people_see_colours_on_a_terminal_alone() {
    let host = Host::new("");
    let utf8 = ("LC_ALL", "C.UTF-8");
    let coloured = on_terminal(&host, &[utf8, ("NO_COLOR", "")]);
    assert!(coloured.contains("\x1b[32m✔\x1b[0m"), "{coloured}");
    let plain = on_terminal(&host, &[utf8, ("NO_COLOR", "1")]);
    assert!(!plain.contains('\x1b') && plain.contains('✔'), "{plain}");
    let ascii = on_terminal(&host, &[("LC_ALL", "C"), ("NO_COLOR", "1")]);
    assert!(ascii.is_ascii() && ascii.contains("\n+  shop "), "{ascii}");
    let piped = text(&host.output(&[]).stdout);
    assert!(!piped.contains('\x1b'));
    let line = piped.lines().find(|line| line.contains("shop")).unwrap();
    for word in ["✔  shop ", " 2h ", " 30h ", " 16 B ", "█████"] {
        assert!(line.contains(word), "'{word}' in\n{piped}");
    }
    assert!(!piped.contains("volume shop-files"));
    assert!(text(&host.output(&["--app", "shop"]).stdout).contains("volume shop-files"));
}

#[test]
fn a_store_of_its_own_is_looked_into() {
    let host = Host::new("");
    let own = host.path("own");
    fs::create_dir(&own).unwrap();
    let name = BackupName::new("db", "press", Timestamp::now() - hours(1), ".sql.gz").unwrap();
    backup(&Local::open(&own), &name, Some("press"), b"a backup");
    host.configure(
        "press",
        &format!("SG_DATABASE=press\nSG_DIRECTORY='{}'", own.display()),
    );
    host.configure(
        "sg",
        &format!("SG_DIRECTORY={}", host.path("store").display()),
    );
    let mut command = program("sg-status");
    command
        .args(["--json", "--config-directory"])
        .arg(host.path("etc"));
    command.arg("--drills").arg(host.path("drills"));
    command
        .arg("--state-directory")
        .arg(host.path("alerts"))
        .env("PATH", "/nowhere");
    let object: serde_json::Value =
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let stores = object["stores"].as_array().unwrap().len();
    assert_eq!((stores, &object["state"]), (2, &"ok".into()), "{object}");
    // One that is not there is the problem of its applications, not of the others.
    fs::remove_dir_all(&own).unwrap();
    let object: serde_json::Value =
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(object["problems"][0]["code"], "store-unreadable");
    let states: Vec<&serde_json::Value> = object["applications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|app| &app["state"])
        .collect();
    assert_eq!(states, ["critical", "ok"]);
}

/// What is in `path`, which must be there.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
