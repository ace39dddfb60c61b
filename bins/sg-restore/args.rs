//! How sg-restore is called.

use clap::builder::FalseyValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use sg::estimate::Places;
use sg::postgres::restore::{Compare, Filter, Options, Selection};
use sg::program::args::{AuditArgs, ConfirmArgs, JobsArgs, LinesArgs, SettingsArgs, TalkArgs};
use std::path::PathBuf;

/// Bring back what was backed up
///
/// Nothing in use is touched until what comes back is whole and compared; then both change places
/// in a moment, and what was there before is kept beside it.
#[derive(Debug, Parser)]
#[command(name = "sg-restore", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) what: What,
}

impl Args {
    /// How the program talks.
    pub(crate) fn talk(&self) -> &TalkArgs {
        match &self.what {
            What::Db(args) => &args.common.talk,
            What::Globals(args) => &args.common.talk,
            What::Volume(args) => &args.common.talk,
            What::System(args) => &args.talk,
            What::List(args) => &args.common.talk,
        }
    }

    /// What is recorded of what it does.
    pub(crate) fn audit(&self) -> &AuditArgs {
        match &self.what {
            What::Db(args) => &args.common.audit,
            What::Globals(args) => &args.common.audit,
            What::Volume(args) => &args.common.audit,
            What::System(args) => &args.audit,
            What::List(args) => &args.common.audit,
        }
    }
}

/// What is to be restored.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// A PostgreSQL database, or tables of it
    Db(Box<DbArgs>),
    /// Roles and tablespaces of a PostgreSQL server
    Globals(GlobalsArgs),
    /// A directory tree, or files of it
    Volume(VolumeArgs),
    /// All of an application, as a transaction: what fails is put back
    System(Box<SystemArgs>),
    /// Show what is inside a backup
    List(ListArgs),
}

/// What all subcommands take.
#[derive(Debug, ClapArgs)]
pub(crate) struct CommonArgs {
    /// The backup; its path is read from standard input when none is given
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) jobs: JobsArgs,

    #[command(flatten)]
    pub(crate) audit: AuditArgs,

    #[command(flatten)]
    pub(crate) lines: LinesArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Where it is known how long restores took.
#[derive(Debug, ClapArgs)]
pub(crate) struct PastArgs {
    /// Where it is written down what a restore of a whole application does
    #[arg(
        long,
        env = "SG_JOURNAL_DIRECTORY",
        value_name = "DIR",
        default_value = "/var/lib/sg-restore"
    )]
    pub(crate) journal_directory: PathBuf,

    /// Where sg-drill keeps its reports
    #[arg(
        long,
        env = "SG_DRILL_DIRECTORY",
        value_name = "DIR",
        default_value = "/var/lib/sg/drills"
    )]
    pub(crate) drills: PathBuf,
}

impl PastArgs {
    /// The same for the library.
    pub(crate) fn places(&self, audit: &AuditArgs) -> Places {
        Places {
            journals: self.journal_directory.clone(),
            drills: self.drills.clone(),
            trail: audit.trail.audit_file.clone(),
        }
    }
}

/// Options of sg-restore globals.
#[derive(Debug, ClapArgs)]
pub(crate) struct GlobalsArgs {
    /// The server, as a connection string; by default that of the environment
    #[arg(long, env = "SG_TO", value_name = "SERVER")]
    pub(crate) to: Option<String>,

    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,

    /// Give roles that exist the attributes and passwords of the dump
    #[arg(long, env = "SG_OVERWRITE", value_parser = FalseyValueParser::new())]
    pub(crate) overwrite: bool,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of sg-restore volume.
#[derive(Debug, ClapArgs)]
pub(crate) struct VolumeArgs {
    /// The directory to create or to replace; by default the one that was archived
    #[arg(long, env = "SG_TO", value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,

    /// Only what matches, into a directory where it is not yet; may be given several times
    #[arg(long = "file", value_name = "PATTERN", conflicts_with_all = ["in_place", "drop_old"])]
    pub(crate) files: Vec<String>,

    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,

    /// Fill the directory itself, which has to be empty: for mount points
    #[arg(long, env = "SG_IN_PLACE", value_parser = FalseyValueParser::new())]
    pub(crate) in_place: bool,

    /// Remove the tree that was replaced, instead of keeping it
    #[arg(long, env = "SG_DROP_OLD", value_parser = FalseyValueParser::new())]
    pub(crate) drop_old: bool,

    /// Give files to the owners' numbers, even where their names are known here
    #[arg(long, env = "SG_NUMERIC_OWNER", value_parser = FalseyValueParser::new())]
    pub(crate) numeric_owner: bool,

    /// Show what would be done, and end
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) past: PastArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of sg-restore system.
#[derive(Debug, ClapArgs)]
pub(crate) struct SystemArgs {
    /// The application, as /etc/sg/APP.conf names it
    #[arg(value_name = "APP")]
    pub(crate) app: String,

