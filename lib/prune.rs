//! Retention applied to a store: source by source a plan with the reason for each backup, and then
//! the removals.
//!
//! # What it promises
//! - The plan for a source is made under the source's lock, from what the store holds at that moment.
//!   A source that is locked is left for the next time, with a finding.
//! - What a killed run left behind is cleared first.
//! - A body without a seal is never removed: it may be another tool's. It is mentioned.
//! - A backup that somebody reads stays, with a finding.
//! - A source whose last verification or drill failed is left as it is, with a finding.
//! - What fails for one source does not keep the others from being pruned, and is not forgotten.

use crate::catalog::{Backup, Catalog, Selection, Source, State, by_source};
use crate::error::{Error, Kind, Result};
use crate::manifest::Proof;
use crate::monitor::{Monitor, Note, Severity};
use crate::retention::{self, Candidate, Decision, Rules, Standing};
use crate::store::{Local, SourceLock};
use crate::words::count;
use jiff::{Timestamp, Zoned};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What to prune, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to keep.
    pub rules: Rules,
    /// Of which sources; times and states in it have no meaning here.
    pub selection: Selection,
    /// The present, in the time zone whose days and weeks count.
    pub now: Zoned,
    /// Only plan.
    pub dry_run: bool,
    /// Find out when each backup that stays will go.
    pub explain: bool,
}

/// What is to become of one source's backups.
#[derive(Debug)]
pub struct Plan {
    /// Whose they are.
    pub source: Source,
    /// The backups, oldest first.
    pub verdicts: Vec<Verdict>,
}

/// What is to become of one backup.
#[derive(Debug)]
pub struct Verdict {
    /// The backup.
    pub backup: Backup,
    /// Whether it stays, and why.
    pub decision: Decision,
    /// When it will go, if backups go on coming as they did; only where asked for.
    pub goes: Option<Timestamp>,
    /// Whether it was removed.
    pub removed: bool,
}

/// What pruning came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many backups were removed, or would be.
    pub removed: u64,
    /// How many bytes that freed, or would.
    pub freed: u64,
    /// How many stay.
    pub kept: u64,
    /// What failed; the rest was done.
    pub failures: Vec<Error>,
}

/// Prunes `store`; hands over each source's plan once it is carried out.
///
/// # Errors
/// The rules keep nothing, or the store can't be read. What fails for one source is in the outcome.
pub fn prune(
    store: &Local,
    options: &Options,
    monitor: &dyn Monitor,
    mut report: impl FnMut(&Plan) -> Result<()>,
) -> Result<Outcome> {
    if options.rules.is_empty() {
        return Err(Error::new(Kind::Usage, "no rule says what to keep")
            .with_hint("Say it with --keep-daily, --keep-within or another --keep option."));
    }
    let mut outcome = Outcome::default();
    for source in sources(store, &options.selection)? {
        match prune_source(store, &source, options, monitor) {
            Ok(done) => {
                for plan in &done.plans {
                    outcome.count(plan, options.dry_run);
                    report(plan)?;
                }
                outcome.failures.extend(done.failures);
            }
            Err(error) if error.kind() == Kind::Locked => {
                let message = "is busy with another run: left for the next time";
                monitor.note(Note::new(Severity::Low, "source-locked", source, message));
            }
            Err(error) => outcome.failures.push(error),
        }
    }
    Ok(outcome)
}

impl Outcome {
    fn count(&mut self, plan: &Plan, dry_run: bool) {
        for verdict in &plan.verdicts {
            if verdict.removed || dry_run && !verdict.decision.keeps() {
                self.removed += 1;
                self.freed += verdict.backup.bytes;
            } else {
                self.kept += 1;
            }
        }
    }
}

/// The sources (`KIND_NAME`) to look at: those that have a backup that is meant, and those that only
/// have something to clear.
fn sources(store: &Local, selection: &Selection) -> Result<BTreeSet<String>> {
    let catalog = Catalog::read(store)?;
    let meant = catalog
        .backups
        .iter()
        .filter(|backup| selection.has_source(&backup.source()))
        .map(|backup| backup.name.source());
    let mut sources: BTreeSet<String> = meant.collect();
    if selection == &Selection::default() {
        sources.extend(catalog.unfinished);
    }
    Ok(sources)
}

struct Done {
    plans: Vec<Plan>,
    failures: Vec<Error>,
}

