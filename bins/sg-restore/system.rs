//! sg-restore system.

use super::args::SystemArgs;
use super::confirm::confirm;
use indicatif::HumanBytes;
use jiff::Zoned;
use nix::unistd::geteuid;
use sg::application::Application;
use sg::audit::Outcome;
use sg::backup::Marker;
use sg::backup::units::booted;
use sg::catalog::{Bound, moment};
use sg::estimate::Past;
use sg::postgres::restore::Options;
use sg::program::{Auditor, Console, Exit};
use sg::store::Local;
use sg::system::plan::Looked;
use sg::system::{Journal, Plan, Transaction, Wanted, alarm};
use sg::{Error, Kind, Result};
use std::time::Instant;

/// Restores an application, goes on with that, takes it back, or gives up the old data.
pub(crate) fn run(args: &SystemArgs, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let options = Options {
        jobs: args.jobs.jobs(),
        ..Options::default()
    };
    if args.drop_old {
        return drop_old(args, &options, console, audit);
    }
    if args.resume || args.rollback {
        return take_up(args, options, console, audit);
    }
    let application = Application::load(&args.settings.config_directory, &args.app)?;
    let store = Local::open(&application.store());
    let looked = Looked::look(&application, &store, &wanted(args)?, &options)?;
    show(&looked, args, console);
    looked.check()?;
    if args.dry_run {
        return Ok(Exit::Done);
    }
    confirm(args.confirm.yes)?;
    let notes = looked.notes;
    let mut transaction =
        Transaction::begin(&args.past.journal_directory, looked.plan, options, console)?;
    finish(&mut transaction, console, audit, None)?;
    for note in notes {
        console.say(&format!("see to this: {note}"), &[]);
    }
    Ok(Exit::Done)
}

fn wanted(args: &SystemArgs) -> Result<Wanted> {
    let marker = args.marker.as_deref().map(Marker::read).transpose()?;
    if let Some(marker) = &marker
        && marker.app != args.app
    {
        let message = format!("the marker is of '{}', not of '{}'", marker.app, args.app);
        return Err(Error::new(Kind::Usage, message));
    }
    let now = Zoned::now();
    let at = args.at.as_deref();
    let mut skip: Vec<String> = args
        .skip_volume
        .iter()
        .map(|name| format!("volume:{name}"))
        .collect();
    for (given, kind) in [
        (args.skip_db, "db"),
        (args.skip_globals, "globals"),
        (args.skip_config, "config"),
    ] {
        if given {
            skip.push(kind.to_owned());
        }
    }
    Ok(Wanted {
        at: at.map(|at| moment(at, &now, Bound::End)).transpose()?,
        files: marker.map(|marker| marker.files),
        only: args.only.clone(),
        skip,
    })
}

/// Tells what will be done, how long it took before, and what is in the way.
fn show(looked: &Looked, args: &SystemArgs, console: &Console) {
    let plan = &looked.plan;
    let mut lines = Vec::new();
    if !plan.units.is_empty() {
        lines.push(format!("stop {}", plan.units.join(", ")));
    }
    let past = Past::read(&args.past.places(&args.audit));
    for item in &plan.items {
        let estimate = past.estimate(&item.kind, &item.name, item.stored);
        let to = match item.target.as_os_str().is_empty() {
            true => String::new(),
            false => format!(" to '{}'", item.target.display()),
        };
        lines.push(format!(
            "{} '{}'{to} from {}, {} ({estimate})",
            item.kind,
            item.name,
            item.backup.display(),
            HumanBytes(item.bytes)
        ));
    }
    lines.push("all of it changes places; what is there now is kept beside it".to_owned());
    if !plan.units.is_empty() {
        lines.push(format!("start {}", plan.units.join(", ")));
    }
    if !plan.health.is_asked() {
        lines.push(
            "nothing is asked whether it is well (SG_HEALTH_URL, SG_HEALTH_COMMAND)".to_owned(),
        );
    } else {
        lines.push(format!(
            "within {} s it has to be well, or all is put back",
            plan.health.patience
        ));
    }
    for (number, line) in lines.iter().enumerate() {
        console.say(&format!("{}. {line}", number + 1), &[]);
    }
    for note in &looked.notes {
        console.say(&format!("mind: {note}"), &[]);
    }
    for problem in &looked.problems {
        console.say(&format!("in the way: {problem}"), &[]);
    }
}

