//! Messages to whoever keeps the host's log: the systemd journal with fields, the syslog daemon
//! elsewhere, and standard error for people.

use super::args::Log;
use crate::monitor::{Note, Severity};
use libsystemd::logging::{self, Priority};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// A grave event has an identifier of its own, so that `journalctl -x` can explain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A program failed.
    Failure,
    /// Something was noticed.
    Finding,
    /// A line was added to the audit trail.
    Audit,
    /// A drill did not prove all that it was to prove.
    Unproven,
}

impl Event {
    /// Its `MESSAGE_ID`; never to be changed.
    pub fn message_id(self) -> &'static str {
        match self {
            Self::Failure => "5f1c1d6d0c7b4d3a9c35a4c1d2f0b7e1",
            Self::Finding => "0b7e64d2a1f94c8e8b5d3e6f7a2c9d10",
            Self::Audit => crate::audit::MESSAGE_ID,
            Self::Unproven => "c41d8f6be2954a07b3f0a6d95e17c824",
        }
    }
}

/// How long the journal may take to look at who sent a message.
const LINGER: Duration = Duration::from_millis(20);

/// Where the messages of one program go.
pub struct Journal {
    program: &'static str,
    sink: Sink,
}

enum Sink {
    Stderr,
    Journal,
    Syslog(Box<std::sync::Mutex<syslog::Logger<syslog::LoggerBackend, syslog::Formatter3164>>>),
}

impl Journal {
    /// Opens the log for `program`; what can't be opened is replaced by standard error.
    pub fn open(program: &'static str, log: Log) -> Self {
        let sink = match log {
            Log::Stderr => Sink::Stderr,
            Log::Journal => Sink::Journal,
            Log::Auto if logging::connected_to_journal() => {
                make_known();
                Sink::Journal
            }
            Log::Auto => Sink::Stderr,
            Log::Syslog => syslog::unix(syslog::Formatter3164 {
                facility: syslog::Facility::LOG_DAEMON,
                hostname: None,
                process: program.into(),
                pid: std::process::id(),
            })
            .map_or(Sink::Stderr, |logger| {
                Sink::Syslog(Box::new(std::sync::Mutex::new(logger)))
            }),
        };
        Self { program, sink }
    }

    /// To be called at the end: a message whose sender is gone before it is looked at belongs to no unit,
    /// and then neither `journalctl -u` nor an alert has it.
    pub fn linger(&self) {
        if matches!(self.sink, Sink::Journal) {
            std::thread::sleep(LINGER);
        }
    }

    /// Whether people read the messages as they come.
    pub fn is_stderr(&self) -> bool {
        matches!(self.sink, Sink::Stderr)
    }

    /// Writes one message; `fields` go along where the log has such.
    pub fn write(
        &self,
        severity: Severity,
        message: &str,
        event: Option<Event>,
        fields: &[(&str, String)],
    ) {
        let sent = match &self.sink {
            Sink::Stderr => false,
            Sink::Journal => self.to_journal(severity, message, event, fields),
            Sink::Syslog(logger) => logger.lock().is_ok_and(|mut logger| {
                match severity {
                    Severity::Info => logger.info(message),
                    Severity::Low | Severity::Medium => logger.warning(message),
                    Severity::High => logger.err(message),
                    Severity::Critical => logger.crit(message),
                }
                .is_ok()
            }),
        };
        if !sent {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "{}: {message}", self.program);
        }
    }

    /// Tells the journal, whether or not the messages go there; for what must not be known to a file alone.
    pub fn testify(&self, message: &str, event: Event, fields: &[(&str, String)]) {
        // On a host without a journal there is none to tell.
        self.to_journal(Severity::Info, message, Some(event), fields);
    }

    fn to_journal(
        &self,
        severity: Severity,
        message: &str,
        event: Option<Event>,
        fields: &[(&str, String)],
    ) -> bool {
        let priority = match severity {
            Severity::Info => Priority::Info,
            Severity::Low => Priority::Notice,
            Severity::Medium => Priority::Warning,
            Severity::High => Priority::Error,
            Severity::Critical => Priority::Critical,
        };
        let mut all: BTreeMap<&str, &str> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        all.insert("SYSLOG_IDENTIFIER", self.program);
        // As systemd has it in its own words about a unit, so that an alert finds ours also where the journal came
        // to look at who we are when we were gone.
        let invocation = std::env::var("INVOCATION_ID").ok();
        all.extend(invocation.as_deref().map(|id| ("INVOCATION_ID", id)));
        if let Some(event) = event {
            all.insert("MESSAGE_ID", event.message_id());
        }
        logging::journal_send(priority, message, all.into_iter()).is_ok()
    }
}

/// Makes the journal look at who we are while we are there to be looked at: the connection of standard
/// error brings our unit's name with it, and is taken up with its first line. An empty one is not kept.
fn make_known() {
    let _ = writeln!(std::io::stderr());
}

/// The journal fields of a note.
pub fn fields_of(note: &Note) -> Vec<(&'static str, String)> {
    vec![
        ("SG_CODE", note.code.clone()),
        ("SG_SUBJECT", note.subject.clone()),
        ("SG_SEVERITY", note.severity.to_string()),
    ]
}
