//! A restore of a tree in three steps that are taken apart, for those who restore more than one thing at
//! once: the tree is extracted beside its place, later it takes its place, and if it must, the old one
//! takes that again.
//!
//! Each step can be repeated, and taken back, whatever was cut off where: which tree is the old one and
//! which the new is told by the inodes of their tops, not by a name.

use super::restore::{RestoreOptions, Target, UNTIL_NEXT, complete, exchange, sync, sync_parent};
use super::staging::{self, Staging};
use super::{Select, UnpackFacts, UnpackOptions, unpack};
use crate::crash;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Monitor;
use crate::stream::Reader;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where the new and the old tree will be while they are not in their place; chosen before anything is
/// done, so that whatever comes into being can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    target: PathBuf,
    side: PathBuf,
    before: PathBuf,
}

/// The number by which a file system knows a directory, whatever it is called.
type Inode = (u64, u64);

/// A tree that is whole, compared, synced, and beside its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    names: Names,
    new: Inode,
    old: Option<Inode>,
}

/// Looks whether the tree at `target` could be replaced.
///
/// # Errors
/// Why not.
pub fn check(target: &Path) -> Result<()> {
    let there = target.ancestors().skip(1).find(|above| above.exists());
    let above = there.unwrap_or(Path::new("/"));
    nix::unistd::access(above, nix::unistd::AccessFlags::W_OK)
        .context(|| format!("cannot write to '{}'", above.display()))?;
    if target.parent() == there {
        Target::look(target)?;
    }
    Ok(())
}

impl Names {
    /// Names for now. The directories above the target are made if they are missing.
    ///
    /// # Errors
    /// They can't be made, or the target can't be replaced.
    pub fn choose(target: &Path) -> Result<Self> {
        if let Some(parent) = target.parent().filter(|parent| !parent.exists()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .context(|| format!("cannot make '{}'", parent.display()))?;
        }
        let target = Target::look(target)?.path;
        // Names count whole seconds: where these are taken, the next is waited for.
        loop {
            let time = Timestamp::now().strftime("%Y%m%d_%H%M%S").to_string();
            let named = |tag: &str| {
                let mut name = target.clone().into_os_string();
                name.push(format!(".{tag}-{time}"));
                PathBuf::from(name)
            };
            let (side, before) = (named("restored"), named("before"));
            let is_free = |path: &Path| fs::symlink_metadata(path).is_err();
            if is_free(&side) && is_free(&before) {
                return Ok(Self {
                    side,
                    before,
                    target,
                });
            }
            std::thread::sleep(UNTIL_NEXT);
        }
    }

    /// Extracts and compares a tree under these names; one that a run left unfinished is removed first.
    ///
    /// # Errors
    /// Anything failed; nothing of it is left.
    pub fn prepare(
        &self,
        options: &RestoreOptions,
        monitor: &dyn Monitor,
    ) -> Result<(Prepared, UnpackFacts)> {
        self.discard()?;
        let reader = Reader::open(&options.file)?;
        let target = Target::look(&self.target)?;
        let mut staging = Staging::beside(&self.target)?;
        let unpack_options = UnpackOptions {
            select: Select::default(),
            numeric_owner: options.numeric_owner,
            jobs: options.jobs,
            floor: 0,
        };
        let facts = unpack(&reader, staging.path(), &unpack_options, monitor)?;
        complete(&facts)?;
        if !facts.top {
            target.take_over_top(staging.path())?;
        }
        monitor.stage("syncing", None);
        sync(staging.path())?;
        let failed = || format!("cannot name '{}'", self.side.display());
        staging.rename(&self.side).context(failed)?;
        let prepared = Prepared {
            names: self.clone(),
            new: inode(&self.side)?.ok_or_else(|| Error::new(Kind::Failed, failed()))?,
            old: inode(&self.target)?,
        };
        sync_parent(&self.side)?;
        staging.release();
        Ok((prepared, facts))
    }

