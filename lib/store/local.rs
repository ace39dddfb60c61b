//! The store in a local directory.
//!
//! # How a backup becomes visible
//! The body is written to a file without a name (where the file system has none: to
//! `.BODY.partial`) and synced. The manifest is written and synced likewise and gets the hidden name
//! `.BODY.json.commit`. Then the body gets its name, the manifest is renamed to `BODY.json`, and the
//! directory is synced. A kill at any point leaves either nothing, or a `.commit` that says what was
//! about to happen: [`Local::recover`] finishes it if the body has its name, and else removes it. A
//! failure is undone by the way back, a seal first becoming a `.remove`.
//!
//! # How a backup goes
//! `BODY.json` is renamed to `.BODY.json.remove`, then the body is removed, then that. A kill in
//! between leaves a `.remove`, and recovery ends what it says.
//!
//! # Who may run beside whom
//! | | write a source | prune it | read a backup |
//! |---|---|---|---|
//! | write a source | no: lock on the source | no: the same lock | yes |
//! | prune it | | no | yes: what is read (shared lock on the body) stays |
//!
//! All locks are flock(2)s: the kernel frees them when their holder ends, however it ends.

use super::filesystem::{Filesystem, Real};
use super::lock::{self, SourceLock};
use super::name::BackupName;
use super::pending::Pending;
use crate::error::{Context, Error, Kind, Result};
use jiff::Timestamp;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) const PARTIAL: &str = ".partial";
pub(super) const COMMIT: &str = ".json.commit";
pub(super) const REMOVE: &str = ".json.remove";

/// A directory of backups.
#[derive(Clone)]
pub struct Local {
    directory: PathBuf,
    pub(super) disk: Arc<dyn Filesystem>,
}

impl Local {
    /// The store in `directory`, which is made (mode 0700) if it is not there.
    ///
    /// # Errors
    /// It can't be made, or is no directory.
    pub fn create(directory: &Path) -> Result<Self> {
        let store = Self::open(directory);
        if !directory.is_dir() {
            store.make_directory().map_err(|cause| {
                let kind = match cause.kind() {
                    ErrorKind::PermissionDenied => Kind::Permission,
                    _ => Kind::CannotCreate,
                };
                let message = format!("cannot make the store '{}'", directory.display());
                Error::new(kind, message).with_source(cause).with_hint(
                    "Make it by hand and give it to the user that runs backups, or choose another with --directory.",
                )
            })?;
        }
        Ok(store)
    }

