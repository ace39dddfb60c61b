//! No false alarm: databases and trees of all sorts, made up by dice that fall the same each time, are backed
//! up twice, verified, held against the policy and drilled, and nobody has a word to say about any of them.
//!
//! `SG_TEST_SOUND=100` makes a hundred of them; by default there are a dozen.

use super::Place;
use crate::support::postgres::Cluster;
use crate::support::program;
use fastrand::Rng;
use sg::drill::Verdict;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Types, and what row `n` has in a column of each.
const TYPES: [(&str, &str); 34] = [
    ("smallint", "n % 30000"),
    ("integer", "-n"),
    ("bigint", "n::bigint * 1000000007"),
    ("numeric", "CASE n % 5 WHEN 0 THEN 'NaN' ELSE n / 7.0 END"),
    ("numeric(20,4)", "n * 1.00015"),
    ("real", "n / 3.0"),
    (
        "float8",
        "CASE n % 7 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN '-0' ELSE sqrt(n) END",
    ),
    ("text", "repeat(md5(n::text), n % 60)"),
    ("text", r"E'tab\t line\n return\r back\\ \\N \\. ' || n"),
    ("text", r"CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN '\N' END"),
    ("varchar(40)", "'Größe ' || n || ' 日本語'"),
    ("char(12)", "'c' || n % 100"),
    ("bytea", r"decode(md5(n::text), 'hex') || '\x00ff'"),
    ("boolean", "n % 3 = 0"),
    (
        "date",
        "CASE n % 9 WHEN 0 THEN 'infinity' ELSE date '0001-01-01' + n * 97 END",
    ),
    (
        "timestamp",
        "CASE n % 9 WHEN 0 THEN '-infinity' ELSE timestamp '4713-01-01 BC' + n * interval '3 days' END",
    ),
    (
        "timestamptz",
        "timestamptz 'epoch' + n * interval '1.000001 s'",
    ),
    ("time", "time '00:00' + n * interval '1.5 s'"),
    ("interval", "n * interval '1 month 1 day 1.5 s'"),
    ("uuid", "md5(n::text)::uuid"),
    ("json", r#"'{"b" : 1,  "a":[' || n || ',null, "\u00e9"]}'"#),
    (
        "jsonb",
        "jsonb_build_object('n', n, 'ü', repeat('x', n % 3000))",
    ),
    ("integer[]", "ARRAY[n, NULL, -n]"),
    ("text[]", r#"ARRAY[ARRAY['a,b', '{}'], ARRAY['"', E'\\']]"#),
    ("inet", "inet '10.0.0.0/8' + n"),
    ("macaddr", "macaddr '08:00:2b:01:02:03'"),
    ("point", "point(n, 1.0 / n)"),
    ("int4range", "int4range(n, n + 5)"),
    ("tsvector", "to_tsvector('simple', 'word ' || n)"),
    ("varbit", "(n::bit(17))::varbit"),
    ("xml", "xmlelement(name a, n)"),
    (
        "mood",
        "CASE n % 2 WHEN 0 THEN 'so so' ELSE 'it''s fine' END",
    ),
    ("positive", "n"),
    ("pair", "ROW(n, 'a \"b\" (c)')::pair"),
];

const NAMES: [&str; 8] = [
    "orders",
    "Ünï",
    "with space",
    "sel\"ect",
    "UPPER",
    "a.b",
    "new\nline",
    "tab\\le",
];

/// What else a database may have, each with a name of its own; `{n}` is a number.
const MORE: [&str; 16] = [
    "CREATE SEQUENCE s{n} START 7 INCREMENT BY -3 MINVALUE -1000 MAXVALUE 100; SELECT nextval('s{n}'), nextval('s{n}')",
    "CREATE TABLE u{n} (id int GENERATED ALWAYS AS IDENTITY, v text DEFAULT 'x'); INSERT INTO u{n} (v) SELECT 'y' FROM generate_series(1, 50)",
    "CREATE UNLOGGED TABLE l{n} AS SELECT generate_series(1, 9) AS a",
    "CREATE TABLE p{n} (a int, b text) PARTITION BY RANGE (a); CREATE TABLE p{n}_1 PARTITION OF p{n} FOR VALUES FROM (0) TO (50); CREATE TABLE p{n}_2 PARTITION OF p{n} DEFAULT; INSERT INTO p{n} SELECT x, 'v' FROM generate_series(1, 120) x",
    "CREATE TABLE i{n} (a int); CREATE TABLE j{n} (b int) INHERITS (i{n}); INSERT INTO i{n} VALUES (1); INSERT INTO j{n} VALUES (2, 3)",
    "CREATE TABLE g{n} (a int, b int GENERATED ALWAYS AS (a * 2) STORED, CHECK (a > 0)); INSERT INTO g{n} (a) SELECT generate_series(1, 30)",
    "CREATE MATERIALIZED VIEW m{n} AS SELECT generate_series(1, 20) AS a; CREATE UNIQUE INDEX ON m{n} (a)",
    "CREATE VIEW v{n} AS SELECT 1 AS a; COMMENT ON VIEW v{n} IS 'it''s a view'",
    "SELECT lo_from_bytea(0, decode(repeat('c0ffee', 5000), 'hex'))",
    "CREATE FUNCTION f{n}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$; CREATE TABLE t{n} (a int); INSERT INTO t{n} VALUES (1); CREATE TRIGGER no BEFORE INSERT ON t{n} FOR EACH ROW EXECUTE FUNCTION f{n}()",
    "CREATE TABLE r{n} (a int); INSERT INTO r{n} VALUES (1); ALTER TABLE r{n} ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON r{n} USING (a > 5)",
    "CREATE TABLE k{n} (id int PRIMARY KEY, up int REFERENCES k{n}); INSERT INTO k{n} SELECT x, nullif(x / 2, 0) FROM generate_series(1, 300) x",
    "CREATE EXTENSION IF NOT EXISTS hstore; CREATE TABLE h{n} AS SELECT 'a=>1, b=>NULL'::hstore AS h",
    "CREATE SCHEMA \"s {n}\"; CREATE TABLE \"s {n}\".\"t\" AS SELECT 1 AS \"A\"; GRANT USAGE ON SCHEMA \"s {n}\" TO clerk",
    "CREATE TABLE c{n} (); INSERT INTO c{n} DEFAULT VALUES; CREATE TABLE d{n} (a int, b int, c int); INSERT INTO d{n} VALUES (1, 2, 3); ALTER TABLE d{n} DROP COLUMN b",
    "CREATE TABLE o{n} (a text COLLATE \"C\"); ALTER TABLE o{n} ALTER a SET STORAGE EXTERNAL; INSERT INTO o{n} SELECT repeat('long ', 3000) FROM generate_series(1, 20); ALTER TABLE o{n} OWNER TO clerk",
];

fn one_of<'a, T>(dice: &mut Rng, of: &'a [T]) -> &'a T {
    &of[dice.usize(..of.len())]
}

