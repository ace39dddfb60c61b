//! sg-drill: proves backups by restoring them.

mod args;

use args::Args;
use jiff::{Timestamp, Zoned};
use sg::audit::{Action, Deed, Outcome};
use sg::catalog::{Bound, Catalog, Selection, moment};
use sg::drill::{self, Chosen, Options, Pick, Report, SourceReport, Verdict, Written};
use sg::monitor::Monitor;
use sg::program::journal::Event;
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{self, Auditor, Console, Exit};
use sg::store::Local;
use sg::words::count;
use sg::{Error, Kind, Result};
use std::process::ExitCode;
use std::time::Duration;

const NAME: &str = "sg-drill";

pub(crate) fn main() -> ExitCode {
    let args: Args = program::parse();
    program::run(NAME, &args.talk, |console| {
        let app = args.source.app.as_deref();
        let audit = Auditor::new(NAME, Action::Drill, app, &args.audit, console);
        work(&args, console, &audit).inspect_err(|error| audit.record(&[audit.failure(error)]))
    })
}

fn work(args: &Args, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let now = Zoned::now();
    let options = options(args)?;
    let (chosen, catalog) = choose(args, &now)?;
    let report = drill::drill(&chosen, &catalog, &options, now.timestamp(), console)?;
    tell(&report, console);
    let written = report.write(&args.reports, args.keep_reports);
    audit.record(&deeds(&report, written.as_ref().ok(), audit));
    let path = written?.path;
    console.say(
        &format!("report: {}", path.with_extension("txt").display()),
        &[("SG_REPORT", path.display().to_string())],
    );
    print(&report, args)?;
    Ok(exit(&report))
}

fn options(args: &Args) -> Result<Options> {
    Ok(Options {
        tool: program::tool(NAME),
        app: if args.full {
            None
        } else {
            args.source.app.clone()
        },
        full: args.full,
        scratch: args.scratch.clone(),
        user: drill::user(args.user.as_deref())?,
        memory: args.memory,
        settings: args.settings(),
        assertions: args.assertions(),
        assertion_timeout: Duration::try_from(args.assertion_timeout).unwrap_or(Duration::MAX),
        rto: args.rto,
        rpo: args.rpo,
        reserve: args.reserve,
        jobs: args.jobs.jobs(),
        record: !args.no_record,
    })
}

/// What is to be drilled, and the store that it is in.
fn choose(args: &Args, now: &Zoned) -> Result<(Chosen, Catalog)> {
    if let Some(first) = args.files.first() {
        return Ok((Chosen::named(&args.files), drill::catalog_around(first)));
    }
    let at = args.at.as_deref();
    let at: Option<Timestamp> = at.map(|text| moment(text, now, Bound::End)).transpose()?;
    let pick = match at {
        Some(time) => Pick::At(time),
        None if args.random => Pick::Random,
        None => Pick::Newest,
    };
    let selection = if args.full {
        Selection::default()
    } else {
        args.source.selection()
    };
    let catalog = Catalog::read(&Local::open(&args.store.directory))?;
    let chosen = Chosen::from(&catalog, &selection, &args.expected(), pick);
    if chosen.backups.is_empty() && chosen.findings.is_empty() {
        return Err(Error::new(Kind::Failed, "there is nothing to drill"));
    }
    Ok((chosen, catalog))
}

/// Says what was found and what came out.
fn tell(report: &Report, console: &Console) {
    for note in report.all_findings() {
        console.note(note.clone());
    }
    for source in &report.sources {
        console.say(&told(source), &fields(source));
    }
    let verdict = report.verdict.words();
    let mut message = format!(
        "drill {verdict}: {} of {} proven in {:.1} s",
        report
            .sources
            .iter()
            .filter(|source| source.verdict == Verdict::Proven)
            .count(),
        count(report.sources.len(), "backup"),
        report.seconds
    );
    if let Some(recovery) = report.rto.seconds {
        message.push_str(&format!("; a recovery takes {recovery:.1} s"));
    }
    if let Some(age) = report.rpo.seconds {
        message.push_str(&format!(", the newest backup is {age:.0} s old"));
    }
    let figure = |seconds: Option<f64>| seconds.map_or_else(String::new, |s| format!("{s:.3}"));
    let fields = [
        ("SG_APP", report.app.clone().unwrap_or_default()),
        ("SG_VERDICT", verdict.to_owned()),
        ("SG_RTO_SECONDS", figure(report.rto.seconds)),
        ("SG_RPO_SECONDS", figure(report.rpo.seconds)),
    ];
    if report.verdict == Verdict::Proven {
        console.say(&message, &fields);
    } else {
        console.tell_of(Event::Unproven, &message, &fields);
    }
}

fn told(source: &SourceReport) -> String {
    format!(
        "{}: {} in {:.1} s",
        source.backup.display(),
        source.verdict.words(),
        source.seconds
    )
}

fn fields(source: &SourceReport) -> [(&'static str, String); 3] {
    [
        ("SG_BACKUP", source.backup.display().to_string()),
        ("SG_APP", source.app.clone().unwrap_or_default()),
        ("SG_VERDICT", source.verdict.words().to_owned()),
    ]
}

/// A line of the audit trail for each backup, and one for the whole, which vouches for the report.
fn deeds(report: &Report, written: Option<&Written>, audit: &Auditor<'_>) -> Vec<Deed> {
    let outcome = |verdict| match verdict {
        Verdict::Proven => Outcome::Done,
        Verdict::Findings => Outcome::Findings,
        Verdict::Damaged => Outcome::Damaged,
        Verdict::NotRun => Outcome::Failed,
    };
    let whole = audit.deed(outcome(report.verdict)).detail(format!(
        "{}, report {}",
        report.verdict.words(),
        report.id
    ));
    let whole = whole.sha256(written.map(|written| written.sha256.as_str()));
    let of = |source: &SourceReport| {
        let deed = audit.deed(outcome(source.verdict)).backup(&source.backup);
        deed.of(&source.kind, &source.name)
            .app(source.app.as_deref())
            .sha256(source.sha256.as_deref())
            .detail(source.verdict.words())
    };
    report.sources.iter().map(of).chain([whole]).collect()
}

/// The report as one line, or the paths of what is proven.
fn print(report: &Report, args: &Args) -> Result<()> {
    let lines = Lines::new(&args.lines, ClosedPipe::Ends);
    if args.lines.json {
        lines.put(std::path::Path::new(&report.id), report)?;
        return Ok(());
    }
    let proven = report.sources.iter();
    for source in proven.filter(|source| source.verdict == Verdict::Proven) {
        if !lines.put(&source.backup, source)? {
            break;
        }
    }
    Ok(())
}

/// What could not be done at all fails; what was done tells what came out.
fn exit(report: &Report) -> Exit {
    match report.verdict {
        Verdict::Proven => Exit::Done,
        Verdict::Findings => Exit::Findings,
        Verdict::Damaged => Exit::Damaged,
        Verdict::NotRun => report.failure().map_or(Exit::Failed, Exit::from),
    }
}
