//! What comes of judging the facts, for the screen, the page, the plugin and the metrics alike.

use crate::monitor::{Note, Severity};
use jiff::Timestamp;

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    #[default]
    Ok,
    /// Somebody should look at it this week.
    Warning,
    /// Somebody should look at it today.
    Critical,
}

impl Level {
    /// A stable word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info | Severity::Low => Self::Ok,
            Severity::Medium => Self::Warning,
            Severity::High | Severity::Critical => Self::Critical,
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is, and about what.
    pub note: Note,
    /// What to do about it, a whole sentence; a command stands between backquotes.
    pub hint: Option<String>,
}

impl Problem {
    /// How grave it is.
    pub fn level(&self) -> Level {
        Level::of(self.note.severity)
    }
}

/// What to think of one application.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The worst of its problems.
    pub level: Level,
    /// Its problems, the gravest first.
    pub problems: Vec<Problem>,
}

/// What to think of all.
#[derive(Clone, Debug)]
pub struct Report {
    /// The time that it is seen from.
    pub at: Timestamp,
    /// The worst of everything.
    pub level: Level,
    /// For each application of the facts, in their order.
    pub verdicts: Vec<Verdict>,
    /// Problems that belong to no application, the gravest first.
    pub problems: Vec<Problem>,
}

impl Report {
    /// How many applications stand so.
    pub fn count(&self, level: Level) -> usize {
        self.verdicts
            .iter()
            .filter(|verdict| verdict.level == level)
            .count()
    }

    /// The gravest problem, the first of several, and of which application it is, by its place in the
    /// facts.
    pub fn gravest(&self) -> Option<(&Problem, Option<usize>)> {
        let host = self.problems.iter().map(|problem| (problem, None));
        let verdicts = self.verdicts.iter().enumerate();
        let own = verdicts.flat_map(|(at, verdict)| {
            verdict
                .problems
                .iter()
                .map(move |problem| (problem, Some(at)))
        });
        let severity = |of: &(&Problem, Option<usize>)| of.0.note.severity;
        own.chain(host).reduce(|best, next| {
            if severity(&next) > severity(&best) {
                next
            } else {
                best
            }
        })
    }
}
