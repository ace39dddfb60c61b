//! sg-backup: an application is backed up now, before it is changed.

mod args;

use args::{Args, Pins};
use jiff::{Timestamp, Zoned};
use nix::unistd::geteuid;
use sg::application::Application;
use sg::backup::{Made, Marker, Request, chain, units};
use sg::catalog::{Backup, Pin, pin};
use sg::manifest::Git;
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{self, Console, Exit};
use sg::store::Local;
use sg::words::count;
use sg::{Error, Kind, Result};
use std::process::ExitCode;

const NAME: &str = "sg-backup";

pub(crate) fn main() -> ExitCode {
    let args: Args = program::parse();
    program::run(NAME, &args.talk, |console| work(&args, console))
}

fn work(args: &Args, console: &Console) -> Result<Exit> {
    let application = Application::load(&args.settings.config_directory, &args.app)?;
    let store = Local::open(&application.store());
    let request = Request {
        application,
        reason: args.reason.clone(),
        git: args.git.as_deref().map(Git::of).transpose()?,
        since: Timestamp::now(),
    };
    request.parts()?;
    let backups = if !args.direct && units::booted() && geteuid().is_root() {
        units::run(&request, &store, console)?
    } else {
        chain::run(&request, console)?;
        Made::look(&request, &store)?.complete()?
    };
    let until = pin_all(args, &store, &backups)?;
    if let Some(path) = &args.marker {
        Marker::new(&request, store.directory(), &backups).write(path)?;
    }
    console.say(
        &format!(
            "'{}' is backed up and verified: {}{until}",
            args.app,
            count(backups.len(), "backup")
        ),
        &[("SG_APP", args.app.clone())],
    );
    let lines = Lines::new(&args.lines, ClosedPipe::Ends);
    for backup in &backups {
        lines.put(&backup.path, backup)?;
    }
    Ok(Exit::Done)
}

/// Pins the backups as `args` say; returns how to tell of it.
fn pin_all(args: &Args, store: &Local, backups: &[Backup]) -> Result<String> {
    let (until, told) = match args.pin {
        Pins::No => return Ok(String::new()),
        Pins::Forever => (None, ", pinned".to_owned()),
        Pins::For(span) => {
            let end = Zoned::now().checked_add(span).map_err(|cause| {
                Error::new(Kind::Usage, "nothing can be kept so long")
                    .with_source(cause)
                    .with_hint("Use --pin forever.")
            })?;
            let end = end.timestamp();
            let end = Timestamp::from_second(end.as_second()).unwrap_or(end);
            (Some(end), format!(", pinned until {end}"))
        }
    };
    for backup in backups {
        pin(store, &backup.name, Pin { until })?;
    }
    Ok(told)
}
