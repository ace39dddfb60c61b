//! A dead man's switch hears of each run when it begins and how it ended, and of nothing else; what becomes
//! of that is neither the run's matter nor that of people's alerts.

use super::host::{Authority, CLOSED, Host, Receiver, run};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const DRIVER: &str = "sg-backup@shop.service";

/// A host whose application has a switch at `server`.
fn with_switch(server: &Receiver) -> Host {
    let host = Host::new();
    let url = format!("http://localhost:{}/hidden-check", server.port);
    host.setting("shop.conf", &format!("SG_PING_URL={url}\n"));
    host
}

/// Method and path of all that it got.
fn asked(server: &Receiver) -> Vec<String> {
    let text = |got: &Value, name: &str| got[name].as_str().unwrap().to_owned();
    let asked = server.got();
    asked
        .iter()
        .map(|got| format!("{} {}", text(got, "method"), text(got, "path")))
        .collect()
}

#[test]
fn a_run_that_begins_and_ends_well_says_so() {
    let server = Receiver::webhook(&[]);
    let host = with_switch(&server);
    let (status, said) = run(&mut host.alert(&["--begun", DRIVER]));
    assert_eq!(status, 0, "{said}");
    let (status, said) = run(&mut host.alert(&["--resolved", DRIVER]));
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("dead man's switch at localhost") && !said.contains("hidden"),
        "{said}"
    );
    // Steps are the run's, and other applications have switches of their own.
    for unit in ["sg-dump-db@shop", "sg-freshness@shop", "sg-backup@blog"] {
        for option in ["--begun", "--resolved"] {
            let (status, said) = run(&mut host.alert(&[option, unit]));
            assert_eq!(status, 0, "{said}");
        }
    }
    assert_eq!(
        asked(&server),
        ["GET /hidden-check/start", "GET /hidden-check"]
    );
}

#[test]
fn a_run_that_fails_says_which_step_and_why() {
    let server = Receiver::webhook(&[]);
    let mail = Receiver::smtp(&[]);
    let host = with_switch(&server);
    // What systemd knows: the dump of this run failed; the verification failed, too, but days ago.
    host.stub(
        "systemctl",
        "for unit; do :; done\n\
         began=03:30:00; ended=03:31:00; result=success; status=0; day=21\n\
         case $unit in\n\
         sg-backup@*) result=exit-code status=1 ;;\n\
         sg-dump-db@*) result=exit-code status=69 ;;\n\
         sg-verify@*) result=exit-code status=65 day=14 ;;\n\
         esac\n\
         echo Result=$result; echo ExecMainCode=1; echo ExecMainStatus=$status\n\
         echo InvocationID=0123456789abcdef0123456789abcdef\n\
         echo InactiveExitTimestamp=Sat 2026-11-$day $began UTC\n\
         echo ExecMainExitTimestamp=Sat 2026-11-$day $ended UTC",
    );
    let url = format!("http://localhost:{}/hidden-check", server.port);
    host.journal(&[
        json!({"MESSAGE": format!("calling {url}"), "PRIORITY": "6"}),
        json!({"MESSAGE": "cannot connect to 'shop': refused, password=hunter2\nhint: Start PostgreSQL.",
               "PRIORITY": "3"}),
    ]);
    let mut command = host.fails(DRIVER, 1, "1");
    command
        .env("MONITOR_INVOCATION_ID", "0123456789abcdef0123456789abcdef")
        .env("SG_ALERT_GRACE", "1ms")
        .env("SG_ALERT_TO", "ops@example.org")
        .env("SG_SMTP_URL", format!("smtp://localhost:{}", mail.port));
    let (status, said) = run(&mut command);
    assert_eq!((status, mail.got().len()), (0, 1), "{said}");
    assert_eq!(asked(&server), ["POST /hidden-check/fail"]);
    let got = &server.got()[0];
    assert_eq!(got["type"], "text/plain; charset=utf-8");
    let body = got["body"].as_str().unwrap();
    assert!(
        body.starts_with("[CRITICAL] shop: database dump failed on"),
        "{body}"
    );
    for part in [
        "cannot connect to 'shop': refused",
        "Start PostgreSQL.",
        "exit status 69",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert!(body.len() <= 10_000 && !body.contains("hunter2"), "{body}");
    assert!(
        !body.contains("hidden") && !said.contains("hidden"),
        "{said}"
    );
}

#[test]
fn nobody_else_needs_to_be_told() {
    let server = Receiver::webhook(&[]);
    let host = with_switch(&server);
    let (status, said) = run(&mut host.fails(DRIVER, 1, "1"));
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("there is no channel for alerts"), "{said}");
    assert_eq!(asked(&server), ["POST /hidden-check/fail"]);
}