    /// Makes the directory and those above it, and their names durable.
    fn make_directory(&self) -> io::Result<()> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
        let made: Vec<&Path> = self.directory.ancestors().take_while(missing).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        for path in made {
            let above = path.parent().filter(|path| !path.as_os_str().is_empty());
            self.disk.sync_directory(above.unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }

    /// The store in `directory`, as it is.
    pub fn open(directory: &Path) -> Self {
        Self::on(directory, Arc::new(Real))
    }

    /// The same on another file system; for tests.
    pub fn on(directory: &Path, disk: Arc<dyn Filesystem>) -> Self {
        Self {
            directory: directory.to_owned(),
            disk,
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a backup's body is.
    pub fn path(&self, name: &BackupName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    pub(super) fn hidden(&self, body: &str, end: &str) -> PathBuf {
        self.directory.join(format!(".{body}{end}"))
    }

    /// Takes the lock on a source (`KIND_NAME`, see [`BackupName::source`]).
    ///
    /// # Errors
    /// [`Kind::Locked`] if another run has it.
    pub fn lock(&self, source: &str) -> Result<SourceLock> {
        let path = self.directory.join(format!(".lock_{source}"));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| match cause.kind() {
                ErrorKind::PermissionDenied => Error::new(
                    Kind::Permission,
                    format!("cannot write to the store '{}'", self.directory.display()),
                )
                .with_source(cause)
                .with_hint(
                    "Run as the user that owns the store, or choose another with --directory.",
                ),
                _ => Error::new(
                    Kind::CannotCreate,
                    format!("cannot create '{}'", path.display()),
                )
                .with_source(cause),
            })?;
        match lock::try_lock(&file) {
            Ok(()) => Ok(SourceLock(file)),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                Kind::Locked,
                format!(
                    "another run is busy with '{source}' in '{}'",
                    self.directory.display()
                ),
            )
            .with_hint("Wait until it has ended and try again.")),
            Err(TryLockError::Error(cause)) => Err(Error::io(
                format!("cannot lock '{}'", path.display()),
                cause,
            )),
        }
    }

    /// Begins a backup of a source under a name of its own: names count whole seconds, so if this
    /// second's is taken it waits for the next. Otherwise as [`Local::begin`].
    ///
    /// # Errors
    /// As for [`Local::begin`] and [`BackupName::new`].
    pub fn begin_now(
        &self,
        kind: &str,
        name: &str,
        extension: &str,
    ) -> Result<(BackupName, Pending)> {
        loop {
            let name = BackupName::new(kind, name, Timestamp::now(), extension)?;
            if !self.path(&name).exists() {
                return self.begin(&name).map(|pending| (name, pending));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Begins a backup: clears what a killed run of the same source left, and opens a body to write
    /// to. Nothing can be seen of it before [`Pending::commit`].
    ///
    /// # Errors
    /// The source is locked, a backup of this name exists, or the store can't be written to.
    pub fn begin(&self, name: &BackupName) -> Result<Pending> {
        let lock = self.lock(&name.source())?;
        self.recover(&name.source(), &lock)?;
        let path = self.path(name);
        if path.exists() {
            return Err(Error::new(
                Kind::CannotCreate,
                format!("'{}' exists already", path.display()),
            )
            .with_hint("Names count whole seconds: try again."));
        }
        let (file, partial) = self.create_body(&name.to_string(), PARTIAL)?;
        Ok(Pending {
            store: self.clone(),
            name: name.clone(),
            file,
            partial,
            lock,
        })
    }

    /// A file without a name, or with a hidden one where there is no other way.
    pub(super) fn create_body(&self, body: &str, end: &str) -> Result<(File, Option<PathBuf>)> {
        match self.disk.create_unnamed(&self.directory) {
            Ok(file) => Ok((file, None)),
            Err(cause) if cause.kind() == ErrorKind::Unsupported => {
                let path = self.hidden(body, end);
                let file = self
                    .disk
                    .create(&path)
                    .map_err(|cause| cannot_create(&path, cause))?;
                Ok((file, Some(path)))
            }
            Err(cause) => Err(cannot_create(&self.directory, cause)),
        }
    }

    pub(super) fn publish(&self, file: &File, partial: Option<&Path>, path: &Path) -> Result<()> {
        match partial {
            None => self.disk.link(file, path),
            Some(partial) => self.disk.rename(partial, path),
        }
        .map_err(|cause| cannot_create(path, cause))
    }

    /// Writes a small file beside a backup, over an older one of that name, so that a reader sees the
    /// old or the new one whole, also when several are written at once.
    ///
    /// # Errors
    /// The store can't be written to.
    pub fn write_beside(&self, file_name: &str, bytes: &[u8]) -> Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let end = format!(".{:x}-{number}{PARTIAL}", std::process::id());
        let path = self.hidden(file_name, &end);
        let written = || -> io::Result<()> {
            let file = self.create_held(&path)?;
            self.write_all(&file, bytes)?;
            self.disk.sync(&file)?;
            self.disk.replace(&path, &self.directory.join(file_name))?;
            self.disk.sync_directory(&self.directory)
        };
        written().map_err(|cause| {
            let _ = self.disk.remove(&path);
            let directory = self.directory.display();
            Error::io(
                format!("cannot write '{file_name}' to '{directory}'"),
                cause,
            )
        })
    }

    /// A new file under a hidden name, locked so that recovery does not take it for a killed run's.
    fn create_held(&self, path: &Path) -> io::Result<File> {
        loop {
            let file = self.disk.create(path)?;
            // Without locks on this file system recovery may be in the way, which is a failure then.
            let _ = file.lock();
            // Else recovery was faster than the lock.
            if path.exists() {
                return Ok(file);
            }
        }
    }

    /// Returns once the names in the store are on disk.
    pub(super) fn sync_names(&self) -> Result<()> {
        self.disk
            .sync_directory(&self.directory)
            .context(|| format!("cannot sync '{}'", self.directory.display()))
    }

    pub(super) fn write_all(&self, file: &File, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.disk.write(file, bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    /// The names of all files, hidden ones too, sorted.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn files(&self) -> Result<Vec<String>> {
        let unreadable = || format!("cannot read the store '{}'", self.directory.display());
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory).context(unreadable)? {
            // Not UTF-8: not ours.
            if let Ok(name) = entry.context(unreadable)?.file_name().into_string() {
                files.push(name);
            }
        }
        files.sort();
        Ok(files)
    }

    /// The bytes of a small file in the store; `None` if it is not there.
    ///
    /// # Errors
    /// It can't be read.
    pub fn read_beside(&self, file_name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.directory.join(file_name);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::io(
                format!("cannot read '{}'", path.display()),
                cause,
            )),
        }
    }
}

pub(super) fn cannot_create(path: &Path, cause: io::Error) -> Error {
    match cause.kind() {
        ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => Error::new(
            Kind::CannotCreate,
            format!("cannot create '{}'", path.display()),
        )
        .with_source(cause),
        _ => Error::io(format!("cannot create '{}'", path.display()), cause),
    }
}
