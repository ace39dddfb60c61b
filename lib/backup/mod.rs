//! A whole application is backed up now, because somebody is about to change it: the same chain as at
//! night, run at once and waited for, labelled with the reason, and not counted as done before each of
//! its backups was read back.
//!
//! Where systemd runs the host, it runs the chain, and a run of the night that happens to be under way
//! can't be taken for ours: what counts is what lies in the store afterwards (`Wanted`).

pub mod chain;
pub mod marker;
pub mod units;

pub use marker::Marker;

use crate::application::{Application, Part};
use crate::catalog::{Backup, Catalog, State};
use crate::error::{Error, Kind, Result};
use crate::manifest::Git;
use crate::store::Local;
use jiff::Timestamp;

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The application.
    pub application: Application,
    /// Why.
    pub reason: String,
    /// What is deployed now.
    pub git: Option<Git>,
    /// Since when: older backups don't count.
    pub since: Timestamp,
}

impl Request {
    /// What is to be backed up.
    ///
    /// # Errors
    /// There is nothing, or a setting is wrong.
    pub fn parts(&self) -> Result<Vec<Part>> {
        let parts = self.application.parts()?;
        if parts.is_empty() {
            let name = self.application.name();
            let message = format!("application '{name}' has nothing that could be backed up");
            return Err(Error::new(Kind::Config, message)
                .with_hint("Its settings name neither databases nor volumes; see sg.conf(5)."));
        }
        Ok(parts)
    }

    /// The settings that say so to the programs.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("SG_APP", self.application.name().to_owned()),
            ("SG_REASON", self.reason.clone()),
        ];
        if let Some(git) = &self.git {
            settings.push(("SG_GIT_COMMIT", git.commit.clone()));
            settings.push(("SG_GIT_BRANCH", git.branch.clone()));
        }
        settings
    }
}

/// How the backups stand that a request asks for.
#[derive(Debug, Default)]
pub struct Made {
    /// Those made and verified, in the order in which they would come back.
    pub backups: Vec<Backup>,
    /// What has none.
    pub missing: Vec<Part>,
}

impl Made {
    /// Looks for them in the store: made since then, for that reason, and read back.
    ///
    /// # Errors
    /// The store or a setting can't be read.
    pub fn look(request: &Request, store: &Local) -> Result<Self> {
        let since = Timestamp::from_second(request.since.as_second()).unwrap_or(request.since);
        let app = request.application.name();
        let found: Vec<Backup> = Catalog::read(store)?
            .backups
            .into_iter()
            .filter(|backup| backup.name.time >= since && backup.state == State::Verified)
            .filter(|backup| {
                backup.seal.as_ref().is_some_and(|seal| {
                    // Names count whole seconds, of which another run may have had a part.
                    seal.finished >= request.since
                        && seal.app.as_deref() == Some(app)
                        && seal.reason.as_deref() == Some(&request.reason)
                })
            })
            .collect();
        let parts = request.parts()?;
        let mut made = Self::default();
        for part in parts {
            let is = |backup: &&Backup| part.is(&backup.name.kind, &backup.name.name);
            let of_it: Vec<&Backup> = found.iter().filter(is).collect();
            if of_it.is_empty() {
                made.missing.push(part);
                continue;
            }
            for backup in of_it {
                if !made.backups.iter().any(|one| one.path == backup.path) {
                    made.backups.push(backup.clone());
                }
            }
        }
        Ok(made)
    }

    /// The backups, if none is missing.
    ///
    /// # Errors
    /// One is.
    pub fn complete(self) -> Result<Vec<Backup>> {
        if self.missing.is_empty() {
            return Ok(self.backups);
        }
        let missing: Vec<String> = self.missing.iter().map(ToString::to_string).collect();
        Err(Error::new(
            Kind::Failed,
            format!(
                "the run ended, but these have no verified backup of it: {}",
                missing.join(", ")
            ),
        )
        .with_hint("sg-list --all shows what there is; the journal tells what the steps did."))
    }
}