/// A database as the dice fall.
fn database(dice: &mut Rng) -> String {
    let mut sql = "CREATE TYPE mood AS ENUM ('so so', 'it''s fine');
         CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text);\n"
        .to_owned();
    for table in 0..dice.usize(..4) {
        let name = format!("\"{}{table}\"", one_of(dice, &NAMES).replace('"', "\"\""));
        let columns: Vec<_> = (0..dice.usize(1..7))
            .map(|_| one_of(dice, &TYPES))
            .collect();
        let typed = columns.iter().enumerate();
        let typed: Vec<String> = typed.map(|(at, (of, _))| format!("c{at} {of}")).collect();
        // The cast of an assignment: a column's own.
        let values: Vec<String> = columns
            .iter()
            .map(|(of, value)| match dice.u8(..4) {
                0 => format!("CASE WHEN n % 4 > 0 THEN CAST({value} AS {of}) END"),
                _ => format!("CAST({value} AS {of})"),
            })
            .collect();
        let rows = *one_of(dice, &[0, 1, 40, 700, 3000]);
        sql.push_str(&format!(
            "CREATE TABLE {name} (id int, {});
             INSERT INTO {name} SELECT n, {} FROM generate_series(1, {rows}) n;\n",
            typed.join(", "),
            values.join(", ")
        ));
        sql.push_str(&match dice.u8(..4) {
            0 => format!("ALTER TABLE {name} ADD PRIMARY KEY (id);\n"),
            1 => format!("CREATE INDEX ON {name} (id DESC) WHERE id % 2 = 0;\n"),
            2 => format!("DELETE FROM {name} WHERE id % 3 = 0;\n"),
            _ => String::new(),
        });
    }
    for number in 0..dice.usize(..7) {
        let more = one_of(dice, &MORE);
        sql.push_str(&more.replace("{n}", &number.to_string()));
        sql.push_str(";\n");
    }
    sql
}

