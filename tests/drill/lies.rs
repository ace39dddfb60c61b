//! Every lie is caught, and each by its name.

use super::forge::{copy, forge, replace, reseal, seal_of};
use super::{Drilled, Place};
use crate::support::postgres::Cluster;
use serde_json::json;
use sg::drill::Verdict;
use sg::stream::{Item, Part};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SHOP: &str = "
    CREATE ROLE clerk;
    CREATE EXTENSION hstore;
    CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE nothing (id int);
    INSERT INTO customer (name) SELECT 'name ' || i FROM generate_series(1, 500) i;
    ALTER TABLE customer OWNER TO clerk;
";

fn is_rows_of(item: &Item, wanted: &str) -> bool {
    matches!(item, Item::Rows { table, .. } if table == wanted)
}

/// Fails unless the drill said `code` of `subject` in the backup at `path`.
#[track_caller]
fn caught(drilled: &Drilled, path: &Path, verdict: Verdict, name: &str) {
    let source = drilled.of(path);
    let told: Vec<String> = source
        .findings
        .iter()
        .map(|note| format!("{} {note}", note.code))
        .collect();
    assert_eq!(source.verdict, verdict, "{name}: {told:#?}");
    let words = name.split(" … ").collect::<Vec<_>>();
    assert!(
        told.iter()
            .any(|told| words.iter().all(|word| told.contains(word))),
        "{name}: {told:#?}"
    );
}

#[test]
fn every_lie_about_a_database_is_caught_by_name() {
    let cluster = Cluster::start();
    cluster.create("shop", &[]);
    cluster.sql("shop", SHOP);
    let place = Place::new();
    let globals = place.dump(&cluster, &["--globals"]).remove(0);
    let honest = place.dump(&cluster, &["--database=shop"]).remove(0);
    cluster.sql("shop", "DELETE FROM customer WHERE id > 400");
    cluster.sql("shop", "ALTER SEQUENCE customer_id_seq RESTART");
    let later = super::scratch();
    // In a store of its own nothing keeps it from the very name of the honest one, but time.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let other = {
        let mut command = crate::support::program("sg-dump-db");
        command.envs(cluster.environment());
        command.args(["--app=shop", "--database=shop", "--directory"]);
        super::made(command.arg(later.path())).remove(0)
    };

    // Each forgery lies in a store of its own, beside the honest roles.
    let lies = super::scratch();
    let store = |name: &str| {
        let directory = lies.path().join(name);
        copy(&globals, &directory);
        directory
    };
    let rows = |name: &str, change: fn(&mut Vec<u8>)| {
        forge(&honest, &store(name), |item, content| {
            if is_rows_of(item, "customer") {
                change(content);
            }
            true
        })
    };
    let sql = |name: &str, part: Part, old: &'static str, new: &'static str| {
        forge(&honest, &store(name), |item, content| {
            if *item == Item::Sql(part) {
                replace(content, old, new);
            }
            true
        })
    };
    let row_changed = rows("row-changed", |text| {
        replace(text, "name 77\n", "name 78\n");
    });
    let row_missing = rows("row-missing", |text| replace(text, "77\tname 77\n", ""));
    let table_missing = forge(&honest, &store("table-missing"), |item, _| {
        !is_rows_of(item, "customer")
    });
    let sequence_reset = sql(
        "sequence",
        Part::Sequences,
        "'public.customer_id_seq', 500, true",
        "'public.customer_id_seq', 1, false",
    );
    let no_extension = forge(&honest, &store("extension"), |item, content| {
        if *item == Item::Sql(Part::PreData) {
            let create = "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;";
            replace(content, create, "");
            replace(content, "COMMENT ON EXTENSION hstore", "-- ");
        }
        true
    });
    let not_installed = sql(
        "not-installed",
        Part::PreData,
        "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;",
        "CREATE EXTENSION IF NOT EXISTS hstole WITH SCHEMA public;",
    );
    let empty = forge(&honest, &store("empty"), |item, _| {
        matches!(item, Item::Sql(Part::Trailer))
    });
    let hollow = copy(&honest, &store("hollow"));
    fs::write(&hollow, b"").unwrap();
    reseal(&hollow, |seal| {
        seal["bytes"] = json!(0);
        seal["sha256"] = json!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    });
    // The manifest of another run, made to fit the body in all that a seal says.
    let another_run = copy(&honest, &store("another-run"));
    fs::copy(seal_of(&other), seal_of(&another_run)).unwrap();
    let body = serde_json::from_slice(&fs::read(seal_of(&honest)).unwrap());
    let body: serde_json::Value = body.unwrap();
    reseal(&another_run, |seal| {
        for field in ["file", "bytes", "sha256", "content_bytes"] {
            seal[field] = body[field].clone();
        }
    });
    let another_name = copy(&honest, &store("another-name"));
    fs::copy(seal_of(&other), seal_of(&another_name)).unwrap();
    let role_missing = copy(&honest, &lies.path().join("role"));
    forge(&globals, &lies.path().join("role"), |_, content| {
        replace(content, "CREATE ROLE clerk;", "");
        replace(content, "ALTER ROLE clerk ", "-- ");
        true
    });
    let no_globals = copy(&honest, &lies.path().join("no-globals"));

    let one = |path: &PathBuf| place.drill_files(std::slice::from_ref(path));
    use Verdict::{Damaged, Findings};
    for (path, status, verdict, name) in [
        (
            &row_changed,
            65,
            Damaged,
            "content-differs table public.customer",
        ),
        (
            &row_missing,
            65,
            Damaged,
            "rows-differ table public.customer … 499 rows instead of 500",
        ),
        (
            &table_missing,
            65,
            Damaged,
            "table … public.customer is missing",
        ),
        (
            &sequence_reset,
            65,
            Damaged,
            "sequence-differs sequence public.customer_id_seq … 500",
        ),
        (
            &no_extension,
            65,
            Damaged,
            "extension-missing extension hstore",
        ),
        (
            &not_installed,
            3,
            Findings,
            "extension-missing extension hstole",
        ),
        (&empty, 65, Damaged, "public.customer"),
        (&hollow, 65, Damaged, "content … cut off"),
        (&another_run, 65, Damaged, "rows … public.customer … 400"),
        (&another_name, 65, Damaged, "manifest … is the manifest of"),
        (&role_missing, 65, Damaged, "role-missing role clerk"),
        (&no_globals, 3, Findings, "role-missing role clerk"),
    ] {
        let drilled = one(path);
        caught(&drilled, path, verdict, name);
        assert_eq!(drilled.status, status, "{name}: {}", drilled.words);
    }
    // And the honest one is no lie.
    let drilled = one(&honest);
    assert_eq!(drilled.report.verdict, Verdict::Proven, "{}", drilled.words);
}

