//! A file of another tool, or one without compression: read in order, as far as it can be judged
//! without an index.

use super::archive::ArchiveCheck;
use super::dump::Tables;
use super::members::{Check, Content};
use super::{Inside, Notes, Options, Outcome};
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Monitor;
use crate::postgres::script::{judge, summary};
use crate::stream::Reader;
use crate::stream::writer::hex;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

const BLOCK: usize = 256 * 1024;

pub(super) fn check(
    reader: &Reader,
    inside: Inside,
    sealed: bool,
    options: &Options,
    monitor: &dyn Monitor,
    notes: &mut Notes,
) -> Result<Outcome> {
    std::thread::scope(|scope| {
        // The seal is over the bytes as they lie, the content comes decompressed: two readers.
        let sum = sealed.then(|| scope.spawn(|| sha256(reader)));
        let mut outcome = Outcome::default();
        match content(reader, inside, options, monitor, &mut outcome) {
            Ok(()) => outcome.complete = true,
            Err(error) if error.kind() == Kind::Damaged => {
                notes.damaged("content", error.to_string());
            }
            Err(error) => return Err(error),
        }
        if let Some(sum) = sum {
            let sum = sum
                .join()
                .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "a hashing thread panicked")))?;
            outcome.sha256 = Some(sum);
        }
        Ok(outcome)
    })
}

fn content(
    reader: &Reader,
    inside: Inside,
    options: &Options,
    monitor: &dyn Monitor,
    outcome: &mut Outcome,
) -> Result<()> {
    let contents = reader.contents(options.jobs)?;
    let mut counted = Counted {
        input: contents,
        bytes: 0,
    };
    let read = in_order(&mut counted, inside, outcome);
    outcome.content_bytes = counted.bytes;
    monitor.advance(reader.bytes());
    read
}

/// Reads content of which no index tells what is where, and judges it by itself.
pub(super) fn in_order(
    mut content: impl Read,
    inside: Inside,
    outcome: &mut Outcome,
) -> Result<()> {
    match inside {
        Inside::Dump => {
            let verdict = judge(content)?;
            let mut tables = Tables::new();
            for table in verdict.tables {
                outcome.found.rows += table.digest.rows;
                let relation = summary(table.statement.as_bytes()).relation;
                let name = relation.map_or_else(
                    || (String::new(), table.statement),
                    |relation| (relation.schema, relation.name),
                );
                let sum = tables.entry(name).or_default();
                sum.0 += table.digest;
                sum.1 += table.bytes;
            }
            outcome.found.tables = tables.len() as u64;
            outcome.tables = Some(tables);
            outcome.connects = verdict.connects;
            Ok(())
        }
        Inside::Archive => {
            let mut check = ArchiveCheck::new(false)?;
            loop {
                let mut block = Vec::with_capacity(BLOCK);
                (&mut content)
                    .take(BLOCK as u64)
                    .read_to_end(&mut block)
                    .context(|| "cannot read the content")?;
                if block.is_empty() {
                    return check.finish(outcome);
                }
                check.member(Vec::new(), Content::Bytes(block))?;
            }
        }
    }
}

/// Counts what is read through it.
struct Counted<R> {
    input: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

fn sha256(reader: &Reader) -> Result<String> {
    let mut sum = Sha256::new();
    let mut input = reader.at(0);
    let mut buffer = vec![0; BLOCK];
    loop {
        match input
            .read(&mut buffer)
            .context(|| format!("cannot read '{}'", reader.path().display()))?
        {
            0 => return Ok(hex(&sum.finalize())),
            length => sum.update(&buffer[..length]),
        }
    }
}
