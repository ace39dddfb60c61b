//! What must survive: messages that nobody has accepted yet, and the incidents that are open.
//!
//! Every file is written beside its place, synced and renamed, so that it is whole or not there. Two
//! alerts at once take turns: one `flock` guards the memory, for moments; another is held by whoever
//! sends, so that messages keep their order.
//!
//! ```text
//! DIR/queue/000000000007-mail.json     a message for a channel, gone when that has accepted it
//! DIR/incidents/UNIT.json              what is remembered of a unit that failed
//! DIR/lock  DIR/delivery.lock
//! ```

use super::channel::ChannelKind;
use super::incident::Incident;
use super::message::Message;
use super::unit::Unit;
use crate::error::{Context, Error, Kind, Result};
use crate::store::lock::lock_until;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// More messages than this about one application for one channel are folded into a summary.
const MOST: usize = 50;
const INCIDENTS: &str = "incidents";
/// The memory is held for moments; whoever holds it so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message for one channel.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it lies, if it does.
    pub path: Option<PathBuf>,
    /// For whom it is.
    pub channel: ChannelKind,
    /// What it says.
    pub message: Message,
}

/// A lock; it ends with this.
#[derive(Debug)]
pub struct Guard(#[allow(dead_code, reason = "it is there to be dropped")] File);

/// The directory with all of it.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// What is remembered in `directory`, for whoever only looks: nothing is made or locked, and nothing
    /// is there before the first failure.
    ///
    /// # Errors
    /// It is there and can't be read.
    pub fn look(directory: &Path) -> Result<Vec<Incident>> {
        let directory = directory.join(INCIDENTS);
        if !directory.try_exists().unwrap_or(true) {
            return Ok(Vec::new());
        }
        incidents_in(&directory)
    }

    /// The spool in `directory`, which is made if need be, for nobody else to read.
    ///
    /// # Errors
    /// It can't be made.
    pub fn open(directory: &Path) -> Result<Self> {
        let spool = Self {
            directory: directory.to_owned(),
        };
        for path in [spool.queue(), spool.incidents_directory()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .context(|| format!("cannot create '{}'", path.display()))?;
        }
        Ok(spool)
    }

    /// Whether there is a spool in `directory`.
    pub fn is_at(directory: &Path) -> bool {
        directory.join(INCIDENTS).is_dir()
    }

    /// Moves everything to the spool `to`: incidents in place of what that remembers of the same units, and
    /// messages behind those that wait there.
    ///
    /// # Errors
    /// It can't be read or written; then all of it is in one of the two.
    pub fn move_to(&self, to: &Self) -> Result<()> {
        let own = self.lock()?;
        let incidents = self.incidents(&own)?;
        let waiting = self.waiting()?;
        if incidents.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        let theirs = to.lock()?;
        for incident in incidents {
            to.remember(&theirs, &incident)?;
            self.forget(&own, &incident)?;
        }
        for item in waiting {
            to.put(&theirs, &item.message, &[item.channel])?;
            self.sent(&item)?;
        }
        Ok(())
    }

    /// The right to change incidents and to add messages.
    ///
    /// # Errors
    /// The lock can't be had.
    pub fn lock(&self) -> Result<Guard> {
        self.take("lock", Instant::now() + PATIENCE)?
            .ok_or_else(|| {
                Error::new(
                    Kind::Locked,
                    format!("'{}' is locked by another alert", self.directory.display()),
                )
            })
    }

    /// The right to send, if it can be had before `deadline`.
    ///
    /// # Errors
    /// The lock can't be opened.
    pub fn lock_delivery(&self, deadline: Instant) -> Result<Option<Guard>> {
        self.take("delivery.lock", deadline)
    }

    fn take(&self, name: &str, deadline: Instant) -> Result<Option<Guard>> {
        let path = self.directory.join(name);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .context(|| format!("cannot open '{}'", path.display()))?;
        match lock_until(&file, deadline) {
            Ok(()) => Ok(Some(Guard(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(cause)) => {
                Err(cause).context(|| format!("cannot lock '{}'", path.display()))
            }
        }
    }

    /// What is remembered of `unit`. A damaged memory is none.
    ///
    /// # Errors
    /// It can't be read.
    pub fn incident(&self, _: &Guard, unit: &Unit) -> Result<Option<Incident>> {
        read(&self.incident_path(unit))
    }

    /// All that is remembered.
    ///
    /// # Errors
    /// It can't be read.
    pub fn incidents(&self, _: &Guard) -> Result<Vec<Incident>> {
        incidents_in(&self.incidents_directory())
    }

    /// Remembers `incident`.
    ///
    /// # Errors
    /// It can't be written.
    pub fn remember(&self, _: &Guard, incident: &Incident) -> Result<()> {
        write(&self.incident_path(&incident.unit), incident)
    }

    /// Forgets `incident`.
    ///
    /// # Errors
    /// Its file can't be removed.
    pub fn forget(&self, _: &Guard, incident: &Incident) -> Result<()> {
        remove(&self.incident_path(&incident.unit))
    }

    /// Keeps `message` until each of `channels` has accepted it. Too many are folded: the oldest become
    /// one summary.
    ///
    /// # Errors
    /// It can't be written; then it is kept for none of them.
    pub fn put(&self, guard: &Guard, message: &Message, channels: &[ChannelKind]) -> Result<()> {
        self.try_put(message, channels)
            .inspect_err(|_| self.take_back(guard, message))
    }

    /// Keeps `message` no longer, as far as it is still there.
    pub fn take_back(&self, _: &Guard, message: &Message) {
        for item in self.waiting().unwrap_or_default() {
            if item.message.id == message.id {
                // What stays is told twice, which is better than not at all.
                let _ = self.sent(&item);
            }
        }
    }

    fn try_put(&self, message: &Message, channels: &[ChannelKind]) -> Result<()> {
        let waiting = self.waiting()?;
        let mut number = waiting
            .iter()
            .filter_map(|item| number(item.path.as_deref()?))
            .max()
            .unwrap_or(0);
        for &channel in channels {
            let same = |item: &&Item| item.channel == channel && item.message.id == message.id;
            if waiting.iter().any(|item| same(&item)) {
                continue;
            }
            self.fold(&waiting, channel, message.app.as_deref())?;
            number += 1;
            let path = self.queue().join(format!("{number:012}-{channel}.json"));
            write(&path, message)?;
        }
        Ok(())
    }

    /// Makes room for one more message about `app` for `channel`.
    fn fold(&self, waiting: &[Item], channel: ChannelKind, app: Option<&str>) -> Result<()> {
        let waiting: Vec<&Item> = waiting
            .iter()
            .filter(|item| item.channel == channel && item.message.app.as_deref() == app)
            .collect();
        if waiting.len() < MOST {
            return Ok(());
        }
        let (older, _) = waiting.split_at(waiting.len() + 2 - MOST);
        let messages: Vec<Message> = older.iter().map(|item| item.message.clone()).collect();
        let (Some(summary), Some(first)) = (Message::summary(&messages), older.first()) else {
            return Ok(());
        };
        if let Some(path) = &first.path {
            write(path, &summary)?;
        }
        older
            .iter()
            .skip(1)
            .filter_map(|item| item.path.as_deref())
            .try_for_each(remove)
    }

    /// All messages that wait, the oldest first. A damaged one is put aside under `.damaged`.
    ///
    /// # Errors
    /// They can't be read.
    pub fn waiting(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for path in files(&self.queue())? {
            let channel = ChannelKind::ALL.into_iter().find(|channel| {
                path.file_stem()
                    .and_then(|stem| stem.to_str())
                    .is_some_and(|stem| stem.ends_with(&format!("-{channel}")))
            });
            match (channel, read::<Message>(&path)?) {
                (Some(channel), Some(message)) => items.push(Item {
                    path: Some(path),
                    channel,
                    message,
                }),
                // Sent by another meanwhile, or not ours.
                _ if !path.exists() || channel.is_none() => {}
                _ => {
                    let aside = path.with_extension("damaged");
                    fs::rename(&path, &aside)
                        .context(|| format!("cannot put aside '{}'", path.display()))?;
                }
            }
        }
        Ok(items)
    }

    /// A channel has accepted `item`.
    ///
    /// # Errors
    /// Its file can't be removed, so it will be sent again.
    pub fn sent(&self, item: &Item) -> Result<()> {
        item.path.as_deref().map_or(Ok(()), remove)
    }

    /// A channel has accepted `item` for all but the addresses `only`, for which it stays.
    ///
    /// # Errors
    /// It can't be written, so all will get it again.
    pub fn narrow(&self, item: &Item, only: Vec<String>) -> Result<()> {
        let message = Message {
            only,
            ..item.message.clone()
        };
        item.path
            .as_deref()
            .map_or(Ok(()), |path| write(path, &message))
    }

    /// Whether this is the first time since [`Spool::unmark`] that `mark` is set.
    ///
    /// # Errors
    /// The mark can't be set.
    pub fn mark(&self, mark: &str) -> Result<bool> {
        let path = self.directory.join(mark);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(_) => Ok(true),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(cause) => Err(cause).context(|| format!("cannot create '{}'", path.display())),
        }
    }

    /// Takes a mark away.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn unmark(&self, mark: &str) -> Result<()> {
        remove(&self.directory.join(mark))
    }

    fn queue(&self) -> PathBuf {
        self.directory.join("queue")
    }

    fn incidents_directory(&self) -> PathBuf {
        self.directory.join(INCIDENTS)
    }

    fn incident_path(&self, unit: &Unit) -> PathBuf {
        // A unit's name holds nothing that a file's name can't.
        self.incidents_directory()
            .join(format!("{}.json", unit.name))
    }
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.split('-').next()?.parse().ok()
}

