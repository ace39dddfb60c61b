//! The content of an archive: a tar stream whose entries must be those of the index, in place, kind,
//! size and content.
//!
//! A member that holds whole entries, as those of small files do, is checked by the worker that decompressed it.
//! The rest is read in order. Reading a tar archive pulls, while content comes pushed, member by member; so the
//! reading has a thread of its own at the end of a short queue.

use super::Outcome;
use super::members::{Check, Content};
use crate::error::{Context, Error, Kind, Result};
use crate::stream::{ContentHash, EntryKind, Item, Record};
use crate::volume::{Archive, BLOCK, End, Entry};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;
use std::thread::JoinHandle;

/// Members on their way to the thread.
const QUEUE: usize = 4;

pub(super) struct ArchiveCheck {
    /// How much of the content has come.
    position: u64,
    /// Where the last entry that the index has announced ends.
    announced: u64,
    /// How much of the content was checked apart, and what was in it.
    apart: u64,
    totals: Totals,
    queue: Option<Sender<Part>>,
    reading: Option<JoinHandle<Result<Totals>>>,
}

/// A member's content, and what the index says begins in it.
struct Part {
    content: Vec<u8>,
    begins: Vec<Expected>,
}

/// An entry by the index.
struct Expected {
    start: u64,
    length: u64,
    item: Item,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Totals {
    entries: u64,
    file_bytes: u64,
    marked: bool,
}

impl Totals {
    fn count(&mut self, entry: &Entry) {
        self.entries += 1;
        if entry.kind == EntryKind::File {
            self.file_bytes += entry.size;
        }
    }
}

/// Holds one member's content against the index, if that lets whole entries fill it. `None`: it has to be read
/// in order, and what is wrong gets a name there.
pub(super) fn whole_entries(begins: &[Record], content: &[u8]) -> Option<Totals> {
    let mut totals = Totals::default();
    let mut rest = content;
    for Record { place, item } in begins {
        let Item::Entry { digest, .. } = item else {
            return None;
        };
        let skip = content.len() - rest.len();
        let (bytes, behind) = rest.split_at_checked(usize::try_from(place.length).ok()?)?;
        let mut archive = Archive::new(bytes);
        let entry = archive.next_entry().ok()??;
        let fills = archive.end_of_entry() == place.length && place.skip as usize == skip;
        if !fills || archive.has_globals() || difference(item, &entry).is_some() {
            return None;
        }
        if digest.is_some() {
            let stored = usize::try_from(entry.stored()).ok()?;
            let data = bytes.len().checked_sub(stored.next_multiple_of(BLOCK))?;
            if *digest != Some(blake3::hash(&bytes[data..data + stored]).into()) {
                return None;
            }
        }
        totals.count(&entry);
        rest = behind;
    }
    (rest.is_empty() && !begins.is_empty()).then_some(totals)
}

impl ArchiveCheck {
    pub(super) fn new(indexed: bool) -> Result<Self> {
        let (queue, parts) = bounded(QUEUE);
        let reading = std::thread::Builder::new()
            .name("tar".into())
            .spawn(move || read(parts, indexed))
            .context(|| "cannot start a thread")?;
        Ok(Self {
            position: 0,
            announced: 0,
            apart: 0,
            totals: Totals::default(),
            queue: Some(queue),
            reading: Some(reading),
        })
    }

    /// What the thread came to, once it has ended.
    fn end(&mut self) -> Result<Totals> {
        self.queue = None;
        match self.reading.take().map(JoinHandle::join) {
            Some(Ok(totals)) => totals,
            Some(Err(_)) => Err(Error::new(
                Kind::Failed,
                "the thread that reads tar panicked",
            )),
            None => Err(Error::damaged("the archive was damaged before")),
        }
    }
}

impl Check for ArchiveCheck {
    fn member(&mut self, begins: Vec<Record>, content: Content) -> Result<()> {
        let (before, position) = (self.announced, self.position);
        self.position += content.length();
        if let Some(last) = begins.last() {
            self.announced = position
                .saturating_add(u64::from(last.place.skip))
                .saturating_add(last.place.length);
        }
        let content = match content {
            Content::Bytes(content) => content,
            Content::Entries { length, totals } => {
                if before != position {
                    return Err(Error::damaged("the index has an entry end where none does"));
                }
                self.apart += length;
                self.totals.entries += totals.entries;
                self.totals.file_bytes += totals.file_bytes;
                return Ok(());
            }
            Content::Rows { .. } => {
                return Err(Error::damaged("the index of an archive speaks of rows"));
            }
        };
        let begins = begins
            .into_iter()
            .map(|record| Expected {
                start: position - self.apart + u64::from(record.place.skip),
                length: record.place.length,
                item: record.item,
            })
            .collect();
        let part = Part { content, begins };
        match self.queue.as_ref().map(|queue| queue.send(part)) {
            Some(Ok(())) => Ok(()),
            // It hung up: it knows why.
            _ => self.end().map(|_| ()).and_then(|()| {
                Err(Error::damaged(
                    "there is content behind the end of the archive",
                ))
            }),
        }
    }

