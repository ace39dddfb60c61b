//! sg-dump-db: a PostgreSQL database becomes a file.

mod args;

use args::Args;
use sg::audit::{Action, Outcome};
use sg::manifest::{Content, Label, Manifest};
use sg::monitor::{Collector, Monitor, Note, Severity};
use sg::postgres::dump::{self, Options};
use sg::postgres::{Conninfo, Session, globals, preflight};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{self, Auditor, Console, Exit, table};
use sg::store::{BackupName, Local, Pending};
use sg::stream::Facts;
use sg::{Error, Kind, Result};
use std::io;
use std::process::ExitCode;

const NAME: &str = "sg-dump-db";

pub(crate) fn main() -> ExitCode {
    let args = Args::from_command_line();
    program::run(NAME, &args.talk, |console| {
        if let Some(role) = &args.print_grants {
            return print_grants(role, &databases(&args)?, &args);
        }
        let app = args.label.app.as_deref();
        let audit = Auditor::new(NAME, Action::Backup, app, &args.label.audit, console);
        // What fails before it is known of which database is told of the run.
        work(&args, console, &audit).inspect_err(|error| audit.record(&[audit.failure(error)]))
    })
}

fn work(args: &Args, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let infos = databases(args)?;
    if infos.iter().any(Conninfo::has_open_password) {
        console.note(Note::new(
            Severity::Info,
            "open-password",
            "PGPASSWORD",
            "a password in the environment or on the command line can be seen by others: use a password file",
        ));
    }
    if args.output.is_some() {
        return to_stdout(args, &infos, console, audit);
    }
    let mut work = Backups {
        args,
        console,
        audit,
        label: args.label.label(NAME)?,
        lines: Lines::new(&args.lines, ClosedPipe::Fails),
        store: Local::create(&args.store.directory)?,
    };
    let mut worst = Exit::Done;
    let mut settle = |kind: &str, name: &str, done: Result<()>| {
        if let Err(error) = done {
            console.failure(&error);
            audit.record(&[audit.failure(&error).of(kind, name)]);
            if worst == Exit::Done {
                worst = Exit::from(error.kind());
            }
        }
    };
    if args.globals {
        let info = server(args, &infos)?;
        settle("globals", &name_of_globals(&info), work.globals(&info));
    }
    for info in &infos {
        settle("db", info.database(), work.database(info));
    }
    Ok(worst)
}

/// The databases to dump.
fn databases(args: &Args) -> Result<Vec<Conninfo>> {
    let info =
        |database: Option<&str>| Conninfo::new(database).map(|info| info.with_application(NAME));
    if args.all {
        let info = info(None)?;
        let sql = "SELECT datname::text FROM pg_catalog.pg_database
                   WHERE datallowconn AND NOT datistemplate ORDER BY 1";
        let rows = any_database(&info)?.query(sql, &[])?;
        return Ok(rows
            .iter()
            .map(|row| info.with_database(row.get(0)))
            .collect());
    }
    if args.databases.is_empty() && !args.globals {
        return Ok(vec![info(None)?]);
    }
    args.databases.iter().map(|name| info(Some(name))).collect()
}

/// A session to ask the server about itself: in the user's database, else in `postgres`.
fn any_database(info: &Conninfo) -> Result<Session> {
    Session::connect(&info.with_database("postgres")).or_else(|_| Session::connect(info))
}

/// How to reach the server for what belongs to no database.
fn server(args: &Args, infos: &[Conninfo]) -> Result<Conninfo> {
    match infos.first() {
        Some(info) if !args.all => Ok(info.clone()),
        _ => {
            let info = Conninfo::new(None)?.with_application(NAME);
            Ok(any_database(&info)?.info().clone())
        }
    }
}

