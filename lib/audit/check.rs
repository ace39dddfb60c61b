//! Reading the trail and saying of each line whether it is the one that was written, in its place.
//!
//! One flaw is told once: the lines after a changed one are held against what that line was, as its
//! own hash or the line after it says, not against what it is now.

use super::line::{Cut, Record, beginning, is_cut_off};
use crate::error::{Context, Result};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

/// What somebody else knows of a line: the journal, to which each was told when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The line's number.
    pub n: u64,
    /// Its hash.
    pub hash: String,
}

/// Something that is not as it was written. Lines of the file count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "flaw", rename_all = "kebab-case")]
pub enum Flaw {
    /// A line that is no record.
    Unreadable {
        /// Which.
        line: u64,
    },
    /// A line that does not have its own hash.
    Changed {
        /// Which.
        line: u64,
    },
    /// A line whose hash is not the one that the next line knows: it was changed and made to fit.
    Forged {
        /// Which.
        line: u64,
    },
    /// A line that has no place there: put in, or moved.
    Inserted {
        /// Which.
        line: u64,
    },
    /// Records that are gone.
    Missing {
        /// The line that they stood before.
        line: u64,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A record that is not the one the journal was told of.
    Rewritten {
        /// The record's number.
        n: u64,
    },
    /// The end is gone: the journal was told of records after the last one.
    Truncated {
        /// The first that is missing.
        from: u64,
        /// The last that the journal knows of.
        to: u64,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { line } => {
                write!(f, "line {line} is no record: it was changed or put in")
            }
            Self::Changed { line } => write!(f, "line {line} was changed: its hash is another"),
            Self::Forged { line } => write!(
                f,
                "line {line} was changed and its hash made to fit: the line after it knows another"
            ),
            Self::Inserted { line } => write!(f, "line {line} was put in, or moved there"),
            Self::Missing { line, from, to } if from == to => {
                write!(f, "before line {line}, record {from} is missing")
            }
            Self::Missing { line, from, to } => {
                write!(
                    f,
                    "before line {line}, the records {from} to {to} are missing"
                )
            }
            Self::Rewritten { n } => write!(f, "record {n} is not the one that the journal knows"),
            Self::Truncated { from, to } if from == to => {
                write!(
                    f,
                    "the end is missing: the journal knows of a record {from}"
                )
            }
            Self::Truncated { from, to } => write!(
                f,
                "the end is missing: the journal knows of the records {from} to {to}"
            ),
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many records there are.
    pub records: u64,
    /// Number and hash of the last.
    pub last: Option<(u64, String)>,
    /// Lines that a killed writer left unfinished.
    pub unfinished: Vec<u64>,
    /// How many of the records the journal bears out.
    pub witnessed: u64,
    /// What is wrong, in the order of the file.
    pub flaws: Vec<Flaw>,
}

/// Reads a whole trail and checks it, also against what `witnesses` know; `each` gets each record with
/// the line it stands in.
///
/// # Errors
/// It can't be read, or `each` fails.
pub fn check(
    mut trail: impl BufRead,
    witnesses: &[Witness],
    mut each: impl FnMut(u64, &Record) -> Result<()>,
) -> Result<Checked> {
    let mut chain = Chain::new(witnesses);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = trail.read_until(b'\n', &mut line);
        if read.context(|| "cannot read the audit trail")? == 0 {
            break;
        }
        chain.open = line.pop_if(|&mut last| last == b'\n').is_none();
        match Record::decode(&line) {
            Some(record) => {
                chain.record(number, &line, &record);
                each(number, &record)?;
            }
            None => chain.pending.push((number, line.clone())),
        }
    }
    Ok(chain.end())
}

/// The chain as far as it was followed.
struct Chain<'a> {
    /// Number, hash and line of the record that the next has to follow.
    head: (u64, String, u64),
    /// The line of each hash.
    lines: HashMap<String, u64>,
    /// Lines that are no records, since the last that is.
    pending: Vec<(u64, Vec<u8>)>,
    known: HashMap<u64, &'a str>,
    /// Whether the last line has no end.
    open: bool,
    checked: Checked,
}

impl<'a> Chain<'a> {
    fn new(witnesses: &'a [Witness]) -> Self {
        Self {
            head: (0, beginning(), 0),
            lines: HashMap::new(),
            pending: Vec::new(),
            known: witnesses
                .iter()
                .map(|witness| (witness.n, witness.hash.as_str()))
                .collect(),
            open: false,
            checked: Checked::default(),
        }
    }

