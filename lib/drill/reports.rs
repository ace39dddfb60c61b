//! Where reports are kept: each as JSON and as text, for as long as somebody may ask for it.

use super::report::{Report, TIME_FORMAT};
use crate::error::{Context, Result};
use crate::stream::writer::hex;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A report that was written.
pub struct Written {
    /// Of the JSON; the text lies beside it and ends in `.txt`.
    pub path: PathBuf,
    /// SHA-256 of the JSON, for the audit trail: so a report that was changed is told from the one that
    /// was written.
    pub sha256: String,
}

impl Report {
    /// Writes `ID.json` and `ID.txt` into `directory`, which is made if it is missing. Removes reports
    /// there that are older than `keep`.
    ///
    /// # Errors
    /// The directory can't be written to.
    pub fn write(&self, directory: &Path, keep: SignedDuration) -> Result<Written> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .context(|| format!("cannot make '{}'", directory.display()))?;
        let path = directory.join(format!("{}.json", self.id));
        let json = self.encode()?;
        write_whole(&path.with_extension("txt"), self.summary().as_bytes())?;
        write_whole(&path, &json)?;
        forget(directory, self.started, keep);
        let sha256 = hex(&Sha256::digest(&json));
        Ok(Written { path, sha256 })
    }
}

/// Writes a file as a whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("cannot write '{}'", path.display());
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part).context(failed)?;
    std::io::Write::write_all(&mut file, bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&part, path))
        .context(failed)
}

/// Removes reports whose name says that they are too old; other files are nobody's business.
fn forget(directory: &Path, now: Timestamp, keep: SignedDuration) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(time) = name.to_str().and_then(time_of) else {
            continue;
        };
        if now.duration_since(time) > keep {
            // One that can't be removed is tried again by the next drill.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The time in a report's file name.
fn time_of(file: &str) -> Option<Timestamp> {
    let stem = file
        .strip_suffix(".json")
        .or_else(|| file.strip_suffix(".txt"))?;
    let (app, time) = stem.split_at_checked(stem.len().checked_sub(16)?)?;
    let time = time.strip_prefix('_').filter(|_| !app.is_empty())?;
    let time = jiff::civil::DateTime::strptime(TIME_FORMAT, time).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reports_are_forgotten_and_only_old_ones() {
        let directory = tempfile::tempdir().unwrap();
        for file in [
            "shop_20260701_043000.json",
            "shop_20260701_043000.txt",
            "shop_20261101_043000.json",
            "notes_from_20260701.txt",
            "shop_20260701_043000.pdf",
            "_20260701_043000.json",
        ] {
            fs::write(directory.path().join(file), "").unwrap();
        }
        let now = "2026-11-21T04:30:00Z".parse().unwrap();
        forget(directory.path(), now, SignedDuration::from_hours(90 * 24));
        let mut left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = [
            "_20260701_043000.json",
            "notes_from_20260701.txt",
            "shop_20260701_043000.pdf",
            "shop_20261101_043000.json",
        ];
        assert_eq!(left, expected);
    }
}
