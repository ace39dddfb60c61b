//! A backup on its way into the store: written out of sight, made visible in one step.

use super::filesystem::Filesystem;
use super::local::{COMMIT, Local, PARTIAL, REMOVE, cannot_create};
use super::lock::SourceLock;
use super::name::BackupName;
use crate::error::{Context, Result};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A backup being written. Dropped without [`Pending::commit`], it leaves nothing.
pub struct Pending {
    pub(super) store: Local,
    pub(super) name: BackupName,
    pub(super) file: File,
    pub(super) partial: Option<PathBuf>,
    pub(super) lock: SourceLock,
}

/// How far a commit came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// The manifest lies beside under its hidden name.
    Intent,
    /// The body has its name.
    Named,
    /// The manifest has its name, too.
    Sealed,
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk().write(&self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pending {
    /// Makes the backup visible, sealed by `manifest`; returns the path of its body. After a failure
    /// the store is as it was before, or (if the disk does not even let go of what was begun)
    /// recovery will make it so, or will finish the work.
    ///
    /// # Errors
    /// The disk fails.
    pub fn commit(mut self, manifest: &[u8]) -> Result<PathBuf> {
        let path = self.store.path(&self.name);
        self.disk()
            .sync(&self.file)
            .context(|| format!("cannot sync '{}'", path.display()))?;
        let intent = self.store.hidden(&self.name.to_string(), COMMIT);
        self.write_intent(&intent, manifest)?;

        let mut reached = Reached::Intent;
        let done = self.become_visible(&intent, &path, &mut reached);
        if done.is_err() {
            // The first failure is the one to report; what remains is recovery's.
            let _ = self.take_back(&intent, &path, reached);
        }
        done.map(|()| path)
    }

    /// The lock on the source, held as long as this is.
    pub fn lock(&self) -> &SourceLock {
        &self.lock
    }

    fn disk(&self) -> &dyn Filesystem {
        &*self.store.disk
    }

    fn seal(&self) -> PathBuf {
        self.store.directory().join(self.name.manifest())
    }

    /// Writes the manifest under its hidden name, synced.
    fn write_intent(&self, intent: &Path, manifest: &[u8]) -> Result<()> {
        let end = format!(".json{PARTIAL}");
        let (file, partial) = self.store.create_body(&self.name.to_string(), &end)?;
        let written = self
            .store
            .write_all(&file, manifest)
            .and_then(|()| self.disk().sync(&file))
            .context(|| format!("cannot write '{}'", intent.display()))
            .and_then(|()| self.store.publish(&file, partial.as_deref(), intent));
        if let (Err(_), Some(partial)) = (&written, &partial) {
            let _ = self.disk().remove(partial);
        }
        written
    }

    fn become_visible(&mut self, intent: &Path, path: &Path, reached: &mut Reached) -> Result<()> {
        self.store
            .publish(&self.file, self.partial.as_deref(), path)?;
        self.partial = None;
        *reached = Reached::Named;
        let seal = self.seal();
        self.disk()
            .replace(intent, &seal)
            .map_err(|cause| cannot_create(&seal, cause))?;
        *reached = Reached::Sealed;
        let directory = self.store.directory();
        self.disk()
            .sync_directory(directory)
            .context(|| format!("cannot sync '{}'", directory.display()))
    }

    /// Undoes a commit that failed. Stops where that fails, too: each state on the way is one that
    /// recovery knows what to do with.
    fn take_back(&self, intent: &Path, path: &Path, reached: Reached) -> Result<()> {
        let remove = |file: &Path| {
            self.disk()
                .remove(file)
                .context(|| format!("cannot remove '{}'", file.display()))
        };
        match reached {
            Reached::Intent => remove(intent),
            Reached::Named => remove(path).and_then(|()| remove(intent)),
            Reached::Sealed => {
                let body = self.name.to_string();
                let seal = self.seal();
                self.disk()
                    .replace(&seal, &self.store.hidden(&body, REMOVE))
                    .context(|| format!("cannot remove '{}'", seal.display()))?;
                self.store.end_removal(&body)
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // The next run of this source clears it if this fails.
            let _ = self.disk().remove(partial);
        }
    }
}
