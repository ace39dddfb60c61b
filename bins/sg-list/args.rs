//! How sg-list is called.

use clap::Parser;
use sg::program::args::{LinesArgs, StoreArgs, TalkArgs, TrailArgs};
use sg::program::select::{SourceArgs, TimeArgs};

/// List the backups in a store
///
/// Writes a table to a terminal and paths into a pipe, so that
/// "sg-list --app shop --kind db --newest | sg-restore db …" works. Lists what a restore may count on;
/// --all lists the rest, too. Finding nothing is a failure if anything less than everything was asked
/// for.
#[derive(Debug, Parser)]
#[command(name = "sg-list", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) time: TimeArgs,

    /// Only backups that were sound when they were last verified or restored
    #[arg(long)]
    pub(crate) verified: bool,

    /// Only backups that a drill has proven: restored and compared
    #[arg(long)]
    pub(crate) proven: bool,

    /// Unfinished and damaged ones, too
    #[arg(long, short = 'a')]
    pub(crate) all: bool,

    /// The audit trail instead: who did what to which backup, and whether the trail is as it was written
    #[arg(long, conflicts_with_all = ["newest", "at", "verified", "all", "paths", "null"])]
    pub(crate) audit: bool,

    #[command(flatten)]
    pub(crate) trail: TrailArgs,

    /// Write a table, also into a pipe
    #[arg(long, conflicts_with_all = ["paths", "json", "null"])]
    pub(crate) table: bool,

    /// Write paths, also to a terminal
    #[arg(long)]
    pub(crate) paths: bool,

    #[command(flatten)]
    pub(crate) lines: LinesArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

impl Args {
    /// Whether people are to read it.
    pub(crate) fn is_for_people(&self, terminal: bool) -> bool {
        self.table || terminal && !self.paths && !self.lines.json && !self.lines.null
    }
}
