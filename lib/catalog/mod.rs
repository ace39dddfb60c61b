//! What a store holds, and how much of it deserves trust.
//!
//! The catalog is read from the names and seals in the store each time: there is no database that
//! could differ from what is there. It reads of each seal only what lists and decisions need, so that
//! ten thousand backups are listed in a fraction of a second; [`Backup::manifest`] brings the rest.

mod moment;
mod pin;
mod select;

pub use moment::{Bound, moment};
pub use pin::{Pin, pin};
pub use select::Selection;

use crate::error::{Error, Result};
use crate::manifest::proof::Check;
use crate::manifest::{Manifest, Proof};
use crate::store::{BackupName, Local};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;

/// What a store holds.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The backups, oldest first.
    pub backups: Vec<Backup>,
    /// Sources (`KIND_NAME`) of which a run is going on or was killed, and left something hidden.
    pub unfinished: Vec<String>,
}

/// One backup, in whatever state.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Its name, taken apart.
    pub name: BackupName,
    /// The application it belongs to, as its seal says. One whose seal can't be read belongs with the others
    /// of its name, if they all are of one application: in a row of its own it would be the newest and the
    /// best, and nobody who asks for that application would hear of it.
    pub app: Option<String>,
    /// Where its body is, or should be.
    pub path: PathBuf,
    /// How it stands.
    pub state: State,
    /// What its seal says, if that can be read.
    pub seal: Option<Seal>,
    /// Length of the body in bytes, as it lies; 0 if there is none.
    pub bytes: u64,
    /// What checking it has shown.
    pub proof: Option<Proof>,
    /// Somebody asked to keep it, whatever the rules say.
    pub pin: Option<Pin>,
}

/// How a backup stands, as far as can be told without reading its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Sealed, and the body has the length that the seal says.
    Sealed,
    /// Sealed, and sound when it was last read back or restored.
    Verified,
    /// Sealed, but its last check found damage.
    Damaged,
    /// The body does not have the length in bytes that the seal says.
    SizeDiffers(u64),
    /// The seal is there, the body is not.
    BodyMissing,
    /// The seal can't be read, for this reason.
    SealUnreadable(String),
    /// A body without a seal: unfinished, or another tool's.
    Unsealed,
}

impl State {
    /// Whether a restore may count on it.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Sealed | Self::Verified)
    }

    /// A stable word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Verified => "verified",
            Self::Damaged => "damaged",
            Self::SizeDiffers(_) => "size-differs",
            Self::BodyMissing => "body-missing",
            Self::SealUnreadable(_) => "seal-unreadable",
            Self::Unsealed => "unsealed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed => f.write_str("not verified yet"),
            Self::Verified => f.write_str("verified"),
            Self::Damaged => f.write_str("damaged, says its last check"),
            Self::SizeDiffers(sealed) => write!(f, "damaged: should have {sealed} bytes"),
            Self::BodyMissing => f.write_str("damaged: the body is missing"),
            Self::SealUnreadable(reason) => f.write_str(reason),
            Self::Unsealed => f.write_str("no manifest: unfinished, or another tool's"),
        }
    }
}

/// What of a manifest lists and decisions need.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Seal {
    /// The application it belongs to.
    #[serde(default)]
    pub app: Option<String>,
    /// The body's file name.
    pub file: String,
    /// The host it was made on.
    pub host: String,
    /// When its last byte was written.
    pub finished: Timestamp,
    /// Length of the body in bytes.
    pub bytes: u64,
    /// SHA-256 of the body.
    pub sha256: String,
    /// Length of the content in bytes.
    pub content_bytes: u64,
    /// Why it was made.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Whose backups stand in one row: those of one thing of one application. Neither host nor path
/// belong to it, for these change while the thing stays the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Source {
    /// The application.
    pub app: Option<String>,
    /// `db`, `globals`, `volume`, …
    pub kind: String,
    /// The name of the database or the volume.
    pub name: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.kind, self.name)?;
        match &self.app {
            Some(app) => write!(f, " of {app}"),
            None => Ok(()),
        }
    }
}

impl Catalog {
    /// Reads the store.
    ///
    /// # Errors
    /// The store can't be read. A backup that can't be read is in the catalog as such.
    pub fn read(store: &Local) -> Result<Self> {
        Self::read_where(store, |_| true)
    }