/// Does `work` to the application, with lines in the audit trail that name what it was.
fn recorded<T>(
    audit: &Auditor<'_>,
    app: &str,
    what: impl Into<String>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let deed = audit.deed(Outcome::Begun).app(Some(app));
    audit.around(&deed.detail(what), work)
}

/// The backups that a plan names, for the audit trail.
fn sources(plan: &Plan) -> String {
    let paths = plan.items.iter().map(|item| item.backup.as_path());
    let names: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    format!("all of it from {}", names.join(", "))
}

fn finish(
    transaction: &mut Transaction<'_>,
    console: &Console,
    audit: &Auditor<'_>,
    what: Option<&str>,
) -> Result<()> {
    let begun = Instant::now();
    let app = transaction.plan().app.clone();
    let what = what.map_or_else(|| sources(transaction.plan()), str::to_owned);
    let done = recorded(audit, &app, what, || transaction.forward());
    tell(&app, &done, console);
    done?;
    let mut message = format!(
        "'{app}' is restored, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let kept = transaction.kept();
    if !kept.is_empty() {
        message.push_str(&format!(
            "; what was there before is {} (--rollback brings it back, --drop-old gives it up)",
            kept.join(", ")
        ));
    }
    console.say(&message, &[("SG_APP", app)]);
    Ok(())
}

/// Whoever calls may be a script, or gone to bed: where systemd could tell people, it does.
fn tell(app: &str, done: &Result<()>, console: &Console) {
    if !booted() || !geteuid().is_root() {
        return;
    }
    let Err(error) = done else {
        return alarm::settle(app);
    };
    if let Err(error) = alarm::raise(app, error, Exit::from(error.kind()) as u8) {
        console.failure(&error);
    }
}

fn newest(args: &SystemArgs) -> Result<Journal> {
    Journal::newest(&args.past.journal_directory, &args.app)?.ok_or_else(|| {
        let message = format!("there was no restore of '{}' here", args.app);
        Error::new(Kind::Usage, message)
    })
}

/// Goes on with what was cut off, or takes back what was done.
fn take_up(
    args: &SystemArgs,
    options: Options,
    console: &Console,
    audit: &Auditor<'_>,
) -> Result<Exit> {
    let journal = newest(args)?;
    let mut transaction = Transaction::open(journal, options, console)?;
    if args.resume {
        let what = "the restore that was cut off is gone on with";
        finish(&mut transaction, console, audit, Some(what))?;
        return Ok(Exit::Done);
    }
    confirm(args.confirm.yes)?;
    let app = args.app.clone();
    recorded(audit, &app, "the last restore is taken back", || {
        transaction.back("somebody asked for it")
    })?;
    console.say(
        &format!("'{app}' is as it was before"),
        &[("SG_APP", app.clone())],
    );
    Ok(Exit::Done)
}

/// Gives up what restores that are done have kept.
fn drop_old(
    args: &SystemArgs,
    options: &Options,
    console: &Console,
    audit: &Auditor<'_>,
) -> Result<Exit> {
    confirm(args.confirm.yes)?;
    newest(args)?;
    for journal in Journal::all(&args.past.journal_directory, &args.app)? {
        if !journal.is_done() {
            continue;
        }
        let mut transaction = Transaction::open(journal, options.clone(), console)?;
        let kept = transaction.kept().join(", ");
        let what = format!("what was there before is given up: {kept}");
        recorded(audit, &args.app, what, || transaction.free())?;
        console.say(&format!("gone: {kept}"), &[("SG_APP", args.app.clone())]);
    }
    Ok(Exit::Done)
}
