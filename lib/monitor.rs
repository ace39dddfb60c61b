//! How the library tells what it is doing, and what it noticed on the way.
//!
//! The library neither prints nor logs: it calls a [`Monitor`]. A program shows progress on a
//! terminal or to systemd and writes notes to the journal; a test collects them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Mutex;

/// How much a note matters; the order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth recording; nothing is amiss.
    Info,
    /// Look at it when there is time.
    Low,
    /// Look at it this week.
    Medium,
    /// Look at it today: something is missing or not as it should be.
    High,
    /// Act now: there is no usable backup.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// Something noticed that did not stop the work. From [`Severity::Low`] on it is a finding, and the
/// program that did the work ends with "done, with findings".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How much it matters.
    pub severity: Severity,
    /// A stable word for programs, e.g. `file-changed`.
    pub code: String,
    /// What it is about: a path, a table, a backup.
    pub subject: String,
    /// What was noticed, in lower case, without the subject.
    pub message: String,
    /// What to do about it, a whole sentence, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Note {
    /// A note about `subject`.
    pub fn new(
        severity: Severity,
        code: &str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code: code.to_owned(),
            subject: subject.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether this is more than information.
    pub fn is_finding(&self) -> bool {
        self.severity > Severity::Info
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

/// Whoever wants to know how the work goes. All calls may come from several threads at once.
pub trait Monitor: Send + Sync {
    /// A new stage begins, e.g. "dumping"; `total` is the expected number of bytes, if known.
    fn stage(&self, name: &str, total: Option<u64>);

    /// `bytes` more of the present stage are done. Called often: must be cheap.
    fn advance(&self, bytes: u64);

    /// Something was noticed.
    fn note(&self, note: Note);
}

/// Listens to nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn stage(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn note(&self, _note: Note) {}
}

/// Passes everything on and keeps the notes, for the manifest and the exit status.
pub struct Collector<'a> {
    next: &'a dyn Monitor,
    notes: Mutex<Vec<Note>>,
}

impl<'a> Collector<'a> {
    /// Keeps the notes on their way to `next`.
    pub fn new(next: &'a dyn Monitor) -> Self {
        Self {
            next,
            notes: Mutex::default(),
        }
    }

    /// The notes so far, in the order in which they came.
    pub fn notes(&self) -> Vec<Note> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Note>> {
        self.notes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Monitor for Collector<'_> {
    fn stage(&self, name: &str, total: Option<u64>) {
        self.next.stage(name, total);
    }

    fn advance(&self, bytes: u64) {
        self.next.advance(bytes);
    }

    fn note(&self, note: Note) {
        self.lock().push(note.clone());
        self.next.note(note);
    }
}
