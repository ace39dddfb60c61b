//! The status for people at a terminal: a line for each application, and below it what is wrong with it
//! and what to do.

use super::drills::{Drill, Outcome};
use super::facts::{Application, Facts, Goals, Source, took};
use super::report::{Level, Problem, Report, Verdict};
use super::words::{age, brief, count, exact, plain, seconds, size};
use crate::catalog::Backup;
use jiff::{Timestamp, Zoned};

/// So many runs are drawn.
const RUNS: usize = 12;
/// Changes of a size below this part of it are drawn flat.
const FLAT: u64 = 5;

/// What the terminal can show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Colours.
    pub colour: bool,
    /// More than ASCII.
    pub unicode: bool,
    /// Each source, too, and not only what its application comes to.
    pub sources: bool,
}

/// How a cell looks; the numbers are those of ECMA-48's SGR.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ink {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "1;31",
        }
    }

    fn of(level: Level) -> Self {
        match level {
            Level::Ok => Self::Good,
            Level::Warning => Self::Warn,
            Level::Critical => Self::Bad,
        }
    }
}

struct Cell {
    text: String,
    ink: Ink,
}

fn cell(text: impl AsRef<str>, ink: Ink) -> Cell {
    Cell {
        text: plain(text.as_ref()),
        ink,
    }
}

/// A column's title; those of numbers stand to the right.
const TITLES: [(&str, bool); 10] = [
    ("APPLICATION", false),
    ("NEWEST", true),
    ("LIMIT", true),
    ("SIZE", true),
    ("LAST RUNS", false),
    ("TOOK", true),
    ("VERIFIED", true),
    ("PROVEN", true),
    ("DRILL", false),
    ("NEXT", true),
];

/// A line of the table, and what is to be said below it.
struct Row<'a> {
    level: Option<Level>,
    cells: Vec<Cell>,
    problems: &'a [Problem],
}

/// The screen. `now` has the reader's time zone.
pub fn render(facts: &Facts, report: &Report, style: Style, now: &Zoned) -> String {
    let screen = Screen { style, now };
    let mut text = screen.head(facts, report);
    let mut rows = Vec::new();
    for (application, verdict) in facts.applications.iter().zip(&report.verdicts) {
        rows.push(screen.application(application, verdict));
        if style.sources {
            let sources = application.sources.iter();
            rows.extend(sources.map(|source| screen.source(source, &application.goals)));
        }
    }
    if style.sources {
        // What is wrong is said after the sources that it is about.
        for at in (0..rows.len()).rev() {
            let problems = std::mem::take(&mut rows[at].problems);
            let next = rows[at + 1..].iter().position(|row| row.level.is_some());
            let last = next.map_or(rows.len(), |next| at + 1 + next) - 1;
            if !problems.is_empty() {
                rows[last].problems = problems;
            }
        }
    }
    text.push_str(&screen.table(&rows));
    if rows.is_empty() {
        text.push_str("  There is no backup, and nothing in /etc/sg says what to back up.\n");
    }
    if !report.problems.is_empty() {
        text.push('\n');
        text.push_str(&screen.problems(&report.problems, "  "));
    }
    text
}

struct Screen<'a> {
    style: Style,
    now: &'a Zoned,
}