    /// Follows the chain to the next record.
    fn record(&mut self, number: u64, line: &[u8], record: &Record) {
        let lost = self.settle_pending(number, record.after.as_ref());
        let (head_n, head_hash, head_line) = self.head.clone();
        let intact = record.is_intact(line);
        let mut n = record.n;
        if !intact {
            self.flaw(Flaw::Changed { line: number });
            // Its number may be what was changed.
            n = head_n + 1 + lost;
        } else if lost > 0 {
            // What those lines were is not known; which ones they were, the numbers tell.
            if record.n > head_n + 1 + lost {
                self.missing(number, head_n + 1 + lost, record.n - 1);
            }
        } else if (record.n, &record.previous) != (head_n + 1, &head_hash) {
            self.misplaced(number, record, head_n, head_line);
        }
        self.lines.insert(record.hash.clone(), number);
        match self.known.remove(&n) {
            Some(hash) if hash == record.hash => self.checked.witnessed += 1,
            Some(_) if intact => self.flaw(Flaw::Rewritten { n }),
            _ => {}
        }
        self.checked.records += 1;
        self.head = (n, record.hash.clone(), number);
    }

    /// An intact record that does not follow the one before: which of the two is wrong?
    fn misplaced(&mut self, number: u64, record: &Record, head_n: u64, head_line: u64) {
        if self.lines.contains_key(&record.hash) {
            self.flaw(Flaw::Inserted { line: number });
        } else if let Some(&before) = self.lines.get(&record.previous) {
            // It follows an earlier one, so what stands between does not belong there.
            for line in before + 1..number {
                self.flaw(Flaw::Inserted { line });
            }
        } else if record.n > head_n + 1 {
            self.missing(number, head_n + 1, record.n - 1);
        } else if record.n == head_n + 1 && head_line > 0 {
            self.flaw(Flaw::Forged { line: head_line });
        } else {
            self.flaw(Flaw::Inserted { line: number });
        }
    }

    /// Judges the lines before line `number` that are no records; returns how many records were lost in
    /// them.
    fn settle_pending(&mut self, number: u64, after: Option<&Cut>) -> u64 {
        let pending = std::mem::take(&mut self.pending);
        let bytes: Vec<&[u8]> = pending.iter().map(|(_, line)| line.as_slice()).collect();
        let told = (!pending.is_empty()).then(|| Cut::of(&bytes.join(&b'\n')));
        if told.as_ref() != after {
            if pending.is_empty() {
                // The remains that the writer saw are gone.
                self.flaw(Flaw::Unreadable { line: number });
            }
            for (line, _) in &pending {
                self.flaw(Flaw::Unreadable { line: *line });
            }
            return pending.len() as u64;
        }
        for (line, bytes) in pending {
            self.remains(line, &bytes);
        }
        0
    }

    /// A line that was no record when the next one was written.
    fn remains(&mut self, line: u64, bytes: &[u8]) {
        if is_cut_off(bytes) {
            self.checked.unfinished.push(line);
        } else {
            self.flaw(Flaw::Unreadable { line });
        }
    }

    fn missing(&mut self, line: u64, from: u64, to: u64) {
        self.flaw(Flaw::Missing { line, from, to });
    }

    fn flaw(&mut self, flaw: Flaw) {
        if !self.checked.flaws.contains(&flaw) {
            self.checked.flaws.push(flaw);
        }
    }

    fn end(mut self) -> Checked {
        let pending = std::mem::take(&mut self.pending);
        let count = pending.len();
        for (number, (line, bytes)) in pending.into_iter().enumerate() {
            // A writer ends its line last: what has an end and is no record was changed, unless the next
            // writer, cut off as well, came to give it one.
            if number + 1 < count || self.open {
                self.remains(line, &bytes);
            } else {
                self.flaw(Flaw::Unreadable { line });
            }
        }
        let (last, hash, line) = std::mem::take(&mut self.head);
        if line > 0 {
            self.checked.last = Some((last, hash));
        }
        if let Some(&newest) = self.known.keys().filter(|&&n| n > last).max() {
            self.flaw(Flaw::Truncated {
                from: last + 1,
                to: newest,
            });
        }
        self.checked
    }
}
