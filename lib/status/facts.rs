//! What is known, without any opinion of it.

use super::drills::Drill;
use super::timers::Timer;
use crate::alert::Incident;
use crate::catalog::{Backup, State};
use crate::manifest::proof::Check;
use crate::monitor::Note;
use crate::retention::Rules;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;

/// All that is known of a host's backups.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The host.
    pub host: String,
    /// The stores that were looked into.
    pub stores: Vec<Store>,
    /// The applications, by name; what belongs to none comes last.
    pub applications: Vec<Application>,
    /// Whether systemd answered, so that a missing timer means something.
    pub systemd: bool,
    /// What could not be found out.
    pub faults: Vec<Note>,
}

/// A directory of backups.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Where it is.
    pub directory: PathBuf,
    /// How many backups are in it.
    pub backups: u64,
    /// How many bytes their bodies take.
    pub bytes: u64,
    /// Bytes that are free where it is, for the user that asks.
    pub free: Option<u64>,
    /// Bytes that there are in all.
    pub capacity: Option<u64>,
    /// Bodies without a manifest: unfinished, or another tool's.
    pub unsealed: u64,
}

/// An application and its backups.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// Its name; `None` for what was backed up for none.
    pub name: Option<String>,
    /// Whether it has settings of its own.
    pub configured: bool,
    /// What is wanted.
    pub goals: Goals,
    /// What is backed up of it.
    pub sources: Vec<Source>,
    /// The drills that are on record, oldest first.
    pub drills: Vec<Drill>,
    /// The failures that are open.
    pub incidents: Vec<Incident>,
    /// Units that failed when they last ran.
    pub failed: Vec<String>,
    /// What starts its backups.
    pub timer: Option<Timer>,
    /// What starts its drills.
    pub drill_timer: Option<Timer>,
}

/// What is wanted of the backups of one application.
#[derive(Clone, Debug)]
pub struct Goals {
    /// How old the newest backup may be; `SG_RPO`.
    pub rpo: Option<SignedDuration>,
    /// Older than this, it is an alarm; `SG_MAX_AGE`.
    pub limit: SignedDuration,
    /// How long a recovery may take; `SG_RTO`.
    pub rto: Option<SignedDuration>,
    /// What is kept.
    pub rules: Rules,
}

impl Goals {
    /// The alarm where nothing else is set: a nightly run and a quarter of its interval.
    pub const LIMIT: SignedDuration = SignedDuration::from_hours(30);
}

impl Default for Goals {
    fn default() -> Self {
        Self {
            rpo: None,
            limit: Self::LIMIT,
            rto: None,
            rules: Rules::default(),
        }
    }
}

/// One database or volume and its backups.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// `db`, `globals`, `volume`, …
    pub kind: String,
    /// The name of the database or volume.
    pub name: String,
    /// Whether the settings ask for it. What they ask for no longer is kept, but not waited for.
    pub wanted: bool,
    /// Its sealed backups, oldest first.
    pub backups: Vec<Backup>,
    /// Those that are dated in the future. Among the others they would hide that there is none from today.
    pub future: Vec<Backup>,
    /// What was noticed while the newest was made.
    pub notes: Vec<Note>,
    /// When each of the backups goes; empty if nobody asked, `None`: not in sight.
    pub goes: Vec<Option<Timestamp>>,
}

impl Source {
    /// The newest backup that a restore may count on.
    pub fn newest(&self) -> Option<&Backup> {
        self.backups
            .iter()
            .rev()
            .find(|backup| backup.state.is_good())
    }

    /// The newest that was read back, and was sound.
    pub fn newest_verified(&self) -> Option<&Backup> {
        let mut newest_first = self.backups.iter().rev();
        newest_first.find(|backup| backup.state == State::Verified)
    }

    /// The newest that was restored and compared, and when.
    pub fn newest_proven(&self) -> Option<(&Backup, &Check)> {
        self.backups
            .iter()
            .rev()
            .filter(|backup| backup.state.is_good())
            .find_map(|backup| Some((backup, proven(backup)?)))
    }

    /// The bytes that its backups take.
    pub fn bytes(&self) -> u64 {
        self.backups.iter().map(|backup| backup.bytes).sum()
    }
}

/// The trial restore that a backup passed, if it did.
pub(super) fn proven(backup: &Backup) -> Option<&Check> {
    backup.proof.as_ref()?.proven()
}

/// How long a backup took, from its begin to its last byte.
pub(super) fn took(backup: &Backup) -> Option<SignedDuration> {
    let finished = backup.seal.as_ref()?.finished;
    let took = finished.duration_since(backup.name.time);
    (!took.is_negative()).then_some(took)
}

impl Application {
    /// The sources that are waited for.
    pub fn wanted(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.wanted)
    }

    /// When the newest backup of the source that fares worst was begun; `None` if one has none, or
    /// there is no source.
    pub fn newest(&self) -> Option<Timestamp> {
        oldest(self.wanted().map(|source| Some(source.newest()?.name.time)))
    }

    /// The same of verified backups.
    pub fn newest_verified(&self) -> Option<Timestamp> {
        oldest(
            self.wanted()
                .map(|source| Some(source.newest_verified()?.name.time)),
        )
    }

    /// The same of those that were restored and compared.
    pub fn newest_proven(&self) -> Option<Timestamp> {
        oldest(
            self.wanted()
                .map(|source| Some(source.newest_proven()?.0.name.time)),
        )
    }

    /// The bytes of the newest backups together.
    pub fn size(&self) -> u64 {
        let newest = self.wanted().filter_map(Source::newest);
        newest.map(|backup| backup.bytes).sum()
    }

    /// Its name, or what stands for it.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or("(no application)")
    }
}

/// The earliest, if all are known.
fn oldest(times: impl Iterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    let times: Option<Vec<Timestamp>> = times.collect();
    times?.into_iter().min()
}
