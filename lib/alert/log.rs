//! The last lines that a run wrote to the journal, and what stands out of them: the cause and the
//! hints.

use super::redact::Redactor;
use super::systemd::Run;
use super::unit::Unit;
use crate::command;
use crate::error::{Error, Kind, Result};
use crate::monitor::Severity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::process::Command;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
/// So often the journal is read, so long apart, until systemd's last word is in it.
const TRIES: u32 = 12;
const BETWEEN: Duration = Duration::from_millis(250);
/// The `MESSAGE_ID`s of that: `SD_MESSAGE_UNIT_FAILURE_RESULT` and `SD_MESSAGE_UNIT_SUCCESS` of sd-messages.h.
const ENDED: [&str; 2] = [
    "d9b373ed55a64feb8242e02dbe79a49c",
    "7ad2d189f7e94e70a38c781354912448",
];
/// Some more than are shown, as systemd's own lines are among them.
const ASKED: &str = "50";
const SHOWN: usize = 30;
/// A line is no longer than this; somebody's query or stack trace may be.
const LONGEST: usize = 600;
/// syslog's numbers.
const ERROR: u8 = 3;
const INFO: u8 = 6;

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it was written.
    pub at: Option<Timestamp>,
    /// How urgent it is, by syslog's numbers: 3 is an error, 6 is information.
    pub priority: u8,
    /// What it says, free of secrets.
    pub text: String,
}

/// What a run said at the end.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Its last lines.
    pub lines: Vec<Line>,
    /// The reason that it gave for failing.
    pub cause: Option<String>,
    /// What it said to do about it.
    pub hints: Vec<String>,
    /// The gravest of its findings.
    pub severity: Option<Severity>,
    /// The gravest of its findings: its word for programs, and what it says.
    pub finding: Option<(String, String)>,
    /// When it wrote the first of these lines.
    pub begun: Option<Timestamp>,
}

/// Reads the last lines of `run`. On a busy host the journal comes to them a moment later than the alert; what
/// systemd says at the end comes behind them all.
///
/// # Errors
/// `journalctl` can't be run, or may not read the journal.
pub fn of(unit: &Unit, run: &Run, redactor: &Redactor) -> Result<Log> {
    let mut json = read(unit, run)?;
    for _ in 1..TRIES {
        if run.invocation.is_none() || has_ended(&json) {
            break;
        }
        thread::sleep(BETWEEN);
        json = read(unit, run)?;
    }
    Ok(parse(&json, redactor))
}

/// Whether systemd has said that the unit failed or ended well.
fn has_ended(json: &[u8]) -> bool {
    let mut ids = ENDED.iter();
    ids.any(|id| memchr::memmem::find(json, id.as_bytes()).is_some())
}

fn read(unit: &Unit, run: &Run) -> Result<Vec<u8>> {
    let mut command = Command::new("journalctl");
    command.args([
        "--output=json",
        "--all",
        "--no-pager",
        "--quiet",
        "-n",
        ASKED,
    ]);
    match &run.invocation {
        // What the unit wrote, and what systemd wrote about it.
        Some(id) => command.args([
            &format!("_SYSTEMD_INVOCATION_ID={id}"),
            "+",
            &format!("INVOCATION_ID={id}"),
        ]),
        None => command.arg(format!("--unit={}", unit.name)),
    };
    let said = command::run(&mut command, b"", LIMIT)?;
    if !said.status.success() {
        let reason = said.stderr.lines().next().unwrap_or("it failed").to_owned();
        return Err(
            Error::new(Kind::Permission, format!("journalctl: {reason}"))
                .with_hint("Run sg-alert as a member of the group systemd-journal."),
        );
    }
    Ok(said.stdout)
}

/// An entry of the journal, as far as it matters here.
struct Entry {
    at: Option<Timestamp>,
    priority: u8,
    from_systemd: bool,
    severity: Option<Severity>,
    code: Option<String>,
    text: String,
}

/// Understands what `journalctl -o json` writes.
fn parse(json: &[u8], redactor: &Redactor) -> Log {
    let mut entries: Vec<Entry> = json
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter_map(|value| entry(&value, redactor))
        .collect();
    // systemd only says that it failed, unless the program never came to speak.
    if entries.iter().any(|entry| !entry.from_systemd) {
        entries.retain(|entry| !entry.from_systemd);
    }
    let mut log = Log {
        begun: entries.first().and_then(|entry| entry.at),
        severity: entries.iter().filter_map(|entry| entry.severity).max(),
        finding: gravest(&entries),
        ..Log::default()
    };
    for entry in &entries {
        let mut cause = None;
        for text in entry.text.lines().map(str::trim_end) {
            let text = shortened(text);
            match text.trim_start().strip_prefix("hint:").map(str::trim) {
                Some(hint) if !log.hints.iter().any(|known| known == hint) => {
                    log.hints.push(hint.to_owned());
                }
                Some(_) => {}
                None if text.trim().is_empty() => {}
                None => {
                    cause.get_or_insert_with(|| text.trim().to_owned());
                    log.lines.push(Line {
                        at: entry.at,
                        priority: entry.priority,
                        text,
                    });
                }
            }
        }
        if entry.priority <= ERROR && cause.is_some() {
            log.cause = cause;
        }
    }
    if log.cause.is_none() {
        log.cause = log.lines.last().map(|line| line.text.trim().to_owned());
    }
    log.lines.drain(..log.lines.len().saturating_sub(SHOWN));
    log
}

