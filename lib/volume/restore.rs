//! A volume comes back as a whole or not at all: it is extracted beside the old one, compared, synced,
//! and only then takes its place, in one step that the kernel does at once. Until that step the old
//! tree is as it was; after it, it is still there, under another name.

use super::staging::Staging;
use super::{Select, UnpackFacts, UnpackOptions, unpack};
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Monitor;
use crate::stream::Reader;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a name that is taken is waited for at a time; a second brings another one.
pub(super) const UNTIL_NEXT: Duration = Duration::from_millis(100);

/// What to restore, and how.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The archive.
    pub file: PathBuf,
    /// The directory that the tree shall be.
    pub target: PathBuf,
    /// Whether to extract into the target itself, which must be empty, instead of beside it.
    pub in_place: bool,
    /// Whether to remove the old tree once the new one has taken its place.
    pub drop_old: bool,
    /// Whether owners go by number even where their name is known here.
    pub numeric_owner: bool,
    /// How many threads decompress and write.
    pub jobs: usize,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreFacts {
    /// What was extracted.
    pub unpacked: UnpackFacts,
    /// Where the old tree is now, if there was one and it was kept.
    pub old: Option<PathBuf>,
}

/// Restores a whole archive as `options.target`.
///
/// # Errors
/// The archive is damaged, the target can't be replaced, or the disk is full or broken. The target is
/// as it was before; with `in_place`, what was extracted so far is removed again.
pub fn restore(options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreFacts> {
    let reader = Reader::open(&options.file)?;
    let unpack_options = UnpackOptions {
        select: Select::default(),
        numeric_owner: options.numeric_owner,
        jobs: options.jobs,
        floor: 0,
    };
    if options.in_place {
        return restore_in_place(&reader, options, &unpack_options, monitor);
    }
    let target = Target::look(&options.target)?;
    let staging = Staging::beside(&target.path)?;
    let unpacked = unpack(&reader, staging.path(), &unpack_options, monitor)?;
    complete(&unpacked)?;
    if !unpacked.top {
        target.take_over_top(staging.path())?;
    }
    monitor.stage("syncing", None);
    sync(staging.path())?;
    let old = target.replace(staging, options.drop_old, monitor)?;
    Ok(RestoreFacts { unpacked, old })
}

/// Extracts the entries that match `patterns` into the directory `to`, where none of them may be yet.
///
/// # Errors
/// As [`restore`]; and if a pattern matches nothing.
pub fn restore_files(
    file: &Path,
    to: &Path,
    select: Select,
    numeric_owner: bool,
    jobs: usize,
    monitor: &dyn Monitor,
) -> Result<UnpackFacts> {
    let reader = Reader::open(file)?;
    let made = !to.exists();
    if made {
        DirBuilder::new()
            .mode(0o755)
            .create(to)
            .context(|| format!("cannot make '{}'", to.display()))?;
    }
    let options = UnpackOptions {
        select,
        numeric_owner,
        jobs,
        floor: 0,
    };
    let done = unpack(&reader, to, &options, monitor).and_then(|facts| {
        sync(to)?;
        Ok(facts)
    });
    if done.is_err() && made {
        // Only if nothing is in it.
        let _ = fs::remove_dir(to);
    }
    done
}

/// Makes sure that something came out of the archive: an empty tree never takes a full one's place.
pub(super) fn complete(unpacked: &UnpackFacts) -> Result<()> {
    if unpacked.entries() == 0 {
        return Err(Error::damaged(
            "the archive holds nothing that could be restored",
        ));
    }
    Ok(())
}

pub(super) fn sync(directory: &Path) -> Result<()> {
    let synced = || format!("cannot sync '{}'", directory.display());
    let file = File::open(directory).context(synced)?;
    nix::unistd::syncfs(&file).context(synced)
}

fn restore_in_place(
    reader: &Reader,
    options: &RestoreOptions,
    unpack_options: &UnpackOptions,
    monitor: &dyn Monitor,
) -> Result<RestoreFacts> {
    let target = &options.target;
    let unreadable = || format!("cannot read '{}'", target.display());
    // What every file system has at its top is nobody's data.
    let is_own = |name: &std::ffi::OsStr| name != "lost+found";
    let names = || -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(target).context(unreadable)? {
            let entry = entry.context(unreadable)?;
            if is_own(&entry.file_name()) {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    };
    if !names()?.is_empty() {
        return Err(Error::new(
            Kind::CannotCreate,
            format!("'{}' is not empty", target.display()),
        )
        .with_hint("Move away what is in it, or leave --in-place out."));
    }
    let done = unpack(reader, target, unpack_options, monitor).and_then(|unpacked| {
        complete(&unpacked)?;
        monitor.stage("syncing", None);
        sync(target)?;
        Ok(RestoreFacts {
            unpacked,
            old: None,
        })
    });
    if done.is_err() {
        for path in names().unwrap_or_default() {
            // The failure that brought us here is the one to tell of.
            let _ = super::staging::remove(&path);
        }
    }
    done
}

/// What is to be replaced.
pub(super) struct Target {
    pub(super) path: PathBuf,
    exists: bool,
}

impl Target {
    /// Looks whether the target can be replaced, before anything is done.
    pub(super) fn look(given: &Path) -> Result<Self> {
        let path = resolve(given)?;
        let parent = path.parent().ok_or_else(|| {
            Error::new(Kind::Usage, "the root of the file system can't be replaced")
        })?;
        let parent_metadata =
            fs::metadata(parent).context(|| format!("cannot look at '{}'", parent.display()))?;
        let exists = match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Error::new(
                    Kind::CannotCreate,
                    format!("'{}' is no directory", path.display()),
                ));
            }
            Ok(metadata) => {
                if metadata.dev() != parent_metadata.dev() {
                    return Err(mount_point(&path));
                }
                true
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => false,
            Err(cause) => {
                return Err(Error::io(
                    format!("cannot look at '{}'", path.display()),
                    cause,
                ));
            }
        };
        Ok(Self { path, exists })
    }

    /// Lets the tree in `staging` take the target's place; returns where the old tree is.
    fn replace(
        &self,
        staging: Staging,
        drop_old: bool,
        monitor: &dyn Monitor,
    ) -> Result<Option<PathBuf>> {
        let Some(old) = self.change_places(staging, exchange)? else {
            return Ok(None);
        };
        if drop_old {
            monitor.stage("removing the old tree", None);
            super::staging::remove(&old)
                .context(|| format!("cannot remove the old tree '{}'", old.display()))?;
            return Ok(None);
        }
        Ok(Some(old))
    }

    /// Gives the target's name to the tree in `staging`, by `exchange` where there is an old one;
    /// returns where that is then.
    fn change_places(
        &self,
        mut staging: Staging,
        exchange: impl Fn(&Path, &Path) -> nix::Result<()>,
    ) -> Result<Option<PathBuf>> {
        let failed = || format!("cannot replace '{}'", self.path.display());
        if !self.exists {
            staging.rename(&self.path).context(failed)?;
            staging.release();
            sync_parent(&self.path)?;
            return Ok(None);
        }
        // The new tree first gets the name that the old one will have. So no kill at any moment leaves
        // the old tree under a name that the next run would clear away.
        let old = self.name_for_old();
        let first = staging.path().to_owned();
        staging.rename(&old).context(failed)?;
        match exchange(&old, &self.path) {
            // A file system that can't exchange: for a moment the name is nobody's.
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                staging.rename(&first).context(failed)?;
                fs::rename(&self.path, &old).context(failed)?;
                if let Err(errno) = staging.rename(&self.path) {
                    let _ = fs::rename(&old, &self.path);
                    return Err(errno).context(failed);
                }
            }
            Err(Errno::EBUSY) => return Err(mount_point(&self.path)),
            result => result.context(failed)?,
        }
        staging.release();
        sync_parent(&self.path)?;
        Ok(Some(old))
    }

    /// Gives the new tree's top the owner and mode of the old one's, for archives that don't tell.
    pub(super) fn take_over_top(&self, new: &Path) -> Result<()> {
        let failed = || format!("cannot set the rights of '{}'", new.display());
        let mode = if self.exists {
            let old = fs::metadata(&self.path).context(failed)?;
            if geteuid().is_root() {
                chown(new, Some(old.uid()), Some(old.gid())).context(failed)?;
            }
            old.mode() & 0o7777
        } else {
            0o755
        };
        fs::set_permissions(new, Permissions::from_mode(mode)).context(failed)
    }

    /// `NAME.before-YYYYMMDD_HHMMSS`. Names count whole seconds: where this one is taken, the next is
    /// waited for.
    fn name_for_old(&self) -> PathBuf {
        loop {
            let time = Timestamp::now().strftime("%Y%m%d_%H%M%S");
            let mut old = self.path.clone().into_os_string();
            old.push(format!(".before-{time}"));
            let old = PathBuf::from(old);
            if fs::symlink_metadata(&old).is_err() {
                return old;
            }
            std::thread::sleep(UNTIL_NEXT);
        }
    }
}

