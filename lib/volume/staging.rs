//! The place beside a tree in which its successor is built. It is removed unless it is released; what
//! a killed run left is removed by the next one, which knows it by its lock being free.

use crate::error::{Context, Error, Kind, Result};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

const MARK: &str = ".restoring-";

/// A directory beside another, locked.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    /// Held as long as this is; the kernel frees it when a run is killed.
    _lock: File,
    released: bool,
}

impl Staging {
    /// Makes `.NAME.restoring-PID` beside `target`, and removes what killed runs have left there.
    ///
    /// # Errors
    /// The parent can't be written to.
    pub(super) fn beside(target: &Path) -> Result<Self> {
        let (parent, prefix) = place(target)?;
        let mut name = prefix.clone();
        name.push(std::process::id().to_string());
        let path = parent.join(name);
        // Between making the directory and locking it, another run must not take it for a dead one's.
        let _one_at_a_time = File::open(&parent).and_then(|parent| parent.lock().map(|()| parent));
        clear(&parent, &prefix);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|cause| {
                let kind = match cause.kind() {
                    io::ErrorKind::PermissionDenied => Kind::Permission,
                    _ => Kind::CannotCreate,
                };
                Error::new(kind, format!("cannot make '{}'", path.display()))
                    .with_source(cause)
                    .with_hint(format!(
                        "The tree is built beside its place, so '{}' must be writable; --in-place \
                     fills an empty directory instead.",
                        parent.display()
                    ))
            })?;
        let unlockable = || format!("cannot lock '{}'", path.display());
        let lock = File::open(&path).context(unlockable)?;
        lock.lock().context(unlockable)?;
        // What the parent hands down to new directories is not the archive's.
        let _ = xattr::remove(&path, super::acl::DEFAULT);
        let _ = xattr::remove(&path, super::acl::ACCESS);
        Ok(Self {
            path,
            _lock: lock,
            released: false,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it; if it is not released, it is removed under its new name.
    ///
    /// # Errors
    /// There is something of that name, or the parent can't be written to.
    pub(super) fn rename(&mut self, to: &Path) -> nix::Result<()> {
        renameat2(
            AT_FDCWD,
            &self.path,
            AT_FDCWD,
            to,
            RenameFlags::RENAME_NOREPLACE,
        )?;
        self.path = to.to_owned();
        Ok(())
    }

    /// It has become something else, and stays.
    pub(super) fn release(mut self) {
        self.released = true;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.released {
            // The next run removes what can't be removed now.
            let _ = remove(&self.path);
        }
    }
}

/// The directory that holds `target`, and how the names of its staging places begin.
fn place(target: &Path) -> Result<(PathBuf, OsString)> {
    let (parent, name) = target
        .parent()
        .zip(target.file_name())
        .ok_or_else(|| Error::new(Kind::Usage, "the root of the file system can't be replaced"))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(MARK);
    Ok((parent.to_owned(), prefix))
}

/// Removes what killed runs have left beside `target`.
///
/// # Errors
/// Nothing can be beside it: it is the root.
pub(super) fn clear_beside(target: &Path) -> Result<()> {
    let (parent, prefix) = place(target)?;
    let _one_at_a_time = File::open(&parent).and_then(|parent| parent.lock().map(|()| parent));
    clear(&parent, &prefix);
    Ok(())
}

/// Removes staging places whose run is gone.
fn clear(parent: &Path, prefix: &OsStr) {
    // What can't be read or removed is in nobody's way.
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.as_bytes().strip_prefix(prefix.as_bytes());
        let is_one = number
            .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
        if !is_one || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let Ok(directory) = File::open(entry.path()) else {
            continue;
        };
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            _ => drop(remove(&entry.path())),
        }
    }
}

/// Removes what is at `path`, also a tree with directories in which we may not write, and never
/// follows a link.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

/// Gives us all rights in the directories of a tree.
fn open_up(path: &Path) -> io::Result<()> {
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(())
}
