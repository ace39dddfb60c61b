//! The status as one page for a browser: nothing is fetched from elsewhere, nothing is run. It is read
//! on a phone, by night, by keyboard and by a screen reader, and may be shown to others.
//!
//! State comes first, then what is wrong with what to do, then a line for each application that opens
//! into its history. With more applications each gets fewer points and rows, so that the page stays
//! small.

mod application;
mod chart;
mod line;

use super::facts::{Application, Facts};
use super::report::{Level, Problem, Report};
use super::words::{age, brief, count, minute, size};
use jiff::{SignedDuration, Timestamp, Zoned};
use std::fmt::Write;

const CSS: &str = include_str!("page.css");
/// Rows of tables on the whole page.
const ROWS: usize = 2_000;
/// Points of charts on the whole page.
const POINTS: usize = 9_000;
/// Lengths of life drawn on the whole page.
const LIVES: usize = 4_000;
/// A drill that is so long ago proves little about today.
const PROVEN: SignedDuration = SignedDuration::from_hours(40 * 24);

/// How much of its history each source may show.
#[derive(Clone, Copy, Debug)]
struct Budget {
    points: usize,
    rows: usize,
    lives: usize,
}

impl Budget {
    fn of(facts: &Facts) -> Self {
        let sources: usize = facts.applications.iter().map(|app| app.sources.len()).sum();
        Self {
            points: (POINTS / sources.max(1) / 2).clamp(20, 160),
            rows: (ROWS / sources.max(1)).clamp(6, 60),
            lives: (LIVES / sources.max(1)).clamp(20, 40),
        }
    }
}

/// The page. `now` has the reader's time zone.
pub fn render(facts: &Facts, report: &Report, now: &Zoned) -> String {
    let title = headline(facts, report);
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta name=color-scheme content=\"light dark\">\
         <meta name=robots content=noindex>\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none';style-src 'unsafe-inline';img-src data:\">\
         <title>{title} – backups of {host}</title>\
         <link rel=icon href=\"{icon}\"><style>{CSS}</style>\
         <body><a class=skip href=#apps>Skip to the applications</a><div class=wrap>",
        host = escaped(&facts.host),
        icon = icon(report.level),
    );
    head(&mut page, facts, report, &title, now);
    page.push_str("<main>");
    tiles(&mut page, facts, report.at);
    problems(&mut page, facts, report);
    page.push_str(
        "<section id=apps aria-labelledby=apps-title><h2 id=apps-title>Applications</h2>",
    );
    if facts.applications.is_empty() {
        page.push_str("<p class=soft>There is no backup, and no settings say what to back up.</p>");
    }
    let budget = Budget::of(facts);
    // Whoever has few of them wants to see all at once.
    let few = facts.applications.len() <= 2;
    for at in order(report) {
        let place = application::Place {
            at,
            open: few,
            budget,
            now,
        };
        application::render(
            &mut page,
            &facts.applications[at],
            &report.verdicts[at],
            &place,
        );
    }
    page.push_str("</section></main>");
    let _ = write!(
        page,
        "<footer>Written by sg-status {} on {}. sg-status.timer has it written every hour: if it is older than that, \
         nobody is looking, and <code>systemctl status sg-status</code> tells why.</footer></div>",
        env!("CARGO_PKG_VERSION"),
        when(report.at, now),
    );
    page
}

/// The places of the applications, what needs somebody first.
fn order(report: &Report) -> Vec<usize> {
    let mut order: Vec<usize> = (0..report.verdicts.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(report.verdicts[at].level));
    order
}

fn headline(facts: &Facts, report: &Report) -> String {
    let all = facts.applications.len();
    let of = |number: usize, one: &str, many: &str| {
        let verb = if number == 1 { one } else { many };
        match (number, all) {
            (1, 1) => format!("The application {verb}"),
            _ => format!("{number} of {} {verb}", count(all, "application")),
        }
    };
    let critical = report.count(Level::Critical);
    let warnings = report.count(Level::Warning);
    match (critical, warnings) {
        (0, 0) if report.level > Level::Ok => "The host needs a look".to_owned(),
        (0, 0) if all == 0 => "Nothing is backed up yet".to_owned(),
        (0, 0) if all == 1 => "The application is well backed up".to_owned(),
        (0, 0) => format!("All {all} applications are well backed up"),
        (0, number) => of(number, "needs a look", "need a look"),
        (number, _) => of(number, "needs you today", "need you today"),
    }
}

fn head(page: &mut String, facts: &Facts, report: &Report, title: &str, now: &Zoned) {
    let shares = [Level::Ok, Level::Warning, Level::Critical]
        .map(|level| (level.word(), report.count(level)));
    let words: Vec<String> = shares
        .iter()
        .rev()
        .filter(|(_, number)| *number > 0)
        .map(|(word, number)| format!("{number} {word}"))
        .collect();
    let words = if words.is_empty() {
        String::new()
    } else {
        format!(": {}", words.join(", "))
    };
    let _ = write!(
        page,
        "<header class=head>{}<div><h1>{title}</h1><p>Backups of <b>{}</b>{words} · seen on {}</p></div></header>",
        chart::ring(&shares),
        escaped(&facts.host),
        when(report.at, now),
    );
}

