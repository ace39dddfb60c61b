//! What a program did, for the audit trail: the file and the journal. That it can't be recorded is
//! said once, and never stands in the way of a backup or a restore.

use super::Console;
use super::args::AuditArgs;
use super::journal::Event;
use crate::audit::{Action, Actor, Deed, Outcome, Record, Trail};
use crate::error::{Error, Kind, Result};
use crate::manifest::{Git, Manifest};
use crate::monitor::{Monitor, Note, Severity};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Records what one run of a program does.
pub struct Auditor<'a> {
    console: &'a Console,
    /// None if nothing is to be recorded.
    trail: Option<Trail>,
    actor: Actor,
    action: Action,
    app: Option<String>,
    told: AtomicBool,
}

impl<'a> Auditor<'a> {
    /// For `program`, which does `action`, for `app` if that is known.
    pub fn new(
        program: &str,
        action: Action,
        app: Option<&str>,
        args: &AuditArgs,
        console: &'a Console,
    ) -> Self {
        // Who can't ask git still says the rest; a backup that wants the commit fails for it elsewhere.
        let git = args
            .git
            .as_deref()
            .and_then(|directory| Git::of(directory).ok());
        Self {
            console,
            trail: (!args.no_audit).then(|| Trail::at(&args.trail.audit_file)),
            actor: Actor::this(&super::tool(program), args.reason.clone(), git),
            action,
            app: app.filter(|app| !app.is_empty()).map(str::to_owned),
            told: AtomicBool::new(false),
        }
    }

    /// A deed of this run, to be told more of and then recorded.
    pub fn deed(&self, result: Outcome) -> Deed {
        Deed::new(self.action, result).app(self.app.as_deref())
    }

    /// A deed that failed, with its reason.
    pub fn failure(&self, error: &Error) -> Deed {
        self.deed(outcome(error)).detail(error.to_string())
    }

    /// Does `work`, which `deed` names, with a line before it and one behind it: what has the first alone
    /// was cut off.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn around<T>(&self, deed: &Deed, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let with = |result, detail| Deed {
            result,
            detail,
            ..deed.clone()
        };
        self.record(&[with(Outcome::Begun, deed.detail.clone())]);
        let done = work();
        let end = match &done {
            Ok(_) => with(Outcome::Done, deed.detail.clone()),
            Err(error) => with(outcome(error), Some(error.to_string())),
        };
        self.record(&[end]);
        done
    }

    /// A backup that was made.
    pub fn made(&self, path: &Path, manifest: &Manifest) {
        let result = if manifest.notes.iter().any(Note::is_finding) {
            Outcome::Findings
        } else {
            Outcome::Done
        };
        let deed = self.deed(result).backup(path);
        // As it is, where a file's name had to escape it.
        let deed = deed.of(&manifest.kind, &manifest.name);
        self.record(&[deed
            .app(manifest.app.as_deref())
            .sha256(Some(&manifest.sha256))]);
    }

    /// Records `deeds`, as they are done: after that, they can't be taken back.
    pub fn record(&self, deeds: &[Deed]) {
        let Some(trail) = self.trail.as_ref().filter(|_| !deeds.is_empty()) else {
            return;
        };
        match trail.append(&self.actor, deeds) {
            Ok(records) => {
                for record in &records {
                    self.testify(&record.deed, Some(record));
                }
            }
            Err(error) => {
                for deed in deeds {
                    self.testify(deed, None);
                }
                self.tell(&error, trail.path());
            }
        }
    }

    /// Once is enough: what keeps one line out keeps out the next.
    fn tell(&self, error: &Error, path: &Path) {
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let cause = std::error::Error::source(error);
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        self.console.note(Note::new(
            Severity::Info,
            "not-audited",
            path.display().to_string(),
            format!("the audit trail lacks this run: {error}{cause}"),
        ));
    }

    fn testify(&self, deed: &Deed, record: Option<&Record>) {
        let mut fields = vec![
            ("SG_ACTION", deed.action.to_string()),
            ("SG_RESULT", deed.result.to_string()),
            ("SG_USER", self.actor.user.clone()),
        ];
        let mut field = |name, value: Option<&String>| {
            fields.extend(value.map(|value| (name, value.clone())));
        };
        field("SG_APP", deed.app.as_ref());
        field("SG_KIND", deed.kind.as_ref());
        field("SG_NAME", deed.name.as_ref());
        field("SG_BACKUP", deed.backup.as_ref());
        field("SG_SHA256", deed.sha256.as_ref());
        field("SG_TARGET", deed.target.as_ref());
        field("SG_SUDO_USER", self.actor.sudo_user.as_ref());
        field("SG_LOGIN_USER", self.actor.login_user.as_ref());
        field("SG_UNIT", self.actor.unit.as_ref());
        field("SG_REASON", self.actor.reason.as_ref());
        field(
            "SG_GIT_COMMIT",
            self.actor.git.as_ref().map(|git| &git.commit),
        );
        if let (Some(record), Some(trail)) = (record, &self.trail) {
            fields.push(("SG_AUDIT_FILE", trail.path().display().to_string()));
            fields.push(("SG_AUDIT_N", record.n.to_string()));
            fields.push(("SG_AUDIT_HASH", record.hash.clone()));
        }
        let who = self.actor.sudo_user.as_ref().unwrap_or(&self.actor.user);
        let message = format!("audit: {deed}; by {who}");
        self.console.testify(&message, Event::Audit, &fields);
    }
}

fn outcome(error: &Error) -> Outcome {
    match error.kind() {
        Kind::Damaged => Outcome::Damaged,
        _ => Outcome::Failed,
    }
}
