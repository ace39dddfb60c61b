//! How sg-verify is called.

use clap::Parser;
use clap::builder::FalseyValueParser;
use sg::program::args::{AuditArgs, JobsArgs, LinesArgs, StoreArgs, TalkArgs};
use sg::program::duration::duration;
use sg::program::policy::PolicyArgs;
use sg::program::select::SourceArgs;
use std::path::PathBuf;
use std::time::Duration;

/// Read backups back and check everything in them
///
/// Prints the path of each sound backup, so that a pipe goes on with the good ones. Reads paths from
/// standard input when none is given.
#[derive(Debug, Parser)]
#[command(name = "sg-verify", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The backups to verify
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Verify what the store has of new backups: those that were never checked
    #[arg(long, conflicts_with_all = ["files", "stream"])]
    pub(crate) new: bool,

    /// Verify a part of the others, too, as 1/7: those whose last check is the longest ago
    #[arg(long, env = "SG_SUBSET", value_name = "N/M", requires = "new", value_parser = subset)]
    pub(crate) subset: Option<Subset>,

    /// Begin none of the others after so long; the next run goes on with them
    #[arg(long, env = "SG_TIME_LIMIT", value_name = "TIME", value_parser = duration)]
    pub(crate) time_limit: Option<Duration>,

    /// Hold the store against what it should look like, too: fresh, complete, not shrunk, …
    #[arg(long, requires = "new")]
    pub(crate) policy: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    /// Verify the bytes on standard input and pass them on to standard output
    #[arg(long, conflicts_with_all = ["files", "json", "null"])]
    pub(crate) stream: bool,

    /// Don't record the outcome beside the backup
    #[arg(long, env = "SG_NO_RECORD", value_parser = FalseyValueParser::new())]
    pub(crate) no_record: bool,

    #[command(flatten)]
    pub(crate) jobs: JobsArgs,

    #[command(flatten)]
    pub(crate) audit: AuditArgs,

    #[command(flatten)]
    pub(crate) lines: LinesArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,

    // Last, as its heading would count for what follows.
    #[command(flatten)]
    pub(crate) expect: PolicyArgs,
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subset {
    pub(crate) of: u64,
    pub(crate) part: u64,
}

impl Subset {
    /// How many of `count` that is, rounded up.
    pub(crate) fn of(self, count: usize) -> usize {
        let part = (count as u64 * self.part).div_ceil(self.of);
        usize::try_from(part).unwrap_or(count)
    }
}

fn subset(text: &str) -> Result<Subset, String> {
    let wrong = || "write it as 1/7".to_owned();
    let (part, of) = text.split_once('/').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    let (part, of) = (number(part)?, number(of)?);
    if part == 0 || part > of || of > 1_000_000 {
        return Err(wrong());
    }
    Ok(Subset { of, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_part() {
        let of = |text: &str, count| subset(text).unwrap().of(count);
        assert_eq!(
            (of("1/7", 0), of("1/7", 1), of("1/7", 14), of("1/7", 15)),
            (0, 1, 2, 3)
        );
        assert_eq!(of("7/7", 20), 20);
        for text in ["", "1", "0/7", "8/7", "1/0", "a/b", "-1/7"] {
            assert!(subset(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
