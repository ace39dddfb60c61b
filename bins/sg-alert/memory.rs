//! Where is remembered what people know: on disk, and while that can't be written, in memory.

use super::Work;
use sg::alert::shelter::{self, STATE};
use sg::alert::{Failure, Spool};
use sg::program::Exit;
use sg::{Kind, Result};
use std::path::{Path, PathBuf};

impl Work<'_> {
    /// Does `work` with the memory of alerts. If that can't be written, with the one in its shelter, and told of
    /// where it should be; that somebody has to make room is this run's failure then.
    ///
    /// # Errors
    /// There is no shelter, or it can't be written either.
    pub(super) fn remembering(
        &self,
        work: impl Fn(&Spool, Option<&Path>) -> Result<Exit>,
    ) -> Result<Exit> {
        let state = self.state();
        let shelter = directory("RUNTIME_DIRECTORY").or_else(|| shelter::shelter_of(&state));
        let home = shelter::home(&state, shelter.as_deref());
        let error = match home.and_then(|spool| work(&spool, None)) {
            Ok(exit) => return Ok(exit),
            Err(error) => error,
        };
        let Some(shelter) = shelter else {
            return Err(error);
        };
        // Who may not write there, either, is told of the place that it should be.
        let Ok(spool) = shelter::sheltered(&state, &shelter) else {
            return Err(error);
        };
        self.console.failure(&error);
        if !self.args.dry_run {
            // What waits since before can be sent all the same.
            let _ = Spool::open(&state).and_then(|spool| self.deliver(&spool));
        }
        let done = work(&spool, Some(&state))?;
        Ok(match (done, error.kind()) {
            // Another alert had it for long: that passes.
            (done, Kind::Locked) => done,
            (Exit::Done, kind) => Exit::from(kind),
            (done, _) => done,
        })
    }

    fn state(&self) -> PathBuf {
        let given = self.args.state_directory.clone();
        given
            .or_else(|| directory("STATE_DIRECTORY"))
            .unwrap_or_else(|| STATE.into())
    }
}

/// The first of the directories that systemd gave the unit by this name.
fn directory(variable: &str) -> Option<PathBuf> {
    let all = std::env::var(variable).ok()?;
    let first = all.split(':').next()?;
    (!first.is_empty()).then(|| first.into())
}

/// What to do about the disk, with what to do about `failure`.
pub(super) fn with_trouble(failure: &Failure, state: &Path) -> Failure {
    let mut failure = failure.clone();
    failure.hints.push(format!(
        "Look after the disk of '{}', too: which alerts were sent can't be noted down there.",
        state.display()
    ));
    failure
}
