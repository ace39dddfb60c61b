//! Sound backups are proven, whatever is in them; the proof is recorded and the report fits its schema.

use super::Place;
use crate::restore::database::SHOP;
use crate::support::postgres::Cluster;
use crate::support::program;
use sg::catalog::Catalog;
use sg::drill::{Report, Restored, Verdict};
use sg::store::Local;
use std::fs;
use std::path::Path;
use std::process::Command;

const SCHEMA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/packaging/schema/drill-report.schema.json"
);

/// Fails unless python's jsonschema finds that each report in `directory` fits the schema.
fn fits_schema(directory: &Path) {
    let script = "
import glob, json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
# An older one knows older drafts, of which the schema uses nothing that has changed.
Validator = getattr(jsonschema, 'Draft202012Validator', jsonschema.Draft7Validator)
Validator.check_schema(schema)
files = glob.glob(sys.argv[2] + '/*.json')
assert files
for file in files:
    Validator(schema).validate(json.load(open(file)))
";
    let output = Command::new("python3")
        .args(["-W", "ignore", "-c", script, SCHEMA])
        .arg(directory)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
}

/// A tree with everything that a tree can have.
fn plant(tree: &Path) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    fs::create_dir_all(tree.join("a/b/empty")).unwrap();
    fs::write(tree.join("a/small"), "small").unwrap();
    fs::write(tree.join("a/b/none"), "").unwrap();
    fs::write(tree.join("large"), vec![7u8; 3 << 20]).unwrap();
    fs::write(tree.join("a/späße"), "ä").unwrap();
    symlink("a/small", tree.join("link")).unwrap();
    fs::hard_link(tree.join("a/small"), tree.join("again")).unwrap();
    let closed = tree.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("file"), "closed").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
}

