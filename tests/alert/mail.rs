//! Mail, by each way there is, to servers that are as servers are.

use super::host::{Authority, CLOSED, Host, Receiver, run};
use crate::support::scratch;
use assert_cmd::Command;
use std::fs;
use std::net::TcpListener;

const UNIT: &str = "sg-dump-db@shop.service";
const TO: (&str, &str) = ("SG_ALERT_TO", "ops@example.org");

/// Lets `command` send to `server`.
fn to<'a>(command: &'a mut Command, server: &Receiver) -> &'a mut Command {
    command
        .env(TO.0, TO.1)
        .env("SG_SMTP_URL", format!("smtp://localhost:{}", server.port))
}

fn strings(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn a_mail_tells_cause_and_cure_first() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    let (status, said) = run(to(&mut host.fails(UNIT, 1, "69"), &server));
    assert_eq!(status, 0, "{said}");
    let got = server.got();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0]["to"][0], "ops@example.org");
    let mail = got[0]["mail"].as_str().unwrap().replace("\r\n", "\n");
    let (head, body) = mail.split_once("\n\n").unwrap();
    assert!(
        head.contains("Subject: [CRITICAL] shop: database dump failed on "),
        "{mail}"
    );
    assert!(head.contains("Auto-Submitted: auto-generated"), "{mail}");
    assert!(
        body.starts_with(
            "There is no new database backup of shop.\n\n  cannot connect to 'shop': Connection refused\n\n\
             What to do\n  Start PostgreSQL.\n"
        ),
        "{mail}"
    );
    for part in [
        "exit status 69: a server is unreachable",
        "connecting to 'shop'\n",
        "  systemctl status 'sg-dump-db@shop.service'\n",
        "  journalctl -x _SYSTEMD_INVOCATION_ID=00000000000000000000000000000001\n",
        "  sg-list --app shop\n",
    ] {
        assert!(body.contains(part), "{part:?} in {body}");
    }
    assert!(body.lines().all(|line| line.len() <= 78), "{body}");
    assert!(host.waiting().is_empty());
}

#[test]
fn mail_goes_encrypted_and_with_a_password() {
    let authority = Authority::new();
    for (tls, how) in [("starttls", "starttls"), ("smtps", "tls")] {
        let host = Host::new();
        let mut arguments = authority.arguments();
        arguments.extend(["--tls", tls, "--login", "sg:hunter2"].map(str::to_owned));
        let server = Receiver::smtp(&strings(&arguments));
        host.credential("smtp-password", "hunter2\n");
        let mut command = host.fails(UNIT, 1, "69");
        to(&mut command, &server)
            .env("SG_SMTP_TLS", how)
            .env("SG_SMTP_USER", "sg")
            .env("SG_ALERT_CA", authority.path("ca.pem"));
        let (status, said) = run(&mut command);
        assert_eq!(status, 0, "{tls}: {said}");
        let got = server.got();
        assert_eq!(got.len(), 1, "{tls}: {said}");
        assert_eq!(
            (&got[0]["tls"], &got[0]["login"]),
            (&true.into(), &true.into()),
            "{tls}"
        );
    }
}

#[test]
fn a_server_that_nobody_vouches_for_gets_nothing() {
    let authority = Authority::new();
    for (tls, how) in [("starttls", "starttls"), ("smtps", "tls")] {
        let host = Host::new();
        let mut arguments = authority.arguments();
        arguments.extend(["--tls", tls].map(str::to_owned));
        let server = Receiver::smtp(&strings(&arguments));
        let mut command = host.fails(UNIT, 1, "69");
        let (status, said) = run(to(&mut command, &server).env("SG_SMTP_TLS", how));
        assert_eq!(status, 78, "{tls}: {said}");
        assert!(
            said.contains("hint:") && said.contains("SG_ALERT_CA"),
            "{tls}: {said}"
        );
        assert!(server.got().is_empty());
        // Once that is mended, what waited goes out.
        let mut command = host.alert(&["--flush"]);
        to(&mut command, &server)
            .env("SG_SMTP_TLS", how)
            .env("SG_ALERT_CA", authority.path("ca.pem"));
        let (status, said) = run(&mut command);
        assert_eq!((status, server.got().len()), (0, 1), "{tls}: {said}");
    }
}

#[test]
fn a_server_without_encryption_gets_no_mail_that_asks_for_it() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    let mut command = host.fails(UNIT, 1, "69");
    let (status, said) = run(to(&mut command, &server).env("SG_SMTP_TLS", "starttls"));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("does not offer STARTTLS"), "{said}");
    assert!(server.got().is_empty());
}

