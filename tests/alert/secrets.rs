//! Nothing secret leaves the host or comes to rest on it, whatever a program was careless enough to say.

use super::host::{Host, Receiver, run};
use serde_json::json;
use std::fs;

#[test]
fn no_secret_is_sent_said_or_kept() {
    let host = Host::new();
    let mail = Receiver::smtp(&["--login", "sg:only-the-server-knows"]);
    let hook = Receiver::webhook(&["--answers", "500"]);
    let url = format!("http://localhost:{}/hook-path-secret", hook.port);
    host.credential("webhook-url", &url);
    host.credential("smtp-password", "only-the-server-knows");
    host.journal(&[
        json!({"MESSAGE": "env PGPASSWORD=hunter2 SG_X=1", "PRIORITY": "6"}),
        json!({"MESSAGE": "POST https://hooks.slack.com/services/T0/B0/hunter2", "PRIORITY": "6"}),
        json!({"MESSAGE": format!("calling {url} as only-the-server-knows"), "PRIORITY": "6"}),
        json!({"MESSAGE": "cannot connect to postgres://sg:hunter2@db/shop: refused\n\
                           hint: Try password='hunter2' again.", "PRIORITY": "3"}),
    ]);
    let mut command = host.fails("sg-dump-db@shop.service", 1, "69");
    command
        .env("SG_ALERT_TO", "ops@example.org")
        .env("SG_SMTP_URL", format!("smtp://sg@localhost:{}", mail.port));
    let (status, said) = run(&mut command);
    assert_eq!(status, 0, "{said}");
    let sent = mail.got()[0].to_string();
    assert!(
        sent.contains("cannot connect to postgres://sg:***@db/shop: refused"),
        "{sent}"
    );
    // The webhook's message waits: what lies on the disk is as clean.
    let waiting = host.waiting();
    assert_eq!(waiting.len(), 1);
    let mut everything = vec![said, sent, hook.got()[0]["body"].to_string()];
    everything.push(fs::read_to_string(&waiting[0]).unwrap());
    for entry in fs::read_dir(host.path("state/incidents")).unwrap() {
        everything.push(fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    for text in everything {
        for secret in ["hunter2", "only-the-server-knows", "hook-path-secret"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn a_secret_in_the_environment_is_used_and_frowned_upon() {
    let host = Host::new();
    let hook = Receiver::webhook(&[]);
    let url = format!("http://localhost:{}/hook-path-secret", hook.port);
    let mut command = host.fails("sg-dump-db@shop.service", 1, "69");
    let (status, said) = run(command.env("SG_ALERT_WEBHOOK_URL", url));
    assert_eq!((status, hook.got().len()), (0, 1), "{said}");
    assert!(
        said.contains("SG_ALERT_WEBHOOK_URL: holds a secret"),
        "{said}"
    );
    assert!(!said.contains("hook-path-secret"), "{said}");
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let host = Host::new();
    let hook = Receiver::webhook(&[]);
    let path = host.path("url");
    fs::write(&path, format!("http://localhost:{}/x", hook.port)).unwrap();
    let mut command = host.fails("sg-dump-db@shop.service", 1, "69");
    let (status, said) = run(command.env("SG_WEBHOOK_URL_FILE", &path));
    assert_eq!(
        (status, hook.got().len(), host.waiting().len()),
        (78, 0, 1),
        "{said}"
    );
    assert!(said.contains("hint: chmod 0600"), "{said}");
}

#[test]
fn what_is_not_text_arrives_as_far_as_it_is() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    host.journal(&[
        json!({"MESSAGE": [99, 97, 110, 39, 116, 32, 114, 101, 97, 100, 32, 195, 40, 255, 27, 91, 51, 49, 109, 33],
               "PRIORITY": "3"}),
        json!({"MESSAGE": null, "PRIORITY": "6"}),
        json!({"MESSAGE": ["twice", "said"], "PRIORITY": "6"}),
    ]);
    let mut command = host.fails("sg-dump-db@shop.service", 1, "74");
    command
        .env("SG_ALERT_TO", "ops@example.org")
        .env("SG_SMTP_URL", format!("smtp://localhost:{}", server.port));
    let (status, said) = run(&mut command);
    assert_eq!(status, 0, "{said}");
    let mail = server.got()[0]["mail"].as_str().unwrap().to_owned();
    assert!(
        mail.contains("can't read") && mail.contains("twice"),
        "{mail}"
    );
    assert!(!mail.contains('\u{1b}'));
}
