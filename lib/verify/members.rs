//! One pass over a file in our layout: the reading thread hashes the bytes as they lie and deals out
//! members with the records that the index has for them; the workers decompress, add rows up and hold
//! small files against the index; the results are put together in order.

use super::archive::{self, ArchiveCheck, Totals};
use super::dump::DumpCheck;
use super::{Inside, Notes, Options, Outcome};
use crate::error::{Error, Kind, Result};
use crate::monitor::Monitor;
use crate::parallel;
use crate::postgres::digest::Digest;
use crate::postgres::statement::StatementReader;
use crate::stream::contents::Tally;
use crate::stream::member::Members;
use crate::stream::writer::hex;
use crate::stream::{Decompressor, Item, Member, Reader, Record, Role};
use sha2::Digest as _;
use std::io::Read;
use std::iter::Peekable;

/// What a worker made of a member.
pub(super) enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It is one whole statement with rows, already added up.
    Rows {
        length: u64,
        digest: Digest,
        bytes: u64,
    },
    /// It is whole entries of an archive, each as the index says.
    Entries { length: u64, totals: Totals },
}

impl Content {
    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Rows { length, .. } | Self::Entries { length, .. } => *length,
        }
    }
}

/// Puts the content together and holds it against the index.
pub(super) trait Check {
    /// The next member's content; `begins` are the records of what begins in it.
    fn member(&mut self, begins: Vec<Record>, content: Content) -> Result<()>;

    /// The content is complete.
    fn finish(&mut self, outcome: &mut Outcome) -> Result<()>;
}

struct Task {
    member: Member,
    begins: Vec<Record>,
}

struct Checked {
    offset: u64,
    begins: Vec<Record>,
    result: Result<(Role, Option<Content>)>,
}

pub(super) fn check(
    reader: &Reader,
    inside: Inside,
    options: &Options,
    monitor: &dyn Monitor,
    notes: &mut Notes,
) -> Result<Outcome> {
    let records = match reader.index() {
        Ok(index) => index,
        Err(error) => {
            notes.damaged("index", error.to_string());
            None
        }
    };
    let indexed = records.is_some();
    let mut check: Box<dyn Check> = match inside {
        Inside::Dump => Box::new(DumpCheck::new(indexed)),
        Inside::Archive => Box::new(ArchiveCheck::new(indexed)?),
    };
    let mut outcome = Outcome::default();
    let mut tally = Tally::default();
    let mut broken = false;
    let mut source = source(reader, records);

    parallel::ordered(
        options.jobs,
        |feed| {
            while let Some(task) = source.next()? {
                monitor.advance(task.member.bytes.len() as u64);
                feed.send(task)?;
            }
            Ok(())
        },
        worker,
        |checked: Checked| {
            let lost: Vec<String> = checked.begins.iter().take(3).map(describe).collect();
            let step = checked.result.and_then(|(role, content)| {
                let length = content.as_ref().map_or(0, Content::length);
                outcome.content_bytes += length;
                tally.add(&role, length)?;
                match content {
                    Some(content) if !broken => check.member(checked.begins, content),
                    _ => Ok(()),
                }
            });
            if let Err(error) = step {
                broken = true;
                let mut message = error.to_string();
                if !message.starts_with("at byte") {
                    message = format!("in the member at byte {}: {message}", checked.offset);
                }
                if !lost.is_empty() {
                    message.push_str(&format!(" (it holds {})", lost.join(", ")));
                }
                notes.damaged("member", message);
            }
            Ok(())
        },
    )
    .or_else(|error| match error.kind() {
        // A file that is cut off ends the reading, not the report.
        Kind::Damaged => {
            broken = true;
            notes.damaged("structure", error.to_string());
            Ok(())
        }
        _ => Err(error),
    })?;

    let (sha256, index) = source.finish();
    outcome.sha256 = sha256;
    if let Err(error) = index {
        broken = true;
        notes.damaged("index", error.to_string());
    }
    if !broken {
        match tally.finish().and_then(|()| check.finish(&mut outcome)) {
            Ok(()) => outcome.complete = true,
            Err(error) => notes.damaged("content", error.to_string()),
        }
    }
    Ok(outcome)
}