#[test]
fn a_wrong_password_is_tried_once_and_never_shown() {
    let host = Host::new();
    let server = Receiver::smtp(&["--login", "sg:right-one"]);
    host.credential("smtp-password", "wrong-one");
    let mut command = host.fails(UNIT, 1, "69");
    to(&mut command, &server).env("SG_SMTP_USER", "sg");
    let (status, said) = run(&mut command);
    assert_eq!(status, 77, "{said}");
    assert!(said.contains("'sg' can't log in to localhost"), "{said}");
    assert!(said.contains("hint: Look at SG_SMTP_USER"), "{said}");
    assert!(!said.contains("wrong-one"), "{said}");
    assert_eq!(server.got().len(), 1, "one attempt: {:?}", server.got());
    assert_eq!(host.waiting().len(), 1);
}

#[test]
fn greylisting_is_waited_for() {
    let host = Host::new();
    let server = Receiver::smtp(&["--recipients", "451,451,250"]);
    let (status, said) = run(to(&mut host.fails(UNIT, 1, "69"), &server));
    assert_eq!((status, server.got().len()), (0, 1), "{said}");
}

#[test]
fn long_greylisting_leaves_the_mail_for_later() {
    let host = Host::new();
    let server = Receiver::smtp(&["--recipients", "451"]);
    let (status, said) = run(to(&mut host.fails(UNIT, 1, "69"), &server));
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("451") && said.contains("1 message left for the next alert"),
        "{said}"
    );
    let server = Receiver::smtp(&[]);
    let (status, said) = run(to(&mut host.alert(&["--flush"]), &server));
    assert_eq!((status, server.got().len()), (0, 1), "{said}");
    let (status, said) = run(to(&mut host.alert(&["--flush"]), &server));
    assert_eq!((status, server.got().len()), (0, 1), "{said}");
}

#[test]
fn one_refused_address_does_not_keep_the_others_from_being_told() {
    let host = Host::new();
    let server = Receiver::smtp(&["--recipients", "550,250"]);
    let mut command = host.fails(UNIT, 1, "69");
    to(&mut command, &server).env("SG_ALERT_TO", "gone@example.org, ops@example.org");
    let (status, said) = run(&mut command);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("<gone@example.org> is refused"), "{said}");
    assert_eq!(
        server.got()[0]["to"],
        serde_json::json!(["ops@example.org"])
    );
    // With nobody left it is a failure, and the mail is kept.
    let server = Receiver::smtp(&["--recipients", "550"]);
    let (status, said) = run(to(&mut host.fails(UNIT, 2, "70"), &server));
    assert_eq!((status, host.waiting().len()), (78, 1), "{said}");
}

#[test]
fn servers_that_hang_drip_or_refuse_do_not_stop_anything() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dripping = Receiver::smtp(&["--drip", "0.2"]);
    let check = |port: u16| {
        let host = Host::new();
        let webhook = Receiver::webhook(&[]);
        host.credential(
            "webhook-url",
            &format!("http://localhost:{}/x", webhook.port),
        );
        let mut command = host.fails(UNIT, 1, "69");
        command
            .env(TO.0, TO.1)
            .env("SG_SMTP_URL", format!("smtp://localhost:{port}"))
            // Long enough for the webhook on a busy machine.
            .env("SG_ALERT_TIMEOUT", "10s");
        let (status, said) = run(&mut command);
        assert_eq!(status, 0, "{said}");
        assert!(
            said.contains("hint:") || said.contains("localhost"),
            "{said}"
        );
        // The other channel got its message meanwhile.
        assert_eq!(webhook.got().len(), 1, "{said}");
        assert_eq!(host.waiting().len(), 1, "{said}");
    };
    let silent_port = silent.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        for port in [silent_port, dripping.port, CLOSED] {
            scope.spawn(move || check(port));
        }
    });
}

#[test]
fn the_mail_program_of_the_host_takes_mail() {
    let host = Host::new();
    let sendmail = host.stub(
        "sendmail",
        "echo \"$@\" >\"$SG_TEST_HOST/args\"; cat >\"$SG_TEST_HOST/mail\"",
    );
    let send = |run_number| {
        let mut command = host.fails(UNIT, run_number, "69");
        command
            .env(TO.0, TO.1)
            .env("SG_ALERT_FROM", "sg@example.org")
            .env("SG_SENDMAIL", &sendmail);
        run(&mut command)
    };
    let (status, said) = send(1);
    assert_eq!(status, 0, "{said}");
    let arguments = fs::read_to_string(host.path("args")).unwrap();
    assert_eq!(arguments.trim(), "-i -f sg@example.org -- ops@example.org");
    let mail = fs::read_to_string(host.path("mail")).unwrap();
    assert!(
        mail.contains("\nFrom: sg@example.org\n") || mail.starts_with("From: sg@example.org\n"),
        "{mail}"
    );
    assert!(!mail.contains('\r'));
    // EX_TEMPFAIL: later. Anything else: somebody has to look.
    for (exit, expected) in [(75, 0), (64, 1)] {
        fs::remove_dir_all(host.path("state")).unwrap();
        host.stub(
            "sendmail",
            &format!("cat >/dev/null; echo no >&2; exit {exit}"),
        );
        let (status, said) = send(exit);
        assert_eq!((status, host.waiting().len()), (expected, 1), "{said}");
        assert!(said.contains("did not take the mail"), "{said}");
    }
}