    /// Reads of the store what belongs to one source (`KIND_NAME`, see [`BackupName::source`]).
    ///
    /// # Errors
    /// As [`Catalog::read`].
    pub fn read_source(store: &Local, source: &str) -> Result<Self> {
        Self::read_where(store, |name| name.source() == source)
    }

    fn read_where(store: &Local, wanted: impl Fn(&BackupName) -> bool) -> Result<Self> {
        let mut found: BTreeMap<String, Beside> = BTreeMap::new();
        for file in store.files()? {
            let (body, part) = Part::of(&file);
            let entry = found.entry(body.to_owned()).or_default();
            match part {
                Part::Body => entry.body = true,
                Part::Seal => entry.seal = true,
                Part::Proof => entry.proof = true,
                Part::Pin => entry.pin = true,
            }
        }
        let mut backups = Vec::new();
        for (body, beside) in found {
            if (beside.body || beside.seal)
                && let Ok(name) = body.parse()
                && wanted(&name)
                && let Some(backup) = Backup::read(store, name, &beside)
            {
                backups.push(backup);
            }
        }
        backups.sort_by_key(|backup| backup.name.time);
        adopt(&mut backups);
        Ok(Self {
            backups,
            unfinished: store.interrupted()?,
        })
    }
}

/// Gives those whose seal can't be read to the application that has all others of their name.
fn adopt(backups: &mut [Backup]) {
    let mut owners: HashMap<String, BTreeSet<Option<String>>> = HashMap::new();
    for backup in backups.iter().filter(|backup| backup.seal.is_some()) {
        let owners = owners.entry(backup.name.source()).or_default();
        owners.insert(backup.app.clone());
    }
    let orphans = backups.iter_mut();
    for orphan in orphans.filter(|backup| matches!(backup.state, State::SealUnreadable(_))) {
        let owners = owners.get(&orphan.name.source());
        if let Some(sole) = owners.filter(|owners| owners.len() == 1) {
            orphan.app = sole.first().cloned().flatten();
        }
    }
}

/// The sealed backups by whose they are, in the order in which they come, and then those without a seal.
pub fn by_source(backups: Vec<Backup>) -> (BTreeMap<Source, Vec<Backup>>, Vec<Backup>) {
    let (unsealed, sealed): (Vec<_>, Vec<_>) = backups
        .into_iter()
        .partition(|backup| backup.state == State::Unsealed);
    let mut groups: BTreeMap<Source, Vec<Backup>> = BTreeMap::new();
    for backup in sealed {
        groups.entry(backup.source()).or_default().push(backup);
    }
    (groups, unsealed)
}

/// Which files of one backup there are.
#[derive(Default)]
struct Beside {
    body: bool,
    seal: bool,
    proof: bool,
    pin: bool,
}

enum Part {
    Body,
    Seal,
    Proof,
    Pin,
}

impl Part {
    /// The body that a file belongs to, and as what.
    fn of(file: &str) -> (&str, Self) {
        if let Some(body) = file.strip_suffix(pin::END) {
            (body, Self::Pin)
        } else if let Some(body) = file.strip_suffix(".proof.json") {
            (body, Self::Proof)
        } else if let Some(body) = file.strip_suffix(".json") {
            (body, Self::Seal)
        } else {
            (file, Self::Body)
        }
    }
}

impl Backup {
    /// Looks at one backup; `None` if it went away meanwhile.
    fn read(store: &Local, name: BackupName, beside: &Beside) -> Option<Self> {
        let path = store.path(&name);
        let body = path.metadata().ok().filter(std::fs::Metadata::is_file);
        let seal = read_seal(store, &name);
        let proof = || store.read_beside(&name.proof()).ok().flatten();
        let proof = beside.proof.then(proof).flatten();
        let proof = proof.and_then(|bytes| match &seal {
            Ok(Some(seal)) => Proof::decode(&bytes, &seal.sha256),
            Ok(None) => None,
            Err(_) => Proof::of_unreadable(&bytes),
        });
        let state = match (&seal, &body) {
            (Ok(None), None) => return None,
            (Ok(None), Some(_)) if beside.seal => return None,
            (Ok(None), Some(_)) => State::Unsealed,
            (Err(error), _) => State::SealUnreadable(with_cause(error)),
            (Ok(Some(_)), None) => State::BodyMissing,
            (Ok(Some(seal)), Some(body)) if body.len() != seal.bytes => {
                State::SizeDiffers(seal.bytes)
            }
            (Ok(Some(_)), Some(_)) => match proof.as_ref().and_then(Proof::last_check) {
                None => State::Sealed,
                Some(check) if check.sound => State::Verified,
                Some(_) => State::Damaged,
            },
        };
        let seal = seal.ok().flatten();
        Some(Self {
            path,
            state,
            app: seal.as_ref().and_then(|seal| seal.app.clone()),
            seal,
            bytes: body.map_or(0, |body| body.len()),
            proof,
            pin: beside.pin.then(|| Pin::read(store, &name)),
            name,
        })
    }

