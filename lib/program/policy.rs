//! What is expected of a store, as people set it.

use super::duration::duration;
use super::keep::KeepArgs;
use crate::error::{Error, Kind, Result};
use crate::policy::Policy;
use crate::postgres::Conninfo;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::time::Duration;

/// What is expected.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What is expected, with --policy")]
pub struct PolicyArgs {
    /// How old the newest backup may be
    #[arg(long, env = "SG_RPO", value_name = "TIME", default_value = "30h", value_parser = duration)]
    rpo: Duration,

    /// A file that was touched when this run began: each source has to have a newer backup
    #[arg(long, env = "SG_RUN_MARK", value_name = "FILE")]
    run_mark: Option<PathBuf>,

    /// The databases that have to have backups, with spaces between [default: those that have some]
    #[arg(long, env = "SG_DATABASE", value_name = "NAMES")]
    expect_databases: Option<String>,

    /// The volumes that have to have backups, as NAME or NAME=PATH, with spaces between
    #[arg(long, env = "SG_VOLUMES", value_name = "NAMES")]
    expect_volumes: Option<String>,

    /// Tables that have to be in a newest dump, as [SCHEMA.]NAME, with spaces between
    #[arg(long, env = "SG_EXPECT_TABLES", value_name = "NAMES")]
    expect_tables: Option<String>,

    /// Patterns for files that have to be in a newest archive, with spaces between
    #[arg(long, env = "SG_EXPECT_FILES", value_name = "PATTERNS")]
    expect_files: Option<String>,

    /// The fewest good backups of a source; fewer are expected while it is new
    #[arg(long, env = "SG_MIN_COUNT", value_name = "N", default_value = "3")]
    min_count: u32,

    /// By how many percent the size or the rows may drop
    #[arg(
        long,
        env = "SG_MAX_SHRINK",
        value_name = "PERCENT",
        default_value = "50"
    )]
    max_shrink: u32,

    /// By how many percent the size may grow
    #[arg(
        long,
        env = "SG_MAX_GROWTH",
        value_name = "PERCENT",
        default_value = "200"
    )]
    max_growth: u32,

    /// How long a backup may take
    #[arg(long, env = "SG_MAX_DURATION", value_name = "TIME", default_value = "30m", value_parser = duration)]
    max_duration: Duration,

    /// The fewest bytes of a backup
    #[arg(long, env = "SG_MIN_SIZE", value_name = "BYTES", default_value = "200")]
    min_size: u64,

    #[command(flatten)]
    keep: KeepArgs,
}

impl PolicyArgs {
    /// The policy.
    ///
    /// # Errors
    /// A database is named in a way that can't be understood, or the mark is there and can't be read.
    pub fn policy(&self) -> Result<Policy> {
        let mut expected = Vec::new();
        for name in words(self.expect_databases.as_deref()) {
            let info = Conninfo::new(Some(&name))?;
            expected.push(("db".to_owned(), info.database().to_owned()));
        }
        for volume in words(self.expect_volumes.as_deref()) {
            // A word that is no name continues a path with blanks.
            let name = volume.split('=').next().unwrap_or_default();
            if !name.is_empty()
                && !name.contains('/')
                && (volume.contains('=') || expected_bare(self))
            {
                expected.push(("volume".to_owned(), name.to_owned()));
            }
        }
        Ok(Policy {
            rpo: signed(self.rpo)?,
            begun: self.begun()?,
            expected,
            tables: words(self.expect_tables.as_deref()),
            files: words(self.expect_files.as_deref()),
            least: self.min_count,
            keep: self.keep.rules(),
            shrink: self.max_shrink,
            growth: self.max_growth,
            duration: signed(self.max_duration)?,
            size: self.min_size,
        })
    }

    /// When this run began, if somebody left a mark.
    fn begun(&self) -> Result<Option<Timestamp>> {
        use crate::error::Context;
        let Some(path) = &self.run_mark else {
            return Ok(None);
        };
        let touched = match path.metadata().and_then(|found| found.modified()) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            found => found.context(|| format!("cannot look at '{}'", path.display()))?,
        };
        Ok(Timestamp::try_from(touched).ok())
    }
}

/// Whether the volumes are given by their names alone.
fn expected_bare(args: &PolicyArgs) -> bool {
    !args
        .expect_volumes
        .as_deref()
        .unwrap_or_default()
        .contains('=')
}

/// What stands between blanks, unless it is a connection string.
fn words(text: Option<&str>) -> Vec<String> {
    let text = text.unwrap_or_default().trim();
    if text.contains("host=") || text.contains("dbname=") {
        return vec![text.to_owned()];
    }
    text.split_whitespace().map(str::to_owned).collect()
}

fn signed(time: Duration) -> Result<SignedDuration> {
    SignedDuration::try_from(time)
        .map_err(|cause| Error::new(Kind::Usage, "a span of time is too long").with_source(cause))
}