/// All incidents in `directory`, the oldest first.
fn incidents_in(directory: &Path) -> Result<Vec<Incident>> {
    let mut incidents = Vec::new();
    for path in files(directory)? {
        incidents.extend(read::<Incident>(&path)?);
    }
    incidents.sort_by_key(|incident| incident.since);
    Ok(incidents)
}

/// The `.json` files in `directory`, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("cannot read '{}'", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).context(what)? {
        let path = entry.context(what)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the file at `path` holds, if it is there and whole.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause).context(|| format!("cannot read '{}'", path.display())),
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let what = || format!("cannot write '{}'", path.display());
    let directory = path.parent().unwrap_or(Path::new("."));
    let json = serde_json::to_vec_pretty(value)
        .map_err(|cause| Error::new(Kind::Failed, what()).with_source(cause))?;
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(directory)
        .context(what)?;
    file.write_all(&json)
        .and_then(|()| file.as_file().sync_all())
        .context(what)?;
    file.persist(path)
        .map_err(|cause| cause.error)
        .context(what)?;
    sync(directory).context(what)
}

fn remove(path: &Path) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    match fs::remove_file(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        done => done
            .and_then(|()| sync(directory))
            .context(|| format!("cannot remove '{}'", path.display())),
    }
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn message(second: i64) -> Message {
        Message::test("db1", "shop", Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn messages_wait_in_order_for_each_channel() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let guard = spool.lock().unwrap();
        for second in 0..12 {
            spool
                .put(&guard, &message(second), &ChannelKind::ALL)
                .unwrap();
        }
        // The same again is no other.
        spool.put(&guard, &message(3), &ChannelKind::ALL).unwrap();
        let waiting = spool.waiting().unwrap();
        assert_eq!(waiting.len(), 24);
        let times: Vec<_> = waiting
            .iter()
            .map(|item| item.message.at.as_second())
            .collect();
        assert!(times.is_sorted(), "{times:?}");
        spool.sent(&waiting[0]).unwrap();
        spool.sent(&waiting[0]).unwrap();
        assert_eq!(spool.waiting().unwrap().len(), 23);
    }

    #[test]
    fn too_many_become_a_summary_of_the_oldest() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let guard = spool.lock().unwrap();
        for second in 0..120 {
            spool
                .put(&guard, &message(second), &[ChannelKind::Mail])
                .unwrap();
        }
        let waiting = spool.waiting().unwrap();
        assert_eq!(waiting.len(), MOST);
        assert!(
            waiting[0].message.subject.starts_with("[71 ALERTS]"),
            "{}",
            waiting[0].message.subject
        );
        assert_eq!(waiting[MOST - 1].message, message(119));
    }

    #[test]
    fn a_damaged_message_does_not_stand_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let guard = spool.lock().unwrap();
        spool
            .put(&guard, &message(1), &[ChannelKind::Mail])
            .unwrap();
        fs::write(spool.queue().join("000000000000-mail.json"), "{").unwrap();
        assert_eq!(spool.waiting().unwrap().len(), 1);
        assert!(spool.queue().join("000000000000-mail.damaged").exists());
    }

    #[test]
    fn one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let now = Instant::now();
        let held = spool.lock_delivery(now).unwrap();
        assert!(held.is_some());
        assert!(spool.lock_delivery(now).unwrap().is_none());
        drop(held);
        assert!(spool.lock_delivery(now).unwrap().is_some());
    }
}
