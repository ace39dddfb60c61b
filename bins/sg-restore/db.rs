//! sg-restore db.

use super::NAME;
use super::args::DbArgs;
use super::confirm::confirm;
use indicatif::HumanBytes;
use sg::audit::{Deed, Outcome};
use sg::estimate::{Past, stored};
use sg::monitor::Monitor;
use sg::postgres::Conninfo;
use sg::postgres::restore::{self, Partial, Preflight, Selection, Source};
use sg::program::operands;
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{Auditor, Console, Exit};
use sg::words::count;
use sg::{Error, Kind, Result};
use std::path::Path;
use std::time::Instant;

/// Restores the database that `args` name.
pub(crate) fn restore(args: &DbArgs, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let path = operands::path_of_one(args.common.file.as_ref(), &args.common.lines)?;
    let options = args.options();
    let source = Source::open(&path, options.jobs)?;
    let to = target(args, &source)?;
    let selection = args.selection();
    if selection.is_partial() {
        return restore_part(args, &path, &source, &to, &selection, console, audit);
    }
    let (mut control, preflight) = restore::look(&source, &to, &options, args.in_place)?;
    show(&path, &source, &preflight, args, console);
    let past = Past::read(&args.past.places(&args.common.audit));
    let name = source.database().map_or("", |database| &database.database);
    let estimate = past.estimate("db", name, stored(&path));
    console.say(&estimate.sentence(), &[]);
    for problem in &preflight.problems {
        console.say(&format!("in the way: {problem}"), &[]);
    }
    for note in &preflight.notes {
        console.note(note.clone());
    }
    preflight.check()?;
    if args.dry_run {
        return Ok(Exit::Done);
    }
    confirm(args.confirm.yes)?;
    let begun = Instant::now();
    let outcome = audit.around(&deed(&path, &source, &to, audit), || {
        if args.in_place {
            restore::fill_in_place(&source, &mut control, &preflight, &options, console)
        } else {
            restore::replace(&source, &mut control, &preflight, &options, console)
        }
    })?;
    let mut message = format!(
        "database '{}' is restored: {}, {} in {:.1} s",
        outcome.database,
        count(outcome.tables, "table"),
        count(outcome.rows, "row"),
        begun.elapsed().as_secs_f64()
    );
    if let Some(kept) = &outcome.kept {
        message.push_str(&format!("; what was there before is '{kept}'"));
    }
    console.say(
        &message,
        &[
            ("SG_BACKUP", path.display().to_string()),
            ("SG_DATABASE", outcome.database.clone()),
        ],
    );
    Lines::new(&args.common.lines, ClosedPipe::Ends).put(Path::new(&outcome.database), &outcome)?;
    Ok(Exit::Done)
}

/// Restores tables or schemas into a database in use.
fn restore_part(
    args: &DbArgs,
    path: &Path,
    source: &Source,
    to: &Conninfo,
    selection: &Selection,
    console: &Console,
    audit: &Auditor<'_>,
) -> Result<Exit> {
    let options = args.options();
    let partial = Partial::look(source, to, selection, &options)?;
    for (table, rows) in partial.tables() {
        console.say(
            &format!("{table}: {}, from {}", count(rows, "row"), path.display()),
            &[],
        );
    }
    if args.dry_run {
        return Ok(Exit::Done);
    }
    confirm(args.confirm.yes)?;
    let parts: Vec<String> = partial
        .tables()
        .map(|(table, _)| table.to_string())
        .collect();
    let deed = deed(path, source, to, audit).detail(format!("only {}", parts.join(", ")));
    let outcome = audit.around(&deed, || partial.restore(console))?;
    console.say(
        &format!(
            "back in database '{}': {} with {}",
            outcome.database,
            count(outcome.tables, "table"),
            count(outcome.rows, "row")
        ),
        &[("SG_BACKUP", path.display().to_string())],
    );
    Lines::new(&args.common.lines, ClosedPipe::Ends).put(Path::new(&outcome.database), &outcome)?;
    Ok(Exit::Done)
}

/// What the audit trail is told.
fn deed(path: &Path, source: &Source, to: &Conninfo, audit: &Auditor<'_>) -> Deed {
    let manifest = source.manifest.as_ref();
    audit
        .deed(Outcome::Begun)
        .backup(path)
        .app(manifest.and_then(|manifest| manifest.app.as_deref()))
        .sha256(manifest.map(|manifest| manifest.sha256.as_str()))
        .target(to.database())
}

/// The database to restore to: the one named, else the one that was dumped.
fn target(args: &DbArgs, source: &Source) -> Result<Conninfo> {
    let to = match (&args.to, source.database()) {
        (Some(to), _) => to.clone(),
        (None, Some(database)) => database.database.clone(),
        (None, None) => {
            return Err(
                Error::new(Kind::Usage, "the backup does not say which database it was")
                    .with_hint("Name the one to create or to replace with --to."),
            );
        }
    };
    Ok(Conninfo::new(Some(&to))?.with_application(NAME))
}

/// Tells what there is, and what will be done.
fn show(path: &Path, source: &Source, preflight: &Preflight, args: &DbArgs, console: &Console) {
    let dump = match &source.manifest {
        Some(manifest) => format!("made {} on {}", manifest.started, manifest.host),
        None => "without a manifest".to_owned(),
    };
    console.say(
        &format!(
            "{}: {dump}, {} of rows",
            path.display(),
            HumanBytes(source.bytes())
        ),
        &[],
    );
    let target = &preflight.target;
    let plan = match &preflight.present {
        _ if args.in_place => format!("database '{target}' will be filled in place"),
        None => format!("database '{target}' will be created"),
        Some(present) => format!(
            "database '{target}' ({}, {}) will be replaced and {}",
            HumanBytes(present.bytes),
            count(present.connections, "connection"),
            if args.drop_old {
                "dropped"
            } else {
                "kept under another name"
            }
        ),
    };
    console.say(
        &format!("{plan}; PostgreSQL {}", preflight.server_version),
        &[],
    );
}
