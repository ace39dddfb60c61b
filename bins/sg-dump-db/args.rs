//! How sg-dump-db is called.

use clap::builder::FalseyValueParser;
use clap::{FromArgMatches, Parser};
use sg::program;
use sg::program::args::{self, JobsArgs, LabelArgs, LinesArgs, StoreArgs, TalkArgs};
use sg::stream::Compression;

/// Dump PostgreSQL databases into files that gunzip and psql restore
///
/// Each database becomes one file in the directory of backups, made by several connections in one
/// snapshot, with a manifest beside it. The server is found as psql finds it: PGHOST, PGPORT, PGUSER,
/// PGSERVICE, PGSSLMODE, ~/.pgpass, … ; a password may also be in the unit's credential 'pgpass'.
///
/// Prints the path of each backup made. If one database fails the others are dumped all the same, and
/// the exit status is that of the failure.
#[derive(Debug, Parser)]
#[command(name = "sg-dump-db", version, max_term_width = 100)]
pub(crate) struct Args {
    /// A database to dump, or a connection string or URI; can be repeated (in the variable: names with
    /// spaces between) [default: PGDATABASE]
    #[arg(
        long = "database",
        short = 'D',
        env = "SG_DATABASE",
        value_name = "NAME"
    )]
    pub(crate) databases: Vec<String>,

    /// Dump all databases that allow connections, but for templates
    #[arg(long, env = "SG_ALL", value_parser = FalseyValueParser::new(), conflicts_with = "databases")]
    pub(crate) all: bool,

    /// Dump roles and tablespaces, too; alone if no database is named
    #[arg(long, env = "SG_GLOBALS", value_parser = FalseyValueParser::new())]
    pub(crate) globals: bool,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Write the one dump to standard output instead ('-')
    #[arg(long, short = 'o', value_name = "-", value_parser = ["-"], conflicts_with_all = ["all", "json", "null"])]
    pub(crate) output: Option<String>,

    /// How to compress: gzip[:LEVEL], zstd[:LEVEL] or none
    #[arg(long, short = 'Z', env = "SG_COMPRESS", value_name = "CODEC", default_value = "gzip:4", value_parser = args::compression)]
    pub(crate) compress: Compression,

    #[command(flatten)]
    pub(crate) jobs: JobsArgs,

    /// Leave out the rows of the tables that match, as pg_dump does; can be repeated (in the variable:
    /// patterns with spaces between)
    #[arg(long, env = "SG_EXCLUDE_TABLE_DATA", value_name = "PATTERN")]
    pub(crate) exclude_table_data: Vec<String>,

    #[command(flatten)]
    pub(crate) label: LabelArgs,

    /// Print the SQL that makes ROLE one that may dump the databases and change nothing, and end
    #[arg(long, value_name = "ROLE")]
    pub(crate) print_grants: Option<String>,

    #[command(flatten)]
    pub(crate) lines: LinesArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

impl Args {
    /// What the user wants: ends the program if that makes no sense.
    pub(crate) fn from_command_line() -> Self {
        program::parse_with(|matches| {
            let mut args = Self::from_arg_matches(matches)?;
            // A connection string has blanks of its own.
            if !args.databases.iter().any(|name| name.contains('=')) {
                program::split_variable(matches, "databases", &mut args.databases);
            }
            let patterns = &mut args.exclude_table_data;
            program::split_variable(matches, "exclude_table_data", patterns);
            Ok(args)
        })
    }
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
