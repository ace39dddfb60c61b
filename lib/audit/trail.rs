//! Adding to the trail: under a lock, behind whatever stands at its end, synced before anybody is told
//! that it was written. What fails leaves the file as it was.

use super::line::{Cut, Record, beginning};
use super::{Actor, Deed, FORMAT};
use crate::error::{Context, Error, Kind, Result};
use crate::store::lock::lock_until;
use jiff::Timestamp;
use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Others hold the lock for as long as a sync takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of the end is looked at first for the last record; then four times as much, and so on.
const WINDOW: u64 = 64 << 10;
/// Behind so much of something else there is no record to go on from.
const FURTHEST: u64 = 64 << 20;

/// The trail in a file.
#[derive(Clone, Debug)]
pub struct Trail {
    path: PathBuf,
}

/// What stands at the end of the file.
#[derive(Debug, Default)]
struct Tail {
    /// Number and hash of the last record.
    last: Option<(u64, String)>,
    /// Bytes behind it that are no record.
    after: Option<Cut>,
    /// Whether the last line has no end yet.
    open: bool,
}

impl Trail {
    /// The trail in the file at `path`, which need not be there yet; its directory must.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line for each of `deeds`, all of them or none; returns them as they were written.
    ///
    /// # Errors
    /// The file can't be opened, locked, read or written; then nothing of `deeds` is in it.
    pub fn append(&self, actor: &Actor, deeds: &[Deed]) -> Result<Vec<Record>> {
        let mut file = self.open()?;
        self.lock(&file)?;
        let unreadable = || format!("cannot read '{}'", self.path.display());
        let length = file.metadata().context(unreadable)?.len();
        let tail = self.tail(&file, length)?;

        let mut bytes = Vec::new();
        if tail.open {
            bytes.push(b'\n');
        }
        let (mut n, mut previous) = tail.last.unwrap_or_else(|| (0, beginning()));
        let mut after = tail.after;
        let mut records = Vec::with_capacity(deeds.len());
        for deed in deeds {
            n += 1;
            let now = Timestamp::now();
            let mut record = Record {
                format: FORMAT,
                n,
                at: now.round(jiff::Unit::Millisecond).unwrap_or(now),
                deed: deed.clone(),
                actor: actor.clone(),
                after: after.take(),
                previous,
                hash: String::new(),
            };
            bytes.extend(record.encode()?);
            previous = record.hash.clone();
            records.push(record);
        }
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            // Where this is not permitted, the next writer finds it as it finds what a kill has left.
            let _ = file.set_len(length);
        }
        written.context(|| format!("cannot write '{}'", self.path.display()))?;
        if length == 0 {
            self.settle_name()?;
        }
        Ok(records)
    }

    /// Opens the file, and makes it if need be, for the owner of its directory.
    fn open(&self) -> Result<File> {
        let what = || format!("cannot open '{}'", self.path.display());
        // Root adds to it in a directory that is another's: nothing else may be put in its place.
        let careful = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(careful.bits())
            .open(&self.path)
            .context(what)?;
        let found = file.metadata().context(what)?;
        if !found.is_file() || found.nlink() > 1 {
            return Err(Error::new(
                Kind::Config,
                format!("'{}' is no file of its own", self.path.display()),
            )
            .with_hint(
                "See who put it there; then remove it, and the next run begins a new one.",
            ));
        }
        if nix::unistd::geteuid().is_root() {
            let directory = self.directory().metadata().context(what)?;
            if (found.uid(), found.gid()) != (directory.uid(), directory.gid()) {
                fchown(&file, Some(directory.uid()), Some(directory.gid())).context(what)?;
            }
        }
        Ok(file)
    }

    fn directory(&self) -> &Path {
        let above = self.path.parent();
        above
            .filter(|path| !path.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    fn lock(&self, file: &File) -> Result<()> {
        match lock_until(file, Instant::now() + PATIENCE) {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(Error::new(
                Kind::Locked,
                format!("'{}' is locked by another run", self.path.display()),
            )),
            Err(TryLockError::Error(cause)) => {
                Err(cause).context(|| format!("cannot lock '{}'", self.path.display()))
            }
        }
    }

    /// Looks at the end of the file of `length` bytes.
    fn tail(&self, file: &File, length: u64) -> Result<Tail> {
        let mut window = WINDOW;
        loop {
            let begin = length.saturating_sub(window);
            let mut bytes = vec![0; usize::try_from(length - begin).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, begin)
                .context(|| format!("cannot read '{}'", self.path.display()))?;
            if let Some(tail) = tail_of(&bytes, begin == 0) {
                return Ok(tail);
            }
            if window >= FURTHEST {
                return Err(Error::damaged(format!(
                    "'{}' holds something else than an audit trail",
                    self.path.display()
                ))
                .with_hint("Move it out of the way, and the next run begins a new one."));
            }
            window *= 4;
        }
    }

    /// Makes the name of a new file durable.
    fn settle_name(&self) -> Result<()> {
        File::open(self.directory())
            .and_then(|directory| directory.sync_all())
            .or_else(|cause| match cause.kind() {
                // One may write in a directory that one can't list.
                ErrorKind::PermissionDenied => Ok(()),
                _ => Err(cause),
            })
            .context(|| format!("cannot sync '{}'", self.directory().display()))
    }

    /// Whether it can be added to, for who wants to know before there is something to add.
    ///
    /// # Errors
    /// It can't, for this reason. A trail that is not there yet is made.
    pub fn probe(&self) -> Result<()> {
        self.open().map(drop)
    }

    /// The file, to be read from its beginning; `None` if there is none.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn read(&self) -> Result<Option<std::io::BufReader<File>>> {
        match fs::File::open(&self.path) {
            Ok(file) => Ok(Some(std::io::BufReader::new(file))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause).context(|| format!("cannot open '{}'", self.path.display())),
        }
    }
}

/// What `bytes` end with; `None` if the last record begins before them. `whole`: they are the whole file.
fn tail_of(bytes: &[u8], whole: bool) -> Option<Tail> {
    let open = bytes.last().is_some_and(|&last| last != b'\n');
    let content = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut end = content.len();
    loop {
        let begin = content[..end]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |newline| newline + 1);
        if begin == 0 && !whole {
            return None;
        }
        let after = |from: usize| {
            let rest = content.get(from..).filter(|rest| !rest.is_empty());
            rest.map(Cut::of)
        };
        if let Some(record) = Record::decode(&content[begin..end]) {
            return Some(Tail {
                last: Some((record.n, record.hash)),
                after: after(end + 1),
                open,
            });
        }
        if begin == 0 {
            return Some(Tail {
                last: None,
                after: after(0),
                open,
            });
        }
        end = begin - 1;
    }
}
