//! sg-prune: retention.

mod args;

use args::Args;
use jiff::Zoned;
use sg::Result;
use sg::audit::{self, Action, Deed};
use sg::monitor::{Monitor, Note, Severity};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::table::{self, Table};
use sg::program::{self, Auditor, Console, Exit};
use sg::prune::{self, Options, Outcome, Plan, Verdict};
use sg::store::Local;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

const NAME: &str = "sg-prune";

pub(crate) fn main() -> ExitCode {
    let args: Args = program::parse();
    program::run(NAME, &args.talk, |console| {
        let app = args.source.app.as_deref();
        let audit = Auditor::new(NAME, Action::Prune, app, &args.audit, console);
        work(&args, console, &audit).inspect_err(|error| audit.record(&[audit.failure(error)]))
    })
}

fn work(args: &Args, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let options = Options {
        rules: args.keep.rules(),
        selection: args.source.selection(),
        now: Zoned::now(),
        dry_run: args.dry_run,
        explain: args.explain,
    };
    // Whoever reads the paths may stop; the work goes on.
    let lines = Lines::new(&args.lines, ClosedPipe::Ends);
    let asked = args.dry_run || args.explain;
    let as_table = !args.talk.quiet && (asked || io::stderr().is_terminal());
    let store = Local::open(&args.store.directory);
    let outcome = prune::prune(&store, &options, console, |plan| {
        audit.record(&removals(plan, audit));
        if as_table {
            // With standard error gone there is nobody left to tell.
            let _ = io::stderr().write_all(explained(plan, args).as_bytes());
        } else {
            log(plan, console);
        }
        for verdict in &plan.verdicts {
            if args.lines.json || goes_now(verdict, args) {
                lines.put(&verdict.backup.path, verdict)?;
            }
        }
        Ok(())
    })?;
    tell(&outcome, args, console);
    for error in &outcome.failures {
        console.failure(error);
        audit.record(&[audit.failure(error)]);
    }
    if !args.dry_run {
        let counts = format!("removed {}, keeps {}", outcome.removed, outcome.kept);
        audit.record(&[audit.deed(audit::Outcome::Done).detail(counts)]);
    }
    Ok(match outcome.failures.first() {
        Some(error) => Exit::from(error.kind()),
        None => Exit::Done,
    })
}

/// A line for each backup that is gone.
fn removals(plan: &Plan, audit: &Auditor<'_>) -> Vec<Deed> {
    let gone = plan.verdicts.iter().filter(|verdict| verdict.removed);
    gone.map(|verdict| {
        let backup = &verdict.backup;
        let seal = backup.seal.as_ref();
        audit
            .deed(audit::Outcome::Done)
            .app(plan.source.app.as_deref())
            .backup(&backup.path)
            .sha256(seal.map(|seal| seal.sha256.as_str()))
            .detail(format!("removed: {}", verdict.decision))
    })
    .collect()
}

/// Whether it is gone, or would be.
fn goes_now(verdict: &Verdict, args: &Args) -> bool {
    verdict.removed || args.dry_run && !verdict.decision.keeps()
}

/// A plan for people.
fn explained(plan: &Plan, args: &Args) -> String {
    let mut titles = vec!["", "TIME", " SIZE", "STATE", "WHY"];
    if args.explain {
        titles.push("GOES");
    }
    let mut table = Table::new(&titles);
    for verdict in &plan.verdicts {
        let backup = &verdict.backup;
        let verb = match (verdict.decision.keeps(), verdict.removed || args.dry_run) {
            (true, _) => "keep",
            (false, true) => "remove",
            (false, false) => "LEFT",
        };
        let goes = match verdict.goes {
            _ if !args.explain => None,
            Some(_) if !verdict.decision.keeps() => Some("now".to_owned()),
            Some(time) => Some(table::time(time)),
            None => Some("not in sight".to_owned()),
        };
        let cells = [
            verb.to_owned(),
            table::time(backup.name.time),
            table::size(backup.bytes),
            backup.state.word().to_owned(),
            verdict.decision.to_string(),
        ];
        table.row(cells.into_iter().chain(goes));
    }
    format!("{}\n{table}\n", plan.source)
}

/// A plan for the log: what went.
fn log(plan: &Plan, console: &Console) {
    for verdict in plan.verdicts.iter().filter(|verdict| verdict.removed) {
        let path = verdict.backup.path.display();
        let fields = [
            ("SG_BACKUP", path.to_string()),
            ("SG_APP", plan.source.app.clone().unwrap_or_default()),
            ("SG_BYTES", verdict.backup.bytes.to_string()),
        ];
        let state = verdict.backup.state.word();
        let message = format!("removed {path} ({state}): {}", verdict.decision);
        console.say(&message, &fields);
    }
}

fn tell(outcome: &Outcome, args: &Args, console: &Console) {
    if outcome.kept + outcome.removed == 0 && args.source.selection().is_narrow() {
        let directory = args.store.directory.display().to_string();
        let message = "holds no such backup: nothing was pruned";
        console.note(Note::new(
            Severity::Low,
            "nothing-meant",
            directory,
            message,
        ));
    }
    let (verb, freed) = if args.dry_run {
        ("would remove", "would free")
    } else {
        ("removed", "freed")
    };
    console.say(
        &format!(
            "{verb} {}, {freed} {}, keeps {}",
            outcome.removed,
            table::size(outcome.freed),
            outcome.kept
        ),
        &[
            ("SG_REMOVED", outcome.removed.to_string()),
            ("SG_FREED_BYTES", outcome.freed.to_string()),
            ("SG_KEPT", outcome.kept.to_string()),
        ],
    );
}
