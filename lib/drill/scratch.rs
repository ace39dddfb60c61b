//! The place that a drill works in: a directory of its own, locked as long as the drill lives, gone
//! when it ends.
//!
//! A drill that is killed can't clear up. Its lock is free then, which no live drill's is: by that the
//! next one knows what to clear, and stops the server in it, should one have outlived its drill.

use crate::error::{Context, Error, Kind, Result};
use crate::monitor::{Monitor, Note, Severity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MARK: &str = "drill-";
/// Where a server's data are in it.
pub(super) const DATA: &str = "data";
/// How long a server may take to end at once.
const END: Duration = Duration::from_secs(30);

/// Whom scratch servers run as: the user called `name`; else, for root, whom PostgreSQL refuses, the
/// toolkit's own user or PostgreSQL's.
///
/// # Errors
/// There is no such user, or we may not become another one.
pub fn user(name: Option<&str>) -> Result<Option<User>> {
    let own = geteuid();
    let look_up =
        |name: &str| User::from_name(name).context(|| format!("cannot look up user '{name}'"));
    let Some(name) = name else {
        if !own.is_root() {
            return Ok(None);
        }
        for name in ["sg-backup", "postgres"] {
            if let Some(user) = look_up(name)? {
                return Ok(Some(user));
            }
        }
        return Err(Error::new(
            Kind::Config,
            "PostgreSQL does not run as root, and there is no user 'sg-backup' or 'postgres'",
        )
        .with_hint("Name another one with --user."));
    };
    let user = look_up(name)?
        .ok_or_else(|| Error::new(Kind::Usage, format!("there is no user '{name}'")))?;
    if user.uid == own {
        if own.is_root() {
            return Err(Error::new(Kind::Usage, "PostgreSQL does not run as root")
                .with_hint("Name another user with --user."));
        }
        return Ok(None);
    }
    if !own.is_root() {
        return Err(Error::new(
            Kind::Permission,
            format!("only root can run a server as '{name}'"),
        ));
    }
    Ok(Some(user))
}

/// A place to work in.
pub(super) struct Scratch {
    path: PathBuf,
    user: Option<User>,
    /// Held as long as this is.
    _lock: File,
}

impl Scratch {
    /// Makes a place in `base`, which is made if it is missing, and clears what killed drills left there.
    ///
    /// # Errors
    /// `base` can't be written to.
    pub(super) fn make(base: &Path, user: Option<&User>, monitor: &dyn Monitor) -> Result<Self> {
        let failed = || format!("cannot make a place in '{}'", base.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(base)
            .context(failed)?;
        let base = base.canonicalize().context(failed)?;
        // Between making a place and locking it, another drill must not take it for a dead one's.
        let one_at_a_time = File::open(&base).context(failed)?;
        one_at_a_time.lock().context(failed)?;
        clear(&base, monitor);
        let path = (0..)
            .map(|number| base.join(format!("{MARK}{}-{number}", std::process::id())))
            .find(|path| !path.exists())
            .unwrap_or_default();
        // The server's user has to pass through; what is in it is closed.
        DirBuilder::new()
            .mode(if user.is_some() { 0o711 } else { 0o700 })
            .create(&path)
            .context(failed)?;
        let lock = File::open(&path).context(failed)?;
        lock.lock().context(failed)?;
        Ok(Self {
            path,
            user: user.cloned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whom servers run as, if not as ourselves.
    pub(super) fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// Makes an empty directory in it for us alone.
    pub(super) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        self.empty(name)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .context(|| format!("cannot make '{}'", path.display()))?;
        Ok(path)
    }

    /// The same for the server's user alone.
    pub(super) fn servers_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory(name)?;
        if let Some(user) = &self.user {
            chown(&path, Some(user.uid), Some(user.gid))
                .context(|| format!("cannot give '{}' to {}", path.display(), user.name))?;
        }
        Ok(path)
    }

    /// Removes everything in it.
    ///
    /// # Errors
    /// Something can't be removed.
    pub(super) fn clear(&self) -> Result<()> {
        let failed = || format!("cannot clear '{}'", self.path.display());
        for entry in fs::read_dir(&self.path).context(failed)? {
            let path = entry.context(failed)?.path();
            if path.is_dir() {
                crate::volume::remove_tree(&path).context(failed)?;
            } else {
                fs::remove_file(&path).context(failed)?;
            }
        }
        Ok(())
    }

    /// Removes a directory in it.
    pub(super) fn empty(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        crate::volume::remove_tree(&path).context(|| format!("cannot remove '{}'", path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now, the next drill removes.
        let _ = crate::volume::remove_tree(&self.path);
    }
}

/// Removes the places of drills that are gone, and ends their servers.
fn clear(base: &Path, monitor: &dyn Monitor) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(MARK);
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let Ok(directory) = File::open(&path) else {
            continue;
        };
        if matches!(directory.try_lock(), Err(TryLockError::WouldBlock)) {
            continue;
        }
        let stopped = stop_server(&path.join(DATA));
        let _ = fs::set_permissions(&path, Permissions::from_mode(0o700));
        let message = match crate::volume::remove_tree(&path) {
            Ok(()) if stopped => "cleared, and its server ended: a drill that was killed left it",
            Ok(()) => "cleared: a drill that was killed left it",
            Err(_) => "was left by a drill that was killed, and can't be removed",
        };
        let subject = path.display().to_string();
        monitor.note(Note::new(Severity::Info, "leftover", subject, message));
    }
}

/// Ends the server whose data are in `data`, if it still runs; whether it did.
fn stop_server(data: &Path) -> bool {
    let Ok(file) = fs::read_to_string(data.join("postmaster.pid")) else {
        return false;
    };
    let Some(pid) = file.lines().next().and_then(|line| line.parse().ok()) else {
        return false;
    };
    // A number may be another process's by now; but a server works in its data.
    let runs = || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data);
    if !runs() || kill(Pid::from_raw(pid), Signal::SIGQUIT).is_err() {
        return false;
    }
    let begun = Instant::now();
    while runs() && begun.elapsed() < END {
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::{Collector, Silent};

    #[test]
    fn a_dead_drills_place_is_cleared_and_a_live_ones_and_others_are_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let dead = base.path().join("drill-1-0");
        fs::create_dir_all(dead.join("files/closed")).unwrap();
        fs::set_permissions(dead.join("files/closed"), Permissions::from_mode(0o500)).unwrap();
        fs::create_dir(base.path().join("mine")).unwrap();
        let live = Scratch::make(base.path(), None, &Silent).unwrap();
        assert!(!dead.exists());
        let collector = Collector::new(&Silent);
        let other = Scratch::make(base.path(), None, &collector).unwrap();
        assert!(collector.notes().is_empty(), "{:?}", collector.notes());
        assert!(live.path().exists() && other.path() != live.path());
        let path = other.path().to_owned();
        drop(other);
        assert!(!path.exists() && live.path().exists());
        assert!(base.path().join("mine").exists());
    }

    #[test]
    fn a_process_that_is_no_server_of_ours_is_not_ended() {
        let base = tempfile::tempdir().unwrap();
        let data = base.path().join("drill-1-0/data");
        fs::create_dir_all(&data).unwrap();
        // Our own number: ended, this test would not go on.
        fs::write(
            data.join("postmaster.pid"),
            format!("{}\n", std::process::id()),
        )
        .unwrap();
        assert!(!stop_server(&data));
    }
}