impl Screen<'_> {
    fn paint(&self, text: &str, ink: Ink) -> String {
        if self.style.colour && ink != Ink::Plain && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", ink.code())
        } else {
            text.to_owned()
        }
    }

    fn mark(&self, level: Level) -> &'static str {
        match (level, self.style.unicode) {
            (Level::Ok, true) => "✔",
            (Level::Warning, true) => "▲",
            (Level::Critical, true) => "✖",
            (Level::Ok, false) => "+",
            (Level::Warning, false) => "!",
            (Level::Critical, false) => "X",
        }
    }

    fn head(&self, facts: &Facts, report: &Report) -> String {
        let (dot, dash) = if self.style.unicode {
            ("·", "–")
        } else {
            ("-", "-")
        };
        let mut counts = Vec::new();
        for (level, word) in [
            (Level::Critical, "critical"),
            (Level::Warning, "warning"),
            (Level::Ok, "ok"),
        ] {
            let number = report.count(level);
            if number > 0 {
                counts.push(self.paint(&format!("{number} {word}"), Ink::of(level)));
            }
        }
        let time = self.now.strftime("%Y-%m-%d %H:%M %Z").to_string();
        let mut head = format!(
            "{} {dash} {}",
            self.paint(&plain(&facts.host), Ink::Bold),
            count(facts.applications.len(), "application"),
        );
        if !counts.is_empty() {
            head.push_str(&format!(": {}", counts.join(", ")));
        }
        head.push_str(&self.paint(&format!("  {dot}  {time}"), Ink::Dim));
        head.push('\n');
        for store in &facts.stores {
            let free = store.free.map(|free| format!(", {} free", size(free)));
            let line = format!(
                "{}: {}, {}{}",
                store.directory.display(),
                count(
                    usize::try_from(store.backups).unwrap_or(usize::MAX),
                    "backup"
                ),
                size(store.bytes),
                free.unwrap_or_default(),
            );
            head.push_str(&self.paint(&plain(&line), Ink::Dim));
            head.push('\n');
        }
        head.push('\n');
        head
    }

    fn application<'a>(&self, application: &Application, verdict: &'a Verdict) -> Row<'a> {
        let goals = &application.goals;
        let wanted: Vec<&Source> = application.wanted().collect();
        let title = application.title();
        if wanted.is_empty() {
            let why = if application.configured {
                "nothing to back up"
            } else {
                "no longer configured"
            };
            return Row {
                level: Some(verdict.level),
                cells: vec![
                    cell(title, Ink::Dim),
                    cell("", Ink::Plain),
                    cell("", Ink::Plain),
                    cell("", Ink::Plain),
                    cell(why, Ink::Dim),
                ],
                problems: &verdict.problems,
            };
        }
        let took = wanted
            .iter()
            .filter_map(|source| took(source.newest()?))
            .reduce(|all, one| all + one);
        Row {
            level: Some(verdict.level),
            cells: vec![
                cell(title, Ink::Bold),
                self.newest(application.newest(), goals),
                cell(brief(goals.rpo.unwrap_or(goals.limit)), Ink::Dim),
                cell(size(application.size()), Ink::Plain),
                cell(self.sparkline(&sizes(&wanted)), Ink::Plain),
                cell(took.map(exact).unwrap_or_default(), Ink::Plain),
                self.since(application.newest_verified()),
                self.since(application.newest_proven()),
                self.drill(application),
                self.next(application),
            ],
            problems: &verdict.problems,
        }
    }

    fn source(&self, source: &Source, goals: &Goals) -> Row<'static> {
        let title = format!("  {} {}", source.kind, source.name);
        if !source.wanted {
            let old = source
                .backups
                .last()
                .map(|backup| self.age(backup.name.time));
            return Row {
                level: None,
                cells: vec![
                    cell(title, Ink::Dim),
                    cell(old.unwrap_or_default(), Ink::Dim),
                    cell("", Ink::Plain),
                    cell(size(source.bytes()), Ink::Dim),
                    cell("not asked for", Ink::Dim),
                ],
                problems: &[],
            };
        }
        let newest = source.newest();
        let proven = source.newest_proven().map(|(backup, _)| backup.name.time);
        Row {
            level: None,
            cells: vec![
                cell(title, Ink::Plain),
                self.newest(newest.map(|backup| backup.name.time), goals),
                cell("", Ink::Plain),
                cell(
                    newest.map(|backup| size(backup.bytes)).unwrap_or_default(),
                    Ink::Plain,
                ),
                cell(self.sparkline(&sizes(&[source])), Ink::Plain),
                cell(
                    newest.and_then(took).map(exact).unwrap_or_default(),
                    Ink::Plain,
                ),
                self.since(source.newest_verified().map(|backup| backup.name.time)),
                self.since(proven),
            ],
            problems: &[],
        }
    }

    fn age(&self, time: Timestamp) -> String {
        age(time, self.now.timestamp())
    }

    fn newest(&self, newest: Option<Timestamp>, goals: &Goals) -> Cell {
        let Some(newest) = newest else {
            return cell("none", Ink::Bad);
        };
        let old = self.now.timestamp().duration_since(newest);
        let ink = if old > goals.limit {
            Ink::Bad
        } else if goals.rpo.is_some_and(|rpo| old > rpo) {
            Ink::Warn
        } else {
            Ink::Good
        };
        cell(brief(old), ink)
    }

    fn since(&self, time: Option<Timestamp>) -> Cell {
        match time {
            Some(time) => cell(self.age(time), Ink::Plain),
            None => cell("-", Ink::Dim),
        }
    }

    fn drill(&self, application: &Application) -> Cell {
        let Some(last) = application.drills.last() else {
            return cell("-", Ink::Dim);
        };
        let Drill {
            at,
            outcome,
            recovery,
            ..
        } = last;
        let mut text = format!("{} {}", self.age(*at), outcome.words());
        if let Some(recovery) = recovery {
            text.push_str(&format!(", {}", seconds(*recovery)));
            if let Some(goal) = application.goals.rto {
                text.push_str(&format!(" of {}", exact(goal)));
            }
        }
        let ink = match outcome {
            Outcome::Proven => Ink::Plain,
            Outcome::Findings => Ink::Warn,
            Outcome::NotRun | Outcome::Damaged => Ink::Bad,
        };
        cell(text, ink)
    }

    fn next(&self, application: &Application) -> Cell {
        let next = application.timer.as_ref().and_then(|timer| timer.next);
        let now = self.now.timestamp();
        match next {
            Some(next) if next > now => cell(
                format!("in {}", brief(next.duration_since(now))),
                Ink::Plain,
            ),
            Some(_) => cell("now", Ink::Plain),
            None => cell("-", Ink::Dim),
        }
    }

    /// The last sizes, each as a bar.
    fn sparkline(&self, sizes: &[u64]) -> String {
        let bars: Vec<char> = if self.style.unicode {
            "▁▂▃▄▅▆▇█"
        } else {
            "_.-=+*%#"
        }
        .chars()
        .collect();
        let most = sizes.iter().copied().max().unwrap_or(0);
        let least = sizes.iter().copied().min().unwrap_or(0);
        let range = (most - least).max(most / FLAT).max(1);
        // Of empty backups, or none, even one byte is more than there is.
        let floor = most.saturating_sub(range);
        sizes
            .iter()
            .map(|size| {
                let height =
                    u128::from(size - floor) * (bars.len() as u128 - 1) / u128::from(range);
                usize::try_from(height)
                    .ok()
                    .and_then(|at| bars.get(at))
                    .copied()
                    .unwrap_or(' ')
            })
            .collect()
    }

    fn table(&self, rows: &[Row<'_>]) -> String {
        if rows.is_empty() {
            return String::new();
        }
        let says = |column: usize| {
            rows.iter().any(|row| {
                row.cells
                    .get(column)
                    .is_some_and(|cell| !matches!(cell.text.as_str(), "" | "-"))
            })
        };
        let columns: Vec<usize> = (0..TITLES.len()).filter(|&column| says(column)).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.cells.get(column));
            let widest = cells
                .map(|cell| cell.text.chars().count())
                .max()
                .unwrap_or(0);
            widest.max(TITLES[column].0.len())
        };
        let line = |cells: &dyn Fn(usize) -> Option<(String, Ink)>| {
            let mut line = String::new();
            for &column in &columns {
                let (text, ink) = cells(column).unwrap_or((String::new(), Ink::Plain));
                let pad = " ".repeat(width(column).saturating_sub(text.chars().count()));
                let painted = self.paint(&text, ink);
                line.push_str(&if TITLES[column].1 {
                    pad + &painted
                } else {
                    painted + &pad
                });
                line.push_str("  ");
            }
            line.trim_end().to_owned() + "\n"
        };
        let mut text = format!(
            "   {}",
            line(&|column| Some((TITLES[column].0.to_owned(), Ink::Dim)))
        );
        for row in rows {
            let mark = row.level.map_or(" ".to_owned(), |level| {
                self.paint(self.mark(level), Ink::of(level))
            });
            let cells = |column: usize| {
                row.cells
                    .get(column)
                    .map(|cell| (cell.text.clone(), cell.ink))
            };
            text.push_str(&format!("{mark}  {}", line(&cells)));
            text.push_str(&self.problems(row.problems, "   "));
        }
        text
    }

    fn problems(&self, problems: &[Problem], indent: &str) -> String {
        let mut text = String::new();
        for problem in problems {
            let ink = match problem.level() {
                Level::Ok => Ink::Dim,
                level => Ink::of(level),
            };
            let severity = self.paint(&format!("{:8}", problem.note.severity.to_string()), ink);
            let note = plain(&problem.note.to_string());
            text.push_str(&format!("{indent}{severity} {note}\n"));
            if let Some(hint) = problem
                .hint
                .as_ref()
                .filter(|_| problem.level() > Level::Ok)
            {
                text.push_str(&format!(
                    "{indent}{:8} {}\n",
                    "",
                    self.paint(&plain(&hint.replace('`', "")), Ink::Dim)
                ));
            }
        }
        text
    }
}

/// What the last runs of `sources` together came to, oldest first.
fn sizes(sources: &[&Source]) -> Vec<u64> {
    let last = |source: &Source| -> Vec<u64> {
        let good = source
            .backups
            .iter()
            .rev()
            .filter(|backup| backup.state.is_good());
        good.take(RUNS)
            .map(|backup: &Backup| backup.bytes)
            .collect()
    };
    let each: Vec<Vec<u64>> = sources.iter().map(|source| last(source)).collect();
    let runs = each.iter().map(Vec::len).min().unwrap_or(0);
    (0..runs)
        .rev()
        .map(|run| each.iter().map(|sizes| sizes[run]).sum())
        .collect()
}
