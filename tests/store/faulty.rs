//! A disk that fails where a test wants it to.

use sg::store::filesystem::{Filesystem, Real};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Which operations fail, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// None.
    None,
    /// This one.
    Once(usize),
    /// This one and all that follow: the disk is gone, or the process was killed, which looks the same
    /// from the disk's side. What is being written at that moment is written by half.
    Onward(usize),
    /// The first; and while that is being undone, this many operations later, all.
    Then(usize, usize),
}

/// The real file system, but for the fault.
pub(super) struct Faulty {
    fault: Fault,
    unnamed: bool,
    count: AtomicUsize,
}

impl Faulty {
    pub(super) fn new(fault: Fault, unnamed: bool) -> Self {
        Self {
            fault,
            unnamed,
            count: AtomicUsize::new(0),
        }
    }

    /// How many operations were tried.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Counts an operation, and fails if it is its turn.
    fn turn(&self) -> io::Result<()> {
        let turn = self.count.fetch_add(1, Ordering::SeqCst);
        let fails = match self.fault {
            Fault::None => false,
            Fault::Once(at) => turn == at,
            Fault::Onward(from) => turn >= from,
            Fault::Then(at, later) => turn == at || turn > at + later,
        };
        if fails {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

impl Filesystem for Faulty {
    fn create_unnamed(&self, directory: &Path) -> io::Result<File> {
        if !self.unnamed {
            return Err(ErrorKind::Unsupported.into());
        }
        self.turn()?;
        Real.create_unnamed(directory)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.turn()?;
        Real.create(path)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        match self.turn() {
            Err(error) if self.fault == Fault::Onward(self.count() - 1) => {
                Real.write(file, &bytes[..bytes.len() / 2])?;
                Err(error)
            }
            Err(error) => Err(error),
            Ok(()) => Real.write(file, bytes),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.turn()?;
        Real.sync(file)
    }

    fn link(&self, file: &File, path: &Path) -> io::Result<()> {
        self.turn()?;
        Real.link(file, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn()?;
        Real.rename(from, to)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn()?;
        Real.replace(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.turn()?;
        Real.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.turn()?;
        Real.sync_directory(directory)
    }
}