/// A point in time for people and machines.
fn when(at: Timestamp, now: &Zoned) -> String {
    let zoned = at.to_zoned(now.time_zone().clone());
    let machine = zoned.strftime("%Y-%m-%dT%H:%M%:z");
    format!(
        "<time datetime=\"{machine}\">{}</time>",
        zoned.strftime("%A, %Y-%m-%d %H:%M %Z")
    )
}

fn tile(page: &mut String, title: &str, value: &str, text: &str) {
    let _ = write!(
        page,
        "<dl class=tile><dt>{title}</dt><dd>{}</dd><dd>{}</dd></dl>",
        escaped(value),
        escaped(text)
    );
}

fn tiles(page: &mut String, facts: &Facts, now: Timestamp) {
    page.push_str("<div class=tiles>");
    let judged: Vec<&Application> = facts
        .applications
        .iter()
        .filter(|app| app.wanted().next().is_some())
        .collect();
    let oldest = judged
        .iter()
        .filter_map(|app| Some((app.newest()?, app.title())))
        .min();
    if let Some((newest, title)) = oldest {
        tile(
            page,
            "Least recent backup",
            &format!("{} ago", age(newest, now)),
            title,
        );
    }
    let bytes: u64 = judged.iter().map(|app| app.size()).sum();
    let sources = judged.iter().flat_map(|app| app.wanted()).count();
    tile(
        page,
        "Newest backups",
        &size(bytes),
        &format!("of {}", count(sources, "source")),
    );
    let backups: u64 = facts.stores.iter().map(|store| store.backups).sum();
    let used: u64 = facts.stores.iter().map(|store| store.bytes).sum();
    tile(
        page,
        "Kept",
        &size(used),
        &count(usize::try_from(backups).unwrap_or(usize::MAX), "backup"),
    );
    for store in &facts.stores {
        if let (Some(free), Some(capacity)) =
            (store.free, store.capacity.filter(|bytes| *bytes > 0))
        {
            let text = format!(
                "{} % of {}",
                free as u128 * 100 / u128::from(capacity),
                size(capacity)
            );
            tile(page, "Free in the store", &size(free), &text);
        }
    }
    let proven = |app: &&&Application| {
        app.drills.last().is_some_and(|drill| {
            drill.outcome == super::Outcome::Proven && now.duration_since(drill.at) <= PROVEN
        })
    };
    let number = judged.iter().filter(proven).count();
    if facts.applications.iter().any(|app| !app.drills.is_empty()) {
        tile(
            page,
            "Proven by a drill",
            &format!("{number} of {}", judged.len()),
            &format!("within {}", brief(PROVEN)),
        );
    }
    page.push_str("</div>");
}

fn problems(page: &mut String, facts: &Facts, report: &Report) {
    let host = report.problems.iter().map(|problem| (problem, None));
    let own = report
        .verdicts
        .iter()
        .enumerate()
        .flat_map(|(at, verdict)| {
            verdict
                .problems
                .iter()
                .map(move |problem| (problem, Some(at)))
        });
    let mut all: Vec<(&Problem, Option<usize>)> = host.chain(own).collect();
    all.retain(|(problem, _)| problem.level() > Level::Ok);
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|(problem, _)| std::cmp::Reverse(problem.note.severity));
    page.push_str(
        "<section aria-labelledby=todo><h2 id=todo>What needs a look</h2><ul class=problems>",
    );
    for (problem, at) in all {
        let owner = at.map(|at| {
            format!(
                "<a href=#a{at}>{}</a>: ",
                escaped(facts.applications[at].title())
            )
        });
        let _ = write!(page, "<li class={}>", problem.level().word());
        item(page, problem, &owner.unwrap_or_default());
    }
    page.push_str("</ul></section>");
}

/// The inside of a list's item about `problem`.
fn item(page: &mut String, problem: &Problem, owner: &str) {
    let _ = write!(
        page,
        "<span class=badge>{}</span><div>{owner}{}</div>",
        problem.note.severity,
        escaped(&problem.note.to_string()),
    );
    if let Some(hint) = &problem.hint {
        let _ = write!(page, "<p>{}</p>", with_commands(hint));
    }
}

/// A sentence whose commands stand between backquotes.
fn with_commands(hint: &str) -> String {
    let mut parts = hint.split('`');
    let mut text = parts.next().map(escaped).unwrap_or_default();
    while let Some(command) = parts.next() {
        let _ = write!(text, "<code>{}</code>", escaped(command));
        text.push_str(&parts.next().map(escaped).unwrap_or_default());
    }
    text
}

/// A dot in the colour of the state.
fn icon(level: Level) -> String {
    let colour = match level {
        Level::Ok => "2da44e",
        Level::Warning => "d4930d",
        Level::Critical => "d1242f",
    };
    format!(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'%3E%3Ccircle cx='4.5' cy='4.5' r='4' fill='%23{colour}'/%3E%3C/svg%3E"
    )
}

/// Text in HTML, also within quotes; what a terminal would act upon is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// A day and minute on the reader's clock, as tables have it.
fn stamp(at: Timestamp, now: &Zoned) -> String {
    minute(at, now.time_zone())
}
