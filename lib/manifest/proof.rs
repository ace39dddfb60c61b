//! What became of a backup since it was made: the record of its last verification and of its last
//! trial restore, in a file of its own (`BODY.proof.json`), because the manifest is never changed.

use super::Manifest;
use crate::error::{Error, Kind, Result};
use crate::store::{BackupName, Local};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The outcome of the last check of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// When it ended.
    pub at: Timestamp,
    /// What checked, with version.
    pub tool: String,
    /// Whether it is what was written. A restore may count on it, though there may be findings: a
    /// role that no backup brings, an assertion that does not hold.
    pub sound: bool,
    /// What was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// When the damage that it found had been found first, by a check before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Check {
    /// When what it found was news: damage that is found again was known before.
    pub fn news(&self) -> Timestamp {
        self.since.unwrap_or(self.at)
    }
}

/// What is known of a backup from checking it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The body's SHA-256 as in its manifest: a proof that was copied beside another body is none.
    pub sha256: String,
    /// The last time that it was read back whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Check>,
    /// The last time that it was restored and compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Check>,
}

impl Proof {
    /// The trial restore that proved the backup, if its last one did: all came back as it was
    /// recorded, and nothing was found.
    pub fn proven(&self) -> Option<&Check> {
        let restored = self.restored.as_ref();
        restored.filter(|check| check.sound && check.findings.is_empty())
    }

    /// The last check, be it a verification or a trial restore.
    pub fn last_check(&self) -> Option<&Check> {
        let checks = self.verified.iter().chain(&self.restored);
        checks.max_by_key(|check| check.at)
    }

    /// Notes down a verification. Of a backup that was damaged already, the time of that stays.
    pub fn verify(&mut self, mut check: Check) {
        if !check.sound {
            let before = self.last_check().filter(|before| !before.sound);
            check.since = before.map(Check::news);
        }
        self.verified = Some(check);
    }

    /// The SHA-256 that a proof was written for, whatever the manifest says now.
    pub fn sealed_by(bytes: &[u8]) -> Option<String> {
        let proof: Self = serde_json::from_slice(bytes).ok()?;
        Some(proof.sha256).filter(|sha256| !sha256.is_empty())
    }

    /// Changes the proof beside the sealed body at `path`; `false` if there can't be one: it has no
    /// manifest, or is in no store. Beside a manifest that can't be read it goes on for the one that was
    /// there before.
    ///
    /// # Errors
    /// The store can't be written to.
    pub fn amend(path: &Path, change: impl FnOnce(&mut Self)) -> Result<bool> {
        let sha256 = match Manifest::beside(path) {
            Ok(Some(manifest)) => Some(manifest.sha256),
            Ok(None) => return Ok(false),
            Err(_) => None,
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.parse::<BackupName>().ok());
        let (Some(name), Some(directory)) = (name, path.parent()) else {
            return Ok(false);
        };
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let store = Local::open(directory);
        let mut proof: Self = store
            .read_beside(&name.proof())?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        if let Some(sha256) = sha256.filter(|sha256| *sha256 != proof.sha256) {
            proof = Self {
                sha256,
                ..Self::default()
            };
        }
        change(&mut proof);
        store.write_beside(&name.proof(), &proof.encode()?)?;
        Ok(true)
    }

    /// Reads a proof; one that is damaged proves nothing, and so is none.
    pub fn decode(bytes: &[u8], sha256: &str) -> Option<Self> {
        let proof: Self = serde_json::from_slice(bytes).ok()?;
        (proof.sha256 == sha256).then_some(proof)
    }

    /// Reads the proof of a backup whose manifest can't be read: it proves nothing any more, but may say that
    /// this was noticed.
    pub fn of_unreadable(bytes: &[u8]) -> Option<Self> {
        let proof: Self = serde_json::from_slice(bytes).ok()?;
        let noticed = proof.last_check().is_some_and(|check| !check.sound);
        noticed.then_some(proof)
    }

    /// The proof as it is written.
    ///
    /// # Errors
    /// As for a manifest: none that can happen.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|cause| {
            Error::new(Kind::Failed, "cannot encode the proof").with_source(cause)
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
