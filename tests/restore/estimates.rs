//! A plan says how long it will take, by what the same took before: in a drill, or when it was restored by
//! hand, whichever was the last.

use crate::drill::Place;
use crate::support::postgres::Cluster;
use crate::support::{program, scratch};
use std::fs;
use std::path::Path;

/// sg-restore of a host where drills have their reports and the audit trail is kept; what it says.
fn restore(place: &Place, cluster: &Cluster, arguments: &[&str]) -> String {
    let output = program("sg-restore")
        .envs(cluster.environment())
        .env_remove("SG_NO_AUDIT")
        .env("SG_AUDIT_FILE", place.reports.path().join("audit.jsonl"))
        .env("SG_DRILL_DIRECTORY", place.reports.path())
        .args(arguments)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    words
}

#[test]
fn a_plan_knows_what_the_last_drill_and_the_last_restore_took() {
    let (place, cluster, tree) = (Place::new(), Cluster::start(), scratch());
    cluster.create("shop", &[]);
    cluster.sql(
        "shop",
        "CREATE TABLE t AS SELECT generate_series(1, 1000) n",
    );
    let dump = place.dump(&cluster, &["--database=shop"]).remove(0);
    fs::write(tree.path().join("file"), "text").unwrap();
    let archive = place.archive("files", tree.path());
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (dump, archive) = (text(&dump), text(&archive));
    let target = text(&tree.path().join("back"));
    let of = [
        (["db", &dump, "--to", "copy"], "database"),
        (["volume", &archive, "--to", &target], "tree"),
    ];
    let says = |arguments: &[&str], way: &str, expected: &str| {
        let said = restore(&place, &cluster, &[arguments, &[way]].concat());
        assert!(said.contains(expected), "'{expected}' is not in: {said}");
    };

    for (arguments, _) in &of {
        says(
            arguments,
            "--dry-run",
            "how long it will take was never measured here",
        );
    }
    let drilled = place.drill(&["--app=shop", "--database=shop", "--volume=files=/srv/files"]);
    assert_eq!(drilled.status, 0, "{}", drilled.words);
    let day = drilled.report.started.strftime("%Y-%m-%d");
    for (arguments, _) in &of {
        says(
            arguments,
            "--dry-run",
            &format!("; the drill of {day} took "),
        );
    }
    // Of another of its kind as much is known as its size tells.
    fs::write(tree.path().join("more"), "text").unwrap();
    let other = text(&place.archive("other", tree.path()));
    says(
        &["volume", &other, "--to", &target],
        "--dry-run",
        ", by what others of its kind took",
    );
    for (arguments, what) in &of {
        says(arguments, "--yes", &format!("; the drill of {day} took "));
        let said = restore(&place, &cluster, &[&arguments[..], &["--dry-run"]].concat());
        assert!(said.contains("; the restore of "), "{what}: {said}");
    }
}
