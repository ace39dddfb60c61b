//! A database becomes one stream that psql restores from front to back, and whose every part can be
//! found and restored by itself.
//!
//! The order of the content is that of a plain dump: what must be there before the rows, the rows,
//! large objects, values of sequences, what is better built after the rows, what belongs to the
//! database itself. Within the rows there is no order: several connections deliver them.

use super::copy::{Batch, Work};
use super::digest::Digest;
use super::parts::{Output, SqlPart};
use super::schema::{self, Dumping};
use super::snapshot::{self, Snapshot};
use super::tables::{self, Table};
use super::{Conninfo, patterns, preflight, properties, sequences};
use crate::error::{Error, Kind, Result};
use crate::manifest::content::{self, Database};
use crate::monitor::{Monitor, Note, Severity};
use crate::stream::{Compression, Facts, Part};
use crossbeam_channel::{Receiver, bounded};
use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::AtomicUsize;
use std::thread;

/// How many finished pieces may wait for their turn: enough to go on while pg_dump reads the
/// catalogs, at most 32 MiB.
const WAITING: usize = 32;
/// How often a snapshot is taken anew because a table was rewritten before it could be locked.
const ATTEMPTS: u32 = 5;

/// What to dump, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database.
    pub info: Conninfo,
    /// How the stream is compressed.
    pub compression: Compression,
    /// How many connections read rows.
    pub jobs: usize,
    /// Tables whose rows are left out, as pg_dump's patterns.
    pub exclude_table_data: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Dumped<W> {
    /// What was written to.
    pub output: W,
    /// What was written.
    pub facts: Facts,
    /// What is inside.
    pub content: Database,
}

/// Dumps one database to `output`.
///
/// # Errors
/// The server can't be reached, refuses, or hangs up; a right is missing; pg_dump fails; the output
/// fails. What was written so far is of no use then.
pub fn dump<W: Write>(options: &Options, output: W, monitor: &dyn Monitor) -> Result<Dumped<W>> {
    monitor.stage("reading the catalogs", None);
    let mut leader = snapshot::settled(&options.info)?;
    let program = preflight::check(&mut leader)?;
    let (mut snapshot, tables) = lock(Snapshot::take(leader)?, options, monitor)?;
    let ticket = snapshot.ticket().clone();
    let dumping = Dumping::start(&ticket, &program, &options.exclude_table_data)?;
    let leader = &mut snapshot.leader;
    let kinds: HashMap<u32, i8> = leader
        .query(
            "SELECT oid, relkind FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'f', 'S')",
            &[],
        )?
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let mut content = properties::facts(leader, &program)?;
    properties::left_out(leader, monitor)?;
    for table in tables.iter().filter(|table| !table.wanted) {
        let message = "its rows are left out, as asked for or because a standby has none of them";
        monitor.note(Note::new(
            Severity::Info,
            "rows-excluded",
            &table.quoted,
            message,
        ));
    }

    monitor.stage(
        "dumping",
        Some(tables.iter().map(|table| table.bytes).sum()),
    );
    let plan = tables::plan(&tables);
    let work = Work {
        ticket: &ticket,
        tables: &tables,
        plan: &plan,
        next: AtomicUsize::new(0),
        compression: options.compression,
        encoding: &content.properties.encoding,
    };
    let mut out = Output::new(output, options.compression, monitor)?;
    let (sender, batches) = bounded::<Result<Batch>>(WAITING);
    let (sums, schema, key) = thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, plan.len().max(1)) {
            let (sender, work) = (sender.clone(), &work);
            scope.spawn(move || work.run(&sender));
        }
        drop(sender);
        let schema = dumping.finish()?;
        schema::compare(&schema.listed()?, &tables, &kinds)?;
        let mut part = SqlPart::new(Part::PreData);
        let key = schema
            .section("pre-data")?
            .read(true, |text| part.put(text, &mut out))?;
        part.finish(&mut out)?;
        // Taken by value: whatever ends this ends the threads, which find nobody listening.
        let sums = rows(batches, &tables, &mut out)?;
        Ok::<_, Error>((sums, schema, key))
    })?;
    content.tables = tables
        .iter()
        .zip(sums)
        .filter(|(table, _)| table.wanted)
        .map(|(table, sum)| sum.of(table))
        .collect();

    monitor.stage("dumping the rest", None);
    if content.large_objects > 0 {
        let mut part = SqlPart::new(Part::LargeObjects);
        schema::large_objects(&ticket, &program)?.read(false, |text| part.put(text, &mut out))?;
        part.finish(&mut out)?;
    }
    let sequences = sequences::read(&mut snapshot.leader)?;
    if !sequences.values.is_empty() {
        out.sql(Part::Sequences, &sequences.sql)?;
    }
    content.sequences = sequences.values;
    let mut part = SqlPart::new(Part::PostData);
    schema
        .section("post-data")?
        .read(false, |text| part.put(text, &mut out))?;
    part.finish(&mut out)?;
    out.sql(Part::Properties, &properties::sql(&mut snapshot.leader)?)?;
    let mut trailer = "--\n-- PostgreSQL database dump complete\n--\n\n".to_owned();
    if let Some(key) = key {
        trailer.push_str(&format!("\\unrestrict {key}\n\n"));
    }
    out.sql(Part::Trailer, trailer.as_bytes())?;
    snapshot.release()?;
    let (output, facts) = out.writer.finish()?;
    Ok(Dumped {
        output,
        facts,
        content,
    })
}

