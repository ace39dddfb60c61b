//! How long a restore will take: as long as it took before, here. What is known of that stands in the
//! journals of whole applications' restores, in the reports of drills, and in the audit trail, which has
//! the begin and the end of each restore by hand.

use crate::audit::{self, Action, Outcome, Trail};
use crate::drill::Report;
use crate::manifest::Manifest;
use crate::system::Journal;
use crate::system::journal::Step;
use jiff::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Where earlier restores have left word of themselves.
#[derive(Clone, Debug)]
pub struct Places {
    /// The journals of restored applications.
    pub journals: PathBuf,
    /// The reports of drills.
    pub drills: PathBuf,
    /// The audit trail.
    pub trail: PathBuf,
}

/// What earlier restores took.
#[derive(Clone, Debug, Default)]
pub struct Past(Vec<Took>);

/// One of them.
#[derive(Clone, Debug, PartialEq)]
struct Took {
    kind: String,
    name: String,
    /// Length of the backup as it lies.
    bytes: u64,
    seconds: f64,
    at: Timestamp,
    drill: bool,
}

/// How long it will take, and how that is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Estimate {
    /// By the last time that the same was restored.
    Same {
        /// How long it will take, in seconds.
        seconds: f64,
        /// How long it took then.
        took: f64,
        /// When that was.
        at: Timestamp,
        /// Whether it was a drill.
        drill: bool,
    },
    /// By what else was restored of its kind.
    Kind {
        /// How long it will take, in seconds.
        seconds: f64,
    },
    /// Nothing of its kind was ever restored here.
    Unknown,
}

impl fmt::Display for Estimate {
    /// E.g. "about 14 s; the drill of 2026-11-02 took 12 s".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same {
                seconds,
                took,
                at,
                drill,
            } => write!(
                f,
                "about {}; the {} of {} took {}",
                words(*seconds),
                if *drill { "drill" } else { "restore" },
                at.strftime("%Y-%m-%d"),
                words(*took)
            ),
            Self::Kind { seconds } => write!(
                f,
                "about {}, by what others of its kind took",
                words(*seconds)
            ),
            Self::Unknown => f.write_str("never measured here"),
        }
    }
}

impl Estimate {
    /// The same as a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Unknown => "how long it will take was never measured here".to_owned(),
            known => format!("it will take {known}"),
        }
    }
}

