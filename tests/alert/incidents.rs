//! Who hears what, and when: never lost, never twice, never a hundred times.

use super::host::{CLOSED, Host, Receiver, run};
use assert_cmd::Command;
use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

fn to(command: &mut Command, port: u16) -> &mut Command {
    command
        .env("SG_ALERT_TO", "ops@example.org")
        .env("SG_SMTP_URL", format!("smtp://localhost:{port}"))
}

#[test]
fn what_could_not_be_sent_is_sent_later_in_order() {
    let host = Host::new();
    for (run_number, unit) in ["sg-dump-db@a", "sg-archive-volume@b", "sg-prune@c"]
        .iter()
        .enumerate()
    {
        let unit = format!("{unit}.service");
        let mut command = host.fails(&unit, run_number as u32, "69");
        let (status, said) = run(to(&mut command, CLOSED));
        assert_eq!(status, 0, "{said}");
    }
    assert_eq!(host.waiting().len(), 3);
    // The next alert brings those before it.
    let server = Receiver::smtp(&[]);
    let (status, said) = run(to(
        &mut host.fails("sg-verify@d.service", 9, "65"),
        server.port,
    ));
    assert_eq!(status, 0, "{said}");
    let subjects = server.subjects();
    let order = ["a: database", "b: volume", "c: pruning", "d: verification"];
    assert_eq!(subjects.len(), order.len(), "{subjects:?}");
    for (subject, part) in subjects.iter().zip(order) {
        assert!(subject.contains(part), "{subjects:?}");
    }
    assert!(host.waiting().is_empty());
}

#[test]
fn a_hundred_failures_in_a_row_are_one_mail() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    for run_number in 0..100 {
        let mut command = host.fails("sg-dump-db@shop.service", run_number, "69");
        let (status, said) = run(to(&mut command, server.port));
        assert_eq!(status, 0, "{said}");
    }
    assert_eq!(server.got().len(), 1);
    // Another cause is news, and says how often it failed.
    let (_, said) = run(to(
        &mut host.fails("sg-dump-db@shop.service", 100, "77"),
        server.port,
    ));
    assert_eq!(server.got().len(), 2, "{said}");
    let mail = server.got()[1]["mail"].as_str().unwrap().to_owned();
    assert!(mail.contains("It failed 101 times since"), "{mail}");
}

#[test]
fn a_run_is_told_once_however_often_systemd_starts_us() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    for _ in 0..3 {
        run(to(
            &mut host.fails("sg-dump-db@shop.service", 7, "69"),
            server.port,
        ));
    }
    assert_eq!(server.got().len(), 1);
}

#[test]
fn the_driver_keeps_quiet_when_its_step_is_told() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    // Both start at the same moment, and the driver's may be first.
    thread::scope(|scope| {
        let driver = scope.spawn(|| {
            run(to(
                &mut host.fails("sg-backup@shop.service", 1, "1"),
                server.port,
            ))
        });
        thread::sleep(Duration::from_millis(700));
        run(to(
            &mut host.fails("sg-dump-db@shop.service", 2, "69"),
            server.port,
        ));
        let (status, said) = driver.join().unwrap();
        assert_eq!(status, 0);
        assert!(
            said.contains("the alert of sg-dump-db@shop.service tells of it"),
            "{said}"
        );
    });
    let subjects = server.subjects();
    assert_eq!(subjects.len(), 1, "{subjects:?}");
    assert!(subjects[0].contains("database dump failed"));
    // Another application's driver, and one whose step never started, do speak.
    let mut other = host.fails("sg-backup@blog.service", 3, "1");
    other.env("SG_ALERT_GRACE", "1s");
    run(to(&mut other, server.port));
    assert!(
        server.subjects()[1].contains("blog: backup run failed"),
        "{:?}",
        server.subjects()
    );
}

#[test]
fn the_driver_closes_what_its_steps_left_open() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    run(to(
        &mut host.fails("sg-dump-db@shop.service", 1, "69"),
        server.port,
    ));
    run(to(
        &mut host.fails("sg-verify@shop.service", 2, "74"),
        server.port,
    ));
    run(to(
        &mut host.fails("sg-dump-db@blog.service", 3, "69"),
        server.port,
    ));
    for _ in 0..2 {
        let mut command = host.alert(&["--resolved", "sg-backup@shop.service"]);
        let (status, said) = run(to(&mut command, server.port));
        assert_eq!(status, 0, "{said}");
    }
    let got = server.got();
    assert_eq!(got.len(), 4, "{:?}", server.subjects());
    let mail = got[3]["mail"].as_str().unwrap();
    assert!(
        mail.contains("Subject: [OK] shop: well again after"),
        "{mail}"
    );
    assert!(
        mail.contains("Database dump, verification of shop: well again"),
        "{mail}"
    );
    // It belongs to the first mail about it.
    let first = got[0]["mail"].as_str().unwrap();
    let id = first
        .lines()
        .find_map(|line| line.strip_prefix("Message-ID: "))
        .unwrap();
    assert!(
        mail.contains(&format!("In-Reply-To: {id}")),
        "{id} in {mail}"
    );
    // It fails again at once: a relapse is told, a second one is not.
    for run_number in [5, 6] {
        run(to(
            &mut host.fails("sg-dump-db@shop.service", run_number, "69"),
            server.port,
        ));
        run(to(
            &mut host.alert(&["--resolved", "sg-backup@shop.service"]),
            server.port,
        ));
    }
    let subjects = server.subjects();
    assert_eq!(subjects.len(), 5, "{subjects:?}");
    assert!(
        subjects[4].contains("shop: database dump failed again"),
        "{subjects:?}"
    );
}

