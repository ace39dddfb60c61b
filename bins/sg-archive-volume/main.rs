//! sg-archive-volume: directory trees into one plain .tar.gz.

mod args;

use args::Args;
use serde::Serialize;
use sg::audit::{Action, Outcome};
use sg::manifest::content::{Volume, Withheld};
use sg::manifest::{Content, Manifest};
use sg::monitor::{Collector, Monitor, Note, Severity};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{self, Auditor, Console, Exit};
use sg::store::Local;
use sg::volume::secrets::withhold;
use sg::volume::{self, Exclude, PackFacts, PackOptions};
use sg::{Error, Kind, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const NAME: &str = "sg-archive-volume";
/// The kind of an archive of configuration.
const CONFIG: &str = "config";

/// A backup as `--json` tells of it.
#[derive(Serialize)]
struct Made<'a> {
    path: &'a Path,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

pub(crate) fn main() -> ExitCode {
    let args = Args::from_command_line();
    program::run(NAME, &args.talk, |console| {
        let app = args.label.app.as_deref();
        let audit = Auditor::new(NAME, Action::Backup, app, &args.label.audit, console);
        // What fails before it is known of which volume is told of the run.
        work(&args, console, &audit).inspect_err(|error| audit.record(&[audit.failure(error)]))
    })
}

fn work(args: &Args, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    if args.output.is_some() {
        let sources = Sources::of(args, &args.paths)?;
        let (stdout, ..) = volume::pack(&sources.options, io::stdout().lock(), console)?;
        drop(stdout);
        let name = args.name.as_deref().unwrap_or_default();
        let deed = audit.deed(Outcome::Done).target("standard output");
        audit.record(&[deed.of(&args.kind, name)]);
        return Ok(Exit::Done);
    }
    // One that fails does not keep the others from being archived.
    let mut exit = Exit::Done;
    let mut done = |kind: &str, name: &str, result: Result<()>| {
        if let Err(error) = result {
            console.failure(&error);
            audit.record(&[audit.failure(&error).of(kind, name)]);
            if exit == Exit::Done {
                exit = Exit::from(error.kind());
            }
        }
    };
    let archive_as = |name: &str, roots: &[PathBuf]| {
        let sources = Sources::of(args, roots)?;
        archive(args, &args.kind, name, sources, console, audit)
    };
    if !args.paths.is_empty() {
        let name = args.name.as_deref().unwrap_or_default();
        done(&args.kind, name, archive_as(name, &args.paths));
    }
    for volume in args.volumes.iter().flatten() {
        let roots = std::slice::from_ref(&volume.path);
        done(&args.kind, &volume.name, archive_as(&volume.name, roots));
    }
    let config: Vec<PathBuf> = args.config.iter().flatten().cloned().collect();
    if !config.is_empty() {
        let app = args.label.app.as_deref().unwrap_or_default();
        done(CONFIG, app, archive_config(args, &config, console, audit));
    }
    Ok(exit)
}

/// What one archive is made of.
struct Sources {
    options: PackOptions,
    withheld: Vec<Withheld>,
}

impl Sources {
    fn of(args: &Args, roots: &[PathBuf]) -> Result<Self> {
        Ok(Self {
            options: PackOptions {
                roots: roots.to_vec(),
                whole_paths: false,
                exclude: Exclude::new(&args.exclude)?,
                one_file_system: args.one_file_system,
                compression: args.compress,
                jobs: args.jobs.jobs(),
            },
            withheld: Vec::new(),
        })
    }
}

/// Archives the configuration of the application: every path as it is from the root on, and without the
/// files that hold secrets. A path that is gone does not keep the others from being archived.
fn archive_config(
    args: &Args,
    paths: &[PathBuf],
    console: &Console,
    audit: &Auditor<'_>,
) -> Result<()> {
    let app = args.label.app.as_deref().ok_or_else(|| {
        Error::new(Kind::Usage, "nobody said whose configuration it is")
            .with_hint("Name the application with --app.")
    })?;
    let (there, gone): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.iter().cloned().partition(|path| path.exists());
    for path in gone {
        console.note(Note::new(
            Severity::Medium,
            "config-missing",
            path.display().to_string(),
            "is not there; SG_CONFIG_PATHS names it",
        ));
    }
    let mut sources = Sources::of(args, &there)?;
    sources.options.whole_paths = true;
    if !args.config_secrets {
        sources.withheld = withhold(
            &there,
            &sources.options.exclude,
            args.one_file_system,
            console,
        )?;
        let paths = sources.withheld.iter().map(|file| file.path.clone());
        sources.options.exclude.paths(paths);
    }
    archive(args, CONFIG, app, sources, console, audit)
}

/// Archives one volume into the store, and prints where it is.
fn archive(
    args: &Args,
    kind: &str,
    name: &str,
    sources: Sources,
    console: &Console,
    audit: &Auditor<'_>,
) -> Result<()> {
    let extension = format!(".tar{}", args.compress.extension());
    let label = args.label.label(NAME)?;
    let store = Local::create(&args.store.directory)?;

    let notes = Collector::new(console);
    warn_of_own_store(args, &sources.options.roots, &notes);
    let (name, pending) = store.begin_now(kind, name, &extension)?;
    let (pending, facts, written) = volume::pack(&sources.options, pending, &notes)?;
    if facts.entries() == 0 && sources.withheld.is_empty() {
        return Err(Error::new(
            Kind::Failed,
            "there was nothing that could be archived",
        ));
    }
    let content = Content::Volume(content(args, sources, &facts));
    let manifest = Manifest::new(
        &label,
        &name,
        args.compress,
        &written,
        content,
        notes.notes(),
    );
    let path = pending.commit(&manifest.encode()?)?;
    let made = Made {
        path: &path,
        manifest: &manifest,
    };
    console.made(&path, &manifest);
    audit.made(&path, &manifest);
    Lines::new(&args.lines, ClosedPipe::Fails).put(&path, &made)?;
    Ok(())
}

/// What the manifest says is inside.
fn content(args: &Args, sources: Sources, facts: &PackFacts) -> Volume {
    Volume {
        roots: sources
            .options
            .roots
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        excluded: args.exclude.clone(),
        files: facts.files,
        directories: facts.directories,
        symlinks: facts.symlinks,
        hardlinks: facts.hardlinks,
        special: facts.specials,
        file_bytes: facts.bytes,
        changed: facts.changed,
        skipped: facts.missing + facts.sockets,
        withheld: sources.withheld,
    }
}

/// Backups inside what is backed up double with each run.
fn warn_of_own_store(args: &Args, roots: &[PathBuf], monitor: &dyn Monitor) {
    let Ok(store) = args.store.directory.canonicalize() else {
        return;
    };
    let within = roots
        .iter()
        .filter_map(|path| path.canonicalize().ok())
        .any(|root| store.starts_with(root));
    if within && args.exclude.is_empty() {
        monitor.note(Note::new(
            Severity::Medium,
            "store-inside",
            store.display().to_string(),
            "the store lies within what is archived; leave it out with --exclude",
        ));
    }
}
