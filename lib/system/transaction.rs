//! The steps, forward and back. Each looks at the journal for what was done already, so that both
//! directions can be taken from any point.

use super::config;
use super::journal::{Journal, Names, Side, Step};
use super::plan::{Item, Plan};
use super::units;
use crate::error::{Error, Kind, Result};
use crate::manifest::{Content, Manifest};
use crate::monitor::{Monitor, Note, Severity};
use crate::postgres::Session;
use crate::postgres::restore::{self, Control, Options, Source, globals, prepared as database};
use crate::stream::Reader;
use crate::volume::restore::RestoreOptions;
use crate::volume::side as volume;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

/// A restore of an application, as far as it has come.
pub struct Transaction<'a> {
    journal: Journal,
    plan: Plan,
    options: Options,
    monitor: &'a dyn Monitor,
}

impl<'a> Transaction<'a> {
    /// Begins to carry out `plan`; the journal goes below `top`.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub fn begin(
        top: &Path,
        plan: Plan,
        options: Options,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        let mut journal = Journal::begin(top, &plan.app)?;
        journal.write(Step::Begun { plan: plan.clone() })?;
        Ok(Self {
            journal,
            plan,
            options,
            monitor,
        })
    }

    /// Takes up the one that a journal tells of.
    ///
    /// # Errors
    /// The journal does not say what is to be done.
    pub fn open(journal: Journal, options: Options, monitor: &'a dyn Monitor) -> Result<Self> {
        let plan = journal.steps().iter().find_map(|step| match step {
            Step::Begun { plan } => Some(plan.clone()),
            _ => None,
        });
        let plan = plan.ok_or_else(|| Error::damaged("the journal has no plan"))?;
        Ok(Self {
            journal,
            plan,
            options,
            monitor,
        })
    }

    /// What is done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Goes on to the end. What fails on the way is put back.
    ///
    /// # Errors
    /// Something failed, and everything is as it was; or it could not be put back, and the error says so.
    pub fn forward(&mut self) -> Result<()> {
        if self.has(|step| *step == Step::RolledBack) {
            return Err(Error::new(
                Kind::Usage,
                "the last restore was taken back: there is nothing to go on with",
            ));
        }
        if self.has(|step| matches!(step, Step::Undoing { .. })) {
            self.back("it had failed before it was cut off")?;
            return Err(Error::new(
                Kind::Failed,
                "the restore was being taken back when it was cut off; everything is as it was before",
            ));
        }
        let Err(failure) = self.steps() else {
            return Ok(());
        };
        let reason = failure.to_string();
        match self.back(&reason) {
            Ok(()) => {
                let hint = failure.hint().map(str::to_owned);
                let message = format!("{reason}; everything is as it was before");
                let error = Error::new(failure.kind(), message).with_source(failure);
                Err(match hint {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                })
            }
            Err(second) => {
                let message = if self.has(|step| *step == Step::PutBack) {
                    format!("{reason}; {second}")
                } else {
                    format!("{reason}; and it could not all be put back: {second}")
                };
                let app = &self.plan.app;
                let hint = format!("See to that, then: sg-restore system {app} --rollback");
                let error = Error::new(failure.kind(), message).with_hint(hint);
                Err(error.with_source(failure))
            }
        }
    }

    fn steps(&mut self) -> Result<()> {
        if !self.has(|step| *step == Step::Stopped) {
            if !self.has(|step| matches!(step, Step::Stopping { .. })) {
                let running = units::running(&self.plan.units)?;
                self.journal.write(Step::Stopping { running })?;
            }
            self.monitor.stage("stopping", None);
            units::stop(&self.plan.units)?;
            self.journal.write(Step::Stopped)?;
        }
        for (at, item) in self.plan.items.clone().iter().enumerate() {
            if self.side(at).is_none() {
                self.prepare(at, item)?;
            }
        }
        for at in 0..self.plan.items.len() {
            if !self.has(|step| *step == Step::Swapped { item: at }) {
                self.journal.write(Step::Swapping { item: at })?;
                self.swap(at)?;
                self.journal.write(Step::Swapped { item: at })?;
            }
        }
        if !self.has(|step| *step == Step::Healthy) {
            self.journal.write(Step::Starting)?;
            self.monitor.stage("starting", None);
            self.reload()?;
            units::start(&self.plan.units)?;
            self.plan.health.wait(self.monitor)?;
            self.journal.write(Step::Healthy)?;
        }
        if !self.has(|step| *step == Step::Done) {
            self.journal.write(Step::Done)?;
        }
        Ok(())
    }

    /// Puts everything back.
    ///
    /// # Errors
    /// Something can't be put back; the rest was tried, and it can be repeated.
    pub fn back(&mut self, reason: &str) -> Result<()> {
        if self.has(|step| matches!(step, Step::Freed)) {
            return Err(Error::new(
                Kind::Usage,
                "the old data was given up: there is no way back",
            )
            .with_hint("Restore an older backup: sg-restore system APP --at TIME."));
        }
        if self.has(|step| *step == Step::RolledBack) {
            return Ok(());
        }
        if !self.has(|step| matches!(step, Step::Undoing { .. })) {
            let reason = reason.to_owned();
            self.journal.write(Step::Undoing { reason })?;
        }
        if !self.has(|step| *step == Step::PutBack) {
            self.put_back()?;
            self.journal.write(Step::PutBack)?;
        }
        self.tidy()?;
        self.journal.write(Step::RolledBack)
    }

    /// Lets all the old data take its place again, and starts what ran.
    fn put_back(&mut self) -> Result<()> {
        if self.has(|step| *step == Step::Starting) {
            units::stop(&self.plan.units)?;
        }
        // One that can't be put back is no reason to leave the others.
        let items = (0..self.plan.items.len()).rev();
        first_failure(items.map(|at| self.swap_back(at)))?;
        self.reload()?;
        let running = self.journal.steps().iter().find_map(|step| match step {
            Step::Stopping { running } => Some(running.clone()),
            _ => None,
        });
        units::start(&running.unwrap_or_default())
    }

    /// Removes what was made beside. The application does without that, and runs already.
    fn tidy(&mut self) -> Result<()> {
        let items = (0..self.plan.items.len()).rev();
        first_failure(items.map(|at| {
            if self.has(|step| *step == Step::Undone { item: at }) {
                return Ok(());
            }
            self.undo(at)?;
            self.journal.write(Step::Undone { item: at })
        }))
        .map_err(|error| {
            let message =
                format!("all the old data is in its place, but something new is left: {error}");
            Error::new(error.kind(), message).with_source(error)
        })
    }

    /// Gives up the old data of a restore that is done.
    ///
    /// # Errors
    /// It is not done, or something can't be removed.
    pub fn free(&mut self) -> Result<()> {
        if !self.has(|step| *step == Step::Done)
            || self.has(|step| matches!(step, Step::Undoing { .. }))
        {
            return Err(Error::new(Kind::Usage, "the restore is not done")
                .with_hint("Go on with it (--resume) or take it back (--rollback)."));
        }
        for at in 0..self.plan.items.len() {
            let item = self.plan.items[at].clone();
            match self.side(at) {
                Some(Side::Database(side)) => side.drop_old(&mut self.control(&item)?)?,
                Some(Side::Volume(side)) => side.drop_old()?,
                Some(Side::Config(_)) => config::discard(self.journal.directory())?,
                Some(Side::Globals { .. }) | None => {}
            }
        }
        self.journal.write(Step::Freed)
    }

    /// Where the old data is.
    pub fn kept(&self) -> Vec<String> {
        (0..self.plan.items.len())
            .filter_map(|at| match self.side(at)? {
                Side::Database(side) => side.kept().map(|name| format!("database '{name}'")),
                Side::Volume(side) => side.kept().map(|path| format!("'{}'", path.display())),
                Side::Config(_) => Some(format!("'{}'", self.journal.directory().display())),
                Side::Globals { .. } => None,
            })
            .collect()
    }

    fn has(&self, is: impl Fn(&Step) -> bool) -> bool {
        self.journal.steps().iter().any(is)
    }

    fn side(&self, at: usize) -> Option<Side> {
        self.journal
            .steps()
            .iter()
            .rev()
            .find_map(|step| match step {
                Step::Prepared { item, side, .. } if *item == at => Some(side.clone()),
                _ => None,
            })
    }

    fn names(&self, at: usize) -> Option<Names> {
        self.journal
            .steps()
            .iter()
            .rev()
            .find_map(|step| match step {
                Step::Preparing { item, names } if *item == at => Some(names.clone()),
                _ => None,
            })
    }

    fn control(&self, item: &Item) -> Result<Control> {
        Control::new(&self.plan.conninfo(&item.name)?)
    }

    fn session(&self) -> Result<Session> {
        Session::connect(&self.plan.conninfo("postgres")?)
    }

    fn reload(&self) -> Result<()> {
        let has_config = self.plan.items.iter().any(|item| item.kind == "config");
        if has_config && !self.plan.units.is_empty() {
            units::reload()?;
        }
        Ok(())
    }

    /// Makes an item beside its place, under names that are written down before.
    fn prepare(&mut self, at: usize, item: &Item) -> Result<()> {
        let begun = Instant::now();
        let names = match self.names(at) {
            Some(names) => names,
            None => {
                let names = self.choose(item)?;
                self.journal.write(Step::Preparing {
                    item: at,
                    names: names.clone(),
                })?;
                names
            }
        };
        let side = match &names {
            Names::Globals { present } => self.create_roles(item, present)?,
            Names::Database(names) => {
                let source = Source::open(&item.backup, self.options.jobs)?;
                let info = self.plan.conninfo(&item.name)?;
                let (mut control, preflight) = restore::look(&source, &info, &self.options, false)?;
                let options = &self.options;
                let (prepared, _) =
                    names.prepare(&source, &mut control, &preflight, options, self.monitor)?;
                Side::Database(prepared)
            }
            Names::Volume(names) => {
                let options = RestoreOptions {
                    file: item.backup.clone(),
                    target: item.target.clone(),
                    in_place: false,
                    drop_old: false,
                    numeric_owner: false,
                    jobs: self.options.jobs,
                };
                Side::Volume(names.prepare(&options, self.monitor)?.0)
            }
            Names::Config => {
                let directory = self.journal.directory();
                let jobs = self.options.jobs;
                Side::Config(config::prepare(
                    &item.backup,
                    directory,
                    jobs,
                    self.monitor,
                )?)
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        self.journal.write(Step::Prepared {
            item: at,
            side,
            seconds,
        })
    }

    fn choose(&self, item: &Item) -> Result<Names> {
        Ok(match item.kind.as_str() {
            "globals" => Names::Globals {
                present: roles(&mut self.session()?)?.into_iter().collect(),
            },
            "db" => Names::Database(database::Names::choose(&mut self.control(item)?)?),
            "config" => Names::Config,
            _ => Names::Volume(volume::Names::choose(&item.target)?),
        })
    }

    /// Roles are the server's, and only what is missing is added: there is nothing to change places.
    fn create_roles(&self, item: &Item, present: &[String]) -> Result<Side> {
        let reader = Reader::open(&item.backup)?;
        let content = reader.contents(self.options.jobs)?;
        globals::apply(
            content,
            &self.plan.conninfo("postgres")?,
            false,
            self.monitor,
        )?;
        let now = roles(&mut self.session()?)?;
        let wanted = roles_of(&item.backup)?;
        let created = now
            .into_iter()
            .filter(|role| wanted.contains(role) && !present.contains(role))
            .collect();
        Ok(Side::Globals { created })
    }

    fn swap(&mut self, at: usize) -> Result<()> {
        let item = self.plan.items[at].clone();
        self.monitor.stage("swapping", None);
        match self.side(at) {
            Some(Side::Database(side)) => side.swap(&mut self.control(&item)?),
            Some(Side::Volume(side)) => side.swap(),
            Some(Side::Config(side)) => side.swap(),
            Some(Side::Globals { .. }) | None => Ok(()),
        }
    }

    fn swap_back(&mut self, at: usize) -> Result<()> {
        if !self.has(|step| *step == Step::Swapping { item: at }) {
            return Ok(());
        }
        let item = self.plan.items[at].clone();
        match self.side(at) {
            Some(Side::Database(side)) => side.swap_back(&mut self.control(&item)?),
            Some(Side::Volume(side)) => side.swap_back(),
            Some(Side::Config(side)) => side.swap_back(),
            Some(Side::Globals { .. }) | None => Ok(()),
        }
    }

    fn undo(&mut self, at: usize) -> Result<()> {
        let item = self.plan.items[at].clone();
        match (self.side(at), self.names(at)) {
            (Some(Side::Database(side)), _) => side.discard(&mut self.control(&item)?),
            (Some(Side::Volume(side)), _) => side.discard(),
            (Some(Side::Config(_)), _) => config::discard(self.journal.directory()),
            (None, Some(Names::Database(names))) => names.discard(&mut self.control(&item)?),
            (None, Some(Names::Volume(names))) => names.discard(),
            (None, Some(Names::Config)) => config::discard(self.journal.directory()),
            (_, Some(Names::Globals { present })) => self.drop_roles(&item, &present),
            _ => Ok(()),
        }
    }

    /// Drops the roles that this restore has brought. One that is used meanwhile stays, and is told.
    fn drop_roles(&self, item: &Item, present: &[String]) -> Result<()> {
        let wanted = roles_of(&item.backup)?;
        let mut session = self.session()?;
        for role in roles(&mut session)? {
            if !wanted.contains(&role) || present.contains(&role) {
                continue;
            }
            let name = role.replace('"', "\"\"");
            if let Err(error) = session.batch(&format!("DROP ROLE \"{name}\"")) {
                self.monitor.note(Note::new(
                    Severity::Low,
                    "role-stays",
                    format!("role {role}"),
                    format!("was not there before, and could not be dropped: {error}"),
                ));
            }
        }
        Ok(())
    }
}

/// Does all, and tells of the first that failed.
fn first_failure(all: impl Iterator<Item = Result<()>>) -> Result<()> {
    let failures: Vec<Error> = all.filter_map(Result::err).collect();
    failures.into_iter().next().map_or(Ok(()), Err)
}

fn roles(session: &mut Session) -> Result<BTreeSet<String>> {
    let rows = session.query("SELECT rolname::text FROM pg_catalog.pg_roles", &[])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The roles that a backup of globals has.
fn roles_of(backup: &Path) -> Result<Vec<String>> {
    match Manifest::beside(backup)?.map(|manifest| manifest.content) {
        Some(Content::Globals(globals)) => Ok(globals.roles),
        _ => Err(Error::damaged(format!(
            "'{}' has no roles",
            backup.display()
        ))),
    }
}
