//! How sg-backup is called.

use clap::Parser;
use clap::builder::FalseyValueParser;
use jiff::{Span, ToSpan};
use sg::program::args::{LinesArgs, SettingsArgs, TalkArgs};
use std::path::PathBuf;

/// Back up an application now, before it is changed
///
/// Runs the chain of the night at once, by systemd where it runs the host, and ends with 0 only when
/// every backup of it was read back: a deployment that waits for that can be undone. The backups are
/// pinned for a while, whatever the rules of retention say.
///
/// Prints the path of each backup.
#[derive(Debug, Parser)]
#[command(name = "sg-backup", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The application, as /etc/sg/APP.conf names it
    #[arg(value_name = "APP")]
    pub(crate) app: String,

    /// Why; recorded in the manifests
    #[arg(long, value_name = "TEXT", default_value = "manual", value_parser = reason)]
    pub(crate) reason: String,

    /// Record the commit and branch of the git checkout in DIR: what is deployed now
    #[arg(long, value_name = "DIR")]
    pub(crate) git: Option<PathBuf>,

    /// Write which backups these are to FILE, as lines NAME=value, once they are verified
    #[arg(long, value_name = "FILE")]
    pub(crate) marker: Option<PathBuf>,

    /// Keep them for at least so long, e.g. 30d or '6 months'; forever; or no
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = pin)]
    pub(crate) pin: Pins,

    /// Run the programs here and now, without systemd
    #[arg(long, env = "SG_DIRECT", value_parser = FalseyValueParser::new())]
    pub(crate) direct: bool,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,

    #[command(flatten)]
    pub(crate) lines: LinesArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// How long the backups are pinned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pins {
    /// Not at all.
    No,
    /// For so long.
    For(Span),
    /// Until somebody takes the pin out.
    Forever,
}

fn pin(text: &str) -> Result<Pins, String> {
    match text {
        "no" => return Ok(Pins::No),
        "forever" => return Ok(Pins::Forever),
        _ => {}
    }
    let span: Span = text
        .parse()
        .map_err(|_| "write it like 30d, '6 months', forever or no".to_owned())?;
    if span.is_negative() || span.fieldwise() == 0.seconds() {
        return Err("that is over already".to_owned());
    }
    Ok(Pins::For(span))
}

/// It passes through a file of settings, line by line.
fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("say why".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it has to be a single line".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn pins_are_spans_ahead() {
        for text in ["30d", "6 months", "1w", "forever", "no"] {
            assert!(pin(text).is_ok(), "{text}");
        }
        for text in ["", "30", "0d", "2 days ago", "yes"] {
            assert!(pin(text).is_err(), "{text}");
        }
    }
}
