//! The directory that an archive is extracted into, with what holds for all of its entries.

use super::beneath::{Beneath, as_path};
use super::extract::named;
use super::findings::Findings;
use crate::error::{Context, Error, Kind, Result};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::statvfs::fstatvfs;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A directory that an archive is extracted into.
pub(super) struct Target<'a> {
    pub(super) root: Beneath,
    /// Whether owners go by number even where the name is known here.
    pub(super) numeric_owner: bool,
    /// Whether a later entry replaces an earlier one of the same name, as in other tools' archives.
    pub(super) replace: bool,
    pub(super) findings: &'a Findings<'a>,
    /// How many bytes must stay free on its disk.
    pub(super) floor: u64,
    /// Directories that were made because something is in them, and have not come by themselves.
    implied: Mutex<HashSet<Vec<u8>>>,
}

impl<'a> Target<'a> {
    pub(super) fn new(
        root: Beneath,
        numeric_owner: bool,
        replace: bool,
        findings: &'a Findings<'a>,
    ) -> Self {
        Self {
            root,
            numeric_owner,
            replace,
            findings,
            floor: 0,
            implied: Mutex::default(),
        }
    }

    /// Directories that were made for what is in them.
    pub(super) fn implied(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.implied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that `file`, which is to be written to, does not take what must stay free.
    ///
    /// # Errors
    /// It would.
    pub(super) fn room(&self, file: &File) -> Result<()> {
        if self.floor == 0 {
            return Ok(());
        }
        let disk = fstatvfs(file).context(|| "cannot look at the disk")?;
        let free = disk.blocks_available() * disk.fragment_size();
        if free >= self.floor {
            return Ok(());
        }
        let message = format!(
            "{free} bytes are free on the disk, and {} have to stay so",
            self.floor
        );
        Err(Error::new(Kind::CannotCreate, message)
            .with_source(io::Error::from(io::ErrorKind::StorageFull)))
    }

    /// Gives directories that the archive does not have the usual rights.
    pub(super) fn open_implied(&self) -> Result<()> {
        for path in self.implied().drain() {
            let mode = Mode::from_bits_truncate(0o755);
            let open = || -> io::Result<()> {
                let fd = self.root.open(
                    as_path(&path),
                    OFlag::O_RDONLY | OFlag::O_DIRECTORY,
                    Mode::empty(),
                )?;
                Ok(nix::sys::stat::fchmod(fd, mode)?)
            };
            open().context(|| named("cannot set the rights of", &path))?;
        }
        Ok(())
    }
}
