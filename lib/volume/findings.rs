//! What is noticed about single files: told one by one as long as that helps, then counted. A tree
//! whose every file is unreadable must not fill memory, journal and manifest with it.

use crate::error::Error;
use crate::monitor::{Monitor, Note, Severity};
use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many of a kind are told one by one.
const TOLD: u64 = 1000;

/// Passes notes about files on to a monitor.
pub(super) struct Findings<'a> {
    monitor: &'a dyn Monitor,
    counts: Mutex<BTreeMap<&'static str, (Severity, u64)>>,
}

impl<'a> Findings<'a> {
    /// Tells `monitor`.
    pub(super) fn new(monitor: &'a dyn Monitor) -> Self {
        Self {
            monitor,
            counts: Mutex::default(),
        }
    }

    /// Notes something; `code` says what kind of thing it is.
    pub(super) fn add(
        &self,
        severity: Severity,
        code: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) {
        let count = {
            let mut counts = self.lock();
            let (most, count) = counts.entry(code).or_insert((severity, 0));
            *most = severity.max(*most);
            *count += 1;
            *count
        };
        if count <= TOLD {
            self.monitor
                .note(Note::new(severity, code, subject, message));
        }
    }

    /// Notes that what is at `path` could not be read.
    pub(super) fn unreadable(&self, path: &Path, cause: &io::Error) {
        let subject = path.display().to_string();
        // A directory on the way may have become something else, too.
        let gone = [nix::libc::ENOENT, nix::libc::ENOTDIR, nix::libc::ELOOP];
        if cause.kind() == io::ErrorKind::NotFound
            || cause
                .raw_os_error()
                .is_some_and(|errno| gone.contains(&errno))
        {
            self.add(
                Severity::Low,
                "vanished",
                subject,
                "vanished before it could be read",
            );
        } else {
            self.add(
                Severity::High,
                "unreadable",
                subject,
                format!("not archived: {cause}"),
            );
        }
    }

    /// The same for a library error.
    pub(super) fn unread(&self, path: &Path, error: &Error) {
        match error
            .source()
            .and_then(|source| source.downcast_ref::<io::Error>())
        {
            Some(cause) => self.unreadable(path, cause),
            None => self.add(
                Severity::High,
                "unreadable",
                path.display().to_string(),
                format!("not archived: {error}"),
            ),
        }
    }

    /// Notes that the file at `path` changed while it was read.
    pub(super) fn changed(&self, path: &Path, what: &str) {
        self.add(
            Severity::Medium,
            "file-changed",
            path.display().to_string(),
            what,
        );
    }

    /// How many notes of this kind there were.
    pub(super) fn count(&self, code: &str) -> u64 {
        self.lock().get(code).map_or(0, |&(_, count)| count)
    }

    /// Tells of those that were only counted. Call it at the end.
    pub(super) fn summarize(&self) {
        for (&code, &(severity, count)) in self.lock().iter() {
            if count > TOLD {
                let message = format!("not listed: {} more of this kind", count - TOLD);
                self.monitor.note(Note::new(severity, code, "…", message));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, (Severity, u64)>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
