//! sg-verify --new: what a night made, a part of what was there before, and whether it is all as it should be.

use super::args::Args;
use jiff::{Timestamp, Zoned};
use sg::audit::{self, Action, Trail};
use sg::catalog::{Backup, Catalog, Source};
use sg::policy::{Circumstances, Judgement};
use sg::program::Console;
use sg::program::output::Lines;
use sg::store::Local;
use sg::{Error, Kind, Result};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

/// What `--json` ends with.
#[derive(serde::Serialize)]
struct End<'a> {
    policy: &'a Judgement,
}

/// A backup whose turn it is.
pub(crate) struct Turn {
    pub(crate) path: PathBuf,
    /// Since when it is known that it is damaged, if it is.
    pub(crate) damaged_since: Option<Timestamp>,
}

impl From<PathBuf> for Turn {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            damaged_since: None,
        }
    }
}

/// The backups that were never checked, and of the others the part that is asked for, those first whose last
/// check is the longest ago: so all have their turn, and what there was no time for comes first the next
/// time. That there are none at all is a failure: who asks for new ones every night must hear that nothing
/// makes any.
pub(crate) fn chosen<'a>(
    args: &'a Args,
    console: &'a Console,
) -> Result<impl Iterator<Item = Turn> + 'a> {
    let (mut new, mut others) = (Vec::new(), Vec::new());
    for backup in backups(args)? {
        let last_check = backup.last_check().map(|check| check.at);
        let turn = Turn {
            damaged_since: backup.damaged_since(),
            path: backup.path.clone(),
        };
        if backup.is_new() {
            new.push(turn);
        } else if let Some(at) = last_check {
            others.push((at, turn));
        }
    }
    if new.is_empty() {
        console.say("nothing new to verify", &[]);
    }
    others.sort_by(|(one, first), (other, second)| (one, &first.path).cmp(&(other, &second.path)));
    others.truncate(args.subset.map_or(0, |subset| subset.of(others.len())));
    let begun = Instant::now();
    let mut left = others.len();
    let others = others
        .into_iter()
        .map(|(_, turn)| turn)
        .take_while(move |_| {
            let late = args
                .time_limit
                .is_some_and(|limit| begun.elapsed() >= limit);
            if late {
                console.say(
                    &format!("{left} older ones are left for the next time"),
                    &[],
                );
            }
            left -= 1;
            !late
        });
    Ok(new.into_iter().chain(others))
}

fn backups(args: &Args) -> Result<Vec<Backup>> {
    let mut selection = args.source.selection();
    selection.all = true;
    let store = Local::open(&args.store.directory);
    let backups = selection.of(Catalog::read(&store)?.backups);
    if backups.is_empty() {
        let message = format!("no such backup in '{}'", args.store.directory.display());
        return Err(Error::new(Kind::Failed, message).with_hint(
            "Is a database or a volume set for it? sg-list --all shows what is there.",
        ));
    }
    Ok(backups)
}

/// Holds the store against the policy; `true` if something is not as it should be.
pub(crate) fn judge(args: &Args, lines: &Lines, console: &Console) -> Result<bool> {
    let policy = args.expect.policy()?;
    let backups = backups(args)?;
    let first = first_backups(args);
    let circumstances = Circumstances {
        now: Zoned::now(),
        free: sg::store::free(&args.store.directory).ok(),
        first: &|source| first.get(source).copied(),
        jobs: args.jobs.jobs(),
    };
    let judgement = policy.judge(&backups, &circumstances, console)?;
    if args.lines.json {
        let end = End { policy: &judgement };
        lines.put(&args.store.directory, &end)?;
    }
    Ok(!judgement.findings.is_empty())
}

/// When each source was backed up for the first time, as the audit trail has it.
fn first_backups(args: &Args) -> HashMap<Source, Timestamp> {
    let mut first = HashMap::new();
    let trail = Trail::at(&args.audit.trail.audit_file);
    if let Ok(Some(file)) = trail.read() {
        // As far as it can be read: without it the oldest that is left has to do.
        let _ = audit::check(file, &[], |_, record| {
            let deed = &record.deed;
            if let (Action::Backup, Some(_), Some(kind), Some(name)) =
                (deed.action, &deed.backup, &deed.kind, &deed.name)
            {
                let source = Source {
                    app: deed.app.clone(),
                    kind: kind.clone(),
                    name: name.clone(),
                };
                first.entry(source).or_insert(record.at);
            }
            Ok(())
        });
    }
    first
}
