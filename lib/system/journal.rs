//! What was done, on disk, line by line: each is written and synced before the next step begins. The last
//! line of a run that was cut off may be torn; what it would have said then was not done yet.
//!
//! The way back must not fail for want of a few bytes, so room for its lines is taken before each step
//! forward. On a disk that is full, it is that step which fails.

use super::config;
use super::plan::Plan;
use crate::crash;
use crate::error::{Context, Error, Kind, Result};
use crate::postgres::restore::prepared as database;
use crate::volume::side as volume;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// This is to be done.
    Begun {
        /// All of it.
        plan: Plan,
    },
    /// Units are about to be stopped.
    Stopping {
        /// Those that were running.
        running: Vec<String>,
    },
    /// They are.
    Stopped,
    /// Something is about to be made beside its place.
    Preparing {
        /// Which item of the plan.
        item: usize,
        /// How it can be found.
        names: Names,
    },
    /// It is there, whole and compared.
    Prepared {
        /// Which item of the plan.
        item: usize,
        /// What it is.
        side: Side,
        /// How long it took.
        seconds: f64,
    },
    /// It is about to take its place.
    Swapping {
        /// Which item of the plan.
        item: usize,
    },
    /// It has.
    Swapped {
        /// Which item of the plan.
        item: usize,
    },
    /// The application is about to be started.
    Starting,
    /// It answered.
    Healthy,
    /// Everything is to be as it was, for this reason.
    Undoing {
        /// Why.
        reason: String,
    },
    /// All the old data is in its place, and what ran before runs.
    PutBack,
    /// Nothing is left of one item.
    Undone {
        /// Which item of the plan.
        item: usize,
    },
    /// Everything is.
    RolledBack,
    /// Everything is done.
    Done,
    /// The old data is gone.
    Freed,
}

impl Step {
    /// Whether something was done since the line before it: being cut off there is not the same as being
    /// cut off behind that line.
    fn tells_of_a_deed(&self) -> bool {
        !matches!(
            self,
            Self::Stopping { .. }
                | Self::Preparing { .. }
                | Self::Swapping { .. }
                | Self::Starting
                | Self::Undoing { .. }
                | Self::Done
        )
    }

    /// Whether it is one of the way back.
    fn is_back(&self) -> bool {
        matches!(
            self,
            Self::Undoing { .. } | Self::PutBack | Self::Undone { .. } | Self::RolledBack
        )
    }
}

/// How something that is being made can be found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Names {
    /// Roles that there were before.
    Globals {
        /// Their names.
        present: Vec<String>,
    },
    /// A database.
    Database(database::Names),
    /// A tree.
    Volume(volume::Names),
    /// Files of the configuration.
    Config,
}

/// Something beside its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Side {
    /// Roles that were created.
    Globals {
        /// Their names.
        created: Vec<String>,
    },
    /// A database.
    Database(database::Prepared),
    /// A tree.
    Volume(volume::Prepared),
    /// Files of the configuration.
    Config(config::Prepared),
}

/// A line.
#[derive(Serialize, Deserialize)]
struct Line {
    at: Timestamp,
    #[serde(flatten)]
    step: Step,
}

/// The journal of one transaction, and the place for what belongs to it.
pub struct Journal {
    directory: PathBuf,
    file: File,
    /// How long it is, in bytes.
    length: u64,
    steps: Vec<Step>,
    /// When each was written down.
    times: Vec<Timestamp>,
    _lock: File,
}

const FILE: &str = "journal";
/// For the lines of a way back.
const ROOM: u64 = 64 << 10;

impl Journal {
    /// Begins one for the application `app`, below `top`.
    ///
    /// # Errors
    /// An earlier one has not come to an end, another run is at it, or the disk fails.
    pub fn begin(top: &Path, app: &str) -> Result<Self> {
        if let Some(earlier) = Self::newest(top, app)?
            && !earlier.is_over()
        {
            return Err(Error::new(
                Kind::Locked,
                format!("an earlier restore of '{app}' was cut off"),
            )
            .with_hint(format!(
                "Go on with it (sg-restore system {app} --resume) or take it back (--rollback)."
            )));
        }
        let lock = lock(top, app)?;
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
        let directory = top.join(app).join(time);
        let failed = || format!("cannot make '{}'", directory.display());
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .context(failed)?;
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(directory.join(FILE))
            .context(failed)?;
        for path in [&directory, &top.join(app)] {
            File::open(path)
                .and_then(|path| path.sync_all())
                .context(failed)?;
        }
        Ok(Self {
            directory,
            file,
            length: 0,
            steps: Vec::new(),
            times: Vec::new(),
            _lock: lock,
        })
    }

