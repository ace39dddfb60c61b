//! The status as a plugin of Nagios, Icinga, Naemon, Checkmk and their like: one line, after the
//! Monitoring Plugins' development guidelines.
//!
//! `SG STATE: text | 'label'=value[unit];[warn];[crit];[min];[max] …`. The exit status says the same:
//! 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. A label has neither `'` nor `=`, the text no `|`, nothing a
//! line's end: whatever a name or a message holds.

use super::facts::{Application, Facts, took};
use super::report::{Level, Report, Verdict};
use super::words::{self, age, count};
use crate::error::Error;
use jiff::Timestamp;

/// The status of a check that could not be made.
pub const UNKNOWN: u8 = 3;

/// The line, and the exit status that goes with it.
pub fn render(facts: &Facts, report: &Report) -> (String, u8) {
    let (word, status) = match report.level {
        Level::Ok => ("OK", 0),
        Level::Warning => ("WARNING", 1),
        Level::Critical => ("CRITICAL", 2),
    };
    let text = match report
        .gravest()
        .filter(|(problem, _)| problem.level() > Level::Ok)
    {
        Some((problem, at)) => {
            let owner = at.and_then(|at| facts.applications.get(at));
            let owner = owner.map_or(String::new(), |owner| format!("{}: ", owner.title()));
            let serious = |verdict: &Verdict| {
                verdict
                    .problems
                    .iter()
                    .filter(|problem| problem.level() > Level::Ok)
                    .count()
            };
            let own = report
                .problems
                .iter()
                .filter(|problem| problem.level() > Level::Ok)
                .count();
            let more = report.verdicts.iter().map(serious).sum::<usize>() + own - 1;
            let more = match more {
                0 => String::new(),
                more => format!(" (and {})", count(more, "more problem")),
            };
            format!("{owner}{}{more}", problem.note)
        }
        None => well(facts, report.at),
    };
    let figures: Vec<String> = facts
        .applications
        .iter()
        .flat_map(|app| figures(app, report.at))
        .collect();
    let mut line = format!("SG {word}: {}", plain(&text));
    if !figures.is_empty() {
        line.push_str(" | ");
        line.push_str(&figures.join(" "));
    }
    line.push('\n');
    (line, status)
}

/// The line of a check that could not be made, for the reason that `error` has.
pub fn unknown(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!(" ({hint})"));
    }
    format!("SG UNKNOWN: {}\n", plain(&text))
}

fn well(facts: &Facts, now: Timestamp) -> String {
    let judged = facts
        .applications
        .iter()
        .filter(|app| app.wanted().next().is_some());
    let oldest = judged
        .clone()
        .filter_map(|app| Some((app.newest()?, app)))
        .min_by_key(|(newest, _)| *newest);
    match oldest {
        Some((newest, app)) => format!(
            "{}, the least recent backup is {} old ({})",
            count(judged.count(), "application"),
            age(newest, now),
            app.title()
        ),
        None => "nothing is to be backed up".to_owned(),
    }
}

/// The performance data of one application.
fn figures(app: &Application, now: Timestamp) -> Vec<String> {
    let mut figures = Vec::new();
    if app.wanted().next().is_none() {
        return figures;
    }
    let label = |what: &str| {
        let title: String = app
            .title()
            .chars()
            .map(|c| {
                if c.is_control() || "|'=".contains(c) {
                    '_'
                } else {
                    c
                }
            })
            .collect();
        format!("'{title} {what}'")
    };
    let goals = &app.goals;
    if let Some(newest) = app.newest() {
        let age = now.duration_since(newest).as_secs().max(0);
        let warn = goals
            .rpo
            .map_or(String::new(), |rpo| rpo.as_secs().to_string());
        figures.push(format!(
            "{}={age}s;{warn};{};0",
            label("age"),
            goals.limit.as_secs()
        ));
    }
    figures.push(format!("{}={}B;;;0", label("size"), app.size()));
    let took = app.wanted().filter_map(|source| took(source.newest()?));
    let took = took
        .map(|took| took.as_secs_f64())
        .reduce(|all, one| all + one);
    if let Some(took) = took {
        figures.push(format!("{}={took:.3}s;;;0", label("duration")));
    }
    if let Some(recovery) = app.drills.last().and_then(|drill| drill.recovery) {
        let crit = goals
            .rto
            .map_or(String::new(), |rto| rto.as_secs().to_string());
        figures.push(format!("{}={recovery:.3}s;;{crit};0", label("recovery")));
    }
    figures
}

/// Without what would end the text, or the line.
fn plain(text: &str) -> String {
    words::plain(text).replace('|', " ")
}
