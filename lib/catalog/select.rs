//! Which backups somebody means.

use super::{Backup, Source, State};
use jiff::Timestamp;
use std::collections::HashMap;

/// A choice among the backups of a store; the default is all that are good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this application's.
    pub app: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of the source of this name.
    pub name: Option<String>,
    /// Only those begun at this time or later.
    pub since: Option<Timestamp>,
    /// Only those begun at this time or earlier.
    pub until: Option<Timestamp>,
    /// Only the newest of each source.
    pub newest: bool,
    /// Only those that were sound when they were last checked.
    pub verified: bool,
    /// Only those that a trial restore has proven.
    pub proven: bool,
    /// Those that are no good, too.
    pub all: bool,
}

impl Selection {
    /// Whether it asks for less than everything that is good, so that finding nothing is a surprise.
    pub fn is_narrow(&self) -> bool {
        let everything = Self {
            all: self.all,
            ..Self::default()
        };
        *self != everything
    }

    /// Whether a backup of `source` may be meant.
    pub fn has_source(&self, source: &Source) -> bool {
        let fits = |wanted: &Option<String>, has: Option<&String>| {
            wanted.is_none() || wanted.as_ref() == has
        };
        fits(&self.app, source.app.as_ref())
            && fits(&self.kind, Some(&source.kind))
            && fits(&self.name, Some(&source.name))
    }

    /// The backups that are meant, in the order in which they came.
    pub fn of(&self, backups: Vec<Backup>) -> Vec<Backup> {
        let mut chosen: Vec<Backup> = backups
            .into_iter()
            .filter(|backup| self.has(backup))
            .collect();
        if self.newest {
            let mut newest: HashMap<Source, Timestamp> = HashMap::new();
            for backup in &chosen {
                let time = newest.entry(backup.source()).or_insert(backup.name.time);
                *time = backup.name.time.max(*time);
            }
            chosen.retain(|backup| newest.get(&backup.source()) == Some(&backup.name.time));
        }
        chosen
    }

    /// Whether `backup` may be meant; whether it is the newest is not looked at.
    pub fn has(&self, backup: &Backup) -> bool {
        let time = backup.name.time;
        self.has_source(&backup.source())
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time <= until)
            && (!self.verified || backup.state == State::Verified)
            && (!self.proven || backup.proven().is_some())
            && (self.all || backup.state.is_good())
    }
}
