//! sg-restore volume.

use super::args::VolumeArgs;
use super::confirm::confirm;
use indicatif::HumanBytes;
use sg::audit::Outcome;
use sg::estimate::Past;
use sg::manifest::{Content, Manifest};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{Auditor, Console, Exit, operands};
use sg::volume::restore::{RestoreOptions, restore, restore_files};
use sg::volume::{Select, UnpackFacts};
use sg::words::count;
use sg::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Restores a tree, or files of it.
pub(crate) fn run(args: &VolumeArgs, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let path = operands::path_of_one(args.common.file.as_ref(), &args.common.lines)?;
    let manifest = Manifest::beside(&path)?;
    let to = target(args, manifest.as_ref())?;
    show(&path, manifest.as_ref(), &to, args, console);
    if args.dry_run {
        return Ok(Exit::Done);
    }
    confirm(args.confirm.yes)?;
    let begun = Instant::now();
    let jobs = args.common.jobs.jobs();
    let manifest = manifest.as_ref();
    let deed = audit
        .deed(Outcome::Begun)
        .backup(&path)
        .app(manifest.and_then(|manifest| manifest.app.as_deref()))
        .sha256(manifest.map(|manifest| manifest.sha256.as_str()))
        .target(to.display().to_string());
    let deed = match args.files.is_empty() {
        true => deed,
        false => deed.detail(format!("only {}", args.files.join(", "))),
    };
    let (facts, old) = audit.around(&deed, || carry_out(args, &path, &to, jobs, console))?;
    tell(&facts, old.as_deref(), &path, &to, begun, console);
    Lines::new(&args.common.lines, ClosedPipe::Ends).put(
        &to,
        &serde_json::json!({
            "path": to, "files": facts.files, "bytes": facts.bytes, "compared": facts.compared,
            "kept": old,
        }),
    )?;
    Ok(Exit::Done)
}

/// Restores; returns what came back, and where the tree is that was there before.
fn carry_out(
    args: &VolumeArgs,
    path: &Path,
    to: &Path,
    jobs: usize,
    console: &Console,
) -> Result<(UnpackFacts, Option<PathBuf>)> {
    if args.files.is_empty() {
        let options = RestoreOptions {
            file: path.to_owned(),
            target: to.to_owned(),
            in_place: args.in_place,
            drop_old: args.drop_old,
            numeric_owner: args.numeric_owner,
            jobs,
        };
        let facts = restore(&options, console)?;
        Ok((facts.unpacked, facts.old))
    } else {
        let select = Select::new(&args.files)?;
        let facts = restore_files(path, to, select, args.numeric_owner, jobs, console)?;
        Ok((facts, None))
    }
}

/// The directory to restore to: the one named, else the one that was archived.
fn target(args: &VolumeArgs, manifest: Option<&Manifest>) -> Result<PathBuf> {
    if let Some(to) = &args.to {
        return Ok(to.clone());
    }
    let error = |reason: &str| {
        Error::new(Kind::Usage, reason.to_owned()).with_hint("Name the directory with --to.")
    };
    if !args.files.is_empty() {
        return Err(error("single files need a directory to go to"));
    }
    match manifest.map(|manifest| &manifest.content) {
        Some(Content::Volume(volume)) => match volume.roots.as_slice() {
            [one] => Ok(PathBuf::from(one)),
            _ => Err(error("the backup holds several trees")),
        },
        _ => Err(error("the backup does not say where its tree was")),
    }
}

/// Tells what there is, and what will be done.
fn show(path: &Path, manifest: Option<&Manifest>, to: &Path, args: &VolumeArgs, console: &Console) {
    if let Some(manifest) = manifest
        && let Content::Volume(volume) = &manifest.content
    {
        console.say(
            &format!(
                "{}: made {} on {}, {}, {}",
                path.display(),
                manifest.started,
                manifest.host,
                count(volume.files, "file"),
                HumanBytes(volume.file_bytes)
            ),
            &[],
        );
    }
    let to = to.display();
    let plan = if !args.files.is_empty() {
        format!("files will be put into '{to}'")
    } else if args.in_place {
        format!("'{to}' will be filled in place")
    } else if args.drop_old {
        format!("'{to}' will be replaced, and what is there removed")
    } else {
        format!("'{to}' will be replaced, and what is there kept beside it")
    };
    console.say(&plan, &[]);
    if let Some(manifest) = manifest
        && args.files.is_empty()
    {
        let past = Past::read(&args.past.places(&args.common.audit));
        let estimate = past.estimate(&manifest.kind, &manifest.name, manifest.bytes);
        console.say(&estimate.sentence(), &[]);
    }
}

fn tell(
    facts: &UnpackFacts,
    old: Option<&Path>,
    path: &Path,
    to: &Path,
    begun: Instant,
    console: &Console,
) {
    let mut message = format!(
        "'{}' is restored: {}, {} of files, {} compared, in {:.1} s",
        to.display(),
        count(facts.entries(), "entry"),
        HumanBytes(facts.bytes),
        count(facts.compared, "file"),
        begun.elapsed().as_secs_f64()
    );
    if let Some(old) = old {
        message.push_str(&format!("; what was there before is '{}'", old.display()));
    }
    console.say(&message, &[("SG_BACKUP", path.display().to_string())]);
}
