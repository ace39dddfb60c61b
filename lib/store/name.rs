//! The names of backups: `KIND_NAME_YYYYMMDD_HHMMSS.EXT`, in UTC, e.g.
//! `db_schedgen_20241130_020000.sql.gz`.
//!
//! They sort by time within a source and can be read by people and shell globs alike. Characters of
//! a source's name that a file name or a shell would trip over are written as `%XX`; the manifest
//! holds the name as it is.

use crate::error::{Error, Kind, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt;
use std::str::FromStr;

/// What stands for itself in a name.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'+')
    .remove(b'@');

const TIME_FORMAT: &str = "%Y%m%d_%H%M%S";

/// The kinds of body that a store holds, by the end of their names.
const EXTENSIONS: [&str; 6] = [".sql.gz", ".tar.gz", ".sql.zst", ".tar.zst", ".sql", ".tar"];

/// The name of one backup, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackupName {
    /// `db`, `globals`, `volume`, or what `--kind` said.
    pub kind: String,
    /// The source's name: a database's, a volume's.
    pub name: String,
    /// When it was begun; whole seconds.
    pub time: Timestamp,
    /// The end of the file's name, e.g. `.sql.gz`.
    pub extension: String,
}

impl BackupName {
    /// A name for a backup of `name` begun at `time`.
    ///
    /// # Errors
    /// `kind` is no plain lower-case word, `name` is empty or too long for a file name.
    pub fn new(kind: &str, name: &str, time: Timestamp, extension: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if kind.is_empty() || !kind.chars().all(plain) {
            return Err(
                Error::new(Kind::Usage, format!("'{kind}' is no kind of backup"))
                    .with_hint("A kind is a word of lower-case letters, digits and '-'."),
            );
        }
        let time = Timestamp::from_second(time.as_second())
            .map_err(|cause| Error::new(Kind::Failed, "impossible time").with_source(cause))?;
        let this = Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            time,
            extension: extension.to_owned(),
        };
        // Room for what the store puts around it: a dot, `.proof.json`, `.partial`.
        if name.is_empty() || this.to_string().len() > 230 {
            return Err(Error::new(
                Kind::Usage,
                format!("'{name}' does not fit into a file name"),
            )
            .with_hint("Choose a shorter name with --name."));
        }
        Ok(this)
    }

    /// `KIND_NAME`, the same for all backups of a source.
    pub fn source(&self) -> String {
        format!("{}_{}", self.kind, utf8_percent_encode(&self.name, ESCAPED))
    }

    /// The name of the manifest beside the body.
    pub fn manifest(&self) -> String {
        format!("{self}.json")
    }

    /// The name of the record of verifications and drills beside the body.
    pub fn proof(&self) -> String {
        format!("{self}.proof.json")
    }
}

impl fmt::Display for BackupName {
    /// The file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.to_zoned(TimeZone::UTC).strftime(TIME_FORMAT);
        write!(f, "{}_{time}{}", self.source(), self.extension)
    }
}

impl FromStr for BackupName {
    type Err = Error;

    fn from_str(file: &str) -> Result<Self> {
        let parse = || -> Option<Self> {
            let extension = EXTENSIONS.into_iter().find(|end| file.ends_with(end))?;
            let stem = &file[..file.len() - extension.len()];
            let (source, time) = stem.split_at_checked(stem.len().checked_sub(16)?)?;
            let time = DateTime::strptime(TIME_FORMAT, time.strip_prefix('_')?).ok()?;
            let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
            let (kind, name) = source.split_once('_')?;
            let name = percent_decode_str(name).decode_utf8().ok()?;
            Self::new(kind, &name, time, extension).ok()
        };
        parse()
            .filter(|name| name.to_string() == file)
            .ok_or_else(|| {
                Error::new(Kind::Usage, format!("'{file}' is not the name of a backup"))
                    .with_hint("Names look like db_shop_20241130_020000.sql.gz.")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_runbooks_names_are_ours() {
        for file in [
            "db_schedgen_20241130_020000.sql.gz",
            "minio_schedgen-pdfs_20241130_143022.tar.gz",
            "globals_main_20240229_235959.sql.zst",
        ] {
            assert_eq!(file.parse::<BackupName>().unwrap().to_string(), file);
        }
    }

    #[test]
    fn what_only_looks_like_a_name_is_none() {
        for file in [
            "db_schedgen_20241330_020000.sql.gz",
            "db_schedgen.sql.gz",
            "db_20241130_020000.sql.gz",
            "db__20241130_020000.sql.gz",
            "DB_x_20241130_020000.sql.gz",
            "db_a b_20241130_020000.sql.gz",
            "db_x_20241130_020000.sql.gz.json",
            "",
            "é_20241130_020000.sql.gz",
        ] {
            assert!(file.parse::<BackupName>().is_err(), "{file}");
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in "\\PC{1,60}", second in 0i64..4_000_000_000) {
            let time = Timestamp::from_second(second).unwrap();
            if let Ok(backup) = BackupName::new("db", &name, time, ".sql.gz") {
                let file = backup.to_string();
                prop_assert!(!file.contains(['/', ' ', '\n', '\'', '*']));
                prop_assert_eq!(file.parse::<BackupName>().unwrap(), backup);
            }
        }
    }
}
