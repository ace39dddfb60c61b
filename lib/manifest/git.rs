//! What was deployed when a backup was made: the commit and branch of a checkout.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

/// A checkout's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit, in full.
    pub commit: String,
    /// The branch; `HEAD` when none is checked out.
    pub branch: String,
}

impl Git {
    /// Asks git about the checkout in `directory`.
    ///
    /// # Errors
    /// git is missing, or `directory` is no checkout with a commit.
    pub fn of(directory: &Path) -> Result<Self> {
        let ask = |what: &[&str]| -> Result<String> {
            let output = Command::new("git")
                .arg("-C")
                .arg(directory)
                // The checkout usually belongs to another user than the one who runs backups.
                .args(["-c", "safe.directory=*", "rev-parse"])
                .args(what)
                .output()
                .map_err(|cause| {
                    Error::new(Kind::Config, "cannot run git")
                        .with_source(cause)
                        .with_hint("Install git, or leave out --git.")
                })?;
            if !output.status.success() {
                return Err(Error::new(
                    Kind::Config,
                    format!(
                        "'{}' is no git checkout with a commit: {}",
                        directory.display(),
                        String::from_utf8_lossy(&output.stderr).trim()
                    ),
                ));
            }
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Ok(Self {
            commit: ask(&["HEAD"])?,
            branch: ask(&["--abbrev-ref", "HEAD"])?,
        })
    }
}