#[test]
fn every_lie_about_a_volume_and_about_roles_is_caught_by_name() {
    let place = Place::new();
    let tree = super::scratch();
    fs::create_dir(tree.path().join("docs")).unwrap();
    fs::write(tree.path().join("docs/contract.txt"), "we owe nothing").unwrap();
    fs::write(tree.path().join("other.txt"), "x".repeat(5000)).unwrap();
    let honest = place.archive("files", tree.path());
    let lies = super::scratch();
    let byte_changed = forge(&honest, &lies.path().join("byte"), |_, content| {
        if memchr::memmem::find(content, b"we owe nothing").is_some() {
            replace(content, "we owe nothing", "we owe nothinG");
        }
        true
    });
    let file_missing = forge(
        &honest,
        &lies.path().join("file"),
        |item, _| !matches!(item, Item::Entry { path, .. } if path.ends_with(b"other.txt")),
    );

    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE ROLE clerk LOGIN; CREATE ROLE boss IN ROLE clerk",
    );
    let globals = place.dump(&cluster, &["--globals"]).remove(0);
    let role_missing = forge(&globals, &lies.path().join("role"), |_, content| {
        replace(content, "CREATE ROLE boss;", "");
        replace(content, "ALTER ROLE boss ", "-- ");
        true
    });
    let files = [
        &byte_changed,
        &file_missing,
        &role_missing,
        &honest,
        &globals,
    ];
    let drilled = place.drill_files(&files.map(Clone::clone));
    assert_eq!(drilled.status, 65, "{}", drilled.words);
    caught(
        &drilled,
        &byte_changed,
        Verdict::Damaged,
        "docs/contract.txt",
    );
    caught(&drilled, &file_missing, Verdict::Damaged, "entries");
    caught(
        &drilled,
        &role_missing,
        Verdict::Damaged,
        "role-missing role boss",
    );
    for path in [&honest, &globals] {
        assert_eq!(
            drilled.of(path).verdict,
            Verdict::Proven,
            "{}",
            drilled.words
        );
    }

    // A forger who forgets nothing is found by the proof of an earlier check.
    let other = super::scratch();
    fs::write(other.path().join("other.txt"), "another tree").unwrap();
    let forged = place.archive("files", other.path());
    fs::copy(&forged, &honest).unwrap();
    let file = honest.file_name().unwrap().to_str().unwrap().to_owned();
    fs::copy(seal_of(&forged), seal_of(&honest)).unwrap();
    reseal(&honest, |seal| seal["file"] = json!(file));
    let drilled = place.drill_files(std::slice::from_ref(&honest));
    caught(&drilled, &honest, Verdict::Damaged, "seal-changed");
}

