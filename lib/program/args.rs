//! Options that several programs share, each defined once: its name, its `SG_` variable, its help.

use crate::error::Result;
use crate::manifest::{Git, Label};
use crate::stream::Compression;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Where backups are.
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    /// The directory that holds the backups
    #[arg(
        long,
        short = 'd',
        env = "SG_DIRECTORY",
        value_name = "DIR",
        default_value = "/var/backups/sg"
    )]
    pub directory: PathBuf,
}

/// Where settings are.
#[derive(Args, Clone, Debug)]
pub struct SettingsArgs {
    /// Where sg.conf and APP.conf are
    #[arg(
        long,
        env = "SG_CONFIG_DIRECTORY",
        value_name = "DIR",
        default_value = "/etc/sg"
    )]
    pub config_directory: PathBuf,
}

/// Whether to ask before something is replaced.
#[derive(Args, Clone, Debug)]
pub struct ConfirmArgs {
    /// Don't ask
    #[arg(long, env = "SG_YES", value_parser = FalseyValueParser::new())]
    pub yes: bool,
}

/// How many threads to use.
#[derive(Args, Clone, Debug)]
pub struct JobsArgs {
    /// Threads and connections to work with [default: one for each processor]
    #[arg(long, short = 'j', env = "SG_JOBS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

impl JobsArgs {
    /// The number of jobs.
    pub fn jobs(&self) -> usize {
        self.jobs
            .map_or_else(crate::parallel::default_jobs, usize::from)
    }
}

/// What is recorded with a backup besides its content.
#[derive(Args, Clone, Debug)]
pub struct LabelArgs {
    /// The application that the backup belongs to
    #[arg(long, env = "SG_APP", value_name = "APP")]
    pub app: Option<String>,

    /// Why, and where that is recorded besides.
    #[command(flatten)]
    pub audit: AuditArgs,

    /// Record this commit instead: for where the checkout can't be asked
    #[arg(long, env = "SG_GIT_COMMIT", value_name = "COMMIT")]
    pub git_commit: Option<String>,

    /// The branch that --git-commit is of
    #[arg(long, env = "SG_GIT_BRANCH", value_name = "BRANCH")]
    pub git_branch: Option<String>,
}

impl LabelArgs {
    /// The label for a manifest that `program` writes.
    ///
    /// # Errors
    /// The checkout can't be asked.
    pub fn label(&self, program: &str) -> Result<Label> {
        Ok(Label {
            tool: super::tool(program),
            app: self.app.clone(),
            reason: self.audit.reason.clone(),
            git: match &self.git_commit {
                Some(commit) => Some(Git {
                    commit: commit.clone(),
                    branch: self.git_branch.clone().unwrap_or_else(|| "HEAD".to_owned()),
                }),
                None => self.audit.git.as_deref().map(Git::of).transpose()?,
            },
        })
    }
}

/// What is recorded of what was done, and where.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Why it is done; recorded in the audit trail, and in the manifest of a backup
    #[arg(long, env = "SG_REASON", value_name = "TEXT")]
    pub reason: Option<String>,

    /// Record the commit and branch of the git checkout in DIR
    #[arg(long, env = "SG_GIT", value_name = "DIR")]
    pub git: Option<PathBuf>,

    /// Where it is.
    #[command(flatten)]
    pub trail: TrailArgs,

    /// Leave no line in the audit trail
    #[arg(long, env = "SG_NO_AUDIT", value_parser = FalseyValueParser::new())]
    pub no_audit: bool,
}

/// Where the audit trail is.
#[derive(Args, Clone, Debug)]
pub struct TrailArgs {
    /// The file of the audit trail
    #[arg(
        long,
        env = "SG_AUDIT_FILE",
        value_name = "FILE",
        default_value = "/var/lib/sg/audit.jsonl"
    )]
    pub audit_file: PathBuf,
}

/// How paths are written to standard output, and read from standard input.
#[derive(Args, Clone, Debug, Default)]
pub struct LinesArgs {
    /// End each line of paths with NUL instead of newline
    #[arg(long, short = '0', conflicts_with = "json")]
    pub null: bool,

    /// Write one JSON object a line instead of paths
    #[arg(long)]
    pub json: bool,
}

/// Where messages go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// To the journal if it listens on standard error, else to standard error.
    #[default]
    Auto,
    /// To standard error.
    Stderr,
    /// To the systemd journal, with fields.
    Journal,
    /// To the syslog daemon, for hosts without a journal.
    Syslog,
}

/// How the program talks.
#[derive(Args, Clone, Debug, Default)]
pub struct TalkArgs {
    /// Say nothing but failures and findings
    #[arg(long, short = 'q', env = "SG_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// Where messages go
    #[arg(long, env = "SG_LOG", value_name = "WHERE", default_value = "auto")]
    pub log: Log,
}

/// Parses `--compress`; for use as a value parser.
///
/// # Errors
/// It is no compression.
pub fn compression(text: &str) -> Result<Compression, String> {
    text.parse::<Compression>()
        .map_err(|error| match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        })
}
