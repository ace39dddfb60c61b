//! What sg-verify --policy says of a store: each thing that is wrong by its name and severity, and nothing
//! of a store that is as it should be.

use crate::support::{program, scratch, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sg::catalog::{Catalog, Source};
use sg::manifest::content::{Database, Table};
use sg::manifest::{Content, Label, Manifest};
use sg::monitor::{Severity, Silent};
use sg::policy::{Circumstances, Policy};
use sg::retention::Rules;
use sg::store::{BackupName, Local};
use sg::stream::Facts;
use std::fs;
use std::io::Write;
use std::path::Path;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A table, and how many rows it has.
type Rows = (&'static str, u64);

fn now() -> Timestamp {
    time("2026-11-21T07:00:00Z")
}

/// A dump of `shop`, made `hours` ago: its content's length, and its tables with their rows.
fn dump(store: &Local, hours: i64, content_bytes: u64, tables: &[(&str, u64)]) {
    let made = now() - HOUR * i32::try_from(hours).unwrap();
    let name = BackupName::new("db", "shop", made, ".sql.gz").unwrap();
    let body = vec![b'x'; 1000];
    let table = |(name, rows): &(&str, u64)| Table {
        schema: "public".to_owned(),
        name: (*name).to_owned(),
        columns: Vec::new(),
        condition: None,
        rows: *rows,
        digest: "0".repeat(32),
        bytes: 0,
    };
    let database = Database {
        database: "shop".to_owned(),
        tables: tables.iter().map(table).collect(),
        ..Database::default()
    };
    let label = Label {
        tool: "test 1".to_owned(),
        app: Some("web".to_owned()),
        reason: None,
        git: None,
    };
    let facts = Facts {
        bytes: body.len() as u64,
        sha256: "0".repeat(64),
        content_bytes,
    };
    let content = Content::Database(Box::new(database));
    let gzip = "gzip".parse().unwrap();
    let mut manifest = Manifest::new(&label, &name, gzip, &facts, content, Vec::new());
    manifest.finished = made + SignedDuration::from_mins(5);
    let mut pending = store.begin(&name).unwrap();
    pending.write_all(&body).unwrap();
    pending.commit(&manifest.encode().unwrap()).unwrap();
}

fn policy() -> Policy {
    Policy {
        rpo: HOUR * 30,
        begun: Some(now() - HOUR * 4),
        expected: Vec::new(),
        tables: Vec::new(),
        files: Vec::new(),
        least: 3,
        keep: Rules {
            daily: 7,
            ..Rules::default()
        },
        shrink: 50,
        growth: 200,
        duration: SignedDuration::from_mins(30),
        size: 200,
    }
}

/// Severity and name of what is found, without the journal of who made the first one.
fn judged(store: &Local, policy: &Policy) -> Vec<(Severity, String)> {
    judged_with(store, policy, None, Some(1 << 30))
}

fn judged_with(
    store: &Local,
    policy: &Policy,
    first: Option<Timestamp>,
    free: Option<u64>,
) -> Vec<(Severity, String)> {
    let circumstances = Circumstances {
        now: now().to_zoned(TimeZone::UTC),
        free,
        first: &|_: &Source| first,
        jobs: 1,
    };
    let backups = Catalog::read(store).unwrap().backups;
    let judgement = policy.judge(&backups, &circumstances, &Silent).unwrap();
    for note in &judgement.findings {
        assert!(note.hint.is_some(), "{note}");
    }
    let told = judgement.findings.into_iter();
    told.map(|note| (note.severity, note.code)).collect()
}

/// A sound week: one dump each night, growing a little.
fn week(path: &Path) -> Local {
    let store = Local::open(path);
    for day in (0..7).rev() {
        dump(
            &store,
            3 + 24 * day,
            10_000 - 10 * day as u64,
            &[("orders", 1000)],
        );
    }
    store
}

#[test]
fn a_sound_week_is_no_finding() {
    let directory = scratch();
    assert_eq!(judged(&week(directory.path()), &policy()), []);
}

#[test]
fn the_first_nights_of_an_application_are_no_finding() {
    for nights in 1..=4 {
        let directory = scratch();
        let store = Local::open(directory.path());
        for night in (0..nights).rev() {
            dump(&store, 3 + 24 * night, 10_000, &[("orders", 1000)]);
        }
        assert_eq!(judged(&store, &policy()), [], "{nights}");
    }
}

#[test]
fn a_store_that_was_emptied_is_not_a_new_one() {
    let directory = scratch();
    let store = Local::open(directory.path());
    dump(&store, 3, 10_000, &[("orders", 1000)]);
    let first = Some(now() - HOUR * 24 * 40);
    assert_eq!(
        judged_with(&store, &policy(), first, None),
        [(Severity::Medium, "too-few".to_owned())]
    );
    // Unless the rules leave no more.
    let one = Policy {
        keep: Rules {
            last: 1,
            ..Rules::default()
        },
        ..policy()
    };
    assert_eq!(judged_with(&store, &one, first, None), []);
    let weekly = Policy {
        keep: Rules {
            weekly: 4,
            ..Rules::default()
        },
        ..policy()
    };
    let young = Some(now() - HOUR * 24 * 5);
    assert_eq!(judged_with(&store, &weekly, young, None), []);
}

/// One thing is wrong, and nothing else is said.
#[track_caller]
fn only(store: &Local, policy: &Policy, severity: Severity, code: &str) {
    assert_eq!(judged(store, policy), [(severity, code.to_owned())]);
}

#[test]
fn each_thing_that_is_wrong_has_its_name() {
    use Severity::{Critical, High, Low, Medium};
    let tables = [("orders", 1000)];

    let old = scratch();
    let store = Local::open(old.path());
    for day in 0..7 {
        dump(&store, 31 + 24 * day, 10_000, &tables);
    }
    only(&store, &policy(), Critical, "stale");

    let yesterday = scratch();
    let store = Local::open(yesterday.path());
    for day in 0..7 {
        dump(&store, 27 + 24 * day, 10_000, &tables);
    }
    only(&store, &policy(), Critical, "not-from-this-run");
    let by_hand = Policy {
        begun: None,
        ..policy()
    };
    assert_eq!(judged(&store, &by_hand), []);

    let cases: [(u64, &[Rows], Severity, &str); 4] = [
        (4_900, &[("orders", 1000)], High, "shrunk"),
        (10_000, &[("orders", 499)], High, "rows-dropped"),
        (30_100, &[("orders", 1000)], Low, "grown"),
        (10_000, &[], High, "rows-dropped"),
    ];
    for (bytes, tables, severity, code) in cases {
        let directory = scratch();
        let store = week(directory.path());
        dump(&store, 2, bytes, tables);
        only(&store, &policy(), severity, code);
    }
    let cases: [(u64, &[Rows]); 2] = [
        (5_000, &[("orders", 500)]),
        (30_000, &[("orders", 100_000)]),
    ];
    for (bytes, tables) in cases {
        let directory = scratch();
        let store = week(directory.path());
        dump(&store, 2, bytes, tables);
        assert_eq!(judged(&store, &policy()), [], "{bytes}: just within");
    }

    let directory = scratch();
    let store = week(directory.path());
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        policy
    };
    let tables = with(&|policy| policy.tables = vec!["orders".into(), "public.orders".into()]);
    assert_eq!(judged(&store, &tables), []);
    let gone = with(&|policy| policy.tables = vec!["orders".into(), "audit.orders".into()]);
    only(&store, &gone, High, "table-missing");
    let gone = with(&|policy| policy.files = vec!["invoices/*.pdf".into()]);
    only(&store, &gone, High, "file-missing");
    let slow = with(&|policy| policy.duration = SignedDuration::from_mins(4));
    only(&store, &slow, Low, "slow");
    let small = with(&|policy| policy.size = 1001);
    only(&store, &small, High, "too-small");
    let none = with(&|policy| {
        policy.expected = vec![
            ("volume".into(), "files".into()),
            ("db".into(), "shop".into()),
        ];
    });
    only(&store, &none, Critical, "no-backup");
    let fewer = with(&|policy| policy.keep.daily = 2);
    only(&store, &fewer, Medium, "too-many");
    assert_eq!(
        judged_with(&store, &policy(), None, Some(1199)),
        [(Medium, "space-low".to_owned())]
    );
    // Of a source that is backed up no more nothing fresh is expected.
    let retired = with(&|policy| {
        policy.expected = vec![("db".into(), "other".into())];
        policy.begun = Some(now());
    });
    only(&store, &retired, Critical, "no-backup");

    let body = fs::read_dir(directory.path()).unwrap().flatten();
    let mut bodies: Vec<_> = body
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(".sql.gz"))
        .collect();
    bodies.sort();
    // Of an older one people heard when it was found.
    fs::write(&bodies[0], "short").unwrap();
    assert_eq!(judged(&store, &policy()), []);
    fs::write(&bodies[6], "short").unwrap();
    assert_eq!(
        judged(&store, &policy()),
        [
            (Critical, "not-from-this-run".to_owned()),
            (Critical, "damaged".to_owned())
        ]
    );
}

