//! A directory whose inside is reached without ever leaving it: no symbolic link is followed on the
//! way to a file, and no `..`.
//!
//! Archiving, that keeps whoever can write into a tree from having other files archived as his own;
//! extracting, it keeps an archive from writing elsewhere. The kernel does it in one call (openat2,
//! Linux 5.6); where it can't, or a sandbox forbids it, the path is walked name by name.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

/// An open directory.
#[derive(Debug)]
pub(super) struct Beneath {
    directory: OwnedFd,
    /// The kernel has no openat2, or we may not call it.
    by_hand: AtomicBool,
}

impl Beneath {
    /// Opens the directory at `path`, which is trusted.
    ///
    /// # Errors
    /// It can't be opened, or is no directory.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(path, flags, Mode::empty())?;
        Ok(Self {
            directory,
            by_hand: AtomicBool::new(false),
        })
    }

    /// Opens what is at `path` inside with `flags`; the directory itself is the empty path.
    ///
    /// # Errors
    /// As open; ELOOP if there is a symbolic link on the way, EXDEV if the path leads outside.
    pub(super) fn open(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        if !self.by_hand.load(Ordering::Relaxed) {
            let how = OpenHow::new().flags(flags).mode(mode).resolve(
                ResolveFlag::RESOLVE_BENEATH
                    | ResolveFlag::RESOLVE_NO_SYMLINKS
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS,
            );
            match openat2(&self.directory, path, how) {
                // A sandbox may answer EPERM for calls that it does not know; the walk by hand
                // tells whether it is that.
                Err(Errno::ENOSYS) => self.by_hand.store(true, Ordering::Relaxed),
                Err(Errno::EPERM) => {}
                // A rename elsewhere in the tree interfered.
                Err(Errno::EAGAIN) => {}
                result => return Ok(result?),
            }
        }
        self.walk(path, flags, mode)
    }

    fn walk(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let on_the_way = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut names = path.components().map(|component| match component {
            Component::Normal(name) => Ok(name),
            Component::CurDir => Ok(OsStr::new(".")),
            _ => Err(Errno::EXDEV),
        });
        let mut name = names.next().unwrap_or(Ok(OsStr::new(".")))?;
        let mut directory: Option<OwnedFd> = None;
        for next in names {
            let next = next?;
            directory = Some(openat(
                self.or_inner(&directory),
                name,
                on_the_way,
                Mode::empty(),
            )?);
            name = next;
        }
        Ok(openat(self.or_inner(&directory), name, flags, mode)?)
    }

    fn or_inner<'a>(&'a self, inner: &'a Option<OwnedFd>) -> BorrowedFd<'a> {
        inner.as_ref().map_or(self.directory.as_fd(), AsFd::as_fd)
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// The path of an archive's entry without what leads nowhere: a slash or `./` at its beginning,
/// doubled slashes, a slash at its end. The root itself is the empty path. `None`: it goes up
/// by `..` or holds a NUL, which no honest archive has.
pub(super) fn clean(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    if path.contains(&0) {
        return None;
    }
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return None,
            _ => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(name);
            }
        }
    }
    Some(out)
}

/// Bytes as a path.
pub(super) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_are_cleaned_or_refused() {
        assert_eq!(clean(b"./a//b/./c/").unwrap(), b"a/b/c");
        assert_eq!(clean(b"/etc/passwd").unwrap(), b"etc/passwd");
        for root in [&b"/"[..], b".", b"./", b""] {
            assert_eq!(clean(root).unwrap(), b"");
        }
        for path in [&b".."[..], b"a/../b", b"../x", b"a/..", b"a\0b"] {
            assert_eq!(clean(path), None);
        }
    }

    #[test]
    fn no_link_leads_outside_with_or_without_the_kernels_help() {
        let scratch = tempfile::tempdir().unwrap();
        let inside = scratch.path().join("inside");
        fs::create_dir_all(inside.join("real/deep")).unwrap();
        fs::write(inside.join("real/deep/file"), "x").unwrap();
        fs::write(scratch.path().join("secret"), "x").unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("real", inside.join("link")).unwrap();
        for by_hand in [false, true] {
            let beneath = Beneath::new(&inside).unwrap();
            beneath.by_hand.store(by_hand, Ordering::Relaxed);
            let open = |path: &str| beneath.open(Path::new(path), OFlag::O_RDONLY, Mode::empty());
            assert!(open("real/deep/file").is_ok());
            assert!(open("").is_ok());
            for path in [
                "up/secret",
                "../secret",
                "link/deep/file",
                "real/../../secret",
                "/etc/passwd",
                "link",
            ] {
                assert!(open(path).is_err(), "{path} by hand: {by_hand}");
            }
        }
    }
}
