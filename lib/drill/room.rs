//! Whether the disk has room for a drill: found out before it begins, and watched as long as it goes on, for a
//! manifest may be wrong or missing, and others write to the same disk.
//!
//! One backup is drilled after the other, and each is cleared away before the next one; so the largest
//! decides.

use crate::error::{Context, Error, Kind, Result};
use crate::manifest::{Content, Manifest};
use indicatif::HumanBytes;
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What an empty server takes, in bytes.
const EMPTY: u64 = 64 << 20;
/// The bounds of the write-ahead log.
const WAL: (u64, u64) = (64 << 20, 1 << 30);
/// What stays free on the disk for everybody else: a twentieth of it, at most this.
const RESERVE: u64 = 5 << 30;
/// What an entry takes besides its content.
const ENTRY: u64 = 4096;

/// How often the disk is looked at while a server fills it.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Where else a drill may go.
const ELSEWHERE: &str = "Name a directory on a larger disk with --scratch (SG_DRILL_SCRATCH), or let it come to less with --reserve (SG_DRILL_RESERVE).";

/// What a drill leaves to everybody else on the disk that it works on.
pub(super) struct Limit {
    directory: PathBuf,
    /// Bytes that stay free by what it plans to take.
    reserve: u64,
}

/// How long the log of a server may grow that takes up a database of `bytes`.
pub(super) fn wal(bytes: u64) -> u64 {
    (bytes / 4).clamp(WAL.0, WAL.1)
}

impl Limit {
    /// The limit in `directory`: that so many bytes stay free, or a twentieth of the disk.
    ///
    /// # Errors
    /// The disk can't be looked at.
    pub(super) fn new(directory: &Path, reserve: Option<u64>) -> Result<Self> {
        let (total, _) = disk(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            reserve: reserve.unwrap_or_else(|| (total / 20).min(RESERVE)),
        })
    }

    /// Makes sure that each of `backups` finds room.
    ///
    /// # Errors
    /// One does not ([`Kind::CannotCreate`]).
    pub(super) fn check(&self, backups: &[PathBuf]) -> Result<()> {
        let (_, free) = disk(&self.directory)?;
        let needs = backups.iter().map(|path| (need(path), path));
        let Some((need, path)) = needs.max_by_key(|(need, _)| *need) else {
            return Ok(());
        };
        if need + self.reserve <= free {
            return Ok(());
        }
        Err(Error::new(
            Kind::CannotCreate,
            format!(
                "'{}' has {} free; to restore '{}' takes {}, and {} must stay free",
                self.directory.display(),
                HumanBytes(free),
                path.display(),
                HumanBytes(need),
                HumanBytes(self.reserve),
            ),
        )
        .with_hint(ELSEWHERE))
    }

    /// With fewer bytes free than this a drill ends that has begun: what it did not plan to take may be half of
    /// the reserve.
    pub(super) fn floor(&self) -> u64 {
        self.reserve / 2
    }

    /// Ends the server `process` as soon as less than the floor is free. It must outlive the watch.
    pub(super) fn watch(&self, process: u32) -> Watch {
        let (until, end) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let (directory, floor) = (self.directory.clone(), self.floor());
        let tell = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            while end.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if disk(&directory).is_ok_and(|(_, free)| free < floor) {
                    tell.store(true, Ordering::Relaxed);
                    let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGQUIT);
                    return;
                }
            }
        });
        Watch {
            until: Some(until),
            thread: Some(thread),
            ended,
        }
    }

    /// What `error` comes to if the disk is its reason; else itself.
    pub(super) fn blame(&self, error: Error) -> Error {
        let (_, free) = disk(&self.directory).unwrap_or((0, u64::MAX));
        if free >= self.floor() && !is_full(&error) {
            return error;
        }
        self.stopped()
    }

    fn stopped(&self) -> Error {
        let message = format!(
            "stopped: it takes more than was to be expected, or somebody else fills the disk of '{}', where {} must \
             stay free",
            self.directory.display(),
            HumanBytes(self.floor())
        );
        Error::new(Kind::CannotCreate, message).with_hint(ELSEWHERE)
    }
}

/// Somebody who looks at the disk while a server works; ends when dropped.
pub(super) struct Watch {
    until: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    ended: Arc<AtomicBool>,
}

impl Watch {
    /// What was done, unless the server was ended for want of room: then that is the failure.
    ///
    /// # Errors
    /// Those of `done`, and that.
    pub(super) fn judge<T>(&self, done: Result<T>, limit: &Limit) -> Result<T> {
        if self.ended.load(Ordering::Relaxed) {
            return Err(limit.stopped());
        }
        done
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.until.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing left to say.
            let _ = thread.join();
        }
    }
}

/// How many bytes the disk of `directory` has, and how many of these are free.
fn disk(directory: &Path) -> Result<(u64, u64)> {
    let disk = statvfs(directory)
        .context(|| format!("cannot look at the disk of '{}'", directory.display()))?;
    let block = disk.fragment_size();
    Ok((disk.blocks() * block, disk.blocks_available() * block))
}

/// Whether a full disk is what `error` is about, in our words or in a server's.
fn is_full(error: &Error) -> bool {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        if let Some(inner) = inner.downcast_ref::<io::Error>()
            && full.contains(&inner.kind())
        {
            return true;
        }
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text.contains("No space left on device")
}

/// How many bytes restoring the backup at `path` takes, by what its manifest says.
fn need(path: &Path) -> u64 {
    match Manifest::beside(path) {
        Ok(Some(manifest)) => match manifest.content {
            Content::Database(database) => {
                let bytes = database.size_bytes.max(manifest.content_bytes);
                EMPTY + bytes + bytes / 5 + wal(bytes)
            }
            Content::Globals(_) => EMPTY + WAL.0,
            Content::Volume(volume) => {
                let entries = volume.files + volume.directories + volume.symlinks;
                volume.file_bytes + ENTRY * entries
            }
        },
        // Nothing tells; most content is a few times as long as it is compressed.
        _ => path.metadata().map_or(0, |metadata| metadata.len()) * 8 + EMPTY,
    }
}