/// A length of time for people.
fn words(seconds: f64) -> String {
    match seconds.round() as u64 {
        0 => "1 s".to_owned(),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

impl Past {
    /// Reads what there is. What can't be read tells nothing: that is no reason not to restore.
    pub fn read(places: &Places) -> Self {
        let mut past = Self::default();
        past.journals(&places.journals);
        past.drills(&places.drills);
        past.trail(&places.trail);
        past.0.retain(|took| took.bytes > 0 && took.seconds > 0.0);
        past.0.sort_by_key(|took| took.at);
        past
    }

    /// How long it will take to restore a backup of so many bytes, as it lies.
    pub fn estimate(&self, kind: &str, name: &str, bytes: u64) -> Estimate {
        let of_kind = || self.0.iter().filter(|took| took.kind == kind);
        if let Some(last) = of_kind().rfind(|took| took.name == name) {
            return Estimate::Same {
                seconds: last.seconds * bytes as f64 / last.bytes as f64,
                took: last.seconds,
                at: last.at,
                drill: last.drill,
            };
        }
        let seconds: f64 = of_kind().map(|took| took.seconds).sum();
        let all: u64 = of_kind().map(|took| took.bytes).sum();
        match all {
            0 => Estimate::Unknown,
            all => Estimate::Kind {
                seconds: seconds * bytes as f64 / all as f64,
            },
        }
    }

    fn journals(&mut self, top: &Path) {
        for app in fs::read_dir(top).into_iter().flatten().flatten() {
            let Ok(name) = app.file_name().into_string() else {
                continue;
            };
            for journal in Journal::all(top, &name).unwrap_or_default() {
                let mut items = Vec::new();
                for (at, step) in journal.times() {
                    match step {
                        Step::Begun { plan } => items.clone_from(&plan.items),
                        Step::Prepared { item, seconds, .. } => {
                            self.0.extend(items.get(*item).map(|item| Took {
                                kind: item.kind.clone(),
                                name: item.name.clone(),
                                bytes: item.stored,
                                seconds: *seconds,
                                at,
                                drill: false,
                            }));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn drills(&mut self, directory: &Path) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let report = fs::read(path).ok();
            let report = report.and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok());
            for source in report.into_iter().flat_map(|report| report.sources) {
                if source.restored.is_none() {
                    continue;
                }
                let restoring = |name: &str| {
                    matches!(
                        name,
                        "globals" | "restore" | "compare" | "restore and compare"
                    )
                };
                let steps = source.steps.iter().filter(|step| restoring(&step.name));
                self.0.push(Took {
                    seconds: steps.map(|step| step.seconds).sum(),
                    kind: source.kind,
                    name: source.name,
                    bytes: source.bytes.unwrap_or(0),
                    at: source.at,
                    drill: true,
                });
            }
        }
    }

    fn trail(&mut self, path: &Path) {
        let Ok(Some(file)) = Trail::at(path).read() else {
            return;
        };
        let mut begun: HashMap<(String, Option<String>), Timestamp> = HashMap::new();
        // As far as it can be read.
        let _ = audit::check(file, &[], |_, record| {
            let deed = &record.deed;
            let (Action::Restore, Some(backup)) = (deed.action, &deed.backup) else {
                return Ok(());
            };
            let key = (backup.clone(), deed.target.clone());
            match (deed.result, &deed.kind, &deed.name) {
                (Outcome::Begun, ..) => drop(begun.insert(key, record.at)),
                // With a detail it was a part alone.
                (Outcome::Done, Some(kind), Some(name)) if deed.detail.is_none() => {
                    self.0.extend(begun.remove(&key).map(|begun| Took {
                        kind: kind.clone(),
                        name: name.clone(),
                        bytes: stored(Path::new(backup)),
                        seconds: record.at.duration_since(begun).as_secs_f64(),
                        at: record.at,
                        drill: false,
                    }));
                }
                _ => drop(begun.remove(&key)),
            }
            Ok(())
        });
    }
}

/// Length of a backup as it lies; 0 if it is gone.
pub fn stored(backup: &Path) -> u64 {
    match Manifest::beside(backup) {
        Ok(Some(manifest)) => manifest.bytes,
        _ => fs::metadata(backup).map_or(0, |metadata| metadata.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(kind: &str, name: &str, bytes: u64, seconds: f64, day: i64) -> Took {
        Took {
            kind: kind.to_owned(),
            name: name.to_owned(),
            bytes,
            seconds,
            at: Timestamp::from_second(day * 86_400).unwrap(),
            drill: day == 2,
        }
    }

    #[test]
    fn the_last_time_counts_and_else_what_others_took() {
        let past = Past(vec![
            took("db", "shop", 100, 50.0, 0),
            took("db", "press", 300, 30.0, 1),
            took("db", "shop", 200, 20.0, 2),
        ]);
        let told =
            |kind: &str, name: &str, bytes: u64| past.estimate(kind, name, bytes).to_string();
        assert_eq!(
            told("db", "shop", 400),
            "about 40 s; the drill of 1970-01-03 took 20 s"
        );
        assert_eq!(
            told("db", "wiki", 6000),
            "about 16 min 40 s, by what others of its kind took"
        );
        assert_eq!(told("volume", "shop", 1), "never measured here");
    }

    #[test]
    fn what_is_broken_tells_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        fs::create_dir_all(place("journals/shop/1")).unwrap();
        fs::create_dir(place("drills")).unwrap();
        for file in ["journals/shop/1/journal", "drills/a.json", "trail"] {
            fs::write(place(file), "{\"half\n").unwrap();
        }
        let past = Past::read(&Places {
            journals: place("journals"),
            drills: place("drills"),
            trail: place("trail"),
        });
        assert_eq!(past.0, []);
    }
}
