//! Extracting by the index, on all cores: a thread takes the members of a batch of small files, or
//! one piece of a large one.

use super::archive::Archive;
use super::entry::Entry;
use super::extract::{self, Hand, Outcome};
use super::groups::{self, Group, Groups};
use super::sparse;
use super::target::Target;
use super::tree_hash::{self, Merger, PIECE, PieceHash};
use super::unpack::{UnpackFacts, UnpackOptions, Waiting};
use crate::error::{Context, Error, Result};
use crate::monitor::Monitor;
use crate::parallel::{self, Feed};
use crate::stream::member::Members;
use crate::stream::reader::Layout;
use crate::stream::{
    Codec, ContentHash, Decompressor, EntryKind, Item, Member, Reader, Record, Role,
};
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// More content than this is no batch of small files.
const BATCH_MAX: u64 = 4 << 20;

/// Extracts what is wanted into `target`.
pub(super) fn unpack(
    reader: &Reader,
    groups: &Groups,
    target: &Target<'_>,
    options: &UnpackOptions,
    monitor: &dyn Monitor,
) -> Result<UnpackFacts> {
    options.select.all_found()?;
    monitor.stage("extracting", Some(groups.content_bytes()));
    let mut sink = Sink {
        waiting: Waiting::new(),
        facts: UnpackFacts {
            indexed: true,
            ..UnpackFacts::default()
        },
        hand: Hand::new(target),
        merger: Merger::default(),
    };
    parallel::ordered(
        options.jobs,
        |feed| {
            let mut hand = Hand::new(target);
            groups.give_out(reader, &options.select, |Group { records, end }| {
                let span = records
                    .iter()
                    .map(|record| record.place.length)
                    .sum::<u64>();
                match records.as_slice() {
                    [record] if span > PIECE => large(reader, record, &mut hand, feed),
                    _ if span > BATCH_MAX => records
                        .into_iter()
                        .try_for_each(|record| feed.send(Work::Single(record))),
                    _ => feed.send(Work::Batch { records, end }),
                }
            })
        },
        || {
            let mut worker = Worker {
                reader,
                hand: Hand::new(target),
                decompressor: Decompressor::new(),
            };
            move |work| worker.work(work)
        },
        |done: Result<Done>| sink.take(done?, monitor),
    )?;
    let Sink {
        mut waiting,
        mut facts,
        mut hand,
        ..
    } = sink;
    let mut orphans = waiting.orphans(&options.select)?;
    if !orphans.is_empty() {
        for record in groups::records(reader)? {
            let record = record?;
            let Item::Entry { path, digest, .. } = &record.item else {
                continue;
            };
            if !orphans.have(path) {
                continue;
            }
            let mut archive = Archive::new(reader.content(record.place)?);
            let entry = next(&mut archive, &record)?;
            let links = orphans.of(&entry).unwrap_or_default();
            let head = archive.head().to_vec();
            let content = &mut archive.content();
            waiting.adopt(links, entry, &mut facts, |entry| {
                hand.extract(entry, &head, content, *digest)
            })?;
            facts.compared += u64::from(digest.is_some());
        }
    }
    waiting.finish(&mut hand, &mut facts)?;
    Ok(facts)
}

/// A piece of work for a thread.
enum Work {
    /// Small entries that begin in one member, and where the members of the next ones begin.
    Batch { records: Vec<Record>, end: u64 },
    /// An entry that is extracted on its own, by one thread.
    Single(Record),
    /// One member of a large file's content, and where that lies in what is archived of the file.
    Piece {
        large: Arc<Large>,
        member: Member,
        offset: u64,
    },
}

/// What has become of it.
enum Done {
    Entries(Vec<Settled>, u64),
    Piece {
        large: Arc<Large>,
        hash: PieceHash,
        last: bool,
        bytes: u64,
    },
}

/// An entry, what came of it, and whether its content was compared.
struct Settled {
    entry: Entry,
    outcome: Outcome,
    compared: bool,
}

