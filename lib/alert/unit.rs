//! What a unit's name tells: which step of whose backup it is.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The work that a unit does, as far as it matters to somebody who hears that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Dumps a database.
    Dump,
    /// Archives volumes.
    Archive,
    /// Reads backups back.
    Verify,
    /// Removes old backups.
    Prune,
    /// Starts the others, one after the other.
    Driver,
    /// Looks whether there is a recent backup at all.
    Freshness,
    /// Writes down how it stands with everything.
    Status,
    /// Restores for practice.
    Drill,
    /// Restores in earnest.
    Restore,
    /// Anything else.
    Other,
}

impl Step {
    /// By the part of a unit's name before the `@`.
    const NAMES: [(&'static str, Self); 9] = [
        ("sg-dump-db", Self::Dump),
        ("sg-archive-volume", Self::Archive),
        ("sg-verify", Self::Verify),
        ("sg-prune", Self::Prune),
        ("sg-backup", Self::Driver),
        ("sg-freshness", Self::Freshness),
        ("sg-status", Self::Status),
        ("sg-drill", Self::Drill),
        ("sg-restore", Self::Restore),
    ];

    /// The units that the driver starts, in their order.
    pub const DRIVEN: [&str; 4] = ["sg-dump-db", "sg-archive-volume", "sg-verify", "sg-prune"];

    /// Whether what it notices is news: the status says once more what the others have told.
    pub fn has_news(self) -> bool {
        self != Self::Status
    }

    /// Whether the driver starts it, so that the driver's success is its own.
    pub fn is_driven(self) -> bool {
        matches!(
            self,
            Self::Dump | Self::Archive | Self::Verify | Self::Prune
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dump => "database dump",
            Self::Archive => "volume archive",
            Self::Verify => "verification",
            Self::Prune => "pruning",
            Self::Driver => "backup run",
            Self::Freshness => "freshness check",
            Self::Status => "status",
            Self::Drill => "restore drill",
            Self::Restore => "restore",
            Self::Other => "unit",
        })
    }
}

/// A unit of systemd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its whole name, e.g. `sg-dump-db@shop.service`.
    pub name: String,
    /// What it does.
    pub step: Step,
    /// Whose it is: the instance.
    pub app: Option<String>,
}

impl Unit {
    /// The longest name that `sg-alert@NAME.service` can carry within systemd's 255.
    const LONGEST: usize = 238;

    /// The unit called `name`; without a suffix it is a service.
    ///
    /// # Errors
    /// No unit can be called so.
    pub fn parse(name: &str) -> Result<Self> {
        let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name.is_empty()
            || name.len() > Self::LONGEST
            || name.starts_with('.')
            || !name.chars().all(valid)
        {
            return Err(Error::new(
                Kind::Usage,
                format!("'{}' is no name of a unit", name.escape_debug()),
            )
            .with_hint("Give a unit's name, such as sg-dump-db@shop.service."));
        }
        let suffixes = [
            ".service", ".timer", ".mount", ".target", ".path", ".socket",
        ];
        let (stem, full) = match suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)) {
            Some(stem) => (stem, name.to_owned()),
            None => (name, format!("{name}.service")),
        };
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance)),
            None => (stem, None),
        };
        let step = Step::NAMES
            .iter()
            .find(|(known, _)| *known == prefix)
            .map_or(Step::Other, |(_, step)| *step);
        let app = instance
            .filter(|instance| !instance.is_empty())
            .map(unescape)
            // An instance `shop:uploads` is a part of `shop`.
            .and_then(|app| app.split(':').next().map(str::to_owned))
            .filter(|app| !app.is_empty());
        Ok(Self {
            name: full,
            step,
            app,
        })
    }

    /// Whose it is, for a sentence: the application, or else the unit.
    pub fn owner(&self) -> &str {
        self.app.as_deref().unwrap_or(&self.name)
    }
}

/// Undoes `systemd-escape`; what is not valid stays as it is.
fn unescape(instance: &str) -> String {
    let mut bytes = Vec::with_capacity(instance.len());
    let mut rest = instance;
    while let Some(first) = rest.chars().next() {
        let code = rest
            .strip_prefix("\\x")
            .and_then(|code| code.get(..2))
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match (first, code) {
            ('\\', Some(byte)) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            _ => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(first.encode_utf8(&mut buffer).as_bytes());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_step_and_application() {
        let unit = Unit::parse("sg-dump-db@shop.service").unwrap();
        assert_eq!((unit.step, unit.app.as_deref()), (Step::Dump, Some("shop")));
        let unit = Unit::parse("sg-archive-volume@my-shop:uploads").unwrap();
        assert_eq!(unit.name, "sg-archive-volume@my-shop:uploads.service");
        assert_eq!(unit.app.as_deref(), Some("my-shop"));
        let unit = Unit::parse(r"sg-dump-db@a\x2db\x2.service").unwrap();
        assert_eq!(unit.app.as_deref(), Some(r"a-b\x2"));
        let unit = Unit::parse("postgresql.service").unwrap();
        assert_eq!((unit.step, unit.app), (Step::Other, None));
    }

    #[test]
    fn a_path_is_no_unit() {
        for name in ["", "../../etc/passwd", "a/b.service", ".hidden", "a\nb"] {
            assert_eq!(Unit::parse(name).unwrap_err().kind(), Kind::Usage, "{name}");
        }
    }
}
