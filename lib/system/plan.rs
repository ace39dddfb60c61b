//! What is to be brought back, from which backups, to where; and everything that stands in the way.

use super::health::Health;
use super::units;
use crate::application::Application;
use crate::catalog::{Backup, Catalog, State};
use crate::error::{Error, Result};
use crate::manifest::{Content, Manifest};
use crate::postgres::Conninfo;
use crate::postgres::restore::{self, Options, Source};
use crate::store::Local;
use crate::volume::side;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What somebody wants back.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// As of when; by default the newest.
    pub at: Option<Timestamp>,
    /// These backups and no others.
    pub files: Option<Vec<PathBuf>>,
    /// Only these parts: `db`, `db:NAME`, `volume`, …; none: all.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
}

/// One thing that comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// `globals`, `db`, `config`, or what the volume's kind is.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The backup.
    pub backup: PathBuf,
    /// Where a volume goes.
    pub target: PathBuf,
    /// Length of its content in bytes.
    pub bytes: u64,
    /// Length of the backup as it lies.
    #[serde(default)]
    pub stored: u64,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The application.
    pub app: String,
    /// In the order in which it is done.
    pub items: Vec<Item>,
    /// The units to stop and start, in the order of starting.
    pub units: Vec<String>,
    /// What has to answer afterwards.
    pub health: Health,
    /// Where the server is, as libpq's variables, but for passwords.
    pub server: BTreeMap<String, String>,
}

/// A plan, and what was found out while it was made.
#[derive(Debug)]
pub struct Looked {
    /// The plan.
    pub plan: Plan,
    /// What stands in the way; none: it can begin.
    pub problems: Vec<String>,
    /// What will not come back, or not as it was.
    pub notes: Vec<String>,
}

impl Item {
    /// Whether it is a directory tree.
    pub fn is_volume(&self) -> bool {
        !matches!(self.kind.as_str(), "globals" | "db" | "config")
    }

    fn is_called(&self, what: &str) -> bool {
        let kind = if self.is_volume() {
            "volume"
        } else {
            &self.kind
        };
        match what.split_once(':') {
            Some((of, name)) => (of == kind || of == self.kind) && name == self.name,
            None => what == kind || what == self.kind,
        }
    }
}

impl Plan {
    /// How a database of it is reached.
    ///
    /// # Errors
    /// The settings make no sense.
    pub fn conninfo(&self, database: &str) -> Result<Conninfo> {
        let info = Conninfo::resolve(Some(database), |name| {
            self.server
                .get(name)
                .cloned()
                .or_else(|| std::env::var(name).ok())
        })?;
        Ok(info.with_application("sg-restore"))
    }
}

