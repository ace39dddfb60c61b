//! How sg-alert is called, and everything that can be set.
//!
//! A setting is looked for on the command line, then in the application's `/etc/sg/APP.conf`, then in
//! the environment (where a unit puts `/etc/sg/sg.conf`), then in `sg.conf` itself. So each application
//! can have addresses of its own though systemd gives all alerts one environment; see `conf.rs`.

use clap::{ArgGroup, Parser, ValueEnum};
use sg::alert::{SmtpTls, WebhookKind};
use sg::monitor::Severity;
use sg::program::args::{SettingsArgs, TalkArgs};
use sg::program::duration::duration;
use std::path::PathBuf;
use std::time::Duration;

/// Tell people by mail or webhook that a unit failed, or that it is well again
///
/// systemd starts it as OnFailure=sg-alert@%n.service. One message is sent for each cause, reminders
/// follow at growing distances. What can't be sent now is kept and sent later, in order.
///
/// A dead man's switch, as healthchecks.io is one, is told when a run begins and how it ended.
///
/// Secrets come from the unit's credentials: smtp-password, webhook-url, webhook-token, ping-url.
#[derive(Debug, Parser)]
#[command(
    name = "sg-alert",
    version,
    max_term_width = 100,
    args_override_self = true,
    group = ArgGroup::new("what").required(true)
)]
pub(crate) struct Args {
    /// The unit that failed
    #[arg(value_name = "UNIT", group = "what")]
    pub(crate) unit: Option<String>,

    /// UNIT ended well: tells what it noticed; else closes what is open about it, a driver
    /// (sg-backup@APP) also what is open about its steps
    #[arg(long, value_name = "UNIT", group = "what")]
    pub(crate) resolved: Option<String>,

    /// UNIT begins: tells the dead man's switch of its application, if there is one
    #[arg(long, value_name = "UNIT", group = "what")]
    pub(crate) begun: Option<String>,

    /// Send what could not be sent before
    #[arg(long, group = "what")]
    pub(crate) flush: bool,

    /// Send a test message about APP through every channel and say what became of it
    #[arg(long, value_name = "APP", group = "what")]
    pub(crate) test: Option<String>,

    /// Print what would be sent; send and record nothing
    #[arg(long, conflicts_with_all = ["resolved", "begun"])]
    pub(crate) dry_run: bool,