/// Whether the kernel can fence in a process.
fn has_landlock() -> bool {
    use landlock::{AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Execute)
        .and_then(Ruleset::create)
        .is_ok()
}

#[test]
fn what_the_application_asserts_must_be_true() {
    let cluster = Cluster::start();
    cluster.create("shop", &[]);
    cluster.sql(
        "shop",
        "CREATE TABLE t AS SELECT generate_series(1, 10) AS n",
    );
    let place = Place::new();
    place.dump(&cluster, &["--database=shop"]);
    let assertions = super::scratch();
    fs::create_dir(assertions.path().join("shop")).unwrap();
    fs::create_dir(assertions.path().join("archive")).unwrap();
    // Open to everybody, but outside of the server's fence.
    let open = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut files = vec![
        ("a-true.sql", "-- ten\nSELECT count(*) = 10 FROM t;\n", None),
        ("b-text.sql", "SELECT 't'", None),
        ("shop/own.sql", "SELECT true", None),
        (
            "c-false.sql",
            "SELECT count(*) > 10 FROM t",
            Some("is false"),
        ),
        (
            "d-null.sql",
            "SELECT NULL::bool",
            Some("neither true nor false"),
        ),
        ("e-none.sql", "SELECT true WHERE false", Some("0 rows")),
        ("f-many.sql", "SELECT true FROM t", Some("10 rows")),
        ("g-wide.sql", "SELECT true, true", Some("2 columns")),
        ("h-error.sql", "SELECT true FROM missing", Some("missing")),
        (
            "i-two.sql",
            "COMMIT; SELECT true",
            Some("multiple commands"),
        ),
        (
            "j-write.sql",
            "INSERT INTO t VALUES (1) RETURNING true",
            Some("read-only transaction"),
        ),
        (
            "k-unlock.sql",
            "SELECT set_config('transaction_read_only', 'off', true) = 'off'",
            Some("can't be asked"),
        ),
        (
            "l-long.sql",
            "SELECT pg_sleep(600) IS NULL",
            Some("statement timeout"),
        ),
        ("m-number.sql", "SELECT 1", Some("neither true nor false")),
    ];
    let outside = format!(
        "SELECT count(*) >= 0 FROM pg_ls_dir('{}')",
        open.path().display()
    );
    if has_landlock() {
        files.push(("n-store.sql", outside.as_str(), Some("ermission denied")));
    } else {
        eprintln!("this kernel has no Landlock: the fence can't be tried");
    }
    for (file, sql, _) in &files {
        fs::write(assertions.path().join(file), sql).unwrap();
    }
    fs::write(assertions.path().join("archive/x.sql"), "SELECT false").unwrap();
    fs::write(assertions.path().join("notes.txt"), "SELECT false").unwrap();
    let mut command = place.command();
    let drilled = place.run(
        command
            .args(["--assertion-timeout=5s", "--assertions"])
            .arg(assertions.path()),
    );
    assert_eq!(drilled.status, 3, "{}", drilled.words);
    let source = &drilled.report.sources[0];
    assert_eq!(
        source.assertions.len(),
        files.len(),
        "{:?}",
        source.assertions
    );
    for &(file, _, expected) in &files {
        let mut outcomes = source.assertions.iter();
        let outcome = outcomes
            .find(|outcome| outcome.file.ends_with(file))
            .unwrap();
        let message = outcome.message.as_deref();
        match expected {
            None => assert!(outcome.passed, "{file}: {message:?}"),
            Some(part) => {
                assert!(
                    message.is_some_and(|text| text.contains(part)),
                    "{file}: {message:?}"
                );
                let named = |note: &sg::monitor::Note| {
                    note.code == "assertion-failed" && note.subject.ends_with(file)
                };
                assert!(source.findings.iter().any(named), "{file}");
            }
        }
    }
}
