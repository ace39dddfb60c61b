//! How sg-status is called.

use clap::Parser;
use sg::program::args::{SettingsArgs, TalkArgs};
use std::path::PathBuf;

/// Say how it stands with the backups of all applications
///
/// A line for each application: its newest backup and how old it may be, size and duration of the last
/// runs, what was verified and proven, the last drill, the next run, and what is wrong. Which applications
/// there are and what is wanted of them stands in /etc/sg; without it, everything in the store counts.
#[derive(Debug, Parser)]
#[command(name = "sg-status", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The directory that holds the backups [default: what each application's settings say, or
    /// /var/backups/sg]
    #[arg(long, short = 'd', env = "SG_DIRECTORY", value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// Only this application, with each of its sources
    #[arg(long, env = "SG_APP", value_name = "APP")]
    pub(crate) app: Option<String>,

    /// Write one JSON object
    #[arg(long, conflicts_with = "check")]
    pub(crate) json: bool,

    /// Answer as a plugin of Nagios and its like: one line with performance data, and its exit statuses:
    /// 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN
    #[arg(long)]
    pub(crate) check: bool,

    /// Write metrics into FILE, for node_exporter's textfile collector
    #[arg(long, env = "SG_STATUS_PROMETHEUS", value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,

    /// Write a page into FILE, for a browser
    #[arg(long, env = "SG_STATUS_HTML", value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,

    /// Where sg-drill keeps its reports
    #[arg(
        long,
        env = "SG_DRILL_DIRECTORY",
        value_name = "DIR",
        default_value = "/var/lib/sg/drills"
    )]
    pub(crate) drills: PathBuf,

    /// Where sg-alert keeps what is open
    #[arg(
        long,
        env = "SG_STATE_DIRECTORY",
        value_name = "DIR",
        default_value = "/var/lib/sg-alert"
    )]
    pub(crate) state_directory: PathBuf,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
