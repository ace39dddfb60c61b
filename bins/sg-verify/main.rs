//! sg-verify: reads backups back and says whether they can be relied on.

mod args;
mod nightly;

use args::Args;
use jiff::Timestamp;
use nightly::Turn;
use sg::audit::{Action, Outcome};
use sg::monitor::{Monitor, Note, Severity};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{self, Auditor, Console, Exit, operands};
use sg::verify::{self, Options, Report, Verdict};
use sg::words::count;
use sg::{Error, Kind, Result};
use std::io;
use std::path::Path;
use std::process::ExitCode;

const NAME: &str = "sg-verify";

pub(crate) fn main() -> ExitCode {
    let args: Args = program::parse();
    program::run(NAME, &args.talk, |console| {
        let app = args.source.app.as_deref();
        let audit = Auditor::new(NAME, Action::Verify, app, &args.audit, console);
        let done = if args.stream {
            flow(&args, console, &audit)
        } else {
            work(&args, console, &audit)
        };
        done.inspect_err(|error| audit.record(&[audit.failure(error)]))
    })
}

/// Verifies what flows from standard input to standard output.
fn flow(args: &Args, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let options = Options {
        jobs: args.jobs.jobs(),
    };
    let report = verify::verify_flow(io::stdin(), io::stdout(), &options, console)?;
    tell(&report, console);
    let deed = audit.deed(outcome(report.verdict));
    audit.record(&[deed.target("standard output")]);
    Ok(match report.verdict {
        Verdict::Sound => Exit::Done,
        Verdict::Findings => Exit::Findings,
        Verdict::Damaged => Exit::Damaged,
    })
}

/// Verifies each backup; one that can't be read does not keep the others from being checked.
fn work(args: &Args, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let options = Options {
        jobs: args.jobs.jobs(),
    };
    let lines = Lines::new(&args.lines, ClosedPipe::Fails);
    let mut worst = Exit::Done;
    let mut any = false;
    let turns: Box<dyn Iterator<Item = Result<Turn>>> = if args.new {
        // That there is nothing new is no failure; that there is nothing at all is.
        any = true;
        Box::new(nightly::chosen(args, console)?.map(Ok))
    } else {
        let paths = operands::paths(&args.files, &args.lines)?;
        Box::new(paths.map(|path| path.map(Turn::from)))
    };
    for turn in turns {
        let Turn {
            path,
            damaged_since,
        } = turn?;
        any = true;
        match verify::verify(&path, &options, console) {
            Ok(report) => {
                // Who was told once can't mend it, and need not hear it each time that its turn comes.
                let known = damaged_since.filter(|_| report.verdict == Verdict::Damaged);
                match known {
                    Some(since) => tell_again(&report, since, console),
                    None => tell(&report, console),
                }
                audit.record(&[audit
                    .deed(outcome(report.verdict))
                    .app(report.app.as_deref())
                    .backup(&path)]);
                if !args.no_record {
                    record(&report, console);
                }
                match report.verdict {
                    Verdict::Sound => {}
                    Verdict::Findings => worst = worse(worst, Exit::Findings),
                    Verdict::Damaged if known.is_some() => {}
                    Verdict::Damaged => worst = worse(worst, Exit::Damaged),
                }
                if report.sound || args.lines.json {
                    lines.put(&path, &report)?;
                }
            }
            Err(error) => {
                console.failure(&error);
                audit.record(&[audit.failure(&error).backup(&path)]);
                worst = worse(worst, Exit::from(error.kind()));
            }
        }
    }
    if !any {
        return Err(Error::new(Kind::Usage, "standard input named no backup")
            .with_hint("The program before this one in the pipe made or found nothing."));
    }
    if args.policy && nightly::judge(args, &lines, console)? {
        worst = worse(worst, Exit::Findings);
    }
    Ok(worst)
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Sound => Outcome::Done,
        Verdict::Findings => Outcome::Findings,
        Verdict::Damaged => Outcome::Damaged,
    }
}

/// Damage outweighs all else, a failure outweighs findings.
fn worse(one: Exit, other: Exit) -> Exit {
    let weight = |exit| match exit {
        Exit::Done => 0,
        Exit::Findings => 1,
        Exit::Damaged => 3,
        _ => 2,
    };
    if weight(other) > weight(one) {
        other
    } else {
        one
    }
}

/// Of a backup that was found damaged before it is worth a word that it still is, and no more.
fn tell_again(report: &Report, since: Timestamp, console: &Console) {
    let found = report.notes.iter().max_by_key(|note| note.severity);
    let found = found.map_or("damaged", |note| note.message.as_str());
    let message = format!("is damaged, as has been known since {since}: {found}");
    let path = report.path.display().to_string();
    let note = Note::new(Severity::Info, "known-damage", path, message);
    console.note(note.with_hint(rid_of_it(&report.path)));
}

/// What to do about a damaged backup.
fn rid_of_it(path: &Path) -> String {
    format!(
        "It counts for nothing any more, and goes when the rules let it go; rm '{}'* takes it away now.",
        path.display()
    )
}

fn tell(report: &Report, console: &Console) {
    let damage = report
        .notes
        .iter()
        .position(|note| note.severity == Severity::Critical);
    for (at, note) in report.notes.iter().enumerate() {
        let ours = report.sealed || note.code == "manifest";
        let hint = (ours && damage == Some(at)).then(|| rid_of_it(&report.path));
        console.note(match hint {
            Some(hint) => note.clone().with_hint(hint),
            None => note.clone(),
        });
    }
    let found = &report.found;
    let inside = if found.entries > 0 {
        format!(
            "{}, {} of files",
            count(found.entries, "entry"),
            count(found.file_bytes, "byte")
        )
    } else {
        let tables = count(found.tables, "table");
        format!("{tables}, {}", count(found.rows, "row"))
    };
    let verdict = match report.verdict {
        Verdict::Sound => "sound",
        Verdict::Findings => "readable, with findings",
        Verdict::Damaged => "DAMAGED",
    };
    let fields = [
        ("SG_BACKUP", report.path.display().to_string()),
        ("SG_APP", report.app.clone().unwrap_or_default()),
        ("SG_BYTES", report.bytes.to_string()),
        ("SG_VERDICT", verdict.to_owned()),
    ];
    console.say(
        &format!(
            "{}: {verdict}; {inside}; {} bytes read in {:.1} s",
            report.path.display(),
            report.bytes,
            report.seconds
        ),
        &fields,
    );
}

/// That the outcome can't be recorded is worth a word, but changes nothing about it.
fn record(report: &Report, console: &Console) {
    if let Err(error) = verify::record(report, &program::tool(NAME)) {
        console.note(Note::new(
            Severity::Info,
            "not-recorded",
            Path::new(&report.path).display().to_string(),
            format!("the outcome can't be recorded beside it: {error}"),
        ));
    }
}
