//! How sg-drill is called.

use clap::Parser;
use clap::builder::FalseyValueParser;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use sg::drill::Expected;
use sg::program::args::{AuditArgs, JobsArgs, LinesArgs, StoreArgs, TalkArgs};
use sg::program::select::SourceArgs;
use std::path::PathBuf;

/// Restore backups where nobody minds, and hold them against what was recorded
///
/// Takes the newest sound backup of each source of an application, restores databases into a PostgreSQL
/// server made for it and trees into an empty directory, compares every row, sequence and file with
/// what was recorded when the backup was made, runs the application's own assertions, and measures the
/// time. Production is not asked and not touched.
///
/// Writes a report as JSON and as text, and prints the path of each backup that is proven; with --json
/// the report as one line.
#[derive(Debug, Parser)]
#[command(name = "sg-drill", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The backups to drill, instead of those that the store has
    #[arg(value_name = "FILE", conflicts_with_all = ["at", "random"])]
    pub(crate) files: Vec<PathBuf>,

    /// The newest backups of that time: 2026-11-21T02:30:00Z, '2026-11-21 02:30', 2026-11-21, '2h ago'
    #[arg(long, value_name = "TIME", conflicts_with = "random")]
    pub(crate) at: Option<String>,

    /// Any backup of each source instead of the newest
    #[arg(long, env = "SG_DRILL_RANDOM", value_parser = FalseyValueParser::new())]
    pub(crate) random: bool,

    /// All that the store holds, of all applications, with a report for an auditor
    #[arg(long, env = "SG_DRILL_FULL", value_parser = FalseyValueParser::new())]
    pub(crate) full: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    /// A database of which there must be a backup; may be given several times
    #[arg(long = "database", env = "SG_DATABASE", value_name = "NAME")]
    pub(crate) databases: Vec<String>,

    /// There must be a backup of roles and tablespaces
    #[arg(long, env = "SG_GLOBALS", value_parser = FalseyValueParser::new())]
    pub(crate) globals: bool,

    /// A volume of which there must be a backup; may be given several times
    #[arg(long = "volume", env = "SG_VOLUMES", value_name = "NAME=PATH")]
    pub(crate) volumes: Vec<String>,

    /// The time that a recovery may take, e.g. 45min; longer is a finding
    #[arg(long, env = "SG_RTO", value_name = "SPAN", value_parser = span)]
    pub(crate) rto: Option<SignedDuration>,

    /// How old the newest backup may be, e.g. 26h; older is a finding
    #[arg(long, env = "SG_RPO", value_name = "SPAN", value_parser = span)]
    pub(crate) rpo: Option<SignedDuration>,

    /// Files of SQL that must yield true, DIR/*.sql, and DIR/DATABASE/*.sql [default: /etc/sg/APP.d]
    #[arg(long, env = "SG_ASSERTIONS", value_name = "DIR")]
    pub(crate) assertions: Option<PathBuf>,

    /// How long one of them may take
    #[arg(long, env = "SG_ASSERTION_TIMEOUT", value_name = "SPAN", default_value = "5min", value_parser = span)]
    pub(crate) assertion_timeout: SignedDuration,

    /// Where servers and trees are made for the time of the drill
    #[arg(
        long,
        env = "SG_DRILL_SCRATCH",
        value_name = "DIR",
        default_value = "/var/lib/sg/scratch"
    )]
    pub(crate) scratch: PathBuf,

    /// Where reports go
    #[arg(
        long,
        env = "SG_DRILL_DIRECTORY",
        value_name = "DIR",
        default_value = "/var/lib/sg/drills"
    )]
    pub(crate) reports: PathBuf,

    /// How long reports are kept
    #[arg(long, env = "SG_DRILL_KEEP", value_name = "SPAN", default_value = "90d", value_parser = span)]
    pub(crate) keep_reports: SignedDuration,

    /// Memory that the server plans with, e.g. 2G
    #[arg(long, env = "SG_DRILL_MEMORY", value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub(crate) memory: u64,

    /// What stays free on the disk that it works on, e.g. 10G: a drill that would take of it is not begun, one
    /// that takes half of it is ended [default: a twentieth of the disk, at most 5G]
    #[arg(long, env = "SG_DRILL_RESERVE", value_name = "SIZE", value_parser = bytes)]
    pub(crate) reserve: Option<u64>,

    /// A setting of the server, e.g. shared_preload_libraries=timescaledb; may be given several times
    #[arg(long = "setting", env = "SG_DRILL_SETTINGS", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<Settings>,

    /// Whom the server runs as, if root calls [default: sg-backup, else postgres]
    #[arg(long, env = "SG_DRILL_USER", value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Don't record the outcome beside the backups
    #[arg(long, env = "SG_NO_RECORD", value_parser = FalseyValueParser::new())]
    pub(crate) no_record: bool,

    #[command(flatten)]
    pub(crate) audit: AuditArgs,

    #[command(flatten)]
    pub(crate) jobs: JobsArgs,

    #[command(flatten)]
    pub(crate) lines: LinesArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

