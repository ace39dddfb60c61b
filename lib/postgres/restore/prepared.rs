//! A restore in three steps that are taken apart, for those who restore more than one thing at once:
//! the database is made beside its place, later it takes its place, and if it must, the old one takes
//! that again.
//!
//! Each step can be repeated, and taken back, whatever was cut off where: which database is the old
//! one and which the new is told by the server's own number for it, not by a name.

use super::preflight::Preflight;
use super::side::Control;
use super::{Options, Outcome, Source, fill, give_up};
use crate::crash;
use crate::error::{Error, Kind, Result};
use crate::monitor::Monitor;
use serde::{Deserialize, Serialize};

/// The names that the new and the old database will have while they are not in their place; chosen
/// before anything is done, so that whatever comes into being can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    side: String,
    before: String,
}

/// A database that is whole, compared, and beside its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    names: Names,
    /// The server's numbers for both.
    new: u32,
    old: Option<u32>,
    /// The connection limit that it will have.
    limit: i32,
}

/// Where both are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The new one beside its place.
    Beside,
    /// The new one in its place.
    Swapped,
}

impl Names {
    /// Names for now.
    ///
    /// # Errors
    /// The server can't be asked which are taken.
    pub fn choose(control: &mut Control) -> Result<Self> {
        Ok(Self {
            side: control.name_for_side()?,
            before: control.name_for_old()?,
        })
    }

    /// Fills and compares a new database under these names; one that a run left unfinished is dropped
    /// first.
    ///
    /// # Errors
    /// Anything failed; nothing of it is left.
    pub fn prepare(
        &self,
        source: &Source,
        control: &mut Control,
        preflight: &Preflight,
        options: &Options,
        monitor: &dyn Monitor,
    ) -> Result<(Prepared, Outcome)> {
        preflight.check()?;
        control.clear(monitor)?;
        let target = control.target().to_owned();
        let old = control.number(&target)?;
        let tablespace = preflight.tablespace.as_deref();
        control.create_as(&self.side, &preflight.properties, tablespace)?;
        let filled = fill(source, control, &self.side, options, monitor).and_then(|outcome| {
            let new = control.number(&self.side)?;
            let gone = || Error::new(Kind::Failed, format!("database '{}' is gone", self.side));
            Ok((new.ok_or_else(gone)?, outcome))
        });
        let (new, outcome) =
            filled.inspect_err(|error| give_up(control, &self.side, error, monitor))?;
        let prepared = Prepared {
            names: self.clone(),
            new,
            old,
            limit: preflight.properties.connection_limit,
        };
        Ok((prepared, outcome))
    }

    /// Drops what a run left under the name of the new database.
    ///
    /// # Errors
    /// The server refuses.
    pub fn discard(&self, control: &mut Control) -> Result<()> {
        control.drop_database(&self.side)
    }
}

impl Prepared {
    /// The name under which the old database is kept, if there was one.
    pub fn kept(&self) -> Option<&str> {
        self.old.map(|_| self.names.before.as_str())
    }

    /// Lets it take its place.
    ///
    /// # Errors
    /// The server refuses, or somebody has put another database there; then all is as before.
    pub fn swap(&self, control: &mut Control) -> Result<()> {
        if self.standing(control)? == Standing::Beside {
            crash::point();
            control.swap_as(&self.names.side, self.kept(), self.limit)?;
            crash::point();
        }
        Ok(())
    }

    /// Lets the old one take its place again.
    ///
    /// # Errors
    /// As [`Prepared::swap`].
    pub fn swap_back(&self, control: &mut Control) -> Result<()> {
        let target = control.target().to_owned();
        // The old one is in its place, wherever the new one went.
        if control.number(&target)? != self.old && self.standing(control)? == Standing::Swapped {
            crash::point();
            control.swap_back(&self.names.side, self.kept())?;
            crash::point();
        }
        Ok(())
    }

    /// Drops it, while it is beside its place.
    ///
    /// # Errors
    /// The server refuses.
    pub fn discard(&self, control: &mut Control) -> Result<()> {
        match control.number(&self.names.side)? {
            Some(number) if number == self.new => self.names.discard(control),
            _ => Ok(()),
        }
    }

    /// Drops the old database, while the new one is in its place.
    ///
    /// # Errors
    /// The server refuses.
    pub fn drop_old(&self, control: &mut Control) -> Result<()> {
        let before = control.number(&self.names.before)?;
        if self.old.is_some() && before == self.old {
            control.drop_database(&self.names.before)?;
        }
        Ok(())
    }

    fn standing(&self, control: &mut Control) -> Result<Standing> {
        let target = control.target().to_owned();
        let there = control.number(&target)?;
        let side = control.number(&self.names.side)?;
        if there == Some(self.new) {
            Ok(Standing::Swapped)
        } else if there == self.old && side == Some(self.new) {
            Ok(Standing::Beside)
        } else if there == self.old {
            Err(Error::new(
                Kind::Failed,
                format!("the restored database '{}' is gone", self.names.side),
            )
            .with_hint("Take the restore back with --rollback, and begin anew."))
        } else {
            Err(Error::new(
                Kind::Failed,
                format!("somebody has put another database in the place of '{target}' meanwhile"),
            )
            .with_hint(format!(
                "The old one is '{}', the restored one '{}': rename them by hand.",
                self.names.before, self.names.side
            )))
        }
    }
}
