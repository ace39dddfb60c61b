//! One entry of an archive becomes a file again, with everything that it was.
//!
//! Whatever the archive says, nothing outside the target is touched: every path is resolved beneath it
//! without following a link, and what is created must not have been there before.

use super::attributes::Attributes;
use super::beneath::{as_path, clean};
use super::entry::Entry;
use super::names::Names;
use super::sparse;
use super::target::Target;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Severity;
use crate::stream::{ContentHash, EntryKind, MEMBER_MAX};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is there.
    Done,
    /// It is there, but not yet with its rights and times; or it waits for the file that it names.
    Deferred,
    /// It is not there, and a note says why.
    Left,
}

/// What one thread needs to extract.
pub(super) struct Hand<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) names: Names,
    /// The directory of the last entry; the next one is mostly in the same.
    parent: Option<(Vec<u8>, OwnedFd)>,
    buffer: Vec<u8>,
    check: Vec<u8>,
}

impl<'a> Hand<'a> {
    pub(super) fn new(target: &'a Target<'a>) -> Self {
        Self {
            target,
            names: Names::default(),
            parent: None,
            buffer: Vec::new(),
            check: Vec::new(),
        }
    }

    /// Extracts `entry`, whose content, as archived, `head` and `content` yield, and which must have
    /// the hash `expected` if that is known.
    ///
    /// # Errors
    /// What ends the whole work: the archive is damaged, or the disk is full or broken.
    pub(super) fn extract(
        &mut self,
        entry: &Entry,
        head: &[u8],
        content: &mut dyn Read,
        expected: Option<ContentHash>,
    ) -> Result<Outcome> {
        let result = self.path(entry).and_then(|path| match entry.kind {
            EntryKind::File => self.file(entry, &path, head, content, expected),
            EntryKind::Directory => self.directory(&path),
            EntryKind::Hardlink => self.early_link(entry, &path),
            EntryKind::Symlink => self.symlink(entry, &path),
            EntryKind::Fifo | EntryKind::CharDevice | EntryKind::BlockDevice => {
                self.special(entry, &path)
            }
        });
        self.survive(entry, result)
    }

    /// Turns the failure of one entry into a note, unless it concerns all.
    pub(super) fn survive(&self, entry: &Entry, result: Result<Outcome>) -> Result<Outcome> {
        match result {
            Err(error) if concerns_all(&error) => Err(error),
            Err(error) => {
                let cause = std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
                self.target.findings.add(
                    Severity::High,
                    "not-restored",
                    entry.path.escape_ascii().to_string(),
                    cause,
                );
                Ok(Outcome::Left)
            }
            done => done,
        }
    }

    /// The path of an entry beneath the target.
    pub(super) fn path(&self, entry: &Entry) -> Result<Vec<u8>> {
        clean(&entry.path).ok_or_else(|| {
            Error::new(
                Kind::Failed,
                "leads out of the target directory; not extracted",
            )
        })
    }

    fn file(
        &mut self,
        entry: &Entry,
        path: &[u8],
        head: &[u8],
        content: &mut dyn Read,
        expected: Option<ContentHash>,
    ) -> Result<Outcome> {
        let file = self.create(path)?;
        let mut hash = expected.map(|_| blake3::Hasher::new());
        if let Some(hash) = &mut hash {
            hash.update(head);
        }
        let mut offset = head.len() as u64;
        let stored = entry.stored();
        while offset < stored {
            let length = (stored - offset).min(MEMBER_MAX as u64) as usize;
            self.buffer.resize(length, 0);
            content
                .read_exact(&mut self.buffer)
                .context(|| "cannot read the archive")?;
            self.target.room(&file)?;
            sparse::write(&file, entry.sparse.as_ref(), offset, &self.buffer)
                .context(|| named("cannot write", path))?;
            self.check.resize(length, 0);
            sparse::read(&file, entry.sparse.as_ref(), offset, &mut self.check)
                .context(|| named("cannot read back", path))?;
            match &mut hash {
                Some(hash) => {
                    hash.update(&self.check);
                }
                None if self.check != self.buffer => return Err(not_what_was_written(path)),
                None => {}
            }
            offset += length as u64;
        }
        self.complete(&file, entry, path)?;
        match (hash, expected) {
            (Some(hash), Some(expected)) if ContentHash::from(hash.finalize()) != expected => {
                Err(not_what_was_archived(path))
            }
            _ => Ok(Outcome::Done),
        }
    }