/// A large file whose pieces several threads write.
struct Large {
    entry: Entry,
    /// The map of its holes, as archived.
    head: Vec<u8>,
    digest: Option<ContentHash>,
    /// `None` if it could not be created, which a note tells.
    file: Option<File>,
}

/// Gives out the pieces of a large file, which it creates.
fn large(
    reader: &Reader,
    record: &Record,
    hand: &mut Hand<'_>,
    feed: &Feed<Work, Result<Done>>,
) -> Result<()> {
    let mut archive = Archive::new(reader.content(record.place)?);
    let entry = next(&mut archive, record)?;
    let head = archive.head().to_vec();
    let stored = entry.stored();
    let headers = record
        .place
        .length
        .saturating_sub(stored.next_multiple_of(512));
    let mut members = reader.members(record.place.member);
    let first = members.next().transpose()?;
    let apart = first.and_then(|member| member.content_bytes()) == Some(headers);
    if !apart || record.place.skip != 0 || entry.kind != EntryKind::File {
        return feed.send(Work::Single(record.clone()));
    }
    let Item::Entry { digest, .. } = record.item else {
        return Ok(());
    };
    let created = hand.path(&entry).and_then(|path| hand.create(&path));
    let file = match created {
        Ok(file) => Some(file),
        Err(error) => {
            hand.survive(&entry, Err(error))?;
            None
        }
    };
    let large = Arc::new(Large {
        entry,
        head,
        digest,
        file,
    });
    let mut offset = 0;
    while offset < stored {
        let member = members
            .next()
            .transpose()?
            .ok_or_else(|| Error::damaged("the archive is cut off inside a file"))?;
        feed.send(Work::Piece {
            large: Arc::clone(&large),
            member,
            offset,
        })?;
        offset += PIECE;
    }
    Ok(())
}

/// The entry that the index announces.
fn next<R: Read>(archive: &mut Archive<R>, record: &Record) -> Result<Entry> {
    let entry = archive.next_entry()?;
    let Item::Entry {
        path, kind, size, ..
    } = &record.item
    else {
        return Err(Error::damaged(
            "the index of an archive lists something else than files",
        ));
    };
    entry
        .filter(|entry| (&entry.path, entry.kind, entry.size) == (path, *kind, *size))
        .ok_or_else(|| {
            Error::damaged(format!(
                "what the index says of '{}' is not what the archive holds",
                path.escape_ascii()
            ))
        })
}

/// What one thread needs.
struct Worker<'a> {
    reader: &'a Reader,
    hand: Hand<'a>,
    decompressor: Result<Decompressor>,
}