fn describe(record: &Record) -> String {
    match &record.item {
        Item::Sql(part) => format!("{part:?}"),
        Item::Rows { schema, table, .. } => format!("rows of {schema}.{table}"),
        Item::Entry { path, .. } => format!("'{}'", String::from_utf8_lossy(path)),
    }
}

/// Deals out members together with the records of what begins in them.
struct Source<M, I: Iterator> {
    members: M,
    records: Option<Peekable<I>>,
    sum: sha2::Sha256,
    ended: bool,
    index: Result<()>,
}

impl<R: Read, I: Iterator<Item = Result<Record>>> Source<Members<R>, I> {
    fn next(&mut self) -> Result<Option<Task>> {
        let Some(member) = self.members.next().transpose()? else {
            self.ended = true;
            return Ok(None);
        };
        self.sum.update(&member.bytes);
        let begins = self.begins_in(&member);
        Ok(Some(Task { member, begins }))
    }

    fn begins_in(&mut self, member: &Member) -> Vec<Record> {
        let mut begins = Vec::new();
        while let Some(records) = &mut self.records {
            match records.next_if(|record| {
                record
                    .as_ref()
                    .map_or(true, |record| record.place.member <= member.offset)
            }) {
                Some(Ok(record)) if record.place.member == member.offset => begins.push(record),
                Some(Ok(record)) => {
                    self.give_up(Error::damaged(format!(
                        "the index points to byte {}, where no member begins",
                        record.place.member
                    )));
                }
                Some(Err(error)) => self.give_up(error),
                None => break,
            }
        }
        begins
    }

    fn give_up(&mut self, error: Error) {
        self.records = None;
        self.index = Err(error);
    }

    /// The SHA-256 of the file if it was read to its end, and what is wrong with the index.
    fn finish(mut self) -> (Option<String>, Result<()>) {
        if self.ended
            && self.index.is_ok()
            && self
                .records
                .as_mut()
                .is_some_and(|records| records.next().is_some())
        {
            self.index = Err(Error::damaged(
                "the index points behind the end of the content",
            ));
        }
        let sha256 = self.ended.then(|| hex(&self.sum.finalize()));
        (sha256, self.index)
    }
}

fn source<I: Iterator<Item = Result<Record>>>(
    reader: &Reader,
    records: Option<I>,
) -> Source<Members<impl Read + use<I>>, I> {
    Source {
        members: reader.members(0),
        records: records.map(Iterator::peekable),
        sum: sha2::Sha256::new(),
        ended: false,
        index: Ok(()),
    }
}

/// One worker thread: decompresses, and adds up what is whole in itself.
fn worker() -> impl FnMut(Task) -> Checked {
    let mut decompressor = Decompressor::new();
    move |task| {
        let mut work = || -> Result<(Role, Option<Content>)> {
            let role = task.member.role()?;
            if role != Role::Content {
                return Ok((role, None));
            }
            let Ok(decompressor) = &mut decompressor else {
                return Err(Error::new(Kind::Failed, "cannot set up a decompressor"));
            };
            let content = decompressor.content(&task.member)?;
            let content = match task.begins.as_slice() {
                [record] if is_whole_statement(record, &content) => rows(&content)?,
                begins => match archive::whole_entries(begins, &content) {
                    Some(totals) => Content::Entries {
                        length: content.len() as u64,
                        totals,
                    },
                    None => Content::Bytes(content),
                },
            };
            Ok((role, Some(content)))
        };
        Checked {
            result: work(),
            offset: task.member.offset,
            begins: task.begins,
        }
    }
}

fn is_whole_statement(record: &Record, content: &[u8]) -> bool {
    matches!(record.item, Item::Rows { .. })
        && record.place.skip == 0
        && record.place.length == content.len() as u64
}

fn rows(content: &[u8]) -> Result<Content> {
    let mut statement = StatementReader::default();
    statement.push(content)?;
    let (digest, bytes) = statement.finish()?;
    Ok(Content::Rows {
        length: content.len() as u64,
        digest,
        bytes,
    })
}
