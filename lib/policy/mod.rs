//! What a store should look like in the morning, held against what it looks like: fresh, made by this very
//! run, not shrunk, complete, not too many and not too few, with room for the next night.
//!
//! It reads names and manifests, not bodies: whether a body is what was written is [`verify`]'s to say.
//! A judgement needs no clock and no disk of its own; they are its arguments.
//!
//! # No alarm in the first nights
//! A new application has one backup after its first night. That it should have more is known from when its
//! first one was made, not from the oldest that is left: else a store that was emptied would look like a
//! new one. The audit trail remembers the first one; without it the oldest left has to do.
//!
//! [`verify`]: crate::verify

mod content;
mod sources;

use crate::catalog::{Backup, Source};
use crate::error::Result;
use crate::monitor::{Monitor, Note, Severity};
use crate::retention;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is expected.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How old the newest backup may be: the work of so long may be lost.
    pub rpo: SignedDuration,
    /// When this run began; each source must have a backup from it.
    pub begun: Option<Timestamp>,
    /// The sources that must be there, as kind and name. Where databases are given, no other is asked for
    /// fresh backups, and likewise volumes.
    pub expected: Vec<(String, String)>,
    /// Tables, as `SCHEMA.NAME` or `NAME`, one of which each must be in a newest dump.
    pub tables: Vec<String>,
    /// Patterns, each of which must find something in a newest archive.
    pub files: Vec<String>,
    /// How many backups of a source there should be at least.
    pub least: u32,
    /// What pruning keeps.
    pub keep: retention::Rules,
    /// A drop by more percent than this, of size or rows, is a finding.
    pub shrink: u32,
    /// A growth by more percent than this is one.
    pub growth: u32,
    /// A backup that took longer is one.
    pub duration: SignedDuration,
    /// A body of fewer bytes is one.
    pub size: u64,
}

/// What is known of the place and the time.
pub struct Circumstances<'a> {
    /// The present, in the time zone whose days count.
    pub now: Zoned,
    /// Bytes that are free in the store, if that is known.
    pub free: Option<u64>,
    /// When the first backup of a source was made, if somebody remembers.
    pub first: &'a dyn Fn(&Source) -> Option<Timestamp>,
    /// Threads to use.
    pub jobs: usize,
}

/// What came out.
#[derive(Debug, Default, Serialize)]
pub struct Judgement {
    /// How many sources were looked at.
    pub sources: u64,
    /// What is not as it should be, the gravest first.
    pub findings: Vec<Note>,
}

impl Policy {
    /// Judges `backups`, all that there are of an application or of the store.
    ///
    /// # Errors
    /// An expected file is no pattern. A backup that can't be read is a finding.
    pub fn judge(
        &self,
        backups: &[Backup],
        circumstances: &Circumstances<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Judgement> {
        let mut findings = Vec::new();
        let rows = self.rows(backups);
        for row in &rows {
            if row.wanted {
                self.freshness(row, circumstances, &mut findings);
                self.number(row, circumstances, &mut findings);
            }
            self.damage(row, &mut findings);
            self.size(row, &mut findings);
        }
        self.content(&rows, circumstances.jobs, &mut findings)?;
        self.room(&rows, circumstances, &mut findings);
        findings.sort_by_key(|note| std::cmp::Reverse(note.severity));
        for note in &findings {
            monitor.note(note.clone());
        }
        Ok(Judgement {
            sources: rows.len() as u64,
            findings,
        })
    }

    /// The sources, each with its backups, oldest first; also those that have none and should.
    fn rows<'a>(&self, backups: &'a [Backup]) -> Vec<Row<'a>> {
        let mut of: BTreeMap<Source, Vec<&Backup>> = BTreeMap::new();
        for backup in backups {
            of.entry(backup.source()).or_default().push(backup);
        }
        // Where somebody says which there are, what is not among them is retired.
        let wanted = |source: &Source| {
            let alike = |(kind, _): &&(String, String)| is_volume(kind) == is_volume(&source.kind);
            let mut alike = self.expected.iter().filter(alike).peekable();
            alike.peek().is_none() || alike.any(|expected| is(source, expected))
        };
        let has = |expected: &(String, String)| of.keys().any(|source| is(source, expected));
        let none: Vec<Source> = self
            .expected
            .iter()
            .filter(|expected| !has(expected))
            .map(|(kind, name)| Source {
                app: None,
                kind: kind.clone(),
                name: name.clone(),
            })
            .collect();
        let rows = of
            .into_iter()
            .chain(none.into_iter().map(|source| (source, vec![])));
        rows.map(|(source, backups)| Row {
            wanted: wanted(&source),
            source,
            backups,
        })
        .collect()
    }

    /// Whether the next run will find room: it needs about what this one took.
    fn room(&self, rows: &[Row<'_>], circumstances: &Circumstances<'_>, findings: &mut Vec<Note>) {
        let Some(free) = circumstances.free else {
            return;
        };
        let newest = rows.iter().filter(|row| row.wanted).filter_map(Row::newest);
        let taken: u64 = newest.map(|backup| backup.bytes).sum();
        // The body is written before anything goes.
        let needed = taken + taken / 5;
        if free < needed {
            findings.push(
                Note::new(
                    Severity::Medium,
                    "space-low",
                    "the store",
                    format!("the next run needs about {needed} bytes, and {free} are free"),
                )
                .with_hint("Free some space, or keep fewer: sg-prune --dry-run shows what may go."),
            );
        }
    }
}

/// Whether `source` is the one that is expected; a volume may be of any kind that people gave it.
fn is(source: &Source, (kind, name): &(String, String)) -> bool {
    let same_kind = *kind == source.kind || kind == "volume" && is_volume(&source.kind);
    same_kind && *name == source.name
}

fn is_volume(kind: &str) -> bool {
    !matches!(kind, "db" | "globals")
}

/// The backups of one source.
struct Row<'a> {
    source: Source,
    /// Whether it is still backed up.
    wanted: bool,
    /// Oldest first.
    backups: Vec<&'a Backup>,
}

impl<'a> Row<'a> {
    /// The good ones, newest first.
    fn good(&self) -> impl Iterator<Item = &'a Backup> {
        let newest_first = self.backups.iter().rev().copied();
        newest_first.filter(|backup| backup.state.is_good())
    }

    fn newest(&self) -> Option<&'a Backup> {
        self.good().next()
    }

    fn finding(&self, severity: Severity, code: &str, message: String) -> Note {
        Note::new(severity, code, self.source.to_string(), message)
    }
}