#[test]
fn a_disk_that_can_hold_no_spool_does_not_keep_an_alert_back() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    let scratch = scratch();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    let mut command = host.fails(UNIT, 1, "69");
    to(&mut command, &server).env("SG_STATE_DIRECTORY", file.join("state"));
    let (status, said) = run(&mut command);
    assert_eq!(server.got().len(), 1, "{said}");
    assert_ne!(status, 0);
    assert!(said.contains("cannot create"), "{said}");
}

#[test]
fn a_test_says_what_became_of_each_channel() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    let webhook = Receiver::webhook(&["--answers", "404"]);
    let (status, said) = run(to(&mut host.alert(&["--test", "shop"]), &server));
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("mail to ops@example.org by localhost"),
        "{said}"
    );
    assert!(server.subjects()[0].starts_with("[TEST] shop:"));
    host.credential(
        "webhook-url",
        &format!("http://localhost:{}/hidden", webhook.port),
    );
    let (status, said) = run(to(&mut host.alert(&["--test", "shop"]), &server));
    assert_eq!(status, 78, "{said}");
    assert!(
        said.contains("accepted") && said.contains("answered 404"),
        "{said}"
    );
    // A test is not kept for later.
    assert!(host.waiting().is_empty());
    let (status, said) = run(&mut Host::new().alert(&["--test", "shop"]));
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("hint:"), "{said}");
}

#[test]
fn an_application_has_addresses_of_its_own() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    host.setting(
        "sg.conf",
        &format!(
            "SG_SMTP_URL=smtp://localhost:{}\nSG_ALERT_TO=all@example.org\n",
            server.port
        ),
    );
    host.setting(
        "shop.conf",
        "# ours\nSG_DATABASE=shop\nSG_ALERT_TO=\"shop@example.org\"\n",
    );
    // What systemd took out of sg.conf stands in the environment, and must not win over shop.conf.
    let mut command = host.fails(UNIT, 1, "69");
    assert_eq!(run(command.env("SG_ALERT_TO", "all@example.org")).0, 0);
    assert_eq!(
        run(&mut host.fails("sg-dump-db@blog.service", 2, "69")).0,
        0
    );
    let to: Vec<_> = server
        .got()
        .iter()
        .map(|got| got["to"][0].clone())
        .collect();
    assert_eq!(to, ["shop@example.org", "all@example.org"]);
    // A setting that is wrong does not keep the alert back.
    host.setting("shop.conf", "SG_SMTP_PORT=many\n");
    let (_, said) = run(&mut host.fails(UNIT, 3, "70"));
    assert!(said.contains("a setting is wrong"), "{said}");
    assert_eq!(server.got().len(), 3, "{said}");
}

#[test]
fn an_address_that_is_put_off_beside_another_is_asked_again_alone() {
    let host = Host::new();
    let server = Receiver::smtp(&["--recipients", "250,451,250"]);
    let settings = |command: &mut assert_cmd::Command| {
        command
            .env("SG_ALERT_TO", "ops@example.org, night@example.org")
            .env("SG_SMTP_URL", format!("smtp://localhost:{}", server.port));
    };
    let mut command = host.fails("sg-dump-db@shop.service", 1, "69");
    settings(&mut command);
    let (status, said) = run(&mut command);
    assert_eq!(status, 0, "{said}");
    assert_eq!(host.waiting().len(), 1, "{said}");
    let mut command = host.alert(&["--flush"]);
    settings(&mut command);
    let (status, said) = run(&mut command);
    assert_eq!(status, 0, "{said}");
    let to: Vec<_> = server.got().iter().map(|mail| mail["to"].clone()).collect();
    assert_eq!(
        to,
        [
            serde_json::json!(["ops@example.org"]),
            serde_json::json!(["night@example.org"])
        ]
    );
    assert!(host.waiting().is_empty());
}
