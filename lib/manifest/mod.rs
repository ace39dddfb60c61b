//! The manifest: what one backup is, in a small JSON file beside its body. It is the seal: a body
//! without one is unfinished, or another tool's.
//!
//! # Format, version 1
//! One JSON object, the fields of [`Manifest`]. A reader ignores fields that it does not know and
//! refuses a higher `format`. Times are RFC 3339 in UTC, sizes bytes, digests hexadecimal.

pub mod content;
mod git;
pub mod proof;

pub use content::Content;
pub use git::Git;
pub use proof::Proof;

use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Note;
use crate::store::BackupName;
use crate::stream::Facts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version written.
pub const FORMAT: u32 = 1;

/// What one backup is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// What made it, with version, e.g. `sg-dump-db 0.1.0`.
    pub tool: String,
    /// The host it was made on.
    pub host: String,
    /// The user who made it.
    pub user: String,
    /// `db`, `globals`, `volume`, …
    pub kind: String,
    /// The source's name as it is.
    pub name: String,
    /// The application it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The body's file name.
    pub file: String,
    /// When it was begun.
    pub started: Timestamp,
    /// When its last byte was written.
    pub finished: Timestamp,
    /// Length of the body in bytes.
    pub bytes: u64,
    /// SHA-256 of the body as it lies; `sha256sum` says the same.
    pub sha256: String,
    /// Length of the content in bytes.
    pub content_bytes: u64,
    /// How it is compressed, e.g. `gzip:5`.
    pub compression: String,
    /// Why it was made, if somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was deployed at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// systemd's invocation id of the run: `journalctl _SYSTEMD_INVOCATION_ID=…` shows its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// What is inside.
    pub content: Content,
    /// What was noticed while it was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// What is known of a backup before it is made.
#[derive(Clone, Debug)]
pub struct Label {
    /// What makes it, with version.
    pub tool: String,
    /// The application it belongs to.
    pub app: Option<String>,
    /// Why it is made.
    pub reason: Option<String>,
    /// What is deployed.
    pub git: Option<Git>,
}

impl Manifest {
    /// The manifest of a backup just written.
    pub fn new(
        label: &Label,
        name: &BackupName,
        compression: crate::stream::Compression,
        facts: &Facts,
        content: Content,
        notes: Vec<Note>,
    ) -> Self {
        Self {
            format: FORMAT,
            tool: label.tool.clone(),
            host: host(),
            user: user(),
            kind: name.kind.clone(),
            name: name.name.clone(),
            app: label.app.clone(),
            file: name.to_string(),
            started: name.time,
            finished: Timestamp::now()
                .round(jiff::Unit::Millisecond)
                .unwrap_or(name.time),
            bytes: facts.bytes,
            sha256: facts.sha256.clone(),
            content_bytes: facts.content_bytes,
            compression: compression.to_string(),
            reason: label.reason.clone(),
            git: label.git.clone(),
            invocation: std::env::var("INVOCATION_ID").ok(),
            content,
            notes,
        }
    }

    /// The manifest as it is written.
    ///
    /// # Errors
    /// Something in it has no place in JSON, which can't happen to what the library puts there.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|cause| {
            Error::new(Kind::Failed, "cannot encode the manifest").with_source(cause)
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// It is damaged, or of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let damaged = |cause| Error::damaged("the manifest is damaged").with_source(cause);
        let Version { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(Error::new(
                Kind::Config,
                format!("the manifest is of the unknown version {format}"),
            )
            .with_hint("Use a newer sg-toolkit; the backup itself can be read by gunzip."));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    /// The manifest of the body at `path`; `None` if there is none beside it.
    ///
    /// # Errors
    /// It can't be read, is damaged, or speaks of another body.
    pub fn beside(path: &Path) -> Result<Option<Self>> {
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
            return Ok(None);
        };
        let manifest = path.with_file_name(format!("{file}.json"));
        let bytes = match std::fs::read(&manifest) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.context(|| format!("cannot read '{}'", manifest.display()))?,
        };
        let this = Self::decode(&bytes)?;
        if this.file != file {
            return Err(Error::damaged(format!(
                "'{}' is the manifest of '{}'",
                manifest.display(),
                this.file
            )));
        }
        Ok(Some(this))
    }
}

pub(crate) fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_default()
}

pub(crate) fn user() -> String {
    let id = nix::unistd::geteuid();
    nix::unistd::User::from_uid(id)
        .ok()
        .flatten()
        .map_or_else(|| id.to_string(), |user| user.name)
}