    /// Creates an empty file that only we can read.
    pub(super) fn create(&mut self, path: &[u8]) -> Result<File> {
        let flags =
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        self.place(path, |parent, name| openat(parent, name, flags, mode))
            .map(File::from)
    }

    /// Gives a file whose content is written its length and attributes.
    pub(super) fn complete(&mut self, file: &File, entry: &Entry, path: &[u8]) -> Result<()> {
        if entry.sparse.is_some() {
            file.set_len(entry.size)
                .context(|| named("cannot write", path))?;
        }
        self.attributes().of_file(file, entry);
        Ok(())
    }

    fn attributes(&mut self) -> Attributes<'_> {
        Attributes {
            numeric_owner: self.target.numeric_owner,
            findings: self.target.findings,
            names: &mut self.names,
        }
    }

    fn directory(&mut self, path: &[u8]) -> Result<Outcome> {
        if path.is_empty() {
            return Ok(Outcome::Deferred);
        }
        let made = self.place(path, |parent, name| {
            match mkdirat(parent, name, Mode::S_IRWXU) {
                // It may have been made for what is inside; anything else is in the way.
                Err(Errno::EEXIST) => {
                    let flags =
                        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                    match openat(parent, name, flags, Mode::empty()) {
                        Ok(_) => Ok(()),
                        Err(_) => Err(Errno::EEXIST),
                    }
                }
                result => result,
            }
        });
        self.target.implied().remove(path);
        made.map(|()| Outcome::Deferred)
    }

    /// Gives a directory its attributes, when nothing changes in it any more.
    pub(super) fn complete_directory(&mut self, entry: &Entry) -> Result<()> {
        let result = self.path(entry).and_then(|path| {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
            let directory = self
                .target
                .root
                .open(as_path(&path), flags, Mode::empty())
                .context(|| "cannot be opened to set its attributes")?;
            self.attributes().of_file(&File::from(directory), entry);
            Ok(Outcome::Done)
        });
        self.survive(entry, result).map(drop)
    }

    /// A further name, at once if entries come in order and the file is there.
    fn early_link(&mut self, entry: &Entry, path: &[u8]) -> Result<Outcome> {
        if !self.target.replace {
            return Ok(Outcome::Deferred);
        }
        match self.link(entry, path) {
            Ok(()) => Ok(Outcome::Done),
            Err(_) => Ok(Outcome::Deferred),
        }
    }

    /// A further name, when all files are there.
    pub(super) fn late_link(&mut self, entry: &Entry) -> Result<Outcome> {
        let result = self
            .path(entry)
            .and_then(|path| self.link(entry, &path))
            .map(|()| Outcome::Done);
        self.survive(entry, result)
    }

    fn link(&mut self, entry: &Entry, path: &[u8]) -> Result<()> {
        let first = clean(&entry.link)
            .filter(|first| !first.is_empty())
            .ok_or_else(|| {
                Error::new(
                    Kind::Failed,
                    "is a further name of a file outside the target directory",
                )
            })?;
        let (directory, base) = split(&first);
        let target = self.target;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let other = target
            .root
            .open(as_path(directory), flags, Mode::empty())
            .context(|| named("is a further name of what is not there:", &first))?;
        self.place(path, |parent, name| {
            linkat(&other, as_path(base), parent, name, AtFlags::empty())
        })
        .map_err(|error| {
            let what = named("cannot become a further name of", &first);
            Error::new(error.kind(), what).with_source(error)
        })
    }

    fn symlink(&mut self, entry: &Entry, path: &[u8]) -> Result<Outcome> {
        if entry.link.is_empty() || entry.link.contains(&0) {
            return Err(Error::new(Kind::Failed, "a symbolic link without a target"));
        }
        self.place(path, |parent, name| {
            symlinkat(as_path(&entry.link), parent, name)
        })?;
        self.attributes_by_name(entry, path)
    }

    fn special(&mut self, entry: &Entry, path: &[u8]) -> Result<Outcome> {
        let kind = match entry.kind {
            EntryKind::CharDevice => SFlag::S_IFCHR,
            EntryKind::BlockDevice => SFlag::S_IFBLK,
            _ => SFlag::S_IFIFO,
        };
        let device = makedev(entry.device.0.into(), entry.device.1.into());
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        self.place(path, |parent, name| {
            mknodat(parent, name, kind, mode, device)
        })?;
        self.attributes_by_name(entry, path)
    }

    fn attributes_by_name(&mut self, entry: &Entry, path: &[u8]) -> Result<Outcome> {
        let (directory, name) = split(path);
        self.enter(directory)?;
        if let Some((_, parent)) = self.parent.take() {
            self.attributes().of_name(&parent, as_path(name), entry);
            self.parent = Some((directory.to_vec(), parent));
        }
        Ok(Outcome::Done)
    }

    /// Lets `make` create `path`; what an earlier entry left there gives way if that is wanted.
    fn place<T>(
        &mut self,
        path: &[u8],
        make: impl Fn(&OwnedFd, &Path) -> nix::Result<T>,
    ) -> Result<T> {
        if path.is_empty() {
            return Err(Error::new(
                Kind::Failed,
                "wants to take the place of the target itself",
            ));
        }
        let (directory, name) = split(path);
        let replace = self.target.replace;
        let parent = self.enter(directory)?;
        let name = as_path(name);
        match make(parent, name) {
            Err(Errno::EEXIST) if replace => {
                unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)
                    .context(|| "something else of this name is there already")?;
                make(parent, name)
            }
            result => result,
        }
        .context(|| "cannot be created")
    }

    /// Opens the directory at `path` and makes what is missing of it.
    fn enter(&mut self, path: &[u8]) -> Result<&OwnedFd> {
        let known = self.parent.take().filter(|(known, _)| known == path);
        let (_, directory) = match known {
            Some(known) => self.parent.insert(known),
            None => {
                let directory = self.open_directory(path)?;
                self.parent.insert((path.to_vec(), directory))
            }
        };
        Ok(directory)
    }

    fn open_directory(&self, path: &[u8]) -> Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let open = |path: &[u8]| self.target.root.open(as_path(path), flags, Mode::empty());
        let unreachable = || named("there is no way into the directory", path);
        match open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result.context(unreachable),
        }
        let ends = memchr::memchr_iter(b'/', path).chain([path.len()]);
        for end in ends {
            let (outer, name) = split(&path[..end]);
            let outer = open(outer).context(unreachable)?;
            match mkdirat(&outer, as_path(name), Mode::S_IRWXU) {
                Ok(()) => {
                    self.target.implied().insert(path[..end].to_vec());
                }
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno).context(unreachable),
            }
        }
        open(path).context(unreachable)
    }
}

