//! Damage is news once: the night that finds it fails, those after it don't, whatever the damage is.

use super::made;
use crate::support::{program, scratch};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A store with one archive of each name.
fn archives(store: &Path, names: &[&str]) -> Vec<PathBuf> {
    let tree = scratch();
    fs::write(tree.path().join("file"), vec![7; 100_000]).unwrap();
    names
        .iter()
        .map(|name| {
            made(
                program("sg-archive-volume")
                    .arg(tree.path())
                    .args(["--name", name, "--directory"])
                    .arg(store),
            )
        })
        .collect()
}

/// A night: what is new, and all of the others. Exit status, what was passed on, what was said.
fn night(store: &Path) -> (i32, String, String) {
    let run = program("sg-verify")
        .args(["--new", "--subset", "1/1", "--directory"])
        .arg(store)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        run.status.code().unwrap(),
        text(run.stdout),
        text(run.stderr),
    )
}

fn beside(body: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", body.display()))
}

fn verified(body: &Path) -> Value {
    let proof = fs::read(beside(body, ".proof.json")).unwrap();
    serde_json::from_slice::<Value>(&proof).unwrap()["verified"].clone()
}

fn flip(body: &Path) {
    let mut bytes = fs::read(body).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(body, bytes).unwrap();
}

#[test]
fn a_night_fails_once_for_each_damaged_backup() {
    let store = scratch();
    let store = store.path();
    let names = ["flipped", "short", "unsealed", "gone", "sound"];
    let bodies = archives(store, &names);
    let [flipped, short, unsealed, gone, sound] = &bodies[..] else {
        panic!()
    };
    assert_eq!(night(store).0, 0);
    flip(flipped);
    fs::write(short, "short").unwrap();
    fs::write(beside(unsealed, ".json"), "{").unwrap();
    fs::remove_file(gone).unwrap();

    let (status, passed, said) = night(store);
    assert_eq!(status, 65, "{said}");
    assert_eq!(passed, format!("{}\n", sound.display()));
    for body in [flipped, short, unsealed, gone] {
        assert!(
            said.contains(&format!("rm '{}'*", body.display())),
            "{said}"
        );
        assert_eq!(verified(body)["sound"], false);
    }
    let found = verified(flipped)["at"].clone();

    for _ in 0..2 {
        let (status, passed, said) = night(store);
        assert_eq!(status, 0, "{said}");
        assert_eq!(passed, format!("{}\n", sound.display()));
        assert_eq!(said.matches("has been known since").count(), 4, "{said}");
        assert!(!said.contains("critical:"), "{said}");
    }
    assert_eq!(verified(flipped)["since"], found);

    // It stays to be seen, and who asks for it by name is told by the status.
    let listed = program("sg-list")
        .args(["--all", "--json", "--directory"])
        .arg(store)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.matches("\"good\":false").count(), 4, "{listed}");
    for body in [flipped, short, unsealed, gone] {
        program("sg-verify").arg(body).assert().code(65);
    }

    // What another one suffers is news.
    flip(sound);
    let (status, _, said) = night(store);
    assert_eq!(status, 65, "{said}");
    assert_eq!(said.matches("has been known since").count(), 4, "{said}");

    // A check can err: then it is as good as before, and damage after that is news again.
    flip(flipped);
    let (status, passed, said) = night(store);
    assert_eq!((status, passed), (0, format!("{}\n", flipped.display())));
    assert!(said.contains(": sound; "), "{said}");
    assert_eq!(verified(flipped).get("since"), None);
    flip(flipped);
    assert_eq!(night(store).0, 65);

    // Rid of them as the hint says.
    for body in [flipped, short, unsealed, gone, sound] {
        let rm = format!("rm '{}'*", body.display());
        let done = std::process::Command::new("sh").args(["-c", &rm]).status();
        assert!(done.unwrap().success());
    }
    assert_eq!(
        fs::read_dir(store)
            .unwrap()
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                !name.to_string_lossy().starts_with('.')
            })
            .count(),
        0
    );
}

/// Whose it is can't be read, either: it counts with the others of its name.
#[test]
fn a_new_backup_whose_manifest_cannot_be_read_fails_the_night_of_its_application() {
    let (tree, store) = (scratch(), scratch());
    fs::write(tree.path().join("file"), vec![7; 100_000]).unwrap();
    let archive = |app: &str, name: &str| {
        // Names count seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        made(
            program("sg-archive-volume")
                .arg(tree.path())
                .args(["--app", app, "--name", name, "--directory"])
                .arg(store.path()),
        )
    };
    let night = |app: &str| {
        let run = program("sg-verify")
            .args(["--new", "--app", app, "--directory"])
            .arg(store.path())
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        (run.status.code().unwrap(), said)
    };
    archive("shop", "files");
    archive("press", "pages");
    assert_eq!(night("shop").0, 0);
    assert_eq!(night("press").0, 0);

    let unsealed = archive("shop", "files");
    fs::write(beside(&unsealed, ".json"), "{").unwrap();
    let (status, said) = night("press");
    assert_eq!((status, said.contains("files")), (0, false), "{said}");
    let (status, said) = night("shop");
    assert_eq!(status, 65, "{said}");
    assert!(said.contains("manifest"), "{said}");
    let listed = program("sg-list")
        .args(["--app", "shop", "--all", "--json", "--directory"])
        .arg(store.path())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("\"seal-unreadable\""), "{listed}");
}