    /// From the newest backups begun at TIME or before
    #[arg(long, value_name = "TIME", conflicts_with = "marker")]
    pub(crate) at: Option<String>,

    /// From the backups that sg-backup --marker has written down in FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) marker: Option<PathBuf>,

    /// Only this: globals, db, volume, config, or one of them as db:NAME; may be given several times
    #[arg(long, value_name = "WHAT")]
    pub(crate) only: Vec<String>,

    /// No databases
    #[arg(long)]
    pub(crate) skip_db: bool,

    /// No roles and tablespaces
    #[arg(long)]
    pub(crate) skip_globals: bool,

    /// Not this volume; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) skip_volume: Vec<String>,

    /// No configuration
    #[arg(long)]
    pub(crate) skip_config: bool,

    /// Go on with a restore that was cut off
    #[arg(long, group = "later")]
    pub(crate) resume: bool,

    /// Put back what the last restore has replaced, whether it was cut off or done
    #[arg(long, group = "later")]
    pub(crate) rollback: bool,

    /// Give up what restores that are done have kept
    #[arg(long, group = "later")]
    pub(crate) drop_old: bool,

    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,

    /// Show what would be done, and end
    #[arg(long, short = 'n', conflicts_with = "later")]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,

    #[command(flatten)]
    pub(crate) past: PastArgs,

    #[command(flatten)]
    pub(crate) jobs: JobsArgs,

    #[command(flatten)]
    pub(crate) audit: AuditArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// Options of sg-restore list.
#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Options of sg-restore db.
#[derive(Debug, ClapArgs)]
pub(crate) struct DbArgs {
    /// The database to create or to replace, or a connection string; by default that of the dump
    #[arg(long, env = "SG_TO", value_name = "DATABASE")]
    pub(crate) to: Option<String>,

    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,

    /// Fill the database itself, which has to exist and to be empty
    #[arg(long, env = "SG_IN_PLACE", value_parser = FalseyValueParser::new())]
    pub(crate) in_place: bool,

    /// Only this table, into a database in use that lacks it, with its indexes, constraints,
    /// triggers and sequences
    #[arg(long, value_name = "[SCHEMA.]NAME", conflicts_with = "in_place")]
    pub(crate) table: Vec<String>,

    /// Only this schema, likewise
    #[arg(long, value_name = "NAME", conflicts_with = "in_place")]
    pub(crate) schema: Vec<String>,

    /// No rows
    #[arg(long)]
    pub(crate) schema_only: bool,

    /// Only rows, into tables that exist and are empty
    #[arg(long, conflicts_with_all = ["schema_only", "in_place"])]
    pub(crate) data_only: bool,

    /// Show what would be done, and end
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,

    /// Leave everything to the restoring user
    #[arg(long, env = "SG_NO_OWNER", value_parser = FalseyValueParser::new())]
    pub(crate) no_owner: bool,

    /// Leave out grants
    #[arg(long, env = "SG_NO_PRIVILEGES", value_parser = FalseyValueParser::new())]
    pub(crate) no_privileges: bool,

    /// Put everything into the database's own tablespace
    #[arg(long, env = "SG_NO_TABLESPACES", value_parser = FalseyValueParser::new())]
    pub(crate) no_tablespaces: bool,

    /// Work as this role
    #[arg(long, env = "SG_ROLE", value_name = "ROLE")]
    pub(crate) role: Option<String>,

    /// How much of it to compare with the dump
    #[arg(
        long,
        env = "SG_COMPARE",
        value_name = "HOW",
        value_enum,
        default_value = "full"
    )]
    pub(crate) compare: HowMuch,

    /// Don't gather statistics for the planner
    #[arg(long, env = "SG_NO_ANALYZE", value_parser = FalseyValueParser::new())]
    pub(crate) no_analyze: bool,

    /// Drop the database that was replaced, instead of keeping it
    #[arg(long, env = "SG_DROP_OLD", value_parser = FalseyValueParser::new())]
    pub(crate) drop_old: bool,

    #[command(flatten)]
    pub(crate) past: PastArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Values of --compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HowMuch {
    /// Every row
    Full,
    /// The number of rows
    Rows,
    /// Nothing
    None,
}

impl DbArgs {
    /// The options of the library.
    pub(crate) fn options(&self) -> Options {
        Options {
            jobs: self.common.jobs.jobs(),
            filter: Filter {
                no_owner: self.no_owner,
                no_privileges: self.no_privileges,
                no_tablespaces: self.no_tablespaces,
            },
            role: self.role.clone(),
            compare: match self.compare {
                HowMuch::Full => Compare::Full,
                HowMuch::Rows => Compare::Rows,
                HowMuch::None => Compare::None,
            },
            analyze: !self.no_analyze,
            drop_old: self.drop_old,
            schema_only: self.schema_only,
        }
    }

    /// Which part of the dump is wanted.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            tables: self.table.clone(),
            schemas: self.schema.clone(),
            data_only: self.data_only,
            schema_only: self.schema_only,
        }
    }
}
