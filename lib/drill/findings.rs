//! What a drill finds about one backup, and what that makes of it.

use super::note_of;
use super::report::{SourceReport, Verdict};
use crate::error::{Error, Kind};
use crate::manifest::{Manifest, Proof};
use crate::monitor::{Monitor, Note, Severity};
use std::collections::BTreeSet;
use std::path::Path;

/// Progress only: what is noticed on the way is judged by the drill first.
pub(super) struct Muted<'a>(pub(super) &'a dyn Monitor);

impl Monitor for Muted<'_> {
    fn stage(&self, name: &str, total: Option<u64>) {
        self.0.stage(name, total);
    }

    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn note(&self, _note: Note) {}
}

/// The findings about one backup.
pub(super) struct Findings {
    subject: String,
    notes: Vec<Note>,
    damaged: bool,
    /// It was not tried, or not to the end, for a reason that is not the backup's.
    not_run: Option<Kind>,
}

impl Findings {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            subject: path.display().to_string(),
            notes: Vec::new(),
            damaged: false,
            not_run: None,
        }
    }

    /// Something about the backup as a whole.
    pub(super) fn add(&mut self, severity: Severity, code: &str, message: impl Into<String>) {
        self.notes
            .push(Note::new(severity, code, &self.subject, message));
    }

    /// Something about a part of it.
    pub(super) fn about(
        &mut self,
        severity: Severity,
        code: &str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.notes.push(Note::new(severity, code, subject, message));
    }

    /// A part of it is not what it was.
    pub(super) fn differs(
        &mut self,
        code: &str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.damaged = true;
        self.about(Severity::Critical, code, subject, message);
    }

    /// The backup is damaged.
    pub(super) fn damaged(&mut self, code: &str, error: &Error) {
        self.damaged = true;
        self.notes
            .push(note_of(Severity::Critical, code, &self.subject, error));
    }

    /// The drill can't go on.
    pub(super) fn failed(&mut self, error: &Error) {
        match error.kind() {
            Kind::Damaged => self.damaged("damaged", error),
            // What the server says to the dump: the backup does not restore.
            Kind::Failed => {
                let note = note_of(Severity::Critical, "not-restored", &self.subject, error);
                self.notes.push(note);
            }
            _ => self.could_not(error),
        }
    }

    /// The drill can't be done, which says nothing about the backup.
    pub(super) fn could_not(&mut self, error: &Error) {
        self.not_run.get_or_insert(error.kind());
        self.notes
            .push(note_of(Severity::High, "not-run", &self.subject, error));
        if let Some(hint) = error.hint() {
            self.about(Severity::Info, "hint", self.subject.clone(), hint);
        }
    }

    /// Takes over what sg-verify would say.
    pub(super) fn verified(&mut self, report: &crate::verify::Report) {
        self.damaged |= report.verdict == crate::verify::Verdict::Damaged;
        let told = report.notes.iter().filter(|note| note.is_finding());
        self.notes.extend(told.cloned());
    }

    /// A backup that was checked before under another seal was changed, however well the seal fits.
    pub(super) fn seal_unchanged(&mut self, path: &Path, manifest: &Manifest) {
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
            return;
        };
        let Ok(bytes) = std::fs::read(path.with_file_name(format!("{file}.proof.json"))) else {
            return;
        };
        let checked = Proof::sealed_by(&bytes);
        if checked.is_some_and(|sha256| sha256 != manifest.sha256) {
            self.differs(
                "seal-changed",
                self.subject.clone(),
                "is sealed by another sum than when it was last checked: body and manifest were \
                 replaced since",
            );
        }
    }

    /// Whether nothing speaks against it so far.
    pub(super) fn none(&self) -> bool {
        !self.damaged && self.not_run.is_none() && !self.notes.iter().any(Note::is_finding)
    }

    /// The verdict, and each finding once.
    pub(super) fn into_report(self, source: &mut SourceReport) {
        source.verdict = if self.damaged {
            Verdict::Damaged
        } else if self.not_run.is_some() {
            Verdict::NotRun
        } else if self.none() {
            Verdict::Proven
        } else {
            Verdict::Findings
        };
        source.failure = self.not_run;
        let mut seen = BTreeSet::new();
        source.findings.extend(
            self.notes
                .into_iter()
                .filter(|note| seen.insert((note.subject.clone(), note.message.clone()))),
        );
    }
}
