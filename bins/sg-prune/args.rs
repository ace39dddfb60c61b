//! How sg-prune is called.

use clap::Parser;
use clap::builder::FalseyValueParser;
use sg::program::args::{AuditArgs, LinesArgs, StoreArgs, TalkArgs};
use sg::program::keep::KeepArgs;
use sg::program::select::SourceArgs;

/// Remove the backups that no rule keeps
///
/// The rules are applied to each source by itself: to each database or volume of each application. A
/// backup stays if any rule keeps it. The newest good one, the newest verified one and the newest proven
/// one always stay; while the last verification or drill of a source is one that failed, nothing of it
/// goes; damaged ones take nobody's place; unfinished ones and other files are left alone. Days and hours
/// are those of the host's time zone. To keep a backup whatever the rules say: touch FILE.keep.
///
/// Prints the path of each backup removed; with --json one object for each backup, also for those that
/// stay, with the reasons.
#[derive(Debug, Parser)]
#[command(name = "sg-prune", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    /// Only say what would be removed, and why
    #[arg(long, short = 'n', env = "SG_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,

    /// Say also when each backup that stays will go, if they go on coming as they did
    #[arg(long)]
    pub(crate) explain: bool,

    #[command(flatten)]
    pub(crate) audit: AuditArgs,

    #[command(flatten)]
    pub(crate) lines: LinesArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,

    // Last, as its heading would count for what follows.
    #[command(flatten)]
    pub(crate) keep: KeepArgs,
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
