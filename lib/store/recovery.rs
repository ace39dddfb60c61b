//! How a backup goes, and how what killed runs left behind is finished or undone.

use super::local::{COMMIT, Local, PARTIAL, REMOVE};
use super::lock::{SourceLock, try_lock};
use super::name::BackupName;
use crate::error::{Context, Error, Kind, Result};
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;

const PROOF: &str = ".proof.json";
const PIN: &str = ".keep";

impl Local {
    /// Removes a backup, seal first; the caller holds the lock on its source.
    ///
    /// # Errors
    /// [`Kind::Locked`] if somebody reads it; else the disk fails, and recovery will end the removal
    /// if it had begun.
    pub fn remove(&self, name: &BackupName, _lock: &SourceLock) -> Result<()> {
        let body = name.to_string();
        let path = self.path(name);
        // Held to the end, so that no reader can begin meanwhile.
        let _reading = match File::open(&path) {
            Ok(file) => match try_lock(&file) {
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(
                        Kind::Locked,
                        format!("'{}' is being read", path.display()),
                    )
                    .with_hint("It stays until the next prune."));
                }
                // A file system without locks is no reason to keep everything for ever.
                Ok(()) | Err(TryLockError::Error(_)) => Some(file),
            },
            Err(cause) if cause.kind() == ErrorKind::NotFound => None,
            Err(cause) => {
                let message = format!("cannot open '{}'", path.display());
                return Err(Error::io(message, cause));
            }
        };
        let manifest = self.directory().join(name.manifest());
        let going = self.hidden(&body, REMOVE);
        match self.disk.replace(&manifest, &going) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            done => done.context(|| format!("cannot remove '{}'", manifest.display()))?,
        }
        self.end_removal(&body)
    }

    /// Removes the rest of a backup whose seal is gone.
    pub(super) fn end_removal(&self, body: &str) -> Result<()> {
        let proof = self.directory().join(format!("{body}{PROOF}"));
        // A pin that has fallen out goes along.
        let pin = self.directory().join(format!("{body}{PIN}"));
        let going = self.hidden(body, REMOVE);
        for path in [&self.directory().join(body), &proof, &pin, &going] {
            match self.disk.remove(path) {
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                done => done.context(|| format!("cannot remove '{}'", path.display()))?,
            }
        }
        self.sync_names()
    }

    /// Finishes or undoes what killed runs of a source left; returns the names of what was cleared
    /// or completed.
    ///
    /// # Errors
    /// The store can't be read or written to.
    pub fn recover(&self, source: &str, _lock: &SourceLock) -> Result<Vec<String>> {
        let files = self.files()?;
        let mut cleared = Vec::new();
        for file in &files {
            let Some((body, end)) = left_behind(file) else {
                continue;
            };
            if body.source() != source {
                continue;
            }
            let hidden = self.directory().join(file);
            let done = match end {
                COMMIT if self.path(&body).exists() => {
                    let manifest = self.directory().join(body.manifest());
                    self.disk.replace(&hidden, &manifest)
                }
                REMOVE => self.end_removal(&body.to_string()).map_err(io::Error::from),
                COMMIT => self.disk.remove(&hidden),
                _ => self.remove_abandoned(&hidden),
            };
            match done {
                Err(cause) if is_none_of_ours(&cause) => {}
                done => {
                    done.context(|| format!("cannot clear '{}'", hidden.display()))?;
                    cleared.push(file.clone());
                }
            }
        }
        cleared.extend(self.clear_stray_proofs(source, &files)?);
        if !cleared.is_empty() {
            self.sync_names()?;
        }
        Ok(cleared)
    }

    /// Removes a file unless somebody is writing to it: proofs are written without the lock on the
    /// source, under a lock on the file.
    fn remove_abandoned(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        match try_lock(&file) {
            Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Ok(()) | Err(TryLockError::Error(_)) => self.disk.remove(path),
        }
    }

    /// Removes the proofs of backups that went while they were being verified.
    fn clear_stray_proofs(&self, source: &str, files: &[String]) -> Result<Vec<String>> {
        let there: HashSet<&str> = files.iter().map(String::as_str).collect();
        let mut cleared = Vec::new();
        for file in files {
            let Some(body) = file.strip_suffix(PROOF) else {
                continue;
            };
            let Ok(name) = body.parse::<BackupName>() else {
                continue;
            };
            if name.source() == source
                && !there.contains(body)
                && !there.contains(name.manifest().as_str())
            {
                let path = self.directory().join(file);
                match self.disk.remove(&path) {
                    // An interrupted removal, ended a moment ago, took it along.
                    Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
                    done => done.context(|| format!("cannot clear '{}'", path.display()))?,
                }
                cleared.push(file.clone());
            }
        }
        Ok(cleared)
    }

    /// The sources of which a run is under way, or was killed and left something.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn interrupted(&self) -> Result<Vec<String>> {
        let mut sources: Vec<String> = self
            .files()?
            .iter()
            .filter_map(|file| Some(left_behind(file)?.0.source()))
            .collect();
        sources.sort();
        sources.dedup();
        Ok(sources)
    }
}

/// Takes the name of a hidden file apart that a run may have left: its backup, and what it is.
fn left_behind(file: &str) -> Option<(BackupName, &'static str)> {
    let file = file.strip_prefix('.')?;
    let end = [COMMIT, REMOVE, PARTIAL]
        .into_iter()
        .find(|end| file.ends_with(end))?;
    let rest = &file[..file.len() - end.len()];
    // Manifests and proofs are written under hidden names, too; a proof's has the writer's number.
    let manifest = rest.strip_suffix(".json");
    let proof = rest.rsplit_once(PROOF).map(|(body, _)| body);
    [Some(rest), manifest, proof]
        .into_iter()
        .flatten()
        .find_map(|body| Some((body.parse().ok()?, end)))
}

/// Whether a hidden file turned out to be that of somebody who is at work, or just was.
fn is_none_of_ours(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_is_known_by_its_name() {
        let body = "db_shop_20261121_023000.sql.gz";
        for (file, end) in [
            (format!(".{body}.partial"), PARTIAL),
            (format!(".{body}.json.partial"), PARTIAL),
            (format!(".{body}.proof.json.1f-3.partial"), PARTIAL),
            (format!(".{body}.json.commit"), COMMIT),
            (format!(".{body}.json.remove"), REMOVE),
        ] {
            let (name, found) = left_behind(&file).unwrap();
            assert_eq!((name.to_string().as_str(), found), (body, end), "{file}");
        }
        for file in [
            body.to_owned(),
            format!("{body}.json"),
            format!(".{body}"),
            ".lock_db_shop".to_owned(),
            ".notes.txt.partial".to_owned(),
        ] {
            assert!(left_behind(&file).is_none(), "{file}");
        }
    }
}
