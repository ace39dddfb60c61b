//! The audit trail: who did what to which backup, when, why, and what came of it, so that it can be
//! told a year later, and so that it is seen when somebody changed the story.
//!
//! It is a file that is only ever added to, a JSON object a line ([`Record`]). Each line carries the
//! SHA-256 of itself and that of the line before, so that no line can be changed, taken out, put in or
//! moved without [`check`] naming it. Nothing in a file can tell that its end is missing; therefore
//! the journal gets number and hash of each line, too, and is asked as a [`Witness`].
//!
//! # Format, version 1
//! The hash of a line is that of its bytes without `,"hash":"…"`, which stands last in it:
//! `sed 's/,"hash":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum`. The first line's `previous` is 64 zeros.
//! `n` counts from 1. A write that was cut off stays where it is, and the next line tells its length and
//! SHA-256 in `after`.
//!
//! # Who writes
//! The steps as `sg-backup`, an operator as root, several at once: each takes a `flock` on the file,
//! looks at its end, adds its lines and syncs them. A file that root makes belongs to whom the
//! directory belongs to.

mod actor;
mod check;
mod journal;
mod line;
mod trail;

pub use actor::Actor;
pub use check::{Checked, Flaw, Witness, check};
pub use journal::witnesses;
pub use line::{Cut, Record};
pub use trail::Trail;

use serde::{Deserialize, Serialize};
use std::fmt;

/// The version written.
pub const FORMAT: u32 = 1;

/// The `MESSAGE_ID` of what the journal is told of each line; never to be changed.
pub const MESSAGE_ID: &str = "c4a1d7be52f0463f9d0e8f27a6b3915c";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A backup was made.
    Backup,
    /// Something was brought back.
    Restore,
    /// A backup was removed, or a run that removes was made.
    Prune,
    /// A backup was read back.
    Verify,
    /// A backup was restored for practice.
    Drill,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Prune => "prune",
            Self::Verify => "verify",
            Self::Drill => "drill",
        })
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It began: what has this line alone was cut off.
    Begun,
    /// It was done.
    #[default]
    Done,
    /// It was done, and something needs a look.
    Findings,
    /// The backup is damaged.
    Damaged,
    /// It failed.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Findings => "findings",
            Self::Damaged => "damaged",
            Self::Failed => "failed",
        })
    }
}

/// What was done to what, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// What was done.
    pub action: Action,
    /// What came of it.
    pub result: Outcome,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The source's kind: `db`, `volume`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The source's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The backup's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// The backup's SHA-256 as its manifest has it; of a whole drill that of its report, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it went: a database, a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What else is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Deed {
    /// `action` ended with `result`.
    pub fn new(action: Action, result: Outcome) -> Self {
        Self {
            action,
            result,
            app: None,
            kind: None,
            name: None,
            backup: None,
            sha256: None,
            target: None,
            detail: None,
        }
    }

    /// The same of this source.
    #[must_use]
    pub fn of(mut self, kind: &str, name: &str) -> Self {
        self.kind = Some(kind.to_owned());
        self.name = Some(name.to_owned());
        self
    }

    /// The same of this application.
    #[must_use]
    pub fn app(mut self, app: Option<&str>) -> Self {
        self.app = app.map(str::to_owned);
        self
    }

    /// The same with this backup; its name tells the source.
    #[must_use]
    pub fn backup(mut self, path: &std::path::Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(Ok(name)) = name.map(str::parse::<crate::store::BackupName>) {
            self.kind = Some(name.kind);
            self.name = Some(name.name);
        }
        self.backup = Some(path.display().to_string());
        self
    }

    /// The same with the digest of the backup's body, or of a drill's report.
    #[must_use]
    pub fn sha256(mut self, sha256: Option<&str>) -> Self {
        self.sha256 = sha256.map(str::to_owned);
        self
    }

    /// The same, to there.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The same with a word more.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Deed {
    /// One line for people, e.g. "backup of db 'shop' of web: done".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        match (&self.kind, &self.name, &self.backup) {
            (Some(kind), Some(name), _) => write!(f, " of {kind} '{name}'")?,
            (_, _, Some(backup)) => write!(f, " of '{backup}'")?,
            _ => {}
        }
        if let Some(app) = &self.app {
            write!(f, " of {app}")?;
        }
        if let Some(target) = &self.target {
            write!(f, " to '{target}'")?;
        }
        write!(f, ": {}", self.result)?;
        match &self.detail {
            Some(detail) => write!(f, ", {detail}"),
            None => Ok(()),
        }
    }
}