/// Directory and name of a clean path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// `what`, and the path that it is about.
pub(super) fn named(what: &str, path: &[u8]) -> String {
    format!("{what} '{}'", path.escape_ascii())
}

/// A file that reads back as something else than the archive's index says.
pub(super) fn not_what_was_archived(path: &[u8]) -> Error {
    Error::damaged(named("what was archived is not what came back of", path))
        .with_hint("The archive is damaged: use another backup.")
}

fn not_what_was_written(path: &[u8]) -> Error {
    Error::new(
        Kind::Io,
        named("what was written is not what reads back of", path),
    )
    .with_hint("The disk or its driver is faulty.")
}

/// Whether a failure ends the whole work: what is damaged can't be trusted any further, and what a
/// full or broken disk did to one file it will do to the next.
fn concerns_all(error: &Error) -> bool {
    use io::ErrorKind as E;
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            let errno = cause.raw_os_error();
            return error.kind() == Kind::Damaged
                || matches!(
                    cause.kind(),
                    E::StorageFull | E::QuotaExceeded | E::ReadOnlyFilesystem | E::OutOfMemory
                )
                || [nix::libc::EIO, nix::libc::EMFILE, nix::libc::ENFILE]
                    .iter()
                    .any(|&grave| errno == Some(grave));
        }
        source = cause.source();
    }
    matches!(error.kind(), Kind::Damaged | Kind::Io)
}

/// A path for calls that take no directory's descriptor.
pub(super) fn as_proc_path(parent: &impl AsFd, name: &Path) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    Path::new("/proc/self/fd")
        .join(parent.as_fd().as_raw_fd().to_string())
        .join(name)
}
