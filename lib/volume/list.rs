//! What an archive holds, without extracting it: from its index, or by reading all of it.

use super::archive::Archive;
use super::entry::Entry;
use crate::error::{Error, Result};
use crate::stream::{EntryKind, Item, Reader};
use std::io;

/// An entry as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path as in the archive.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Its length in bytes, holes included.
    pub size: u64,
    /// Whether it changed while it was archived; `None` where no index says so.
    pub changed: Option<bool>,
}

/// Lists the entries of an archive in order: from its index, or by reading all of it.
///
/// # Errors
/// The archive is damaged, or `each` fails.
pub fn list(
    reader: &Reader,
    jobs: usize,
    mut each: impl FnMut(Listed) -> Result<()>,
) -> Result<()> {
    if let Ok(Some(records)) = reader.index() {
        for record in records {
            if let Item::Entry {
                path,
                kind,
                size,
                changed,
                ..
            } = record?.item
            {
                each(Listed {
                    path,
                    kind,
                    size,
                    changed: Some(changed),
                })?;
            }
        }
        return Ok(());
    }
    let mut archive = Archive::new(reader.contents(jobs)?);
    while let Some(entry) = archive.next_entry()? {
        let Entry {
            path, kind, size, ..
        } = entry;
        each(Listed {
            path,
            kind,
            size,
            changed: None,
        })?;
    }
    // Only the very end proves that nothing is cut off.
    io::copy(&mut archive.into_inner(), &mut io::sink())
        .map(drop)
        .map_err(|cause| Error::io("cannot read the archive", cause))
}
