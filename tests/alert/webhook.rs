//! Webhooks: what each kind gets, and what its answers lead to.

use super::host::{Authority, Host, Receiver, run};
use serde_json::Value;

const UNIT: &str = "sg-verify@shop.service";

fn send(kind: &str, arguments: &[&str], token: Option<&str>) -> (i32, String, Vec<Value>) {
    let host = Host::new();
    let server = Receiver::webhook(arguments);
    host.credential(
        "webhook-url",
        &format!("http://localhost:{}/hidden-path/topic\n", server.port),
    );
    if let Some(token) = token {
        host.credential("webhook-token", token);
    }
    let (status, said) = run(host.fails(UNIT, 1, "65").env("SG_WEBHOOK_KIND", kind));
    assert!(!said.contains("hidden-path"), "{said}");
    (status, said, server.got())
}

#[test]
fn each_kind_gets_what_it_understands() {
    let cause = "cannot connect to 'shop': Connection refused";
    for (kind, part) in [
        ("slack", "/text"),
        ("discord", "/embeds/0/description"),
        ("teams", "/attachments/0/content/body/2/text"),
        ("teams-connector", "/text"),
        ("ntfy", "/message"),
        ("json", "/cause"),
    ] {
        let answer = if kind == "teams-connector" {
            "200:1"
        } else {
            "200"
        };
        let (status, said, got) = send(kind, &["--answers", answer], None);
        assert_eq!((status, got.len()), (0, 1), "{kind}: {said}");
        assert_eq!(got[0]["type"], "application/json; charset=utf-8");
        let body = &got[0]["body"];
        let text = body.pointer(part).and_then(Value::as_str).unwrap();
        assert!(text.contains(cause), "{kind}: {body}");
        assert!(
            body.to_string()
                .contains("[CRITICAL] shop: verification failed on"),
            "{body}"
        );
        assert!(
            body.to_string().contains("Start PostgreSQL."),
            "{kind}: {body}"
        );
        match kind {
            "discord" => assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([])),
            "teams" => assert_eq!(
                body["attachments"][0]["contentType"],
                "application/vnd.microsoft.card.adaptive"
            ),
            "teams-connector" => assert_eq!(body["@type"], "MessageCard"),
            "ntfy" => {
                assert_eq!(
                    (&body["topic"], &body["priority"]),
                    (&"topic".into(), &5.into())
                );
                assert_eq!(got[0]["path"], "/hidden-path");
            }
            "json" => {
                assert_eq!(
                    (&body["event"], &body["severity"]),
                    (&"failed".into(), &"critical".into())
                );
                assert_eq!(body["unit"], UNIT);
                assert!(
                    body["text"]
                        .as_str()
                        .unwrap()
                        .starts_with("A backup of shop is damaged.")
                );
            }
            _ => {}
        }
    }
}

#[test]
fn a_server_that_stumbles_is_asked_again() {
    for answers in ["500,200", "429,200", "503,429,200"] {
        let (status, said, got) = send("json", &["--answers", answers, "--retry-after", "1"], None);
        let statuses: Vec<_> = got.iter().map(|got| got["status"].to_string()).collect();
        assert_eq!(
            (status, statuses.join(",")),
            (0, answers.to_owned()),
            "{said}"
        );
        // Each attempt is the same message.
        assert!(
            got.iter()
                .all(|other| other["body"]["id"] == got[0]["body"]["id"])
        );
    }
}

#[test]
fn what_somebody_has_to_mend_is_a_failure() {
    for (answers, part) in [
        ("404:no_service", "answered 404: no_service"),
        ("403", "answered 403"),
        ("302", "points elsewhere"),
    ] {
        let (status, said, got) = send("json", &["--answers", answers], None);
        assert_eq!((status, got.len()), (78, 1), "{said}");
        assert!(said.contains(part) && said.contains("hint:"), "{said}");
    }
    // Who can't read one message may read the next.
    let (status, said, got) = send("json", &["--answers", "400:invalid_payload"], None);
    assert_eq!((status, got.len()), (1, 1), "{said}");
}

#[test]
fn the_old_connector_of_teams_fails_with_200() {
    let answers = "200:Microsoft Teams endpoint returned HTTP error 429,200:1";
    let (status, said, got) = send("teams-connector", &["--answers", answers], None);
    assert_eq!((status, got.len()), (0, 2), "{said}");
}

#[test]
fn a_token_goes_along_and_is_not_shown() {
    let (status, said, got) = send(
        "ntfy",
        &["--answers", "401:token tk_hidden is unknown"],
        Some("tk_hidden"),
    );
    assert_eq!(status, 78);
    assert_eq!(got[0]["authorization"], "Bearer tk_hidden");
    assert!(!said.contains("tk_hidden"), "{said}");
}

#[test]
fn https_is_checked() {
    let authority = Authority::new();
    let arguments = authority.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Receiver::webhook(&arguments);
    let host = Host::new();
    host.credential(
        "webhook-url",
        &format!("https://localhost:{}/hidden", server.port),
    );
    let (status, said) = run(&mut host.fails(UNIT, 1, "65"));
    assert_eq!(status, 78, "{said}");
    assert!(
        said.contains("certificate") && !said.contains("hidden"),
        "{said}"
    );
    let mut command = host.alert(&["--flush"]);
    let (status, said) = run(command.env("SG_ALERT_CA", authority.path("ca.pem")));
    assert_eq!((status, server.got().len()), (0, 1), "{said}");
}