fn print_grants(role: &str, infos: &[Conninfo], args: &Args) -> Result<Exit> {
    let names: Vec<String> = infos
        .iter()
        .map(|info| info.database().to_owned())
        .collect();
    // Without a server to ask, the newest way of doing it is printed.
    let major = infos
        .first()
        .and_then(|info| any_database(info).ok())
        .map_or(17, |session| session.major());
    Lines::new(&args.lines, ClosedPipe::Ends)
        .write(preflight::grants(role, &names, major).as_bytes())?;
    Ok(Exit::Done)
}

fn to_stdout(
    args: &Args,
    infos: &[Conninfo],
    console: &Console,
    audit: &Auditor<'_>,
) -> Result<Exit> {
    let stdout = io::stdout().lock();
    let done = audit.deed(Outcome::Done).target("standard output");
    match infos {
        [] => {
            let info = server(args, infos)?;
            globals::dump(&info, args.compress, stdout, console)?;
            audit.record(&[done.of("globals", &name_of_globals(&info))]);
        }
        [info] if !args.globals => {
            dump::dump(&options(args, info), stdout, console)?;
            audit.record(&[done.of("db", info.database())]);
        }
        _ => {
            return Err(
                Error::new(Kind::Usage, "standard output takes one dump, not several")
                    .with_hint("Use --directory, or call sg-dump-db once for each."),
            );
        }
    }
    Ok(Exit::Done)
}

fn options(args: &Args, info: &Conninfo) -> Options {
    Options {
        info: info.clone(),
        compression: args.compress,
        jobs: args.jobs.jobs(),
        exclude_table_data: args.exclude_table_data.clone(),
    }
}

/// What the backups of one run share.
struct Backups<'a> {
    args: &'a Args,
    console: &'a Console,
    audit: &'a Auditor<'a>,
    label: Label,
    lines: Lines,
    store: Local,
}

impl Backups<'_> {
    fn database(&mut self, info: &Conninfo) -> Result<()> {
        self.room(info)?;
        let notes = Collector::new(self.console);
        let (name, pending) = self.begin("db", info.database())?;
        let dumped = dump::dump(&options(self.args, info), pending, &notes)?;
        let content = Content::Database(Box::new(dumped.content));
        self.seal(&name, dumped.output, &dumped.facts, content, &notes)
    }

    fn globals(&mut self, info: &Conninfo) -> Result<()> {
        let notes = Collector::new(self.console);
        let (name, pending) = self.begin("globals", &globals::name(info)?)?;
        let dumped = globals::dump(info, self.args.compress, pending, &notes)?;
        self.seal(
            &name,
            dumped.output,
            &dumped.facts,
            Content::Globals(dumped.content),
            &notes,
        )
    }

    fn begin(&self, kind: &str, name: &str) -> Result<(BackupName, Pending)> {
        let extension = format!(".sql{}", self.args.compress.extension());
        self.store.begin_now(kind, name, &extension)
    }

    /// Refuses at once what will not fit.
    fn room(&self, info: &Conninfo) -> Result<()> {
        let needed = preflight::estimate(&mut Session::connect(info)?)?;
        let free = sg::store::free(self.store.directory())?;
        if needed <= free {
            return Ok(());
        }
        let message = format!(
            "a dump of '{}' needs about {}, but only {} are free in '{}'",
            info.database(),
            table::size(needed),
            table::size(free),
            self.store.directory().display()
        );
        Err(Error::new(Kind::CannotCreate, message)
            .with_hint("sg-prune --dry-run shows what may go."))
    }

    fn seal(
        &self,
        name: &BackupName,
        pending: Pending,
        facts: &Facts,
        content: Content,
        notes: &Collector<'_>,
    ) -> Result<()> {
        let manifest = Manifest::new(
            &self.label,
            name,
            self.args.compress,
            facts,
            content,
            notes.notes(),
        );
        let path = pending.commit(&manifest.encode()?)?;
        self.console.made(&path, &manifest);
        self.audit.made(&path, &manifest);
        self.lines.put(&path, &manifest)?;
        Ok(())
    }
}

/// What backups of the server's globals are called, if it can be asked; else that is what failed.
fn name_of_globals(info: &Conninfo) -> String {
    globals::name(info).unwrap_or_default()
}
