//! The few things that a store does to a disk, one method each, so that a test can make any one of
//! them fail.

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::linkat;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Where a process finds its open files by name.
const OPEN_FILES: &str = "/proc/self/fd";

/// The operations a store is built of.
pub trait Filesystem: Send + Sync {
    /// A new file in `directory` that has no name yet, mode 0600.
    ///
    /// # Errors
    /// `Unsupported` where the file system has no such files.
    fn create_unnamed(&self, directory: &Path) -> io::Result<File>;

    /// A new file of mode 0600; fails if `path` exists.
    ///
    /// # Errors
    /// As `open(2)`.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Writes some of `bytes`.
    ///
    /// # Errors
    /// As `write(2)`.
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize>;

    /// Returns once the content of `file` is on disk.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Gives a file without a name the name `path`; fails if that exists.
    ///
    /// # Errors
    /// As `linkat(2)`.
    fn link(&self, file: &File, path: &Path) -> io::Result<()>;

    /// Renames; fails if `to` exists.
    ///
    /// # Errors
    /// As `renameat2(2)`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames over what may be there.
    ///
    /// # Errors
    /// As `rename(2)`.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As `unlink(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns once the names in `directory` are on disk.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// The real one.
pub struct Real;

impl Filesystem for Real {
    fn create_unnamed(&self, directory: &Path) -> io::Result<File> {
        // Without /proc such a file could never get a name (see `link`).
        if !Path::new(OPEN_FILES).exists() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        match openat(AT_FDCWD, directory, flags, mode) {
            Ok(file) => Ok(File::from(file)),
            // Old kernels take the flag for a wish to write to a directory.
            Err(nix::Error::EOPNOTSUPP | nix::Error::EISDIR | nix::Error::EINVAL) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let file = openat(AT_FDCWD, path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok(File::from(file))
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn link(&self, file: &File, path: &Path) -> io::Result<()> {
        // AT_EMPTY_PATH would need a capability; the way through /proc needs none.
        let unnamed = format!("{OPEN_FILES}/{}", file.as_raw_fd());
        linkat(
            AT_FDCWD,
            unnamed.as_str(),
            AT_FDCWD,
            path,
            AtFlags::AT_SYMLINK_FOLLOW,
        )?;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            // NFS cannot, nor can old kernels; there the lock on the source has to do.
            Err(nix::Error::EINVAL | nix::Error::ENOSYS | nix::Error::EOPNOTSUPP)
                if !to.exists() =>
            {
                fs::rename(from, to)
            }
            done => Ok(done?),
        }
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}