    /// Who gets mail: addresses, separated by commas
    #[arg(
        long,
        env = "SG_ALERT_TO",
        value_name = "ADDRESSES",
        hide_env_values = true
    )]
    pub(crate) to: Option<String>,

    /// Whom the mail is from [default: the SMTP user, if that is an address, else sg-alert@HOST]
    #[arg(
        long,
        env = "SG_ALERT_FROM",
        value_name = "ADDRESS",
        hide_env_values = true
    )]
    pub(crate) from: Option<String>,

    /// The mail server: smtp://[USER@]HOST[:PORT], or smtps:// for TLS from the start
    #[arg(long, env = "SG_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) smtp_url: Option<String>,

    /// The mail server's name, if no URL is given
    #[arg(long, env = "SG_SMTP_HOST", value_name = "HOST")]
    pub(crate) smtp_host: Option<String>,

    /// The mail server's port [default: 587, with TLS from the start 465, to this host 25]
    #[arg(long, env = "SG_SMTP_PORT", value_name = "PORT")]
    pub(crate) smtp_port: Option<u16>,

    /// How the connection is encrypted [default: starttls; to this host, none]
    #[arg(long, env = "SG_SMTP_TLS", value_name = "HOW")]
    pub(crate) smtp_tls: Option<SmtpTlsArg>,

    /// The user to log in as
    #[arg(long, env = "SG_SMTP_USER", value_name = "USER")]
    pub(crate) smtp_user: Option<String>,

    /// A file of mode 0600 with the password [default: the credential smtp-password]
    #[arg(long, env = "SG_SMTP_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) smtp_password_file: Option<PathBuf>,

    /// The program that takes mail where no server is given [default: /usr/sbin/sendmail, if there]
    #[arg(long, env = "SG_SENDMAIL", value_name = "PROGRAM")]
    pub(crate) sendmail: Option<PathBuf>,

    /// A file of mode 0600 with the webhook's URL [default: the credential webhook-url]
    #[arg(long, env = "SG_WEBHOOK_URL_FILE", value_name = "FILE")]
    pub(crate) webhook_url_file: Option<PathBuf>,

    /// Whom the webhook belongs to [default: told by its URL]
    #[arg(long, env = "SG_WEBHOOK_KIND", value_name = "KIND")]
    pub(crate) webhook_kind: Option<WebhookKindArg>,

    /// A file of mode 0600 with the ping URL of the application's dead man's switch [default: SG_PING_URL, or
    /// the credential ping-url]
    #[arg(long, env = "SG_PING_URL_FILE", value_name = "FILE")]
    pub(crate) ping_url_file: Option<PathBuf>,

    /// The same for its drills [default: SG_DRILL_PING_URL, or the credential drill-ping-url]
    #[arg(long, env = "SG_DRILL_PING_URL_FILE", value_name = "FILE")]
    pub(crate) drill_ping_url_file: Option<PathBuf>,

    /// Authorities to trust beside the host's own, in PEM
    #[arg(long, env = "SG_ALERT_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// When to remind of a failure that goes on; each reminder waits twice as long as the one before
    #[arg(long, env = "SG_ALERT_REPEAT", value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) repeat: Duration,

    /// How long the alert of a whole run waits for that of the step that failed, and then says nothing
    #[arg(long, env = "SG_ALERT_GRACE", value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) grace: Duration,

    /// Who gets mail, too, when nobody has mended it after the time of --escalate-after
    #[arg(
        long,
        env = "SG_ESCALATE_TO",
        value_name = "ADDRESSES",
        hide_env_values = true
    )]
    pub(crate) escalate_to: Option<String>,

    /// After how long those of --escalate-to are told
    #[arg(long, env = "SG_ESCALATE_AFTER", value_name = "TIME", default_value = "2d", value_parser = duration)]
    pub(crate) escalate_after: Duration,

    /// From which severity on they are
    #[arg(
        long,
        env = "SG_ESCALATE_SEVERITY",
        value_name = "SEVERITY",
        default_value = "high",
        value_enum
    )]
    pub(crate) escalate_severity: SeverityArg,

    /// From which severity on findings are told: of runs that did their work and noticed something
    #[arg(
        long,
        env = "SG_ALERT_SEVERITY",
        value_name = "SEVERITY",
        default_value = "medium",
        value_enum
    )]
    pub(crate) severity: SeverityArg,

    /// How long to try before leaving a message for later
    #[arg(long, env = "SG_ALERT_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// Where open failures and unsent messages are kept [default: the unit's state directory, or
    /// /var/lib/sg-alert]; while that can't be written, its runtime directory
    #[arg(long, env = "SG_STATE_DIRECTORY", value_name = "DIR")]
    pub(crate) state_directory: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,

    #[command(flatten)]
    pub(crate) talk: TalkArgs,
}

/// [`Severity`] as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SeverityArg {
    Low,
    Medium,
    High,
    Critical,
}

impl From<SeverityArg> for Severity {
    fn from(arg: SeverityArg) -> Self {
        match arg {
            SeverityArg::Low => Self::Low,
            SeverityArg::Medium => Self::Medium,
            SeverityArg::High => Self::High,
            SeverityArg::Critical => Self::Critical,
        }
    }
}

/// [`SmtpTls`] as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SmtpTlsArg {
    /// Encrypt after greeting, or don't send
    Starttls,
    /// TLS from the start
    Tls,
    /// No encryption; the password goes in the clear
    None,
}

impl From<SmtpTlsArg> for SmtpTls {
    fn from(arg: SmtpTlsArg) -> Self {
        match arg {
            SmtpTlsArg::Starttls => Self::Starttls,
            SmtpTlsArg::Tls => Self::FromTheStart,
            SmtpTlsArg::None => Self::None,
        }
    }
}

/// [`WebhookKind`] as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WebhookKindArg {
    /// Slack, Mattermost, Rocket.Chat
    Slack,
    Discord,
    /// Microsoft Teams, by a workflow
    Teams,
    /// Microsoft Teams, by a connector of old
    TeamsConnector,
    Ntfy,
    /// Anything that takes a JSON object
    Json,
}

impl From<WebhookKindArg> for WebhookKind {
    fn from(arg: WebhookKindArg) -> Self {
        match arg {
            WebhookKindArg::Slack => Self::Slack,
            WebhookKindArg::Discord => Self::Discord,
            WebhookKindArg::Teams => Self::Teams,
            WebhookKindArg::TeamsConnector => Self::TeamsConnector,
            WebhookKindArg::Ntfy => Self::Ntfy,
            WebhookKindArg::Json => Self::Json,
        }
    }
}
