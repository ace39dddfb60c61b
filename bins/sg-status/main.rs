//! sg-status: how it stands with the backups of a host.

mod args;

use args::Args;
use jiff::Zoned;
use sg::program::args::LinesArgs;
use sg::program::output::{ClosedPipe, Lines, replace};
use sg::program::{self, Console, Exit};
use sg::settings::Variables;
use sg::status::screen::{self, Style};
use sg::status::{self, Facts, Level, Places, Report, check, html, json, prometheus};
use sg::words::count;
use sg::{Error, Kind, Result};
use std::io::{self, IsTerminal};
use std::process::ExitCode;

const NAME: &str = "sg-status";

pub(crate) fn main() -> ExitCode {
    // A plugin answers on standard output, with its own statuses, also where it was called wrongly.
    let is_check = std::env::args_os().any(|argument| argument == "--check");
    let args: Args = match program::parse_from(std::env::args_os().collect()) {
        Ok(args) => args,
        Err(wrong) if is_check && wrong.use_stderr() => {
            let reason = wrong.to_string();
            let reason = reason.lines().next().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ").to_owned();
            return answer(
                &check::unknown(&Error::new(Kind::Usage, reason)),
                check::UNKNOWN,
            );
        }
        Err(wrong) => wrong.exit(),
    };
    if args.check {
        return match plugin(&args) {
            Ok((line, status)) => answer(&line, status),
            Err(error) => answer(&check::unknown(&error), check::UNKNOWN),
        };
    }
    program::run(NAME, &args.talk, |console| work(&args, console))
}

/// What a plugin answers; files are written on the way.
fn plugin(args: &Args) -> Result<(String, u8)> {
    let (facts, report, now) = look(args)?;
    write_files(args, &facts, &report, &now)?;
    Ok(check::render(&facts, &report))
}

fn answer(line: &str, status: u8) -> ExitCode {
    match print(line) {
        Ok(_) => ExitCode::from(status),
        Err(_) => ExitCode::from(check::UNKNOWN),
    }
}

fn work(args: &Args, console: &Console) -> Result<Exit> {
    let (facts, report, now) = look(args)?;
    write_files(args, &facts, &report, &now)?;
    if args.json {
        print(&json::render(&facts, &report)?)?;
    } else if args.html.is_none() && args.prometheus.is_none() {
        let style = Style {
            colour: io::stdout().is_terminal() && !is_set("NO_COLOR"),
            unicode: speaks_unicode(),
            sources: args.app.is_some(),
        };
        print(&screen::render(&facts, &report, style, &now))?;
    } else {
        let number = report.count(Level::Ok);
        console.say(
            &format!(
                "well: {number} of {}",
                count(facts.applications.len(), "application")
            ),
            &[],
        );
    }
    Ok(match report.level {
        Level::Ok => Exit::Done,
        Level::Warning | Level::Critical => Exit::Findings,
    })
}

/// Finds out and judges.
fn look(args: &Args) -> Result<(Facts, Report, Zoned)> {
    let now = Zoned::now();
    let is_ours = |(name, _): &(String, String)| name.starts_with("SG_");
    // Not std::env::vars, which panics at what is no text.
    let environment = std::env::vars_os();
    let environment = environment
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let places = Places {
        settings: args.settings.config_directory.clone(),
        store: args.directory.clone(),
        drills: args.drills.clone(),
        incidents: args.state_directory.clone(),
        environment: environment.filter(is_ours).collect::<Variables>(),
    };
    let app = args.app.as_deref().filter(|app| !app.is_empty());
    let facts = status::gather(&places, app, args.html.is_some(), &now)?;
    if let (Some(app), true) = (app, facts.applications.is_empty()) {
        return Err(
            Error::new(Kind::Failed, format!("there is no application '{app}'"))
                .with_hint("sg-status, with nothing else, shows all that there are."),
        );
    }
    let report = status::judge(&facts, now.timestamp());
    Ok((facts, report, now))
}

fn write_files(args: &Args, facts: &Facts, report: &Report, now: &Zoned) -> Result<()> {
    if let Some(path) = &args.prometheus {
        replace(path, prometheus::render(facts, report).as_bytes())?;
    }
    if let Some(path) = &args.html {
        replace(path, html::render(facts, report, now).as_bytes())?;
    }
    Ok(())
}

fn print(text: &str) -> Result<bool> {
    Lines::new(&LinesArgs::default(), ClosedPipe::Ends).write(text.as_bytes())
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether the terminal is set up for UTF-8, by the variables that say so, the first of which counts.
fn speaks_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find(|name| is_set(name));
    let locale = locale
        .and_then(|name| std::env::var(name).ok())
        .unwrap_or_default();
    let locale = locale.to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
