//! What can only be done when everything else is there: directories get their rights and times last,
//! children before parents, and further names wait for the files that they name.
//!
//! Beyond a MiB it waits in a temporary file, so that a million directories take no memory.

use super::entry::Entry;
use crate::error::{Context, Error, Kind, Result};
use std::io::{Read, Seek, SeekFrom, Write};
use tempfile::SpooledTempFile;

const IN_MEMORY: usize = 1 << 20;

/// Entries that wait.
pub(super) struct Deferred {
    spool: SpooledTempFile,
    length: u64,
}

impl Deferred {
    pub(super) fn new() -> Self {
        Self {
            spool: SpooledTempFile::new(IN_MEMORY),
            length: 0,
        }
    }

    pub(super) fn push(&mut self, entry: &Entry) -> Result<()> {
        let mut bytes = postcard::to_stdvec(entry).map_err(|cause| {
            Error::new(Kind::Failed, "cannot spool an entry").with_source(cause)
        })?;
        // The length stands at both ends, so that it can be read in both directions.
        let length = (bytes.len() as u32).to_le_bytes();
        bytes.splice(0..0, length);
        bytes.extend_from_slice(&length);
        self.length += bytes.len() as u64;
        self.spool
            .write_all(&bytes)
            .context(|| "cannot spool to the directory for temporary files")
    }

    /// Hands the entries over, first come first.
    pub(super) fn forward(mut self, mut each: impl FnMut(&Entry) -> Result<()>) -> Result<()> {
        let mut at = 0;
        while at < self.length {
            let length = self.number(at)?;
            each(&self.entry(at + 4, length)?)?;
            at += u64::from(length) + 8;
        }
        Ok(())
    }

    /// Hands the entries over, last come first.
    pub(super) fn backward(mut self, mut each: impl FnMut(&Entry) -> Result<()>) -> Result<()> {
        let mut end = self.length;
        while end > 0 {
            let length = self.number(end - 4)?;
            each(&self.entry(end - 4 - u64::from(length), length)?)?;
            end -= u64::from(length) + 8;
        }
        Ok(())
    }

    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.spool
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.spool.read_exact(buffer))
            .context(|| "cannot read what was spooled")
    }

    fn number(&mut self, at: u64) -> Result<u32> {
        let mut number = [0; 4];
        self.read(at, &mut number)?;
        Ok(u32::from_le_bytes(number))
    }

    fn entry(&mut self, at: u64, length: u32) -> Result<Entry> {
        let mut bytes = vec![0; length as usize];
        self.read(at, &mut bytes)?;
        postcard::from_bytes(&bytes).map_err(|cause| {
            Error::new(Kind::Failed, "cannot read what was spooled").with_source(cause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::EntryKind;

    #[test]
    fn entries_come_back_in_both_directions() {
        let paths: Vec<String> = (0..50_000).map(|n| format!("directory/{n}")).collect();
        let spooled = || {
            let mut deferred = Deferred::new();
            for path in &paths {
                deferred
                    .push(&Entry::new(path.as_bytes(), EntryKind::Directory))
                    .unwrap();
            }
            deferred
        };
        let mut seen = Vec::new();
        let mut collect = |entry: &Entry| {
            seen.push(String::from_utf8(entry.path.clone()).unwrap());
            Ok(())
        };
        spooled().forward(&mut collect).unwrap();
        spooled().backward(&mut collect).unwrap();
        assert_eq!(seen[..50_000], paths);
        assert!(seen[50_000..].iter().eq(paths.iter().rev()));
    }
}