/// Takes the locks; where a table was rewritten between snapshot and lock, takes another snapshot.
fn lock(
    mut snapshot: Snapshot,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<(Snapshot, Vec<Table>)> {
    let mut attempt = 1;
    loop {
        let leader = &mut snapshot.leader;
        let mut tables = tables::list(leader)?;
        let unwanted = patterns::matching(leader, &options.exclude_table_data)?;
        for table in &mut tables {
            table.wanted &= !unwanted.contains(&table.oid);
        }
        tables::lock(leader, &tables)?;
        let rewritten = tables::rewritten(leader, &tables)?;
        if rewritten.is_empty() {
            return Ok((snapshot, tables));
        }
        if attempt == ATTEMPTS {
            for table in tables.iter().filter(|table| rewritten.contains(&table.oid)) {
                monitor.note(Note::new(
                    Severity::High,
                    "table-rewritten",
                    &table.quoted,
                    "was truncated or rewritten after the snapshot was taken, so its rows are missing",
                ));
            }
            return Ok((snapshot, tables));
        }
        attempt += 1;
        snapshot = snapshot.retake()?;
    }
}

/// What was dumped of one table.
#[derive(Clone, Copy, Default)]
struct Sum {
    digest: Digest,
    bytes: u64,
}

impl Sum {
    fn of(self, table: &Table) -> content::Table {
        content::Table {
            schema: table.schema.clone(),
            name: table.name.clone(),
            columns: table.columns.clone(),
            condition: table.condition.clone(),
            rows: self.digest.rows,
            digest: format!("{:032x}", self.digest.sum),
            bytes: self.bytes,
        }
    }
}

/// Writes what the threads deliver until all of them have ended.
#[allow(
    clippy::needless_pass_by_value,
    reason = "who sends must see it dropped"
)]
fn rows<W: Write>(
    batches: Receiver<Result<Batch>>,
    tables: &[Table],
    out: &mut Output<'_, W>,
) -> Result<Vec<Sum>> {
    let mut sums = vec![Sum::default(); tables.len()];
    let mut seen = vec![false; tables.len()];
    for batch in &batches {
        let batch = batch?;
        out.writer.append(batch.packed)?;
        out.monitor.advance(batch.bytes);
        let sum = &mut sums[batch.table];
        sum.digest += batch.digest;
        sum.bytes += batch.bytes;
        seen[batch.table] = true;
    }
    // A thread that ended without a word must not pass for one that had nothing to do.
    match tables
        .iter()
        .zip(seen)
        .find(|(table, seen)| table.wanted && !seen)
    {
        Some((table, _)) => Err(Error::new(
            Kind::Failed,
            format!("nothing was read of {}", table.quoted),
        )),
        None => Ok(sums),
    }
}
