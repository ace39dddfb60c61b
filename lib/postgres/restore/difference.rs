//! In what a restored database is not what was dumped, told by name.

use crate::manifest::content::Sequence;
use crate::postgres::script::Relation;
use crate::words::count;
use std::fmt;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A table is not there.
    NoTable(Relation),
    /// A table has another number of rows.
    Rows {
        /// Which.
        table: Relation,
        /// Its rows now.
        found: u64,
        /// Its rows when it was dumped.
        dumped: u64,
    },
    /// A table has as many rows as it had, but not the same.
    Content(Relation),
    /// A sequence is not there.
    NoSequence(Relation),
    /// A sequence stands elsewhere: its last value, and whether that was given out already.
    Sequence {
        /// Which.
        sequence: Relation,
        /// Where it stands now.
        found: (i64, bool),
        /// Where it stood when it was dumped.
        dumped: (i64, bool),
    },
    /// There are more or fewer large objects.
    LargeObjects {
        /// Now.
        found: u64,
        /// When they were dumped.
        dumped: u64,
    },
    /// An extension is not there.
    NoExtension(String),
}

impl Difference {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTable(_) => "table-missing",
            Self::Rows { .. } => "rows-differ",
            Self::Content(_) => "content-differs",
            Self::NoSequence(_) => "sequence-missing",
            Self::Sequence { .. } => "sequence-differs",
            Self::LargeObjects { .. } => "large-objects-differ",
            Self::NoExtension(_) => "extension-missing",
        }
    }

    /// What differs, e.g. `table public.customer`.
    pub fn subject(&self) -> String {
        match self {
            Self::NoTable(table) | Self::Rows { table, .. } | Self::Content(table) => {
                format!("table {table}")
            }
            Self::NoSequence(sequence) | Self::Sequence { sequence, .. } => {
                format!("sequence {sequence}")
            }
            Self::LargeObjects { .. } => "large objects".to_owned(),
            Self::NoExtension(extension) => format!("extension {extension}"),
        }
    }

    /// How it differs, without what.
    pub fn message(&self) -> String {
        match self {
            Self::NoTable(_) | Self::NoSequence(_) | Self::NoExtension(_) => {
                "did not come back".to_owned()
            }
            Self::Rows { found, dumped, .. } => {
                format!(
                    "came back with {} instead of {dumped}",
                    count(*found, "row")
                )
            }
            Self::Content(_) => "came back with as many rows, but not the same".to_owned(),
            Self::Sequence { found, dumped, .. } => {
                format!("stands at {}, was dumped at {}", at(*found), at(*dumped))
            }
            Self::LargeObjects { found, dumped } => {
                format!("are {found}, {dumped} were dumped")
            }
        }
    }

    /// How a sequence differs from what was recorded, if it does; `None` for one that is not there.
    pub(super) fn of_sequence(recorded: &Sequence, found: Option<&Sequence>) -> Option<Self> {
        let sequence = Relation::new(&recorded.schema, &recorded.name);
        let state = |sequence: &Sequence| (sequence.value, sequence.called);
        match found {
            None => Some(Self::NoSequence(sequence)),
            Some(found) if state(found) != state(recorded) => Some(Self::Sequence {
                sequence,
                found: state(found),
                dumped: state(recorded),
            }),
            Some(_) => None,
        }
    }
}

fn at((value, called): (i64, bool)) -> String {
    if called {
        value.to_string()
    } else {
        format!("{value}, not given out yet")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.subject(), self.message())
    }
}
