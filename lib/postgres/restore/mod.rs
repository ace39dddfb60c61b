//! How a database comes back: into a new database beside the one in use, compared with what was
//! recorded when it was dumped, and only then put into its place. Whatever fails on the way, the
//! database in use is as it was.

mod analyze;
pub mod apply;
mod build;
mod compare;
mod copying;
mod difference;
mod fill;
pub mod globals;
mod in_place;
pub mod listing;
mod meanwhile;
pub mod part;
pub mod preflight;
pub mod prepared;
mod recorded;
mod rows;
mod schedule;
pub mod selection;
pub mod side;
pub mod source;
mod stream;
mod work;

pub use apply::Filter;
pub use compare::Compare;
pub use difference::Difference;
pub use part::Partial;
pub use preflight::Preflight;
pub use selection::Selection;
pub use side::Control;
pub use source::Source;

use crate::error::{Error, Kind, Result};
use crate::monitor::{Monitor, Note, Severity};
use crate::postgres::{Conninfo, Session};
use fill::{encoding, expected_of, fill, fill_and_compare};
use serde::Serialize;
use std::time::Duration;

/// How often a database that could not be filled is tried to be dropped.
const DROP_TRIES: u32 = 3;

/// How a database is to be restored.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many connections work at the same time.
    pub jobs: usize,
    /// What is left out.
    pub filter: Filter,
    /// Work as this role.
    pub role: Option<String>,
    /// How much is compared.
    pub compare: Compare,
    /// Gather statistics for the planner.
    pub analyze: bool,
    /// Drop the database that was replaced.
    pub drop_old: bool,
    /// Leave the rows out.
    pub schema_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: crate::parallel::default_jobs(),
            filter: Filter::default(),
            role: None,
            compare: Compare::default(),
            analyze: true,
            drop_old: false,
            schema_only: false,
        }
    }
}

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The database restored.
    pub database: String,
    /// The name under which the one it replaced is kept.
    pub kept: Option<String>,
    /// Tables with rows.
    pub tables: u64,
    /// Their rows.
    pub rows: u64,
}

/// What a trial has shown.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What was restored.
    pub outcome: Outcome,
    /// In what it is not what was dumped.
    pub differences: Vec<Difference>,
    /// How long restoring took, from the first connection to the empty database until everything was
    /// there and only the comparison left; what idle connections compared meanwhile is in it, the
    /// statistics are not.
    pub restoring: Duration,
    /// How long the rest of the comparison took, and the statistics gathered beside it.
    pub comparing: Duration,
}

/// Restores a whole database to see whether it can be done: what differs from the dump does not
/// end it, but is told. The target must not exist.
///
/// # Errors
/// It can't be restored.
pub fn try_out(
    source: &Source,
    control: &mut Control,
    preflight: &Preflight,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Trial> {
    preflight.check()?;
    let tablespace = preflight.tablespace.as_deref();
    let side = control.create(&preflight.properties, tablespace)?;
    let trial = fill_and_compare(source, control, &side, options, monitor)?;
    control.swap(&side, preflight.properties.connection_limit)?;
    Ok(trial)
}

/// Restores a whole database beside the target, and lets them change places.
///
/// # Errors
/// Anything failed; all is as before.
pub fn replace(
    source: &Source,
    control: &mut Control,
    preflight: &Preflight,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome> {
    preflight.check()?;
    control.clear(monitor)?;
    let tablespace = preflight.tablespace.as_deref();
    let side = control.create(&preflight.properties, tablespace)?;
    let restored = fill(source, control, &side, options, monitor).and_then(|outcome| {
        monitor.stage("swapping", None);
        let kept = control.swap(&side, preflight.properties.connection_limit)?;
        Ok(Outcome { kept, ..outcome })
    });
    let mut outcome = match restored {
        Ok(outcome) => outcome,
        Err(error) => {
            give_up(control, &side, &error, monitor);
            return Err(error);
        }
    };
    if let Some(old) = outcome.kept.take_if(|_| options.drop_old)
        && let Err(error) = control.drop_database(&old)
    {
        monitor.note(Note::new(
            Severity::Low,
            "old-kept",
            old.clone(),
            format!("the database that was replaced could not be dropped: {error}"),
        ));
        outcome.kept = Some(old);
    }
    Ok(outcome)
}

/// Restores a whole database into the target itself, which has to be empty.
///
/// # Errors
/// The target is not empty, and nothing was done; or something failed, and it is empty again.
pub fn fill_in_place(
    source: &Source,
    control: &mut Control,
    preflight: &Preflight,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome> {
    preflight.check()?;
    let target = control.target().to_owned();
    let info = control.session().pinned().with_database(&target);
    in_place::check_empty(&mut Session::connect(&info)?)?;
    fill(source, control, &target, options, monitor).inspect_err(|_| {
        terminate(control, &target);
        let emptied = Session::connect(&info).and_then(|mut session| in_place::empty(&mut session));
        if let Err(error) = emptied {
            monitor.note(Note::new(
                Severity::High,
                "not-emptied",
                target.clone(),
                format!("a part of what the failed restore brought is left: {error}"),
            ));
        }
    })
}

/// Drops the database `side`, which could not be made, because of `error`.
fn give_up(control: &mut Control, side: &str, error: &Error, monitor: &dyn Monitor) {
    if error.kind() == Kind::Unavailable {
        make_room(control, side);
    }
    // The checkpoint that dropping begins with may be one that was under way while the disk was
    // still full; the next one finds room.
    let mut dropped = control.drop_database(side);
    for _ in 1..DROP_TRIES {
        dropped = dropped.or_else(|_| control.drop_database(side));
    }
    if let Err(left) = dropped {
        monitor.note(Note::new(
            Severity::Medium,
            "leftover",
            side,
            format!("could not be dropped ({left}); the next restore will"),
        ));
    }
}

/// Empties a database that is to be dropped. On a full disk a server can't drop one as it is: it first
/// writes out what it has in memory, for which there is no room.
fn make_room(control: &mut Control, database: &str) {
    terminate(control, database);
    let info = control.session().pinned().with_database(database);
    // If it does not work, dropping the database tells why.
    let _ = Session::connect(&info).and_then(|mut session| in_place::empty(&mut session));
}

/// Ends all connections to a database, so that nobody waits for work that is in vain.
fn terminate(control: &mut Control, database: &str) {
    // It is dropped anyway; if it can't be reached now, that will tell.
    let _ = control.session().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
        &[&database],
    );
}

/// Connects to the server of `to`, looks at everything, and hands over what [`replace`] needs.
///
/// # Errors
/// The server or the dump can't be read.
pub fn look(
    source: &Source,
    to: &Conninfo,
    options: &Options,
    in_place: bool,
) -> Result<(Control, Preflight)> {
    let mut control = Control::new(to)?;
    let preflight = Preflight::look(
        source,
        &mut control,
        &options.filter,
        in_place,
        options.jobs,
    )?;
    Ok((control, preflight))
}