impl Looked {
    /// Chooses the backups of `application` and looks at everything that they need.
    ///
    /// # Errors
    /// The settings or the store can't be read.
    pub fn look(
        application: &Application,
        store: &Local,
        wanted: &Wanted,
        options: &Options,
    ) -> Result<Self> {
        let mut looked = Self {
            plan: Plan {
                app: application.name().to_owned(),
                items: Vec::new(),
                units: application.words("SG_UNITS"),
                health: Health::of(application)?,
                server: application
                    .settings()
                    .iter()
                    .filter(|(name, _)| name.starts_with("PG") && *name != "PGPASSWORD")
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            },
            problems: Vec::new(),
            notes: Vec::new(),
        };
        let mut manifests = looked.choose(application, store, wanted)?;
        looked.problems.extend(units::check(&looked.plan.units));
        let coming: BTreeSet<String> = manifests
            .iter()
            .filter_map(|manifest| match &manifest.content {
                Content::Globals(globals) => Some(globals.roles.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let items = looked.plan.items.clone();
        for (item, manifest) in items.iter().zip(&mut manifests) {
            match &manifest.content {
                Content::Database(_) => looked.look_at_database(item, &coming, options),
                Content::Volume(volume) if item.kind == "config" => {
                    for file in volume.withheld.iter().filter(|file| !file.path.exists()) {
                        let names = match file.names.as_slice() {
                            [] => String::new(),
                            names => format!(" with {}", names.join(", ")),
                        };
                        looked.notes.push(format!(
                            "'{}' holds secrets and is in no backup: put it back by hand{names} (mode {}, {})",
                            file.path.display(),
                            file.mode,
                            file.owner
                        ));
                    }
                }
                Content::Volume(volume) => looked.look_at_volume(item, volume.file_bytes),
                Content::Globals(_) => {}
            }
        }
        Ok(looked)
    }

    /// An error that names everything in the way.
    ///
    /// # Errors
    /// Something is.
    pub fn check(&self) -> Result<()> {
        Error::if_any(&self.problems)
    }

    /// Chooses the backups; returns their manifests in the order of the items.
    fn choose(
        &mut self,
        application: &Application,
        store: &Local,
        wanted: &Wanted,
    ) -> Result<Vec<Manifest>> {
        let app = application.name();
        let backups: Vec<Backup> = Catalog::read(store)?
            .backups
            .into_iter()
            .filter(|backup| match &wanted.files {
                Some(files) => files.contains(&backup.path),
                None => {
                    backup.app.as_deref() == Some(app)
                        && wanted.at.is_none_or(|at| backup.name.time <= at)
                }
            })
            .collect();
        for file in wanted.files.iter().flatten() {
            if !backups.iter().any(|backup| backup.path == *file) {
                self.problems
                    .push(format!("'{}' is not in the store", file.display()));
            }
        }
        let volumes = application.volumes()?;
        let mut manifests = Vec::new();
        for part in application.parts()? {
            let mut of_it: BTreeMap<&str, &Backup> = BTreeMap::new();
            // Oldest first, so the newest of each name stays.
            for backup in backups.iter().filter(|backup| backup.state.is_good()) {
                if part.is(&backup.name.kind, &backup.name.name) {
                    of_it.insert(&backup.name.name, backup);
                }
            }
            let mut chosen = Vec::new();
            for backup in of_it.into_values() {
                let target = volumes
                    .iter()
                    .find(|volume| volume.name == backup.name.name);
                let item = Item {
                    kind: backup.name.kind.clone(),
                    name: backup.name.name.clone(),
                    backup: backup.path.clone(),
                    target: target.map(|volume| volume.path.clone()).unwrap_or_default(),
                    bytes: backup.seal.as_ref().map_or(0, |seal| seal.content_bytes),
                    stored: backup.bytes,
                };
                chosen.push((item, backup));
            }
            if chosen.is_empty() {
                let item = Item {
                    kind: part.kind.clone(),
                    name: part.name.clone().unwrap_or_default(),
                    backup: PathBuf::new(),
                    target: PathBuf::new(),
                    bytes: 0,
                    stored: 0,
                };
                if is_wanted(&item, wanted) {
                    self.problems
                        .push(format!("{part} has no backup that could be restored"));
                }
            }
            for (item, backup) in chosen {
                if !is_wanted(&item, wanted)
                    || self.plan.items.iter().any(|one| one.backup == item.backup)
                {
                    continue;
                }
                if backup.state != State::Verified {
                    self.notes
                        .push(format!("'{}' was never read back", item.backup.display()));
                }
                match backup.manifest() {
                    Ok(manifest) => {
                        manifests.push(manifest);
                        self.plan.items.push(item);
                    }
                    Err(error) => self.problems.push(error.to_string()),
                }
            }
        }
        if self.plan.items.is_empty() && self.problems.is_empty() {
            self.problems
                .push("nothing is left to be restored".to_owned());
        }
        let times = manifests.iter().map(|manifest| manifest.started);
        if let (Some(first), Some(last)) = (times.clone().min(), times.max())
            && last.duration_since(first).as_hours() >= 12
        {
            self.notes.push(format!(
                "the backups are of different runs, from {first} to {last}"
            ));
        }
        Ok(manifests)
    }

    fn look_at_database(&mut self, item: &Item, coming: &BTreeSet<String>, options: &Options) {
        let looked = || {
            let source = Source::open(&item.backup, options.jobs)?;
            let info = self.plan.conninfo(&item.name)?;
            restore::look(&source, &info, options, false)
        };
        match looked() {
            Ok((_, mut preflight)) => {
                preflight.expect_roles(coming);
                let named = |text: &String| format!("database '{}': {text}", item.name);
                self.problems.extend(preflight.problems.iter().map(named));
                let notes = preflight.notes.iter().map(ToString::to_string);
                self.notes.extend(notes.map(|note| named(&note)));
            }
            Err(error) => self
                .problems
                .push(format!("database '{}': {error}", item.name)),
        }
    }

    fn look_at_volume(&mut self, item: &Item, bytes: u64) {
        if item.target.as_os_str().is_empty() {
            self.problems
                .push(format!("nothing says where volume '{}' goes", item.name));
            return;
        }
        if let Err(error) = side::check(&item.target) {
            self.problems
                .push(format!("volume '{}': {error}", item.name));
            return;
        }
        let there = item.target.ancestors().skip(1).find(|above| above.exists());
        let Ok(disk) = nix::sys::statvfs::statvfs(there.unwrap_or(Path::new("/"))) else {
            return;
        };
        let free = disk.blocks_available() * disk.fragment_size();
        if free < bytes {
            self.problems.push(format!(
                "volume '{}': its disk has {} MiB free; the files took {} MiB",
                item.name,
                free >> 20,
                bytes >> 20
            ));
        }
    }
}

fn is_wanted(item: &Item, wanted: &Wanted) -> bool {
    let named = |list: &[String]| list.iter().any(|what| item.is_called(what));
    (wanted.only.is_empty() || named(&wanted.only)) && !named(&wanted.skip)
}
