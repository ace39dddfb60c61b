//! What to keep, as sg-prune does it and sg-verify holds it against what is there.

use crate::retention::{Rules, span};
use clap::Args;
use jiff::Span;

/// What to keep.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What to keep")]
pub struct KeepArgs {
    /// The newest N
    #[arg(
        long,
        env = "SG_KEEP_LAST",
        value_name = "N",
        default_value_t,
        hide_default_value = true
    )]
    keep_last: u32,

    /// The newest of each of the newest N hours that have a backup
    #[arg(
        long,
        env = "SG_KEEP_HOURLY",
        value_name = "N",
        default_value_t,
        hide_default_value = true
    )]
    keep_hourly: u32,

    /// The newest of each of the newest N days that have a backup
    #[arg(
        long,
        env = "SG_KEEP_DAILY",
        value_name = "N",
        default_value_t,
        hide_default_value = true
    )]
    keep_daily: u32,

    /// The newest of each of the newest N ISO weeks that have a backup
    #[arg(
        long,
        env = "SG_KEEP_WEEKLY",
        value_name = "N",
        default_value_t,
        hide_default_value = true
    )]
    keep_weekly: u32,

    /// The newest of each of the newest N months that have a backup
    #[arg(
        long,
        env = "SG_KEEP_MONTHLY",
        value_name = "N",
        default_value_t,
        hide_default_value = true
    )]
    keep_monthly: u32,

    /// The newest of each of the newest N years that have a backup
    #[arg(
        long,
        env = "SG_KEEP_YEARLY",
        value_name = "N",
        default_value_t,
        hide_default_value = true
    )]
    keep_yearly: u32,

    /// All that are at most SPAN older than the newest good one, e.g. 14d or 1y6m (m: months)
    #[arg(long, env = "SG_KEEP_WITHIN", value_name = "SPAN", value_parser = span)]
    keep_within: Option<Span>,
}

impl KeepArgs {
    /// The rules.
    pub fn rules(&self) -> Rules {
        Rules {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
        }
    }
}
