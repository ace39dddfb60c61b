//! Damage to a sealed backup, in every place and of every kind.

use super::{STORE, made};
use crate::drill::forge::{forge, reseal, seal_of};
use crate::support::{program, scratch};
use serde_json::json;
use sg::monitor::{Note, Silent};
use sg::stream::member::Member;
use sg::stream::writer::hex;
use sg::stream::{Item, Reader};
use sg::verify::{Options, Verdict, verify};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy of a backup with other bytes, under the seal of the sound one.
fn altered(body: &Path, bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = scratch();
    let name = body.file_name().unwrap().to_str().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    let manifest = format!("{name}.json");
    fs::copy(
        body.with_file_name(&manifest),
        directory.path().join(&manifest),
    )
    .unwrap();
    (directory, path)
}

fn verdict(body: &Path, bytes: &[u8]) -> Verdict {
    let (_directory, path) = altered(body, bytes);
    verify(&path, &Options { jobs: 2 }, &Silent)
        .unwrap()
        .verdict
}

fn members(body: &Path) -> Vec<Member> {
    let reader = Reader::open(body).unwrap();
    reader.members(0).map(|member| member.unwrap()).collect()
}

#[test]
fn a_sound_backup_is_sound() {
    for body in STORE.bodies() {
        let report = verify(body, &Options { jobs: 2 }, &Silent).unwrap();
        assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.notes);
        assert!(report.sealed);
    }
    let dump = verify(&STORE.dump, &Options { jobs: 1 }, &Silent).unwrap();
    assert_eq!((dump.found.tables, dump.found.rows), (3, 60_001));
    let archive = verify(&STORE.archive, &Options { jobs: 1 }, &Silent).unwrap();
    // 300 small files, two large ones, ten folders and the root.
    assert_eq!(archive.found.entries, 313);
}

#[test]
fn five_hundred_flipped_bits_are_found() {
    let mut dice = fastrand::Rng::with_seed(10);
    for body in STORE.bodies() {
        let sound = fs::read(body).unwrap();
        for _ in 0..250 {
            let mut bytes = sound.clone();
            let at = dice.usize(..bytes.len());
            bytes[at] ^= 1 << dice.u8(..8);
            assert_eq!(
                verdict(body, &bytes),
                Verdict::Damaged,
                "{} at {at}",
                body.display()
            );
        }
    }
}

#[test]
fn two_hundred_truncations_are_found() {
    let mut dice = fastrand::Rng::with_seed(11);
    for body in STORE.bodies() {
        let sound = fs::read(body).unwrap();
        let ends: Vec<u64> = members(body).iter().map(|member| member.offset).collect();
        let between = (0..30).map(|_| ends[dice.usize(..ends.len())] as usize);
        let anywhere: Vec<usize> = between.collect();
        let lengths = (0..70).map(|_| dice.usize(..sound.len())).chain(anywhere);
        for length in lengths {
            let verdict = verdict(body, &sound[..length]);
            assert_eq!(
                verdict,
                Verdict::Damaged,
                "{} cut to {length}",
                body.display()
            );
        }
    }
}

#[test]
fn what_was_appended_or_put_elsewhere_is_found() {
    for body in STORE.bodies() {
        let sound = fs::read(body).unwrap();
        for tail in [&b"\n"[..], &[0; 1024], &sound] {
            let bytes = [&sound, tail].concat();
            assert_eq!(verdict(body, &bytes), Verdict::Damaged);
        }
        let members = members(body);
        for (one, other) in [(0, 1), (1, 2), (0, members.len() - 1)] {
            let mut swapped: Vec<&[u8]> = members.iter().map(|m| m.bytes.as_slice()).collect();
            swapped.swap(one, other);
            assert_eq!(verdict(body, &swapped.concat()), Verdict::Damaged);
        }
    }
}

/// The seal forged to match: what is inside still speaks for itself.
#[test]
fn a_member_swapped_under_a_forged_seal_is_found() {
    for body in STORE.bodies() {
        let members = members(body);
        let mut swapped: Vec<&[u8]> = members.iter().map(|m| m.bytes.as_slice()).collect();
        swapped.swap(1, 2);
        let bytes = swapped.concat();
        let (_directory, path) = altered(body, &bytes);
        let sum = std::process::Command::new("sha256sum")
            .arg(&path)
            .output()
            .unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
        let manifest = path.with_file_name(format!(
            "{}.json",
            path.file_name().unwrap().to_str().unwrap()
        ));
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        json["sha256"] = sum.into();
        fs::write(&manifest, json.to_string()).unwrap();
        let report = verify(&path, &Options { jobs: 2 }, &Silent).unwrap();
        assert_eq!(report.verdict, Verdict::Damaged, "{:?}", report.notes);
    }
}

/// Index and checksums forged to match as well: the rows that the manifest speaks of are gone.
#[test]
fn a_dump_without_a_single_table_is_found() {
    let directory = scratch();
    let emptied = forge(&STORE.dump, directory.path(), |item, _| {
        !matches!(item, Item::Rows { .. })
    });
    let output = program("sg-verify").arg(&emptied).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{words}");
    for table in ["orders", "empty", "one"] {
        let said = format!("public.{table} is missing");
        assert!(words.contains(&said), "{words}");
    }
}

