//! Which backups are drilled, and which that should be there are not.

use crate::catalog::{Backup, Catalog, Selection, Source, State};
use crate::monitor::{Note, Severity};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

/// Which backup of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// The newest.
    #[default]
    Newest,
    /// The newest at that time.
    At(Timestamp),
    /// Any.
    Random,
    /// Those that were named.
    Named,
}

impl Pick {
    /// A stable word for programs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::At(_) => "at",
            Self::Random => "random",
            Self::Named => "named",
        }
    }
}

/// The sources that an application should have.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Names of databases.
    pub databases: Vec<String>,
    /// Whether roles and tablespaces belong to it.
    pub globals: bool,
    /// Names of volumes.
    pub volumes: Vec<String>,
}

impl Expected {
    /// Whether `source` is in use: where databases are named, those that are not have been given up,
    /// though their last backups are still there; so with volumes.
    fn has(&self, source: &Source) -> bool {
        let among = |names: &[String]| names.is_empty() || names.contains(&source.name);
        match source.kind.as_str() {
            "db" => among(&self.databases),
            "globals" | "config" => true,
            _ => among(&self.volumes),
        }
    }

    /// Those that none of `sources` is, each as kind and name.
    fn missing<'a>(&'a self, sources: &[&Source]) -> Vec<(&'a str, &'a str)> {
        let none = |fits: &dyn Fn(&Source) -> bool| !sources.iter().any(|source| fits(source));
        let databases = self.databases.iter().map(String::as_str);
        let mut missing: Vec<_> = databases
            .filter(|name| none(&|source| source.kind == "db" && source.name == *name))
            .map(|name| ("db", name))
            .collect();
        if self.globals && none(&|source| source.kind == "globals") {
            missing.push(("globals", "main"));
        }
        let volumes = self.volumes.iter().map(String::as_str);
        let is_volume = |kind: &str| !matches!(kind, "db" | "globals" | "config");
        missing.extend(
            volumes
                .filter(|name| none(&|source| is_volume(&source.kind) && source.name == *name))
                .map(|name| ("volume", name)),
        );
        missing
    }
}

/// What is to be drilled.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// The backups.
    pub backups: Vec<PathBuf>,
    /// How they were chosen.
    pub pick: Pick,
    /// When the newest sound backup of each source was begun.
    pub newest: BTreeMap<String, Timestamp>,
    /// What should be there and is not.
    pub findings: Vec<Note>,
}

impl Chosen {
    /// Those that the user named.
    pub fn named(backups: &[PathBuf]) -> Self {
        Self {
            backups: backups.to_vec(),
            pick: Pick::Named,
            ..Self::default()
        }
    }

    /// One backup of each source that `selection` means and that is in use. Roles and tablespaces come first, as in a recovery.
    pub fn from(catalog: &Catalog, selection: &Selection, expected: &Expected, pick: Pick) -> Self {
        let mut sources: BTreeMap<Source, Vec<&Backup>> = BTreeMap::new();
        for backup in &catalog.backups {
            let source = backup.source();
            // Another tool's, or unfinished: nothing says what should be in it.
            let meant = selection.has_source(&source) && backup.state != State::Unsealed;
            if meant && expected.has(&source) {
                sources.entry(source).or_default().push(backup);
            }
        }
        let mut chosen = Self {
            pick,
            ..Self::default()
        };
        let mut order: Vec<_> = sources.iter().collect();
        order.sort_by_key(|(source, _)| source.kind != "globals");
        for (source, backups) in order {
            chosen.add(source, backups);
        }
        let present: Vec<&Source> = sources.keys().collect();
        for (kind, name) in expected.missing(&present) {
            let narrow = |wanted: &Option<String>, has: &str| {
                wanted.as_deref().is_none_or(|wanted| wanted == has)
            };
            if narrow(&selection.kind, kind) && narrow(&selection.name, name) {
                chosen.findings.push(Note::new(
                    Severity::Critical,
                    "no-backup",
                    format!("{kind} '{name}'"),
                    "is to be backed up, but there is no backup of it to drill",
                ));
            }
        }
        if chosen.backups.is_empty() && chosen.findings.is_empty() {
            chosen.findings.push(Note::new(
                Severity::Critical,
                "no-backup",
                "store",
                "holds no backup to drill",
            ));
        }
        chosen
    }

    /// Chooses one of `backups`, which are of one source, oldest first.
    fn add(&mut self, source: &Source, backups: &[&Backup]) {
        let good: Vec<&Backup> = backups
            .iter()
            .copied()
            .filter(|backup| backup.state.is_good())
            .collect();
        let picked = match self.pick {
            Pick::At(time) => good.iter().rev().find(|backup| backup.name.time <= time),
            Pick::Random if !good.is_empty() => {
                let random = RandomState::new().hash_one(source);
                good.get((random % good.len() as u64) as usize)
            }
            _ => good.last(),
        };
        match picked {
            Some(backup) => self.backups.push(backup.path.clone()),
            None => self.findings.push(Note::new(
                Severity::Critical,
                "no-backup",
                source.to_string(),
                "has no sound backup to drill",
            )),
        }
        if let Some(newest) = good.last() {
            self.newest.insert(source.to_string(), newest.name.time);
        }
        if let Some(last) = backups.last()
            && !last.state.is_good()
            && self.pick == Pick::Newest
            && !good.is_empty()
        {
            self.findings.push(Note::new(
                Severity::High,
                "newest-not-good",
                last.path.display().to_string(),
                format!("{}; an older one was drilled", last.state),
            ));
        }
    }
}
