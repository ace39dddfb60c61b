//! The content of an archive: a tar stream whose entries must be those of the index, in place, kind,
//! size and content.
//!
//! Reading a tar archive pulls, while content comes pushed, member by member; so the reading has a
//! thread of its own at the end of a short queue.

use super::Outcome;
use super::members::{Check, Content};
use crate::error::{Context, Error, Kind, Result};
use crate::stream::{ContentHash, EntryKind, Item, Record};
use crate::volume::{Archive, End, Entry};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;
use std::thread::JoinHandle;

/// Members on their way to the thread.
const QUEUE: usize = 4;

pub(super) struct ArchiveCheck {
    position: u64,
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

#[derive(Default)]
struct Totals {
    entries: u64,
    file_bytes: u64,
    marked: bool,
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
        let Content::Bytes(content) = content else {
            return Err(Error::damaged("the index of an archive speaks of rows"));
        };
        let begins = begins
            .into_iter()
            .map(|record| Expected {
                start: self.position + u64::from(record.place.skip),
                length: record.place.length,
                item: record.item,
            })
            .collect();
        self.position += content.len() as u64;
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
        outcome.found.entries = totals.entries;
        outcome.found.file_bytes = totals.file_bytes;
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
        totals.entries += 1;
        if entry.kind == EntryKind::File {
            totals.file_bytes += entry.size;
        }
        if indexed {
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
    (start, length): (u64, u64),
    digest: Option<ContentHash>,
) -> Result<()> {
    let name = || String::from_utf8_lossy(&entry.path).into_owned();
    let Some(Expected {
        start: start_expected,
        length: length_expected,
        item:
            Item::Entry {
                path,
                kind,
                size,
                digest: digest_expected,
                ..
            },
    }) = expected
    else {
        return Err(Error::damaged(format!(
            "the index does not know '{}'",
            name()
        )));
    };
    let what = if path != entry.path {
        "another name"
    } else if kind != entry.kind {
        "another kind"
    } else if size != entry.size {
        "another size"
    } else if (start_expected, length_expected) != (start, length) {
        "another place"
    } else if digest_expected.is_some() && digest_expected != digest {
        "other content"
    } else {
        return Ok(());
    };
    Err(Error::damaged(format!(
        "'{}' has {what} than the index says",
        name()
    )))
}