    /// Whose backup it is.
    pub fn source(&self) -> Source {
        Source {
            app: self.app.clone(),
            kind: self.name.kind.clone(),
            name: self.name.name.clone(),
        }
    }

    /// The whole manifest.
    ///
    /// # Errors
    /// It is missing, can't be read, or is damaged.
    pub fn manifest(&self) -> Result<Manifest> {
        Manifest::beside(&self.path)?
            .ok_or_else(|| Error::damaged(format!("'{}' has no manifest", self.path.display())))
    }

    /// Whether no rule may remove it at `time`.
    pub fn is_pinned(&self, time: Timestamp) -> bool {
        self.pin.is_some_and(|pin| pin.holds(time))
    }

    /// Its last check, be it a verification or a trial restore.
    pub fn last_check(&self) -> Option<&Check> {
        self.proof.as_ref().and_then(Proof::last_check)
    }

    /// Since when it is known that it is damaged, if a check has found that.
    pub fn damaged_since(&self) -> Option<Timestamp> {
        let last = self.last_check().filter(|check| !check.sound);
        last.map(Check::news)
    }

    /// The trial restore that proved it, if its last one did and no check since found damage.
    pub fn proven(&self) -> Option<&Check> {
        let sound = self.state == State::Verified;
        self.proof.as_ref().filter(|_| sound)?.proven()
    }

    /// Whether it was finished, but never checked since.
    pub fn is_new(&self) -> bool {
        self.state != State::Unsealed && self.last_check().is_none()
    }
}

fn read_seal(store: &Local, name: &BackupName) -> Result<Option<Seal>> {
    let Some(bytes) = store.read_beside(&name.manifest())? else {
        return Ok(None);
    };
    let seal: Seal = serde_json::from_slice(&bytes).map_err(|cause| {
        Error::damaged("damaged: the manifest can't be read").with_source(cause)
    })?;
    if seal.file != name.to_string() {
        let message = format!("damaged: the manifest is that of '{}'", seal.file);
        return Err(Error::damaged(message));
    }
    Ok(Some(seal))
}

fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// One backup as programs read it; fields may be added, never changed.
#[derive(Serialize)]
struct Object<'a> {
    path: &'a std::path::Path,
    kind: &'a str,
    name: &'a str,
    app: Option<&'a str>,
    time: Timestamp,
    finished: Option<Timestamp>,
    state: &'a str,
    detail: String,
    good: bool,
    pinned: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned_until: Option<Timestamp>,
    bytes: u64,
    content_bytes: Option<u64>,
    sha256: Option<&'a str>,
    host: Option<&'a str>,
    reason: Option<&'a str>,
    proof: Option<&'a Proof>,
    proven: Option<Timestamp>,
}

impl Serialize for Backup {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let seal = self.seal.as_ref();
        Object {
            path: &self.path,
            kind: &self.name.kind,
            name: &self.name.name,
            app: self.app.as_deref(),
            time: self.name.time,
            finished: seal.map(|seal| seal.finished),
            state: self.state.word(),
            detail: self.state.to_string(),
            good: self.state.is_good(),
            pinned: self.pin.is_some(),
            pinned_until: self.pin.and_then(|pin| pin.until),
            bytes: self.bytes,
            content_bytes: seal.map(|seal| seal.content_bytes),
            sha256: seal.map(|seal| seal.sha256.as_str()),
            host: seal.map(|seal| seal.host.as_str()),
            reason: seal.and_then(|seal| seal.reason.as_deref()),
            proof: self.proof.as_ref(),
            proven: self.proven().map(|check| check.at),
        }
        .serialize(serializer)
    }
}