    fn finish(&mut self, outcome: &mut Outcome) -> Result<()> {
        let totals = self.end()?;
        outcome.found.entries = self.totals.entries + totals.entries;
        outcome.found.file_bytes = self.totals.file_bytes + totals.file_bytes;
        outcome.unmarked = !totals.marked;
        Ok(())
    }
}

/// Content as it comes out of the queue; what the index says of it goes to the side.
struct Queue {
    parts: Receiver<Part>,
    content: io::Cursor<Vec<u8>>,
    expected: Rc<RefCell<VecDeque<Expected>>>,
}

impl Read for Queue {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.content.position() == self.content.get_ref().len() as u64 {
            let Ok(part) = self.parts.recv() else {
                return Ok(0);
            };
            self.expected.borrow_mut().extend(part.begins);
            self.content = io::Cursor::new(part.content);
        }
        self.content.read(buffer)
    }
}

fn read(parts: Receiver<Part>, indexed: bool) -> Result<Totals> {
    let expected = Rc::new(RefCell::new(VecDeque::new()));
    let mut archive = Archive::new(Queue {
        parts,
        content: io::Cursor::default(),
        expected: Rc::clone(&expected),
    });
    let mut totals = Totals::default();
    while let Some(entry) = archive.next_entry()? {
        let digest = digest(&mut archive, &entry)?;
        totals.count(&entry);
        if indexed {
            if archive.has_globals() {
                return Err(Error::damaged(
                    "it has a header for all entries, as none of ours has",
                ));
            }
            let next = expected.borrow_mut().pop_front();
            let range = (archive.start(), archive.end_of_entry() - archive.start());
            compare(next, &entry, range, digest)?;
        }
    }
    totals.marked = archive.end() == Some(End::Marked);
    // Behind the mark there may be padding, and nothing else.
    let mut rest = archive.into_inner();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match rest
            .read(&mut buffer)
            .context(|| "cannot read the archive")?
        {
            0 => break,
            length if buffer[..length].iter().all(|&byte| byte == 0) => {}
            _ => return Err(Error::damaged("something follows the end of the archive")),
        }
    }
    if !expected.borrow().is_empty() {
        return Err(Error::damaged(
            "the index knows more entries than the archive has",
        ));
    }
    if indexed && !totals.marked {
        return Err(Error::damaged("the archive has no mark of its end"));
    }
    Ok(totals)
}

/// BLAKE3 of a regular file as archived: the map of its holes, if it has any, and its data.
fn digest(archive: &mut Archive<Queue>, entry: &Entry) -> Result<Option<ContentHash>> {
    if entry.kind != EntryKind::File {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(archive.head());
    hasher
        .update_reader(archive.content())
        .context(|| "cannot read the archive")?;
    Ok(Some(hasher.finalize().into()))
}

fn compare(
    expected: Option<Expected>,
    entry: &Entry,
    place: (u64, u64),
    digest: Option<ContentHash>,
) -> Result<()> {
    let name = || String::from_utf8_lossy(&entry.path).into_owned();
    let Some(Expected {
        start,
        length,
        item,
    }) = expected
    else {
        return Err(Error::damaged(format!(
            "the index does not know '{}'",
            name()
        )));
    };
    let what = match (difference(&item, entry), &item) {
        (Some(what), _) => what,
        (None, _) if (start, length) != place => "another place",
        (
            None,
            Item::Entry {
                digest: archived, ..
            },
        ) if archived.is_some() && *archived != digest => "other content",
        _ => return Ok(()),
    };
    Err(Error::damaged(format!(
        "'{}' has {what} than the index says",
        name()
    )))
}

/// What the header of an entry has that the index does not say of it.
fn difference(item: &Item, entry: &Entry) -> Option<&'static str> {
    match item {
        Item::Entry { path, .. } if *path != entry.path => Some("another name"),
        Item::Entry { kind, .. } if *kind != entry.kind => Some("another kind"),
        Item::Entry { size, .. } if *size != entry.size => Some("another size"),
        Item::Entry { .. } => None,
        Item::Sql(_) | Item::Rows { .. } => Some("another kind"),
    }
}