/// The program, with a store of its own and a trail.
#[test]
fn the_program_says_it_for_people_and_for_programs() {
    let (place, tree) = (scratch(), scratch());
    fs::write(tree.path().join("invoice.pdf"), vec![7; 3000]).unwrap();
    let store = place.path().join("store");
    let trail = place.path().join("audit.jsonl");
    let archive = || {
        program("sg-archive-volume")
            .arg("--directory")
            .arg(&store)
            .args(["--name", "files", "--app", "web", "--kind", "minio"])
            .arg(tree.path())
            .assert()
            .success();
    };
    let verify = |more: &[&str]| {
        let run = program("sg-verify")
            .env("SG_AUDIT_FILE", &trail)
            .args(["--new", "--policy", "--json", "--app", "web", "--directory"])
            .arg(&store)
            .args(more)
            .output()
            .unwrap();
        let lines: Vec<Value> = String::from_utf8(run.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let said = String::from_utf8(run.stderr).unwrap();
        (run.status.code().unwrap(), lines, said)
    };
    archive();
    let files = [
        "--expect-files",
        "*.pdf",
        "--expect-volumes",
        "files=/srv/files",
    ];
    let (status, lines, said) = verify(&files);
    assert_eq!((status, lines.len()), (0, 2), "{said}");
    let (status, lines, said) = verify(&["--expect-files", "*.pdf **/none.txt"]);
    assert_eq!((status, lines.len()), (3, 1), "{said}");
    let finding = &lines[0]["policy"]["findings"][0];
    assert_eq!(finding["severity"], "high");
    assert_eq!(finding["code"], "file-missing");
    assert_eq!(finding["subject"], "**/none.txt");
    assert!(finding["hint"].as_str().is_some());
    assert!(
        said.contains("high: **/none.txt: no newest archive"),
        "{said}"
    );
    assert!(said.contains("\nhint: "), "{said}");

    // Yesterday's file does not pass for tonight's.
    let mark = place.path().join("begun");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    fs::write(&mark, "").unwrap();
    let (status, lines, said) = verify(&["--run-mark", mark.to_str().unwrap()]);
    assert_eq!(status, 3, "{said}");
    assert_eq!(
        lines[0]["policy"]["findings"][0]["code"],
        "not-from-this-run"
    );
}

#[test]
fn older_ones_are_read_again_in_turn() {
    let (place, tree) = (scratch(), scratch());
    fs::write(tree.path().join("file"), "content").unwrap();
    let names: Vec<String> = (0..5).map(|n| format!("v{n}")).collect();
    for name in &names {
        program("sg-archive-volume")
            .arg("--directory")
            .arg(place.path())
            .args(["--name", name])
            .arg(tree.path())
            .assert()
            .success();
    }
    let verify = |more: &[&str]| -> Vec<String> {
        let run = program("sg-verify")
            .args(["--new", "--directory"])
            .arg(place.path())
            .args(more)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        let text = String::from_utf8(run.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    assert_eq!(verify(&["--subset", "1/5"]).len(), 5, "all are new");
    assert_eq!(verify(&[]).len(), 0);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let part = verify(&["--subset", "2/5"]);
        assert_eq!(part.len(), 2);
        seen.extend(part);
    }
    let all: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!(all.len(), 5, "{seen:?}");
    // No time: none is begun, and none is lost.
    assert_eq!(verify(&["--subset", "5/5", "--time-limit", "1ns"]).len(), 0);
    assert_eq!(verify(&["--subset", "1/5"]), [seen[1].clone()]);
}