/// Without compression there is no index; rows are told apart by their statements.
#[test]
fn rows_are_missed_in_a_dump_without_compression_too() {
    let plain = |directory: &Path, keep: &dyn Fn(&Item) -> bool| {
        let forged = forge(&STORE.dump, directory, |item, _| keep(item));
        let mut content = Vec::new();
        let contents = Reader::open(&forged).unwrap().contents(2).unwrap();
        { contents }.read_to_end(&mut content).unwrap();
        let path = forged.with_extension("");
        fs::rename(seal_of(&forged), seal_of(&path)).unwrap();
        fs::write(&path, &content).unwrap();
        reseal(&path, |seal| {
            seal["file"] = json!(path.file_name().unwrap().to_str().unwrap());
            seal["bytes"] = json!(content.len());
            seal["sha256"] = json!(hex(&Sha256::digest(&content)));
        });
        verify(&path, &Options { jobs: 2 }, &Silent).unwrap()
    };
    let (whole, emptied) = (scratch(), scratch());
    let report = plain(whole.path(), &|_| true);
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.notes);
    assert_eq!((report.found.tables, report.found.rows), (3, 60_001));
    let report = plain(emptied.path(), &|item| !matches!(item, Item::Rows { .. }));
    let said = |note: &Note| note.message.contains("public.orders is missing");
    assert_eq!(report.verdict, Verdict::Damaged, "{:?}", report.notes);
    assert!(report.notes.iter().any(said), "{:?}", report.notes);
}

#[test]
fn a_manifest_of_another_backup_is_found() {
    let [dump, archive] = STORE.bodies();
    for (body, other) in [(dump, archive), (archive, dump)] {
        let (directory, path) = altered(body, &fs::read(body).unwrap());
        let name = body.file_name().unwrap().to_str().unwrap();
        let mut manifest: serde_json::Value = serde_json::from_slice(
            &fs::read(other.with_file_name(format!(
                "{}.json",
                other.file_name().unwrap().to_str().unwrap()
            )))
            .unwrap(),
        )
        .unwrap();
        let target = directory.path().join(format!("{name}.json"));
        fs::write(&target, manifest.to_string()).unwrap();
        let report = verify(&path, &Options { jobs: 2 }, &Silent).unwrap();
        assert_eq!(report.verdict, Verdict::Damaged);
        // Even if it was made to speak of this file.
        manifest["file"] = name.into();
        fs::write(&target, manifest.to_string()).unwrap();
        let report = verify(&path, &Options { jobs: 2 }, &Silent).unwrap();
        assert_eq!(report.verdict, Verdict::Damaged);
    }
}

#[test]
fn the_program_says_so_and_passes_on_the_good_ones() {
    let bytes = fs::read(&STORE.archive).unwrap();
    let (_directory, damaged) = altered(&STORE.archive, &bytes[..bytes.len() / 2]);
    let output = program("sg-verify")
        .arg("--no-record")
        .args([&STORE.dump, &damaged, &STORE.archive])
        .assert()
        .code(65)
        .get_output()
        .clone();
    let passed = format!("{}\n{}\n", STORE.dump.display(), STORE.archive.display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), passed);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("cut off"), "{words}");
}

#[test]
fn what_flows_through_comes_out_as_it_was_and_verified() {
    for body in STORE.bodies() {
        let bytes = fs::read(body).unwrap();
        let output = program("sg-verify")
            .arg("--stream")
            .write_stdin(bytes.clone())
            .assert()
            .success()
            .get_output()
            .stdout
            .clone();
        assert!(output == bytes);
        program("sg-verify")
            .arg("--stream")
            .write_stdin(&bytes[..bytes.len() - 100])
            .assert()
            .code(65);
    }
}

#[test]
fn the_outcome_is_recorded_beside_the_backup() {
    let directory = scratch();
    let tree = scratch();
    fs::write(tree.path().join("a"), "a").unwrap();
    let body = made(
        program("sg-archive-volume")
            .arg(tree.path())
            .args(["--name", "files", "--directory"])
            .arg(directory.path()),
    );
    let proof = body.with_file_name(format!(
        "{}.proof.json",
        body.file_name().unwrap().to_str().unwrap()
    ));
    program("sg-verify").arg(&body).assert().success();
    let sound: serde_json::Value = serde_json::from_slice(&fs::read(&proof).unwrap()).unwrap();
    assert_eq!(sound["verified"]["sound"], true);

    let mut bytes = fs::read(&body).unwrap();
    bytes[30] ^= 1;
    fs::write(&body, bytes).unwrap();
    program("sg-verify").arg(&body).assert().code(65);
    let damaged: serde_json::Value = serde_json::from_slice(&fs::read(&proof).unwrap()).unwrap();
    assert_eq!(damaged["verified"]["sound"], false);
}