    /// The newest one of the application, if there is one that says anything.
    ///
    /// # Errors
    /// It can't be read, or another run is at it.
    pub fn newest(top: &Path, app: &str) -> Result<Option<Self>> {
        Ok(Self::all(top, app)?.pop())
    }

    /// All of them, oldest first.
    ///
    /// # Errors
    /// One can't be read, or another run is at it.
    pub fn all(top: &Path, app: &str) -> Result<Vec<Self>> {
        let place = top.join(app);
        if !place.is_dir() {
            return Ok(Vec::new());
        }
        let lock = lock(top, app)?;
        let unreadable = || format!("cannot read '{}'", place.display());
        let mut directories = Vec::new();
        for entry in fs::read_dir(&place).context(unreadable)? {
            let path = entry.context(unreadable)?.path();
            if path.join(FILE).exists() {
                directories.push(path);
            }
        }
        directories.sort();
        let mut journals = Vec::new();
        for directory in directories {
            let lock = lock.try_clone().context(unreadable)?;
            let journal = Self::open(directory, lock)?;
            if !journal.steps.is_empty() {
                journals.push(journal);
            }
        }
        Ok(journals)
    }

    fn open(directory: PathBuf, lock: File) -> Result<Self> {
        let path = directory.join(FILE);
        let unreadable = || format!("cannot read '{}'", path.display());
        let text = fs::read(&path).context(unreadable)?;
        // A torn line was never acted upon.
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        let (mut steps, mut times) = (Vec::new(), Vec::new());
        for line in text[..whole]
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let line: Line = serde_json::from_slice(line)
                .map_err(|cause| Error::damaged(unreadable()).with_source(cause))?;
            steps.push(line.step);
            times.push(line.at);
        }
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .context(unreadable)?;
        if whole < text.len() {
            file.set_len(whole as u64).context(unreadable)?;
        }
        Ok(Self {
            directory,
            file,
            length: whole as u64,
            steps,
            times,
            _lock: lock,
        })
    }

    /// Writes a step down.
    ///
    /// # Errors
    /// The disk fails; then the step was not taken.
    pub fn write(&mut self, step: Step) -> Result<()> {
        let failed = || "cannot write the journal";
        if step.tells_of_a_deed() {
            crash::point();
        }
        let line = Line {
            at: Timestamp::now(),
            step,
        };
        let mut bytes = serde_json::to_vec(&line)
            .map_err(|cause| Error::new(Kind::Failed, failed()).with_source(cause))?;
        bytes.push(b'\n');
        if !line.step.is_back() {
            self.take_room(self.length + bytes.len() as u64 + ROOM)
                .context(failed)?;
        }
        let written = self.file.write_all(&bytes);
        if let Err(cause) = written.and_then(|()| self.file.sync_data()) {
            // A torn line must not have another one behind it.
            let _ = self.file.set_len(self.length);
            return Err(cause).context(failed);
        }
        self.length += bytes.len() as u64;
        self.steps.push(line.step);
        self.times.push(line.at);
        crash::point();
        Ok(())
    }

    /// Takes room on the disk for a file of so many bytes.
    fn take_room(&self, bytes: u64) -> io::Result<()> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        match fallocate(&self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, bytes) {
            // Where that can't be done, the disk may have room later.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    /// What was written down.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same with when it was written down.
    pub fn times(&self) -> impl Iterator<Item = (Timestamp, &Step)> {
        self.times.iter().copied().zip(&self.steps)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether everything was restored, and the old data is still there.
    pub fn is_done(&self) -> bool {
        self.steps.last() == Some(&Step::Done)
    }

    /// Whether it has come to an end, a good one or back where it began.
    pub fn is_over(&self) -> bool {
        matches!(
            self.steps.last(),
            Some(Step::Done | Step::RolledBack | Step::Freed)
        )
    }
}

fn lock(top: &Path, app: &str) -> Result<File> {
    let place = top.join(app);
    let failed = || format!("cannot lock '{}'", place.display());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&place)
        .context(failed)?;
    let file = File::open(&place).context(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Kind::Locked,
            format!("another restore of '{app}' is under way"),
        )
        .with_hint("Wait for its end.")),
        Err(TryLockError::Error(cause)) => Err(cause).context(failed),
    }
}
