//! How sg-archive-volume is called.

use clap::builder::FalseyValueParser;
use clap::{FromArgMatches, Parser};
use sg::application::{Volume, paths, volumes};
use sg::program;
use sg::program::args::{JobsArgs, LabelArgs, LinesArgs, StoreArgs, TalkArgs, compression};
use sg::stream::Compression;
use std::path::PathBuf;

/// Archive directory trees into one plain .tar.gz
///
/// Owners, modes, times, links, holes, devices, extended attributes and access control lists come
/// along. The entries of a single PATH are named as `tar -C PATH .` names them, those of several as
/// `tar -C / PATH…` does. Files that change or vanish while they are read never break the archive: they
/// are listed, and the exit status is 3.
///
/// Prints the path of the new backup, or with --volume the path of each.
#[derive(Debug, Parser)]
#[command(name = "sg-archive-volume", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The directories or files to archive
    #[arg(
        required_unless_present_any = ["volumes", "config"],
        env = "SG_PATH",
        value_name = "PATH"
    )]
    pub(crate) paths: Vec<PathBuf>,

    /// Several volumes, each into an archive of its own: 'NAME=PATH NAME=PATH …'
    #[arg(long = "volume", id = "volumes", env = "SG_VOLUMES", value_name = "NAME=PATH", value_parser = volumes, conflicts_with_all = ["paths", "name", "output"])]
    pub(crate) volumes: Vec<Volumes>,

    /// The configuration of the application (--app), into an archive config_APP_…: '/PATH /PATH …'.
    /// Of files that hold secrets only the names of these are recorded
    #[arg(long, id = "config", env = "SG_CONFIG_PATHS", value_name = "PATHS", value_parser = paths, conflicts_with_all = ["paths", "name", "output"])]
    pub(crate) config: Vec<Paths>,

    /// Archive the secrets in the configuration, too
    #[arg(long, env = "SG_CONFIG_SECRETS", value_parser = FalseyValueParser::new())]
    pub(crate) config_secrets: bool,

    /// The volume's name, which its backups bear
    #[arg(
        long,
        env = "SG_NAME",
        value_name = "NAME",
        required_unless_present_any = ["output", "volumes", "config"]
    )]
    pub(crate) name: Option<String>,

    /// What kind of volume it is: the first part of the backup's file name
    #[arg(long, env = "SG_KIND", value_name = "KIND", default_value = "volume")]
    pub(crate) kind: String,

    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Write the archive to standard output, without manifest, instead of into a store
    #[arg(long, short = 'o', env = "SG_OUTPUT", value_name = "-", value_parser = ["-"], conflicts_with_all = ["null", "json"])]
    pub(crate) output: Option<String>,

    /// Leave out what matches, and all inside it; * and ? match within a name, ** across directories,
    /// {a,b} either. A pattern with a slash is held against the path from PATH on, one without against
    /// each name; can be repeated (in the variable: patterns with spaces between)
    #[arg(long, short = 'x', env = "SG_EXCLUDE", value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,

    /// Do not descend into other file systems
    #[arg(long, env = "SG_ONE_FILE_SYSTEM", value_parser = FalseyValueParser::new())]
    pub(crate) one_file_system: bool,

    /// How to compress: gzip[:1-12], zstd[:1-19] or none
    #[arg(long, env = "SG_COMPRESS", value_name = "HOW", default_value = "gzip:5", value_parser = compression)]
    pub(crate) compress: Compression,

    #[command(flatten)]
    pub(crate) jobs: JobsArgs,

    #[command(flatten)]
    pub(crate) label: LabelArgs,

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
            program::split_variable(matches, "exclude", &mut args.exclude);
            Ok(args)
        })
    }
}

/// What one value of `--volume` says.
pub(crate) type Volumes = Vec<Volume>;

/// What one value of `--config` says.
pub(crate) type Paths = Vec<PathBuf>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