    /// Removes what a run left under the name of the new tree.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn discard(&self) -> Result<()> {
        // What was being extracted when it was cut off has no name of its own yet.
        staging::clear_beside(&self.target)?;
        remove(&self.side)
    }
}

impl Prepared {
    /// Where the old tree is kept, if there was one.
    pub fn kept(&self) -> Option<&Path> {
        self.old.map(|_| self.names.before.as_path())
    }

    /// Lets it take its place.
    ///
    /// # Errors
    /// The disk fails, or somebody has put something else there; then all is as before.
    pub fn swap(&self) -> Result<()> {
        let Names {
            target,
            side,
            before,
        } = &self.names;
        let there = inode(target)?;
        if there != Some(self.new) {
            if inode(side)? != Some(self.new) {
                return Err(self.lost("the restored tree is gone"));
            }
            match self.old {
                old if there == old && old.is_some() => self.exchange(side)?,
                // An exchange in two steps was cut off between them.
                old if there.is_none() && inode(before)? == old => self.rename(side, target)?,
                _ => return Err(self.lost("somebody has put something else in its place")),
            }
        }
        crash::point();
        if self.old.is_some() && inode(side)? == self.old {
            self.rename(side, before)?;
        }
        sync_parent(target)
    }

    /// Lets the old one take its place again.
    ///
    /// # Errors
    /// As [`Prepared::swap`].
    pub fn swap_back(&self) -> Result<()> {
        let Names {
            target,
            side,
            before,
        } = &self.names;
        let there = inode(target)?;
        if there == Some(self.new) {
            crash::point();
            if self.old.is_none() {
                self.rename(target, side)?;
            } else if inode(side)? == self.old {
                self.exchange(side)?;
            } else if inode(before)? == self.old {
                self.exchange(before)?;
            } else {
                return Err(self.lost("the old tree is gone"));
            }
        } else if there.is_none() && self.old.is_some() && inode(before)? == self.old {
            self.rename(before, target)?;
        } else if there != self.old {
            return Err(self.lost("somebody has put something else in its place"));
        }
        crash::point();
        if inode(before)? == Some(self.new) {
            self.rename(before, side)?;
        }
        sync_parent(target)
    }

    /// Removes it, while it is beside its place.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn discard(&self) -> Result<()> {
        if inode(&self.names.side)? == Some(self.new) {
            remove(&self.names.side)?;
        }
        Ok(())
    }

    /// Removes the old tree, while the new one is in its place.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn drop_old(&self) -> Result<()> {
        if self.old.is_some() && inode(&self.names.before)? == self.old {
            remove(&self.names.before)?;
        }
        Ok(())
    }

    /// The tree in place and the one at `other` change places; where the file system can't do that at
    /// once, by way of the name that the old one will have.
    fn exchange(&self, other: &Path) -> Result<()> {
        let Names {
            target,
            side,
            before,
        } = &self.names;
        crash::point();
        match exchange(other, target) {
            Err(Errno::EINVAL | Errno::ENOSYS) if other == before => {
                self.rename(target, side)?;
                crash::point();
                self.rename(before, target)
            }
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                self.rename(target, before)?;
                crash::point();
                self.rename(other, target)
            }
            result => result.context(|| format!("cannot replace '{}'", target.display())),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE)
            .context(|| format!("cannot rename '{}' to '{}'", from.display(), to.display()))
    }

    fn lost(&self, what: &str) -> Error {
        let Names {
            target,
            side,
            before,
        } = &self.names;
        Error::new(Kind::Failed, format!("'{}': {what}", target.display())).with_hint(format!(
            "The old tree is '{}', the restored one '{}': see what is there, and rename by hand.",
            before.display(),
            side.display()
        ))
    }
}

/// Which directory is at `path`, if there is one.
fn inode(path: &Path) -> Result<Option<Inode>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause).context(|| format!("cannot look at '{}'", path.display())),
    }
}

fn remove(path: &Path) -> Result<()> {
    match staging::remove(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.context(|| format!("cannot remove '{}'", path.display())),
    }
}