/// The target's real path: it is not the link to it that is replaced, and it need not exist.
fn resolve(given: &Path) -> Result<PathBuf> {
    let unresolved = || format!("cannot restore to '{}'", given.display());
    match given.canonicalize() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        result => return result.context(unresolved),
    }
    if fs::symlink_metadata(given).is_ok() {
        return Err(Error::new(
            Kind::CannotCreate,
            format!("'{}' is a symbolic link to nothing", given.display()),
        ));
    }
    let absolute = std::path::absolute(given).context(unresolved)?;
    let (parent, name) = absolute
        .parent()
        .zip(absolute.file_name())
        .ok_or_else(|| Error::new(Kind::Usage, unresolved()))?;
    let parent = parent.canonicalize().map_err(|cause| {
        Error::io(unresolved(), cause)
            .with_hint(format!("Make the directory '{}' first.", parent.display()))
    })?;
    Ok(parent.join(name))
}

fn mount_point(path: &Path) -> Error {
    let message = format!(
        "'{}' is a mount point, which can't be renamed",
        path.display()
    );
    Error::new(Kind::CannotCreate, message)
        .with_hint("Empty it and use --in-place, or restore to another directory.")
}

pub(super) fn exchange(one: &Path, other: &Path) -> nix::Result<()> {
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
}

pub(super) fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .context(|| format!("cannot sync '{}'", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_names_cannot_be_exchanged_they_change_one_after_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("tree");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("old"), "").unwrap();
        let staging = || {
            let staging = Staging::beside(&path).unwrap();
            fs::write(staging.path().join("new"), "").unwrap();
            staging
        };
        let names = || {
            let entries = fs::read_dir(directory.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let target = Target::look(&path).unwrap();
        let busy = target.change_places(staging(), |_, _| Err(Errno::EBUSY));
        assert_eq!(busy.unwrap_err().kind(), Kind::CannotCreate);
        assert!(path.join("old").exists());
        assert_eq!(names(), ["tree"]);

        let old = target.change_places(staging(), |_, _| Err(Errno::EINVAL));
        let old = old.unwrap().unwrap();
        assert!(path.join("new").exists() && old.join("old").exists());
        assert_eq!(names().len(), 2);
    }
}
