//! sg-list --audit: what was done to backups, by whom, and whether that is still the story as written.

use super::args::Args;
use jiff::{Timestamp, Zoned};
use serde::Serialize;
use sg::audit::{self, Checked, Flaw, Record, Trail};
use sg::catalog::Selection;
use sg::monitor::{Monitor, Note, Severity};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::table::{self, Table};
use sg::program::{Console, Exit};
use sg::words::count;
use sg::{Error, Kind, Result};
use std::path::Path;

/// A record as `--json` tells of it.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    #[serde(flatten)]
    record: &'a Record,
    hash: &'a str,
}

/// What `--json` ends with.
#[derive(Serialize)]
struct End<'a> {
    checked: Summary<'a>,
}

#[derive(Serialize)]
struct Summary<'a> {
    file: &'a Path,
    intact: bool,
    records: u64,
    last: Option<u64>,
    hash: Option<&'a str>,
    unfinished: &'a [u64],
    witnessed: u64,
    flaws: Vec<Told<'a>>,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    flaw: &'a Flaw,
    message: String,
}

/// Shows the records that are meant and checks all.
pub(crate) fn show(args: &Args, console: &Console) -> Result<Exit> {
    let selection = args.time.narrow(args.source.selection(), &Zoned::now())?;
    let trail = Trail::at(&args.trail.audit_file);
    let witnesses = audit::witnesses(trail.path()).unwrap_or_else(|error| {
        console.note(Note::new(
            Severity::Info,
            "no-witness",
            trail.path().display().to_string(),
            format!("whether its end is missing can't be told: {error}"),
        ));
        Vec::new()
    });
    let Some(file) = trail.read()? else {
        return Err(no_trail(&trail, witnesses.len()));
    };
    let lines = Lines::new(&args.lines, ClosedPipe::Ends);
    let mut table = Table::new(&[
        " N", "TIME", "ACTION", "RESULT", "KIND", "NAME", "APP", "BY", "UNIT", "WHY", "WHAT",
    ]);
    let mut open = true;
    let checked = audit::check(file, &witnesses, |line, record| {
        if !is_meant(record, &selection) {
            return Ok(());
        }
        if args.lines.json {
            let hash = &record.hash;
            open = open && lines.put(trail.path(), &Line { line, record, hash })?;
        } else {
            table.row(row(record));
        }
        Ok(())
    })?;
    if args.lines.json {
        open = open && lines.put(trail.path(), &end(&trail, &checked))?;
    } else {
        open = lines.write(table.to_string().as_bytes())?;
    }
    if open {
        tell(&trail, &checked, console);
    }
    Ok(if checked.flaws.is_empty() {
        Exit::Done
    } else {
        Exit::Damaged
    })
}

fn no_trail(trail: &Trail, witnesses: usize) -> Error {
    let path = trail.path().display();
    if witnesses > 0 {
        return Error::damaged(format!(
            "there is no audit trail '{path}', though the journal knows of {} in it",
            count(witnesses, "line")
        ))
        .with_hint("It was removed. The journal still tells: journalctl -t sg-dump-db -t sg-restore SG_AUDIT_N=1");
    }
    Error::new(Kind::Failed, format!("there is no audit trail '{path}'"))
        .with_hint("It begins with the first backup. --audit-file names another.")
}

fn is_meant(record: &Record, selection: &Selection) -> bool {
    let deed = &record.deed;
    let is = |wanted: &Option<String>, found: &Option<String>| {
        wanted.is_none() || wanted.as_ref() == found.as_ref()
    };
    let after = |bound: Option<Timestamp>| bound.is_none_or(|bound| record.at >= bound);
    let before = |bound: Option<Timestamp>| bound.is_none_or(|bound| record.at <= bound);
    is(&selection.app, &deed.app)
        && is(&selection.kind, &deed.kind)
        && is(&selection.name, &deed.name)
        && after(selection.since)
        && before(selection.until)
}

fn row(record: &Record) -> [String; 11] {
    let (deed, actor) = (&record.deed, &record.actor);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut by = actor.user.clone();
    let person = actor.sudo_user.as_ref().or(actor.login_user.as_ref());
    if let Some(person) = person.filter(|person| **person != by) {
        by = format!("{person} as {by}");
    }
    let mut what = text(&deed.detail);
    if let Some(target) = &deed.target {
        what = format!("to '{target}' {what}");
    }
    [
        record.n.to_string(),
        table::time(record.at),
        deed.action.to_string(),
        deed.result.to_string(),
        text(&deed.kind),
        text(&deed.name),
        text(&deed.app),
        by,
        text(&actor.unit),
        text(&actor.reason),
        what,
    ]
    // A line stays a line, and a terminal is not told what to do.
    .map(|cell| cell.replace(char::is_control, " ").trim_end().to_owned())
}

fn end<'a>(trail: &'a Trail, checked: &'a Checked) -> End<'a> {
    let told = |flaw: &'a Flaw| Told {
        flaw,
        message: flaw.to_string(),
    };
    End {
        checked: Summary {
            file: trail.path(),
            intact: checked.flaws.is_empty(),
            records: checked.records,
            last: checked.last.as_ref().map(|(n, _)| *n),
            hash: checked.last.as_ref().map(|(_, hash)| hash.as_str()),
            unfinished: &checked.unfinished,
            witnessed: checked.witnessed,
            flaws: checked.flaws.iter().map(told).collect(),
        },
    }
}

fn tell(trail: &Trail, checked: &Checked, console: &Console) {
    let path = trail.path().display();
    for line in &checked.unfinished {
        console.say(
            &format!("{path}: line {line} was never finished: its writer was killed"),
            &[],
        );
    }
    for flaw in &checked.flaws {
        console.note(Note::new(
            Severity::Critical,
            "audit-trail",
            path.to_string(),
            flaw.to_string(),
        ));
    }
    if let (true, Some((_, hash))) = (checked.flaws.is_empty(), &checked.last) {
        console.say(
            &format!(
                "{path}: {} records, as they were written; the journal bears out {}; the last is {hash}",
                checked.records, checked.witnessed
            ),
            &[],
        );
    }
}