#[test]
fn sound_backups_of_an_application_are_proven_and_recorded() {
    let cluster = Cluster::with(
        &["--encoding=UTF8", "--locale=C.UTF-8"],
        &["log_connections=on"],
    );
    let place = Place::new();
    let elsewhere = cluster.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    cluster.give_to_server(&elsewhere);
    cluster.sql(
        "postgres",
        &format!(
            "CREATE ROLE clerk LOGIN PASSWORD 'secret'; CREATE ROLE \"The Boss\" IN ROLE clerk;
             ALTER ROLE clerk SET statement_timeout = '10s';
             CREATE TABLESPACE elsewhere LOCATION '{}';",
            elsewhere.display()
        ),
    );
    cluster.create("shop", &[]);
    cluster.sql("shop", SHOP);
    cluster.sql(
        "shop",
        "CREATE EXTENSION hstore; ALTER TABLE customer OWNER TO \"The Boss\";
         CREATE TABLE far (id int GENERATED ALWAYS AS IDENTITY, h hstore) TABLESPACE elsewhere;
         INSERT INTO far (h) VALUES ('a=>1'); GRANT SELECT ON far TO clerk;
         ALTER DATABASE shop SET work_mem = '8MB';",
    );
    cluster.create("empty", &[]);
    cluster.create(
        "old",
        &["--encoding=LATIN1", "--locale=C", "--template=template0"],
    );
    cluster.sql(
        "old",
        "CREATE TABLE \"Grüße\" AS SELECT 'Straße'::text AS t",
    );
    place.dump(
        &cluster,
        &[
            "--globals",
            "--database=shop",
            "--database=empty",
            "--database=old",
        ],
    );
    // One that bears the name of a server's own.
    cluster.sql("postgres", "CREATE TABLE t AS SELECT 1 AS n");
    place.dump(&cluster, &["--database=postgres"]);
    let tree = super::scratch();
    plant(tree.path());
    place.archive("files", tree.path());
    place.archive("none", super::scratch().path());

    // Production's own variables don't lead there.
    let connections = || cluster.log().matches("connection received").count();
    let talked = connections();
    assert!(talked > 0);
    let mut command = place.command();
    command.envs(cluster.environment()).args([
        "--app=shop",
        "--database=shop empty old postgres",
        "--globals",
        "--volume=files=/srv/files",
        "--volume=none=/srv/none",
        "--rto=10h",
        "--rpo=10h",
    ]);
    let trail = place.reports.path().join("audit.jsonl");
    command
        .env_remove("SG_NO_AUDIT")
        .env("SG_AUDIT_FILE", &trail);
    let drilled = place.run(&mut command);
    assert_eq!(drilled.status, 0, "{}", drilled.words);
    assert_eq!(connections(), talked, "production was contacted");
    let report = &drilled.report;
    assert_eq!(report.verdict, Verdict::Proven);
    assert_eq!(report.sources.len(), 7, "{}", drilled.words);
    assert_eq!(report.sources[0].kind, "globals");
    assert_eq!((report.rto.met, report.rpo.met), (Some(true), Some(true)));
    let shop = report.sources.iter().find(|source| source.name == "shop");
    let restored = shop.unwrap().restored.clone();
    let Some(Restored::Database {
        sequences,
        rows,
        large_objects,
        extensions,
        ..
    }) = restored
    else {
        panic!("{restored:?}");
    };
    assert_eq!((sequences, large_objects, extensions), (2, 1, 2));
    assert!(rows > 60_000);
    assert!(
        elsewhere.read_dir().unwrap().count() <= 1,
        "a tablespace of production was used"
    );

    fits_schema(place.reports.path());
    let written = place.reports.path().join(format!("{}.json", report.id));
    let written: Report = serde_json::from_slice(&fs::read(&written).unwrap()).unwrap();
    assert_eq!(&written, report);
    let text = place.reports.path().join(format!("{}.txt", report.id));
    let text = fs::read_to_string(text).unwrap();
    assert!(
        text.starts_with("Restore drill of shop: PROVEN\n")
            && text.contains(&format!("\nreport     {}\n", report.id))
            && text.contains("\nproven     7 of 7 backups\n"),
        "{text}"
    );

    // A line of the audit trail for each, and one for the drill.
    let trail = fs::read_to_string(trail).unwrap();
    let lines: Vec<&str> = trail.lines().collect();
    assert_eq!(lines.len(), 8, "{trail}");
    let drills = lines
        .iter()
        .filter(|line| line.contains(r#""action":"drill","result":"done""#));
    assert_eq!(drills.count(), 8, "{trail}");
    // Which vouches for the report, as sha256sum has it.
    let json = place.reports.path().join(format!("{}.json", report.id));
    let sum = Command::new("sha256sum").arg(&json).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let sum = sum.split(' ').next().unwrap();
    assert_eq!(sum.len(), 64, "{sum}");
    let vouched = format!(r#""sha256":"{sum}""#);
    assert!(
        lines[7].contains(&vouched) && lines[7].contains(&report.id),
        "{trail}"
    );

    // The proof stands beside each, and lists show it.
    let catalog = Catalog::read(&Local::open(place.store.path())).unwrap();
    assert_eq!(catalog.backups.len(), 7);
    assert!(
        catalog
            .backups
            .iter()
            .all(|backup| backup.proven().is_some())
    );
    let list = |arguments: &[&str]| {
        let mut command = program("sg-list");
        command.arg("--directory").arg(place.store.path());
        let output = command.args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(list(&["--proven"]).lines().count(), 7);
    let table = list(&["--table"]);
    assert_eq!(table.matches("  proven ").count(), 7, "{table}");
}

#[test]
fn a_source_without_a_backup_and_objectives_that_are_not_kept_are_findings() {
    let place = Place::new();
    let tree = super::scratch();
    fs::write(tree.path().join("file"), "text").unwrap();
    place.archive("files", tree.path());
    std::thread::sleep(std::time::Duration::from_millis(20));
    let drilled = place.drill(&[
        "--app=shop",
        "--database=shop",
        "--globals",
        "--volume=files=/srv/files more=/srv/more",
        "--rto=1us",
        "--rpo=1us",
    ]);
    assert_eq!(drilled.status, 3, "{}", drilled.words);
    let told: Vec<String> = drilled
        .report
        .findings
        .iter()
        .map(|note| format!("{} {}", note.code, note.subject))
        .collect();
    for expected in [
        "no-backup db 'shop'",
        "no-backup globals 'main'",
        "no-backup volume 'more'",
        "rto recovery time",
        "rpo volume 'files' of shop",
    ] {
        assert!(
            told.iter().any(|told| told == expected),
            "{expected}: {told:?}"
        );
    }
    // The backup itself is proven all the same.
    assert_eq!(drilled.report.sources[0].verdict, Verdict::Proven);
    fits_schema(place.reports.path());

    let nothing = place.drill(&["--app=other"]);
    assert_eq!(nothing.status, 3, "{}", nothing.words);
    assert_eq!(nothing.report.findings[0].code, "no-backup");
}

#[test]
fn the_backup_is_the_one_that_was_asked_for() {
    let place = Place::new();
    let tree = super::scratch();
    let mut made = Vec::new();
    let store = Local::open(place.store.path());
    for day in 1..=3 {
        fs::write(tree.path().join("file"), format!("day {day}")).unwrap();
        let path = place.archive("files", tree.path());
        // As if it had been made on that day.
        let name = format!("volume_files_2026110{day}_020000.tar.gz");
        let to = place.store.path().join(&name);
        fs::rename(&path, &to).unwrap();
        fs::rename(super::forge::seal_of(&path), super::forge::seal_of(&to)).unwrap();
        super::forge::reseal(&to, |seal| {
            seal["file"] = serde_json::json!(name);
            seal["started"] = serde_json::json!(format!("2026-11-0{day}T02:00:00Z"));
        });
        made.push(to);
    }
    assert_eq!(Catalog::read(&store).unwrap().backups.len(), 3);
    let drilled = |arguments: &[&str]| {
        let drilled = place.drill(arguments);
        assert_eq!(drilled.status, 0, "{}", drilled.words);
        drilled.report
    };
    let newest = drilled(&[]);
    assert_eq!(newest.sources[0].backup, made[2]);
    let second = drilled(&["--at=2026-11-02"]);
    assert_eq!(
        (second.pick.as_str(), &second.sources[0].backup),
        ("at", &made[1])
    );
    let random = drilled(&["--random"]);
    assert!(made.contains(&random.sources[0].backup));
    // What would be lost is told by the newest, whichever was drilled.
    assert!(second.rpo.seconds < Some(2.0 * 86_400.0 + newest.rpo.seconds.unwrap()));
    let none = place.drill(&["--at=2026-10-01"]);
    assert_eq!(
        (none.status, none.report.findings[0].code.as_str()),
        (3, "no-backup")
    );

    let full = drilled(&["--full", "--app=other"]);
    assert!(full.full && full.app.is_none());
    let text = place.reports.path().join(format!("{}.txt", full.id));
    let text = fs::read_to_string(text).unwrap();
    assert!(
        text.starts_with("Restore exercise of a whole system: PROVEN\n"),
        "{text}"
    );
    assert!(text.contains("Reviewed by:"), "{text}");
    fits_schema(place.reports.path());
}
