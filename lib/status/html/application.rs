//! One application on the page: a line ([`super::line`]), which opens into its history.

use super::chart::{self, Life, Point};
use super::{Budget, escaped, item, line, stamp};
use crate::catalog::Backup;
use crate::monitor::Note;
use crate::status::drills::{Drill, Outcome};
use crate::status::facts::{Application, Source, took};
use crate::status::report::{Level, Verdict};
use crate::status::words::{age, count, day, seconds, size};
use jiff::{SignedDuration, Timestamp, Zoned};
use std::fmt::Write;

/// So many drills are listed.
const DRILLS: usize = 12;

/// Where on the page it stands.
pub(super) struct Place<'a> {
    /// Which of the applications it is.
    pub(super) at: usize,
    /// Whether it is open from the start.
    pub(super) open: bool,
    pub(super) budget: Budget,
    pub(super) now: &'a Zoned,
}

impl Place<'_> {
    pub(super) fn now(&self) -> Timestamp {
        self.now.timestamp()
    }

    pub(super) fn day(&self, at: Timestamp) -> String {
        day(at, self.now.time_zone())
    }
}

/// Writes an application.
pub(super) fn render(
    page: &mut String,
    application: &Application,
    verdict: &Verdict,
    place: &Place<'_>,
) {
    let judged = application.wanted().next().is_some();
    let class = if judged { verdict.level.word() } else { "off" };
    let open = if place.open { " open" } else { "" };
    let _ = write!(page, "<details class=\"app {class}\"{open}><summary>");
    line::render(page, application, verdict, judged, place);
    let _ = write!(page, "</summary><div class=in id=a{}>", place.at);
    let problems: Vec<_> = verdict.problems.iter().collect();
    if !problems.is_empty() {
        page.push_str("<h4>What was noticed</h4><ul class=problems>");
        for problem in problems {
            let _ = write!(
                page,
                "<li class={}>",
                match problem.level() {
                    Level::Ok => "off",
                    level => level.word(),
                }
            );
            item(page, problem, "");
        }
        page.push_str("</ul>");
    }
    for of in &application.sources {
        source(page, of, place);
    }
    drills(page, application, place);
    page.push_str("</div></details>");
}

fn source(page: &mut String, source: &Source, place: &Place<'_>) {
    let about = match (source.wanted, source.newest()) {
        (false, _) => "not backed up any more".to_owned(),
        (true, None) => "no backup".to_owned(),
        (true, Some(newest)) => format!(
            "{} old, {}",
            age(newest.name.time, place.now()),
            newest.state.word()
        ),
    };
    let _ = write!(
        page,
        "<h4>{} {} <small>{about}</small></h4>",
        escaped(&source.kind),
        escaped(&source.name),
    );
    if source.backups.is_empty() {
        return;
    }
    page.push_str("<div class=charts>");
    let bytes: Vec<Point> = source
        .backups
        .iter()
        .map(|backup| Point {
            at: backup.name.time,
            value: backup.bytes as f64,
            good: backup.state.is_good(),
        })
        .collect();
    let shown = |value: f64| size(value as u64);
    figure(page, "Size", &bytes, None, &shown, place);
    let times: Vec<Point> = source
        .backups
        .iter()
        .filter_map(|backup| {
            let value = took(backup)?.as_secs_f64();
            Some(Point {
                at: backup.name.time,
                value,
                good: true,
            })
        })
        .collect();
    figure(
        page,
        "Duration",
        &times,
        None,
        &|value| seconds(value),
        place,
    );
    page.push_str("</div>");
    kept(page, source, place);
}

/// A chart with its words: what, the newest value, the highest one, and from when to when.
fn figure(
    page: &mut String,
    title: &str,
    points: &[Point],
    goal: Option<f64>,
    shown: &dyn Fn(f64) -> String,
    place: &Place<'_>,
) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let highest = points.iter().map(|point| point.value).fold(0.0, f64::max);
    let least = points
        .iter()
        .map(|point| point.value)
        .fold(f64::MAX, f64::min);
    let (from, to) = (place.day(first.at), place.day(last.at));
    let may = goal.map_or(String::new(), |goal| format!(", may be {}", shown(goal)));
    let label = format!(
        "{title} from {from} to {to}: last {}, least {}, most {}{may}, {}",
        shown(last.value),
        shown(least),
        shown(highest),
        count(points.len(), "value"),
    );
    let beside = match goal {
        Some(goal) => format!("may be {}", shown(goal)),
        None => format!("at most {}", shown(highest)),
    };
    let _ = write!(
        page,
        "<figure><figcaption><span>{title} <b>{}</b></span><span>{beside}</span></figcaption>{}<div class=axis><span>{from}</span><span>{to}</span></div></figure>",
        shown(last.value),
        chart::area(points, place.budget.points, goal, &label),
    );
}

