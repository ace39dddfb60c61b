//! SIGKILL at any moment: what has a final name verifies, and the next run clears the rest.

use super::plant;
use crate::support::{child, program, scratch};
use sg::monitor::Silent;
use sg::store::BackupName;
use sg::verify::{Options, Verdict, verify};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const KILLS: u64 = 200;

fn names(store: &Path) -> Vec<String> {
    fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn two_hundred_kills_leave_whole_backups_or_nothing() {
    let (store, tree) = (scratch(), scratch());
    plant(tree.path());
    let archive = |name: &str| {
        let mut command = child("sg-archive-volume");
        command
            .arg(tree.path())
            .args(["--name", name, "--directory"])
            .arg(store.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let begun = std::time::Instant::now();
    assert!(archive("whole").status().unwrap().success());
    let mut within = begun.elapsed().as_micros() as f64;

    let mut dice = fastrand::Rng::with_seed(4);
    let mut killed = 0;
    for number in 0..KILLS {
        // Four sources, so that a run finds what an earlier one of its own left.
        let mut child = archive(&format!("source{}", number % 4)).spawn().unwrap();
        std::thread::sleep(Duration::from_micros((dice.f64() * within) as u64));
        let _ = child.kill();
        let in_time = !child.wait().unwrap().success();
        killed += u64::from(in_time);
        // How long a run takes changes with what else the machine does, so the kills follow it.
        within *= if in_time { 1.02 } else { 0.9 };
    }
    assert!(killed > KILLS / 4, "only {killed} runs were killed in time");

    for file in names(store.path()) {
        if file.parse::<BackupName>().is_ok() {
            let report = verify(&store.path().join(&file), &Options { jobs: 2 }, &Silent).unwrap();
            assert_eq!(report.verdict, Verdict::Sound, "{file}: {:?}", report.notes);
        }
    }
    for source in 0..4 {
        assert!(
            archive(&format!("source{source}"))
                .status()
                .unwrap()
                .success()
        );
    }
    let left: Vec<String> = names(store.path())
        .into_iter()
        .filter(|file| file.starts_with('.') && !file.starts_with(".lock_"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    program("sg-list")
        .args(["--directory".as_ref(), store.path()])
        .assert()
        .success();
}