/// A tree as the dice fall.
fn tree(dice: &mut Rng, root: &Path) {
    let mut directories = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    for number in 0..dice.usize(..60) {
        let name = match dice.u8(..6) {
            0 => format!("Ünï {number}"),
            1 => format!("new\nline\\{number}"),
            2 => format!("{number}{}", "long".repeat(dice.usize(1..60))),
            _ => format!("file{number}"),
        };
        let path = one_of(dice, &directories).join(name);
        match dice.u8(..12) {
            0 | 1 => {
                fs::create_dir(&path).unwrap();
                directories.push(path);
            }
            2 => symlink(one_of(dice, &["file1", "/nowhere", "../.."]), &path).unwrap(),
            3 if !files.is_empty() => fs::hard_link(one_of(dice, &files), &path).unwrap(),
            4 => {
                let file = File::create(&path).unwrap();
                file.write_all_at(b"data", dice.u64(..10_000_000)).unwrap();
                file.set_len(12_000_000).unwrap();
            }
            _ => {
                let sizes = [
                    0,
                    1,
                    511,
                    512,
                    513,
                    9000,
                    70_000,
                    (1 << 20) - 1,
                    1 << 20,
                    2_500_000,
                ];
                let size = *one_of(dice, &sizes);
                let content: Vec<u8> = match dice.u8(..3) {
                    0 => vec![0; size],
                    1 => b"some words of text\n"
                        .iter()
                        .copied()
                        .cycle()
                        .take(size)
                        .collect(),
                    _ => std::iter::repeat_with(|| dice.u8(..)).take(size).collect(),
                };
                fs::write(&path, content).unwrap();
                let mode = *one_of(dice, &[0o644, 0o600, 0o4755, 0o440]);
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                files.push(path);
            }
        }
    }
}

/// What a night does after its backups, and a drill; none of it may find anything.
fn nothing_to_say(place: &Place, databases: &str, volumes: &str, backups: usize) {
    let mut verify = program("sg-verify");
    let verified = verify
        .args([
            "--new",
            "--policy",
            "--subset=1/1",
            "--app=shop",
            "--keep-last=9",
        ])
        .args(["--expect-databases", databases, "--expect-volumes", volumes])
        .arg("--directory")
        .arg(place.store.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&verified.stderr);
    assert_eq!(verified.status.code(), Some(0), "{words}");
    let paths = String::from_utf8_lossy(&verified.stdout);
    assert_eq!(paths.lines().count(), backups, "{words}");
}

#[test]
fn sound_backups_raise_no_alarm() {
    let wanted = std::env::var("SG_TEST_SOUND").ok();
    let wanted: usize = wanted.map_or(12, |wanted| wanted.parse().unwrap());
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE clerk");
    let place = Place::new();
    let trees = super::scratch();
    let (mut databases, mut volumes) = (Vec::new(), Vec::new());
    let mut dump = vec!["--globals".to_owned()];
    for number in 0..wanted {
        let mut dice = Rng::with_seed(number as u64);
        if number % 2 == 0 {
            let name = format!("db{number}");
            cluster.create(&name, &[]);
            cluster.sql(&name, &database(&mut dice));
            dump.push(format!("--database={name}"));
            databases.push(name);
        } else {
            let name = format!("tree{number}");
            let root = trees.path().join(&name);
            fs::create_dir(&root).unwrap();
            tree(&mut dice, &root);
            volumes.push(name);
        }
    }
    let dump: Vec<&str> = dump.iter().map(String::as_str).collect();
    let (named, kept) = (databases.join(" "), volumes.join(" "));
    for night in 1..=2 {
        place.dump(&cluster, &dump);
        for name in &volumes {
            place.archive(name, &trees.path().join(name));
        }
        nothing_to_say(&place, &named, &kept, night * (wanted + 1));
        for name in &databases {
            cluster.sql(
                name,
                "CREATE TABLE IF NOT EXISTS a_day_older AS SELECT 1 AS a",
            );
        }
        for name in &volumes {
            fs::write(trees.path().join(name).join("a day older"), "text").unwrap();
        }
        // Names of backups count seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }

    let mut command = place.command();
    let of_all = volumes.iter().map(|name| format!("{name}=/srv/{name}"));
    let of_all: Vec<String> = of_all.collect();
    let drilled = place.run(command.args([
        "--app=shop",
        "--globals",
        &format!("--database={named}"),
        &format!("--volume={}", of_all.join(" ")),
    ]));
    assert_eq!(drilled.status, 0, "{}", drilled.words);
    assert_eq!(drilled.report.sources.len(), wanted + 1);
    for source in &drilled.report.sources {
        assert_eq!(source.verdict, Verdict::Proven, "{}", drilled.words);
    }
    let mut findings = drilled.report.all_findings();
    assert!(findings.all(|note| !note.is_finding()), "{}", drilled.words);
}
