//! sg-list: what a store holds.

mod args;
mod audit;

use args::Args;
use jiff::{Timestamp, Zoned};
use sg::catalog::{Backup, Catalog, Pin, Selection};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::table::{self, Table};
use sg::program::{self, Console, Exit};
use sg::store::Local;
use sg::{Error, Kind, Result};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    let args: Args = program::parse();
    program::run("sg-list", &args.talk, |console| {
        if args.audit {
            audit::show(&args, console)
        } else {
            work(&args, console)
        }
    })
}

fn work(args: &Args, console: &Console) -> Result<Exit> {
    let now = Zoned::now();
    let mut selection = args.time.narrow(args.source.selection(), &now)?;
    selection.verified = args.verified;
    selection.proven = args.proven;
    selection.all = args.all;

    let catalog = Catalog::read(&Local::open(&args.store.directory))?;
    let no_good = if args.all {
        0
    } else {
        count_no_good(&catalog, &selection)
    };
    let unfinished = catalog.unfinished;
    let backups = selection.of(catalog.backups);
    if no_good > 0 {
        console.say(
            &format!("{no_good} more, unfinished or damaged: sg-list --all"),
            &[],
        );
    }
    if args.all {
        for source in unfinished {
            let message =
                format!("a run for '{source}' is going on, or was killed: sg-prune clears up");
            console.say(&message, &[]);
        }
    }
    if backups.is_empty() && selection.is_narrow() {
        let directory = args.store.directory.display();
        let message = format!("no such backup in '{directory}'");
        return Err(Error::new(Kind::Failed, message)
            .with_hint("sg-list --all, with nothing else, shows everything that is there."));
    }

    let lines = Lines::new(&args.lines, ClosedPipe::Ends);
    if args.is_for_people(io::stdout().is_terminal()) {
        lines.write(table(&backups, now.timestamp()).as_bytes())?;
    } else {
        for backup in &backups {
            if !lines.put(&backup.path, backup)? {
                break;
            }
        }
    }
    Ok(Exit::Done)
}

/// How many that would be meant can't be counted on.
fn count_no_good(catalog: &Catalog, selection: &Selection) -> usize {
    let wider = Selection {
        all: true,
        newest: false,
        verified: false,
        proven: false,
        ..selection.clone()
    };
    let all = catalog.backups.iter().filter(|backup| wider.has(backup));
    all.filter(|backup| !backup.state.is_good()).count()
}

fn table(backups: &[Backup], now: Timestamp) -> String {
    if backups.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        "TIME", "KIND", "NAME", "APP", " SIZE", " CONTENT", " AGE", "STATE",
    ]);
    for backup in backups {
        let seal = backup.seal.as_ref();
        table.row([
            table::time(backup.name.time),
            backup.name.kind.clone(),
            backup.name.name.clone(),
            backup.app.clone().unwrap_or_default(),
            table::size(backup.bytes),
            seal.map(|seal| table::size(seal.content_bytes))
                .unwrap_or_default(),
            table::age(backup.name.time, now),
            state(backup, now),
        ]);
    }
    table.to_string()
}

/// How it stands, since when that is known, and whether it is pinned.
fn state(backup: &Backup, now: Timestamp) -> String {
    let mut text = backup.state.to_string();
    if let Some(check) = backup.last_check() {
        text = format!("{text} {} ago", table::age(check.at, now));
    }
    // What a drill has shown says more than what was read back since.
    if let Some(check) = backup.proven() {
        text = format!("proven {} ago", table::age(check.at, now));
    }
    match backup.pin {
        Some(Pin { until: None }) => text.push_str(", pinned"),
        Some(Pin { until: Some(until) }) if until > now => {
            text.push_str(&format!(", pinned until {}", table::time(until)));
        }
        _ => {}
    }
    text
}