#[test]
fn nothing_is_said_about_what_was_well_all_along() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    for arguments in [
        vec!["--resolved", "sg-backup@shop.service"],
        vec!["--flush"],
    ] {
        let (status, said) = run(to(&mut host.alert(&arguments), server.port));
        assert_eq!((status, said.as_str()), (0, ""));
    }
    assert!(server.got().is_empty());
}

#[test]
fn many_at_once_lose_and_repeat_nothing() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    thread::scope(|scope| {
        for number in 0..8 {
            let (host, port) = (&host, server.port);
            scope.spawn(move || {
                let unit = format!("sg-dump-db@app{number}.service");
                let mut command = host.fails(&unit, number, "69");
                assert_eq!(run(to(&mut command, port)).0, 0);
            });
        }
    });
    let mut apps: Vec<_> = server
        .subjects()
        .iter()
        .map(|subject| subject.split(' ').nth(1).unwrap().to_owned())
        .collect();
    apps.sort();
    let expected: Vec<_> = (0..8).map(|number| format!("app{number}:")).collect();
    assert_eq!(apps, expected);
    assert!(host.waiting().is_empty());
}

#[test]
fn an_alert_that_is_killed_while_it_sends_is_not_lost() {
    let host = Host::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut asked = host.fails("sg-dump-db@shop.service", 1, "69");
    to(&mut asked, silent.local_addr().unwrap().port());
    let mut command = std::process::Command::new(asked.get_program());
    command.args(asked.get_args()).stderr(Stdio::null());
    for (name, value) in asked.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().unwrap();
    // It talks to the server, so the message is in the spool.
    let connection = silent.accept().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(connection);
    assert_eq!(host.waiting().len(), 1);
    let server = Receiver::smtp(&[]);
    let (status, said) = run(to(&mut host.alert(&["--flush"]), server.port));
    assert_eq!((status, server.got().len()), (0, 1), "{said}");
}

#[test]
fn without_a_channel_it_is_said_once() {
    let host = Host::new();
    let (status, said) = run(&mut host.fails("sg-dump-db@shop.service", 1, "69"));
    assert_eq!(status, 0);
    assert!(
        said.contains("no channel") && said.contains("hint:"),
        "{said}"
    );
    let (status, said) = run(&mut host.fails("sg-dump-db@shop.service", 2, "69"));
    assert_eq!((status, said.as_str()), (0, ""));
    // Whoever adds one hears of it, as nobody heard before.
    let server = Receiver::smtp(&[]);
    run(to(
        &mut host.fails("sg-dump-db@shop.service", 3, "69"),
        server.port,
    ));
    assert_eq!(server.got().len(), 1);
}

#[test]
fn an_older_systemd_is_asked_how_it_failed() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    fs::write(
        host.path("show"),
        "Result=oom-kill\nExecMainCode=2\nExecMainStatus=9\nInvocationID=0123456789abcdef0123456789abcdef\n\
         InactiveExitTimestamp=Sat 2026-11-21 03:30:00 UTC\nExecMainExitTimestamp=Sat 2026-11-21 03:42:05 UTC\n",
    )
    .unwrap();
    let (status, said) = run(to(
        &mut host.alert(&["sg-dump-db@shop.service"]),
        server.port,
    ));
    assert_eq!(status, 0, "{said}");
    let mail = server.got()[0]["mail"].as_str().unwrap().to_owned();
    for part in [
        "killed because memory ran out",
        "Sat 2026-11-21 03:30:00 UTC",
        "after 12 min 5 s",
        "0123456789abcdef0123456789abcdef",
    ] {
        assert!(mail.contains(part), "{part} in {mail}");
    }
}

#[test]
fn a_dry_run_shows_everything_and_does_nothing() {
    let host = Host::new();
    let mut command = host.fails("sg-dump-db@shop.service", 1, "69");
    to(&mut command, CLOSED).arg("--dry-run");
    let output = command.output().unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.starts_with("To: mail to ops@example.org by localhost:"),
        "{shown}"
    );
    assert!(
        shown.contains("\nSubject: [CRITICAL] shop: database dump failed"),
        "{shown}"
    );
    assert!(!host.path("state").exists());
}
