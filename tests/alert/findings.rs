//! What a step notices that did its work: people hear of it, once, and when there is nothing any more; and
//! the night goes on.

use super::host::{Host, Receiver, run};
use serde_json::json;

const VERIFY: &str = "sg-verify@shop.service";

/// The journal of a run that found this.
fn finds(host: &Host, findings: &[(&str, &str, &str)]) {
    let mut entries = vec![json!({"MESSAGE": "/x: sound", "PRIORITY": "6"})];
    entries.extend(findings.iter().map(|(severity, code, text)| {
        json!({
            "MESSAGE": format!("{severity}: {text}\nhint: Look at {code}."), "PRIORITY": "4",
            "SG_SEVERITY": severity, "SG_CODE": code,
        })
    }));
    host.journal(&entries);
}

/// systemd tells that `unit` ended well in its run `number`, with `status`.
fn ends(host: &Host, port: u16, unit: &str, number: u32, status: &str) {
    let mut command = host.alert(&["--resolved", unit]);
    command
        .env("SG_ALERT_TO", "ops@example.org")
        .env("SG_SMTP_URL", format!("smtp://localhost:{port}"))
        .env("MONITOR_UNIT", unit)
        .env("MONITOR_SERVICE_RESULT", "success")
        .env("MONITOR_EXIT_CODE", "exited")
        .env("MONITOR_EXIT_STATUS", status)
        .env("MONITOR_INVOCATION_ID", format!("{number:032x}"));
    let (status, said) = run(&mut command);
    assert_eq!(status, 0, "{said}");
}

#[test]
fn a_finding_is_told_once_and_so_is_its_end() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    let end = |unit, number, status| ends(&host, server.port, unit, number, status);
    let few = (
        "medium",
        "too-few",
        "db 'shop' of shop: there is 1 good backup",
    );
    let low = ("low", "grown", "db 'shop' of shop: it grew");

    // Of what is below the bar nobody hears.
    finds(&host, &[low]);
    end(VERIFY, 1, "3");
    assert_eq!(server.subjects().len(), 0);

    finds(&host, &[low, few]);
    end(VERIFY, 2, "3");
    // The run goes on and ends well, which is not the end of that.
    end("sg-prune@shop.service", 3, "0");
    end("sg-backup@shop.service", 4, "0");
    // The next night it is the same.
    end(VERIFY, 5, "3");
    end("sg-backup@shop.service", 6, "0");
    let subjects = server.subjects();
    assert_eq!(subjects.len(), 1, "{subjects:?}");
    assert!(
        subjects[0].starts_with("[MEDIUM] shop: verification needs a look on"),
        "{subjects:?}"
    );
    let mail = server.got()[0]["mail"].as_str().unwrap().to_owned();
    assert!(mail.contains("Look at too-few."), "{mail}");
    assert!(mail.contains("there is 1 good backup"), "{mail}");

    // Something graver is news.
    let gone = (
        "high",
        "table-missing",
        "orders: no newest dump has this table",
    );
    finds(&host, &[few, gone]);
    end(VERIFY, 7, "3");
    assert!(
        server.subjects()[1].starts_with("[HIGH] shop:"),
        "{:?}",
        server.subjects()
    );

    host.journal(&[]);
    end(VERIFY, 8, "0");
    end("sg-backup@shop.service", 9, "0");
    let subjects = server.subjects();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
    assert!(
        subjects[2].starts_with("[OK] shop: well again"),
        "{subjects:?}"
    );
}

#[test]
fn the_bar_can_be_set() {
    let host = Host::new();
    let server = Receiver::smtp(&[]);
    host.setting("sg.conf", "SG_ALERT_SEVERITY=low\n");
    host.setting("quiet.conf", "SG_ALERT_SEVERITY=high\n");
    finds(
        &host,
        &[
            ("low", "grown", "it grew"),
            ("medium", "too-many", "5 backups"),
        ],
    );
    ends(&host, server.port, "sg-verify@quiet.service", 1, "3");
    assert_eq!(server.subjects().len(), 0);
    finds(&host, &[("low", "grown", "it grew")]);
    ends(&host, server.port, VERIFY, 2, "3");
    assert!(
        server.subjects()[0].starts_with("[LOW] shop:"),
        "{:?}",
        server.subjects()
    );
}
