//! What a file is besides its content, read from the file system.

use super::acl;
use super::entry::{Entry, Time};
use super::names::Names;
use super::walk::Found;
use crate::error::{Context, Result};
use crate::stream::EntryKind;
use nix::sys::stat::{major, minor};
use std::ffi::OsStr;
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use xattr::FileExt;

/// What an entry of this type is in an archive; `None` for sockets, which are no data.
pub(super) fn kind(kind: FileType) -> Option<EntryKind> {
    Some(if kind.is_file() {
        EntryKind::File
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_symlink() {
        EntryKind::Symlink
    } else if kind.is_fifo() {
        EntryKind::Fifo
    } else if kind.is_char_device() {
        EntryKind::CharDevice
    } else if kind.is_block_device() {
        EntryKind::BlockDevice
    } else {
        return None;
    })
}

/// The entry for `found`, whose present state is `metadata`. Attributes are read from `file` where it
/// is open, else by path.
///
/// # Errors
/// Attributes or the target of a link can't be read.
pub(super) fn entry(
    found: &Found,
    kind: EntryKind,
    metadata: &Metadata,
    file: Option<&File>,
    names: &mut Names,
) -> Result<Entry> {
    let mut entry = Entry::new(found.archived(), kind);
    entry.size = if kind == EntryKind::File {
        metadata.len()
    } else {
        0
    };
    entry.mode = metadata.mode() & 0o7777;
    entry.uid = metadata.uid().into();
    entry.gid = metadata.gid().into();
    entry.user = names.user(metadata.uid()).to_vec();
    entry.group = names.group(metadata.gid()).to_vec();
    entry.mtime = mtime(metadata);
    let unreadable = || format!("cannot read the attributes of '{}'", found.path.display());
    match kind {
        EntryKind::Symlink => {
            entry.link = std::fs::read_link(&found.path)
                .context(unreadable)?
                .into_os_string()
                .into_vec();
        }
        EntryKind::CharDevice | EntryKind::BlockDevice => {
            entry.device = (major(metadata.rdev()) as u32, minor(metadata.rdev()) as u32);
        }
        _ => {}
    }
    let listed = match file {
        Some(file) => file.list_xattr(),
        None => xattr::list(&found.path),
    };
    let listed = match listed {
        Err(error) if unsupported(&error) => return Ok(entry),
        listed => listed.context(unreadable)?,
    };
    for name in listed {
        let value = match file {
            Some(file) => file.get_xattr(&name),
            None => xattr::get(&found.path, &name),
        };
        // Taken away since it was listed.
        let Some(value) = value.context(unreadable)? else {
            continue;
        };
        keep(&mut entry, &name, value, names)?;
    }
    entry.xattrs.sort_unstable();
    Ok(entry)
}

fn keep(entry: &mut Entry, name: &OsStr, value: Vec<u8>, names: &mut Names) -> Result<()> {
    if name == acl::ACCESS {
        entry.access = Some(acl::to_text(&value, names)?);
    } else if name == acl::DEFAULT {
        entry.default = Some(acl::to_text(&value, names)?);
    } else {
        entry.xattrs.push((name.as_bytes().to_vec(), value));
    }
    Ok(())
}

/// Whether a file system just has no such attributes.
pub(super) fn unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// When the content last changed.
pub(super) fn mtime(metadata: &Metadata) -> Time {
    Time {
        seconds: metadata.mtime(),
        nanoseconds: u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl State {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Whether both are the same file of the same type.
pub(super) fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino(), one.file_type()) == (other.dev(), other.ino(), other.file_type())
}