/// What is kept of a source and until when: drawn, and as a table.
fn kept(page: &mut String, source: &Source, place: &Place<'_>) {
    let goes = |at: usize| source.goes.get(at).copied().flatten();
    let lives: Vec<Life> = source
        .backups
        .iter()
        .enumerate()
        .map(|(at, backup)| Life {
            from: backup.name.time,
            to: goes(at),
            good: backup.state.is_good(),
        })
        .collect();
    let number = count(lives.len(), "backup");
    let furthest = lives.iter().filter_map(|life| life.to).max();
    let stay = lives.iter().filter(|life| life.to.is_none()).count();
    let mut told = format!("{number}, {}", size(source.bytes()));
    match (furthest, stay) {
        (_, all) if all == lives.len() => told.push_str(", kept without an end in sight"),
        (Some(furthest), 0) => {
            told.push_str(&format!(", the last goes on {}", place.day(furthest)));
        }
        (Some(furthest), stay) => told.push_str(&format!(
            ", {stay} without an end in sight, the last of the others goes on {}",
            place.day(furthest)
        )),
        (None, _) => {}
    }
    let label = format!("Since when and until when each backup is kept: {told}");
    if let (true, Some(drawn)) = (
        lives.len() > 1,
        chart::lives(&lives, place.budget.lives, place.now(), &label),
    ) {
        let first = lives
            .first()
            .map(|life| place.day(life.from))
            .unwrap_or_default();
        let _ = write!(
            page,
            "<figure class=more><figcaption><span>Kept <b>{told}</b></span></figcaption><div style=\"height:{}px\">{}</div>\
             <div class=axis><span>{first}</span><span class=now style=\"left:{:.0}%\">now</span><span>{}</span></div></figure>",
            drawn.height,
            drawn.svg,
            drawn.now.clamp(14.0, 86.0),
            place.day(drawn.end),
        );
    }
    table(page, source, &goes, place);
}

fn table(
    page: &mut String,
    source: &Source,
    goes: &dyn Fn(usize) -> Option<Timestamp>,
    place: &Place<'_>,
) {
    let all = source.backups.len();
    let rows = place.budget.rows.min(all);
    let title = if rows < all {
        format!("The newest {rows} of {all} backups")
    } else {
        count(all, "backup")
    };
    let _ = write!(
        page,
        "<details class=more><summary>{title}<span class=vh> of {} {}</span></summary><table><tr><th>Begun<th class=num>Size<th>State<th>Kept until",
        escaped(&source.kind),
        escaped(&source.name),
    );
    for (at, backup) in source.backups.iter().enumerate().rev().take(rows) {
        let until = match goes(at) {
            Some(time) if time <= place.now() => "next prune".to_owned(),
            Some(time) => place.day(time),
            None if backup.is_pinned(place.now()) => match backup.pin.and_then(|pin| pin.until) {
                Some(until) => format!("{}, pinned", place.day(until)),
                None => "pinned".to_owned(),
            },
            None => "no end in sight".to_owned(),
        };
        let bad = if backup.state.is_good() {
            ""
        } else {
            " class=bad"
        };
        let _ = write!(
            page,
            "<tr><td>{}<td class=num>{}<td{bad}>{}<td>{until}",
            stamp(backup.name.time, place.now),
            size(backup.bytes),
            state(backup),
        );
    }
    page.push_str("</table></details>");
}

fn state(backup: &Backup) -> &'static str {
    match crate::status::facts::proven(backup) {
        Some(_) if backup.state.is_good() => "proven",
        _ => backup.state.word(),
    }
}

fn drills(page: &mut String, application: &Application, place: &Place<'_>) {
    if application.drills.is_empty() {
        return;
    }
    page.push_str("<h4>Restore drills</h4><div class=charts>");
    let recoveries: Vec<Point> = application
        .drills
        .iter()
        .filter_map(|drill| {
            let value = drill.recovery?;
            Some(Point {
                at: drill.at,
                value,
                good: drill.outcome == Outcome::Proven,
            })
        })
        .collect();
    let goal = application
        .goals
        .rto
        .map(|goal: SignedDuration| goal.as_secs_f64());
    figure(
        page,
        "Recovery time",
        &recoveries,
        goal,
        &|value| seconds(value),
        place,
    );
    page.push_str("<div class=scroll><table><tr><th>Drill<th>Outcome<th>Recovery<th>Findings");
    for drill in application.drills.iter().rev().take(DRILLS) {
        row(page, drill, place);
    }
    page.push_str("</table></div></div>");
}

fn row(page: &mut String, drill: &Drill, place: &Place<'_>) {
    let findings: Vec<&Note> = drill
        .findings
        .iter()
        .filter(|note| note.is_finding())
        .collect();
    let findings = match findings.as_slice() {
        [] => "none".to_owned(),
        [one] => escaped(&one.to_string()),
        [first, rest @ ..] => format!("{} (and {} more)", escaped(&first.to_string()), rest.len()),
    };
    let bad = if drill.outcome == Outcome::Proven {
        ""
    } else {
        " class=bad"
    };
    let full = if drill.full { " (whole system)" } else { "" };
    let _ = write!(
        page,
        "<tr><td>{}<td{bad}>{}{full}<td>{}<td>{findings}",
        place.day(drill.at),
        drill.outcome.words(),
        drill
            .recovery
            .map_or_else(|| "not measured".to_owned(), seconds),
    );
}
