//! Where backups come to rest: a directory in which a name means complete, synced and sealed.
//!
//! A backup becomes visible in one step, after everything of it is on disk, and its removal begins
//! with its seal. What a killed run leaves behind is finished or undone by the next one, and never
//! looks like a backup meanwhile.

pub mod filesystem;
pub mod local;
pub(crate) mod lock;
pub mod name;
mod pending;
mod recovery;

pub use local::Local;
pub use lock::SourceLock;
pub use name::BackupName;
pub use pending::Pending;

use crate::error::{Context, Result};
use std::path::Path;

/// How many bytes are free for us in `directory`.
///
/// # Errors
/// The file system can't be asked.
pub fn free(directory: &Path) -> Result<u64> {
    let disk = nix::sys::statvfs::statvfs(directory)
        .context(|| format!("cannot look at '{}'", directory.display()))?;
    Ok(disk.blocks_available() * disk.fragment_size())
}