/// Locks, clears, plans and removes. One source in the store is several to the rules if it was used
/// by several applications.
fn prune_source(
    store: &Local,
    source: &str,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Done> {
    let lock = if options.dry_run {
        None
    } else {
        let lock = store.lock(source)?;
        for file in store.recover(source, &lock)? {
            let message = "cleared what a killed run left";
            monitor.note(Note::new(Severity::Info, "recovered", file, message));
        }
        Some(lock)
    };
    let catalog = Catalog::read_source(store, source)?;
    let mut done = Done {
        plans: Vec::new(),
        failures: Vec::new(),
    };
    for (source, backups) in groups(catalog.backups, source, monitor) {
        if !options.selection.has_source(&source) {
            continue;
        }
        let mut plan = plan(source, backups, options, monitor);
        if let Some(lock) = &lock {
            done.failures.extend(apply(store, &mut plan, lock, monitor));
        }
        done.plans.push(plan);
    }
    Ok(done)
}

/// The sealed backups by whose they are; mentions the others.
fn groups(
    backups: Vec<Backup>,
    source: &str,
    monitor: &dyn Monitor,
) -> BTreeMap<Source, Vec<Backup>> {
    let (groups, unsealed) = by_source(backups);
    if !unsealed.is_empty() {
        let message = format!(
            "{} without a manifest (unfinished, or another tool's) left alone",
            count(unsealed.len(), "file")
        );
        monitor.note(Note::new(Severity::Info, "unsealed", source, message));
    }
    groups
}

fn plan(source: Source, backups: Vec<Backup>, options: &Options, monitor: &dyn Monitor) -> Plan {
    let now = options.now.timestamp();
    let zone = options.now.time_zone();
    let candidates = candidates(&backups, now);
    for doubt in doubts(&backups) {
        let path = backups[doubt.at].path.display();
        let message = format!(
            "nothing of it is removed until a {0} succeeds: the last {0} failed, of {path}",
            doubt.check
        );
        let source = source.to_string();
        monitor.note(Note::new(Severity::Medium, "not-pruned", source, message));
    }
    let decisions = retention::decide(&options.rules, &candidates, now, zone);
    let goes = if options.explain {
        retention::last_days(&options.rules, &candidates, now, zone)
    } else {
        vec![None; backups.len()]
    };
    for backup in backups.iter().filter(|backup| backup.name.time > now) {
        let message = "is dated in the future: look after the clock of the host that made it";
        let path = backup.path.display().to_string();
        monitor.note(Note::new(Severity::Low, "future-backup", path, message));
    }
    let verdicts = backups
        .into_iter()
        .zip(decisions)
        .zip(goes)
        .map(|((backup, decision), goes)| Verdict {
            backup,
            decision,
            goes,
            removed: false,
        })
        .collect();
    Plan { source, verdicts }
}

/// A check that failed and is the last of its kind.
struct Doubt {
    /// Of which backup it was.
    at: usize,
    check: &'static str,
}

/// What makes all backups of a source doubtful: its last verification, its last drill. Damage that is found
/// again counts from when it was found: what was verified since then was sound beside it.
fn doubts(backups: &[Backup]) -> Vec<Doubt> {
    let last = |of: fn(&Proof) -> Option<(Timestamp, bool)>| {
        let checks = backups.iter().enumerate();
        let checks = checks.filter_map(|(at, backup)| Some((at, of(backup.proof.as_ref()?)?)));
        checks.max_by_key(|(_, (time, _))| *time)
    };
    let verified = last(|proof| {
        let check = proof.verified.as_ref()?;
        Some((check.news(), check.sound))
    });
    let drilled = last(|proof| {
        let check = proof.restored.as_ref()?;
        Some((check.at, proof.proven().is_some()))
    });
    [(verified, "verification"), (drilled, "drill")]
        .into_iter()
        .filter_map(|(last, check)| match last? {
            (at, (_, false)) => Some(Doubt { at, check }),
            _ => None,
        })
        .collect()
}

/// The backups of a source as the rules see them at `now`.
pub fn candidates(backups: &[Backup], now: Timestamp) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = backups
        .iter()
        .map(|backup| candidate(backup, now))
        .collect();
    for doubt in doubts(backups) {
        candidates[doubt.at].failed = true;
    }
    candidates
}

/// A backup as the rules see it at `now`.
pub(crate) fn candidate(backup: &Backup, now: Timestamp) -> Candidate {
    Candidate {
        time: backup.name.time,
        failed: false,
        standing: match backup.state {
            State::Verified if backup.proven().is_some() => Standing::Proven,
            State::Verified => Standing::Verified,
            State::Sealed => Standing::Sealed,
            _ => Standing::Damaged,
        },
        pinned: backup.is_pinned(now),
    }
}

/// Removes what the plan lets go, oldest first; returns what failed.
fn apply(store: &Local, plan: &mut Plan, lock: &SourceLock, monitor: &dyn Monitor) -> Vec<Error> {
    let mut failures = Vec::new();
    for verdict in &mut plan.verdicts {
        if verdict.decision.keeps() {
            continue;
        }
        match store.remove(&verdict.backup.name, lock) {
            Ok(()) => verdict.removed = true,
            Err(error) if error.kind() == Kind::Locked => {
                let message = "is being read: left for the next time";
                let path = verdict.backup.path.display().to_string();
                monitor.note(Note::new(Severity::Low, "being-read", path, message));
            }
            Err(error) => failures.push(error),
        }
    }
    failures
}

/// A verdict as programs read it: the backup's own fields, and these.
#[derive(Serialize)]
struct Object<'a> {
    #[serde(flatten)]
    backup: &'a Backup,
    decision: &'static str,
    reasons: Vec<String>,
    goes: Option<Timestamp>,
    removed: bool,
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (decision, reasons) = match &self.decision {
            Decision::Keep(reasons) => ("keep", reasons.iter().map(ToString::to_string).collect()),
            Decision::Remove(reasons) => {
                ("remove", reasons.iter().map(ToString::to_string).collect())
            }
        };
        Object {
            backup: &self.backup,
            decision,
            reasons,
            goes: self.goes,
            removed: self.removed,
        }
        .serialize(serializer)
    }
}