impl Args {
    /// What there must be a backup of; a variable names several, with spaces between.
    pub(crate) fn expected(&self) -> Expected {
        let names = |values: &[String]| -> Vec<String> {
            let names = values.iter().flat_map(|value| value.split_whitespace());
            names.map(str::to_owned).collect()
        };
        let volumes = names(&self.volumes);
        let name = |volume: &String| volume.split('=').next().unwrap_or_default().to_owned();
        Expected {
            databases: names(&self.databases),
            globals: self.globals,
            volumes: volumes.iter().map(name).collect(),
        }
    }

    /// Where the application's assertions are.
    pub(crate) fn assertions(&self) -> Option<PathBuf> {
        let of_app = || {
            let app = self.source.app.as_ref().filter(|app| !app.is_empty())?;
            Some(PathBuf::from(format!("/etc/sg/{app}.d")))
        };
        self.assertions.clone().or_else(of_app)
    }

    /// Settings of the server.
    pub(crate) fn settings(&self) -> Vec<String> {
        self.settings.iter().flatten().cloned().collect()
    }
}

/// Settings that one value names.
pub(crate) type Settings = Vec<String>;

/// Parses settings, with spaces between.
fn setting(text: &str) -> Result<Settings, String> {
    text.split_whitespace()
        .map(|setting| match setting.split_once('=') {
            Some((name, _)) if !name.is_empty() => Ok(setting.to_owned()),
            _ => Err(format!("write '{setting}' as NAME=VALUE")),
        })
        .collect()
}

/// Parses a span of time; days have 24 hours here.
fn span(text: &str) -> Result<SignedDuration, String> {
    let span: Span = text.parse().map_err(|_| wrong_span())?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .ok()
        .filter(SignedDuration::is_positive)
        .ok_or_else(wrong_span)
}

fn wrong_span() -> String {
    "write it like 45min, 26h or 90d".to_owned()
}

/// Parses what a server may plan with.
fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        few if few < 64 << 20 => Err("a server needs 64M at least".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses a size: a number of bytes, or one with K, M, G or T.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "write it like 512M or 2G".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn spans_and_sizes_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("45min", 2700),
            ("26h", 93_600),
            ("90d", 7_776_000),
            ("1h30m", 5400),
        ] {
            assert_eq!(span(text).unwrap().as_secs(), seconds, "{text}");
        }
        for text in ["", "soon", "-1h", "0s", "1 month"] {
            assert!(span(text).is_err(), "{text}");
        }
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("104857600"), Ok(104_857_600));
        for text in ["", "G", "1M", "2GB", "-1G", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(
            setting("a=1 b=2"),
            Ok(vec!["a=1".to_owned(), "b=2".to_owned()])
        );
        assert!(setting("a").is_err() && setting("=1").is_err());
    }

    #[test]
    fn a_variable_names_several_sources() {
        let args = Args::try_parse_from([
            "sg-drill",
            "--database",
            "shop archive",
            "--volume",
            "files=/srv/a more=/srv/b",
        ])
        .unwrap();
        let expected = args.expected();
        assert_eq!(expected.databases, ["shop", "archive"]);
        assert_eq!(expected.volumes, ["files", "more"]);
    }
}