/// Of several that are as grave, the first by its word: the same each night.
fn gravest(entries: &[Entry]) -> Option<(String, String)> {
    let findings = entries.iter().filter_map(|entry| {
        let severity = entry
            .severity
            .filter(|severity| *severity > Severity::Info)?;
        Some((severity, entry.code.as_deref()?, entry.text.as_str()))
    });
    let (severity, code, text) = findings
        .min_by_key(|(severity, code, text)| (std::cmp::Reverse(*severity), *code, *text))?;
    let text = text.lines().next().unwrap_or_default();
    let bare = text.strip_prefix(&format!("{severity}: ")).unwrap_or(text);
    Some((code.to_owned(), shortened(bare)))
}

fn entry(value: &Value, redactor: &Redactor) -> Option<Entry> {
    let text = text(value.get("MESSAGE")?)?;
    let field = |name: &str| value.get(name).and_then(text_of);
    // What the audit trail was told is not for here.
    if field("MESSAGE_ID").is_some_and(|id| id == crate::audit::MESSAGE_ID) {
        return None;
    }
    Some(Entry {
        at: field("__REALTIME_TIMESTAMP")
            .and_then(|text| text.parse().ok())
            .and_then(|microseconds| Timestamp::from_microsecond(microseconds).ok()),
        priority: field("PRIORITY")
            .and_then(|text| text.parse().ok())
            .unwrap_or(INFO),
        from_systemd: field("SYSLOG_IDENTIFIER").is_some_and(|name| name == "systemd"),
        severity: field("SG_SEVERITY")
            .and_then(|name| serde_json::from_value(Value::String(name)).ok()),
        code: field("SG_CODE"),
        text: redactor.clean(&plain(&text)),
    })
}

fn text_of(value: &Value) -> Option<String> {
    text(value)
}

/// A field's text: a string, or an array of bytes if it is not UTF-8, or an array of such if the field
/// stands there several times.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let bytes: Option<Vec<u8>> = items
                .iter()
                .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                .collect();
            match bytes {
                Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                None => items.first().and_then(text),
            }
        }
        _ => None,
    }
}

/// Without colors and other control characters, which have no place in a mail.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                // A control sequence ends with its first letter.
                chars.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
            }
            '\n' => plain.push('\n'),
            '\t' => plain.push(' '),
            c if c.is_control() => plain.push('\u{fffd}'),
            c => plain.push(c),
        }
    }
    plain
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{} [...]", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(json: &str) -> Log {
        parse(json.as_bytes(), &Redactor::new([]))
    }

    #[test]
    fn the_cause_is_the_last_error_and_hints_stand_apart() {
        let log = log(concat!(
            r#"{"MESSAGE":"Starting it","SYSLOG_IDENTIFIER":"systemd","PRIORITY":"6"}"#,
            "\n",
            r#"{"MESSAGE":"connecting","PRIORITY":"6","__REALTIME_TIMESTAMP":"1795231802000000"}"#,
            "\n",
            r#"{"MESSAGE":"cannot connect: refused\nhint: Start it.","PRIORITY":"3"}"#,
            "\n",
            r#"{"MESSAGE":"bye","PRIORITY":"6"}"#,
            "\n",
        ));
        assert_eq!(log.cause.unwrap(), "cannot connect: refused");
        assert_eq!(log.hints, ["Start it."]);
        let texts: Vec<_> = log.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["connecting", "cannot connect: refused", "bye"]);
        assert!(log.begun.is_some());
    }

    #[test]
    fn a_message_of_bytes_is_shown_as_far_as_it_is_text() {
        let log =
            log(r#"{"MESSAGE":[102,195,40,27,91,51,49,109,114,27,91,48,109],"PRIORITY":"3"}"#);
        assert_eq!(log.cause.unwrap(), "f\u{fffd}(r");
        let log = parse(br#"{"MESSAGE":null}"#, &Redactor::new([]));
        assert!(log.lines.is_empty());
    }

    #[test]
    fn systemd_speaks_for_a_program_that_could_not() {
        let log = log(
            r#"{"MESSAGE":"Failed to set up credentials","SYSLOG_IDENTIFIER":"systemd","PRIORITY":"3"}"#,
        );
        assert_eq!(log.cause.unwrap(), "Failed to set up credentials");
    }

    #[test]
    fn the_gravest_finding_speaks_for_all() {
        let log = log(concat!(
            r#"{"MESSAGE":"medium: the store: full\nhint: Do.","SG_SEVERITY":"medium","SG_CODE":"space-low"}"#,
            "\n",
            r#"{"MESSAGE":"high: db 'shop': shrank","SG_SEVERITY":"high","SG_CODE":"shrunk"}"#,
            "\n",
            r#"{"MESSAGE":"fine","SG_SEVERITY":"info","SG_CODE":"a"}"#,
            "\n",
            r#"{"MESSAGE":"audit: verify: done","MESSAGE_ID":"c4a1d7be52f0463f9d0e8f27a6b3915c"}"#,
        ));
        let (code, text) = log.finding.unwrap();
        assert_eq!(
            (code.as_str(), text.as_str()),
            ("shrunk", "db 'shop': shrank")
        );
        assert!(!log.lines.iter().any(|line| line.text.contains("audit")));
    }

    #[test]
    fn the_gravest_finding_counts() {
        let log = log(concat!(
            r#"{"MESSAGE":"a","SG_SEVERITY":"high"}"#,
            "\n",
            r#"{"MESSAGE":"b","SG_SEVERITY":"low"}"#,
        ));
        assert_eq!(log.severity, Some(Severity::High));
    }
}
