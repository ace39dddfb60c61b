//! The disk that alerts are remembered on is full: people are told all the same, of each thing once, and
//! when there is room again nothing was forgotten.

use super::host::{Host, Receiver, run};
use crate::support::disk::SmallDisk;
use assert_cmd::Command;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// A host that remembers alerts on a small disk, and in its runtime directory where that is full.
fn small_host() -> Option<(Host, SmallDisk)> {
    let host = Host::new();
    fs::create_dir(host.path("state")).unwrap();
    let disk = SmallDisk::mount(&host.path("state"), "64k")?;
    Some((host, disk))
}

/// With a mail server, and the directory that systemd gives the unit.
fn to<'a>(host: &Host, command: &'a mut Command, mail: &Receiver) -> &'a mut Command {
    command
        .env("RUNTIME_DIRECTORY", host.path("run"))
        .env("SG_ALERT_TO", "ops@example.org")
        .env("SG_SMTP_URL", format!("smtp://localhost:{}", mail.port))
}

/// Writes until nothing fits any more.
fn fill(disk: &Path) {
    let mut file = File::create(disk.join("ballast")).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

fn files(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

#[test]
fn a_full_disk_makes_alerts_neither_fewer_nor_more() {
    let Some((host, disk)) = small_host() else {
        return;
    };
    let mail = Receiver::smtp(&[]);
    let dump = "sg-dump-db@shop.service";
    let prune = "sg-prune@blog.service";
    let fails = |unit, number, status| run(to(&host, &mut host.fails(unit, number, status), &mail));
    assert_eq!(fails(dump, 1, "69").0, 0);
    fill(&disk.0);

    // Told before: not again. New: told, once, with what to do about the disk.
    let (status, said) = fails(dump, 2, "69");
    assert_eq!(status, 74, "{said}");
    assert!(said.contains("people know"), "{said}");
    for number in 3..6 {
        let (status, said) = fails(prune, number, "1");
        assert_eq!(status, 74, "{said}");
        assert!(said.contains("No space left on device"), "{said}");
    }
    assert_eq!(mail.got().len(), 2, "{:?}", mail.subjects());
    let told = mail.got()[1]["mail"].as_str().unwrap().to_owned();
    assert!(told.contains("blog: pruning failed"), "{told}");
    assert!(told.contains("Look after the disk of"), "{told}");

    // What can't be sent waits in memory, and the flush finds it there.
    let mut away = host.fails("sg-dump-db@web.service", 6, "69");
    to(&host, &mut away, &mail).env("SG_SMTP_URL", "smtp://localhost:1");
    run(away.env("SG_ALERT_TIMEOUT", "1s"));
    assert_eq!(files(&host.path("run/queue")), 1);
    run(to(&host, &mut host.alert(&["--flush"]), &mail));
    assert_eq!(mail.got().len(), 3, "{:?}", mail.subjects());
    // An all-clear is told there, too.
    run(to(
        &host,
        &mut host.alert(&["--resolved", "sg-dump-db@web"]),
        &mail,
    ));
    assert_eq!(mail.got().len(), 4, "{:?}", mail.subjects());

    // With room again all of it goes home.
    fs::remove_file(disk.0.join("ballast")).unwrap();
    let (status, said) = fails(prune, 7, "1");
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("failed 4 times"), "{said}");
    assert_eq!(files(&host.path("run/incidents")), 0);
    assert_eq!(files(&host.path("state/incidents")), 3);
    for unit in [dump, prune] {
        let (status, said) = run(to(&host, &mut host.alert(&["--resolved", unit]), &mail));
        assert_eq!(status, 0, "{said}");
    }
    let subjects = mail.subjects();
    assert_eq!(subjects.len(), 6, "{subjects:?}");
    assert!(subjects[4].starts_with("[OK] shop"), "{subjects:?}");
    assert!(subjects[5].starts_with("[OK] blog"), "{subjects:?}");
}

/// By hand, without what systemd gives.
#[test]
fn without_another_place_it_is_told_all_the_same() {
    let Some((host, disk)) = small_host() else {
        return;
    };
    let mail = Receiver::smtp(&[]);
    fill(&disk.0);
    let mut command = host.fails("sg-dump-db@shop.service", 1, "69");
    let (status, said) = run(to(&host, &mut command, &mail).env_remove("RUNTIME_DIRECTORY"));
    assert_eq!((status, mail.got().len()), (74, 1), "{said}");
    assert!(!host.path("run").exists());
}
