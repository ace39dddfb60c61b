//! Locks: flock(2), which the kernel frees when their holder ends, however it ends.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// Between fork and exec a child holds copies of its parent's files, and their locks with them. So a
/// lock that was freed may look held for a moment, in a program that runs others meanwhile.
const MOMENT: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Keeps everyone else from writing or pruning one source. Freed when dropped.
#[derive(Debug)]
pub struct SourceLock(#[allow(dead_code, reason = "held, not read")] pub(super) File);

/// Tries for a moment to lock `file` for itself alone.
pub(super) fn try_lock(file: &File) -> Result<(), TryLockError> {
    lock_until(file, Instant::now() + MOMENT)
}

/// Tries until `deadline`, at least once, to lock `file` for itself alone.
///
/// # Errors
/// It is locked by another, or can't be locked.
pub(crate) fn lock_until(file: &File, deadline: Instant) -> Result<(), TryLockError> {
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(LOOK_EVERY);
            }
            done => return done,
        }
    }
}
