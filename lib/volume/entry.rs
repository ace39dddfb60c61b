//! One entry of an archive, as walking found it and as reading an archive gives it back: everything
//! that a file is, except its content.

use super::sparse::Map;
use crate::stream::EntryKind;
use serde::{Deserialize, Serialize};

/// A point in time as file systems keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds after that second, less than 1,000,000,000.
    pub nanoseconds: u32,
}

/// Everything that an archive says about a file, except its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path as in the archive, without the slash at a directory's end.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Its length in bytes, holes included; 0 if it is no regular file.
    pub size: u64,
    /// Permissions with set-user-id, set-group-id and sticky bit.
    pub mode: u32,
    /// Its owner's number.
    pub uid: u64,
    /// Its group's number.
    pub gid: u64,
    /// Its owner's name; empty if there is none.
    pub user: Vec<u8>,
    /// Its group's name; empty if there is none.
    pub group: Vec<u8>,
    /// When its content last changed.
    pub mtime: Time,
    /// What a symbolic link says; the path in the archive of a hard link's first name.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes, names and values, without the access control lists.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The access control list in text form.
    pub access: Option<Vec<u8>>,
    /// The default access control list of a directory in text form.
    pub default: Option<Vec<u8>>,
    /// Where its data lies, for a file with holes.
    pub sparse: Option<Map>,
}

impl Entry {
    /// An entry of which nothing is known but path and kind.
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        Self {
            path: path.into(),
            kind,
            size: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            user: Vec::new(),
            group: Vec::new(),
            mtime: Time::default(),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            access: None,
            default: None,
            sparse: None,
        }
    }

    /// How many bytes of the archive its content takes, padding not counted.
    pub fn stored(&self) -> u64 {
        match (&self.sparse, self.kind) {
            (Some(map), _) => map.stored(),
            (None, EntryKind::File) => self.size,
            _ => 0,
        }
    }
}

/// The length of a tar block; headers and content are padded to it.
pub(crate) const BLOCK: usize = 512;

/// How many zeros follow `length` bytes of content.
pub(super) fn padding(length: u64) -> usize {
    (length.wrapping_neg() % BLOCK as u64) as usize
}