impl Worker<'_> {
    fn work(&mut self, work: Work) -> Result<Done> {
        match work {
            Work::Batch { records, end } => self.batch(&records, end),
            Work::Single(record) => {
                let content = self.reader.content(record.place)?;
                let settled = self.entry(content, &record)?;
                Ok(Done::Entries(vec![settled], record.place.length))
            }
            Work::Piece {
                large,
                member,
                offset,
            } => self.piece(large, &member, offset),
        }
    }

    fn content(&mut self, member: &Member) -> Result<Vec<u8>> {
        match &mut self.decompressor {
            Ok(decompressor) => decompressor.content(member),
            Err(error) => Err(Error::new(error.kind(), error.to_string())),
        }
    }

    fn batch(&mut self, records: &[Record], end: u64) -> Result<Done> {
        let start = records.first().map_or(end, |record| record.place.member);
        let need = records
            .iter()
            .map(|record| u64::from(record.place.skip) + record.place.length)
            .max()
            .unwrap_or_default();
        let content = self.members(start, end, need)?;
        let mut settled = Vec::with_capacity(records.len());
        for record in records {
            let from = record.place.skip as usize;
            let slice = usize::try_from(record.place.length)
                .ok()
                .and_then(|length| content.get(from..from.checked_add(length)?))
                .ok_or_else(|| Error::damaged("the index points behind the end of a member"))?;
            settled.push(self.entry(slice, record)?);
        }
        Ok(Done::Entries(settled, need))
    }

    /// The content of the members from `start` to `end`, at least its first `need` bytes.
    fn members(&mut self, start: u64, end: u64, need: u64) -> Result<Vec<u8>> {
        let codec = match self.reader.layout() {
            Layout::Members(codec) => codec,
            Layout::Foreign(_) => Codec::None,
        };
        let mut bytes = Vec::new();
        // Content that does not compress is hardly longer for it.
        let most = (end - start).min(2 * BATCH_MAX);
        self.reader
            .at(start)
            .take(most)
            .read_to_end(&mut bytes)
            .context(|| "cannot read the archive")?;
        let mut content = Vec::new();
        for member in Members::new(bytes.as_slice(), codec, start) {
            let member = member?;
            if member.role()? != Role::Content {
                break;
            }
            let part = self.content(&member)?;
            if content.is_empty() {
                content = part;
            } else {
                content.extend_from_slice(&part);
            }
            if content.len() as u64 >= need {
                break;
            }
        }
        Ok(content)
    }

    fn entry(&mut self, content: impl Read, record: &Record) -> Result<Settled> {
        let mut archive = Archive::new(content);
        let entry = next(&mut archive, record)?;
        let Item::Entry { digest, .. } = record.item else {
            return Err(Error::damaged("the index lists something else than files"));
        };
        let head = archive.head().to_vec();
        let outcome = self
            .hand
            .extract(&entry, &head, &mut archive.content(), digest)?;
        let compared = digest.is_some() && outcome == Outcome::Done;
        Ok(Settled {
            entry,
            outcome,
            compared,
        })
    }

    fn piece(&mut self, large: Arc<Large>, member: &Member, offset: u64) -> Result<Done> {
        let mut content = self.content(member)?;
        let stored = large.entry.stored();
        let length = (stored - offset).min(PIECE);
        let last = offset + length == stored;
        let padded = if last {
            length.next_multiple_of(512)
        } else {
            length
        };
        if content.len() as u64 != padded {
            return Err(Error::damaged(
                "a member of a large file has a wrong length",
            ));
        }
        content.truncate(length as usize);
        if let Some(file) = &large.file {
            let map = large.entry.sparse.as_ref();
            let named = || format!("cannot write '{}'", large.entry.path.escape_ascii());
            self.hand.target.room(file)?;
            sparse::write(file, map, offset, &content).context(named)?;
            // What belongs to the map is not in the file; it stays as the archive has it.
            let data = (large.head.len() as u64).saturating_sub(offset).min(length) as usize;
            content[data..].fill(0);
            sparse::read(file, map, offset, &mut content).context(named)?;
        }
        let hash = tree_hash::piece(&content, offset, stored);
        Ok(Done::Piece {
            large,
            hash,
            last,
            bytes: padded,
        })
    }
}

/// Takes the results in order.
struct Sink<'a> {
    waiting: Waiting,
    facts: UnpackFacts,
    hand: Hand<'a>,
    merger: Merger,
}

impl Sink<'_> {
    fn take(&mut self, done: Done, monitor: &dyn Monitor) -> Result<()> {
        match done {
            Done::Entries(settled, bytes) => {
                for one in settled {
                    self.facts.compared += u64::from(one.compared);
                    self.waiting
                        .settle(&one.entry, one.outcome, &mut self.facts)?;
                }
                monitor.advance(bytes);
            }
            Done::Piece {
                large,
                hash,
                last,
                bytes,
            } => {
                self.merger.push(hash);
                if last {
                    self.complete(&large)?;
                }
                monitor.advance(bytes);
            }
        }
        Ok(())
    }

    fn complete(&mut self, large: &Large) -> Result<()> {
        let hash = std::mem::take(&mut self.merger)
            .finish()
            .map(ContentHash::from);
        let Some(file) = &large.file else {
            self.facts.left += 1;
            return Ok(());
        };
        if large.digest.is_some() && hash != large.digest {
            return Err(extract::not_what_was_archived(&large.entry.path));
        }
        self.facts.compared += u64::from(large.digest.is_some());
        self.hand.complete(file, &large.entry, &large.entry.path)?;
        self.waiting
            .settle(&large.entry, Outcome::Done, &mut self.facts)
    }
}