#[test]
fn a_drill_has_a_switch_of_its_own() {
    let server = Receiver::webhook(&[]);
    let host = with_switch(&server);
    let path = host.path("url");
    let url = format!("http://localhost:{}/drills/?create=1\n", server.port);
    fs::write(&path, url).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let conf = fs::read_to_string(host.path("etc/shop.conf")).unwrap();
    let file = format!("{conf}SG_DRILL_PING_URL_FILE={}\n", path.display());
    host.setting("shop.conf", &file);
    let drill = "sg-drill@shop.service";
    run(&mut host.alert(&["--begun", drill]));
    run(&mut host.fails(drill, 1, "3"));
    run(&mut host.alert(&["--resolved", drill]));
    assert_eq!(
        asked(&server),
        [
            "GET /drills/start?create=1",
            "POST /drills/fail?create=1",
            "GET /drills/?create=1"
        ]
    );
}

#[test]
fn a_switch_that_stumbles_is_told_again_and_one_that_is_gone_is_no_failure() {
    let server = Receiver::webhook(&["--answers", "500,429,200", "--retry-after", "1"]);
    let host = with_switch(&server);
    let (status, said) = run(&mut host.alert(&["--resolved", DRIVER]));
    assert_eq!((status, server.got().len()), (0, 3), "{said}");

    let url = format!("SG_PING_URL=http://localhost:{CLOSED}/hidden-check\n");
    host.setting("shop.conf", &url);
    let mail = Receiver::smtp(&[]);
    for mut command in [
        host.alert(&["--begun", DRIVER]),
        host.alert(&["--resolved", DRIVER]),
        host.fails(DRIVER, 1, "1"),
    ] {
        command
            .env("SG_ALERT_TIMEOUT", "2s")
            .env("SG_ALERT_GRACE", "1ms")
            .env("SG_ALERT_TO", "ops@example.org")
            .env("SG_SMTP_URL", format!("smtp://localhost:{}", mail.port));
        let (status, said) = run(&mut command);
        assert_eq!(status, 0, "{said}");
        assert!(
            said.contains("dead man's switch at localhost:1 can't be reached")
                && !said.contains("hidden"),
            "{said}"
        );
    }
    // What people are told does not depend on it, and nothing waits that would come too late.
    assert_eq!(mail.got().len(), 1);
    assert!(host.waiting().is_empty());
}

#[test]
fn what_somebody_has_to_mend_is_a_failure() {
    for (answer, part) in [("404", "answered 404"), ("301", "answered 301")] {
        let server = Receiver::webhook(&["--answers", answer]);
        let host = with_switch(&server);
        let (status, said) = run(&mut host.alert(&["--resolved", DRIVER]));
        assert_eq!((status, server.got().len()), (78, 1), "{said}");
        assert!(
            said.contains(part) && said.contains("hint: Copy the check's ping URL"),
            "{said}"
        );
        assert!(!said.contains("hidden"), "{said}");
    }
    let host = Host::new();
    host.setting("shop.conf", "SG_PING_URL=hidden-check\n");
    let (status, said) = run(&mut host.alert(&["--begun", DRIVER]));
    assert_eq!(status, 78, "{said}");
    assert!(!said.contains("hidden"), "{said}");
}

#[test]
fn https_is_checked() {
    let authority = Authority::new();
    let arguments = authority.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Receiver::webhook(&arguments);
    let host = Host::new();
    // By the unit's credential, where the application's settings say nothing.
    let url = format!("https://localhost:{}/hidden-check", server.port);
    host.credential("ping-url", &url);
    let (status, said) = run(&mut host.alert(&["--resolved", DRIVER]));
    assert_eq!((status, server.got().len()), (78, 0), "{said}");
    assert!(
        said.contains("certificate") && !said.contains("hidden"),
        "{said}"
    );
    let mut command = host.alert(&["--resolved", DRIVER]);
    let (status, said) = run(command.env("SG_ALERT_CA", authority.path("ca.pem")));
    assert_eq!(status, 0, "{said}");
    assert_eq!(asked(&server), ["GET /hidden-check"]);
}
