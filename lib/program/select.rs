//! Options by which somebody says which backups are meant.
//!
//! `--kind` and `--name` have variables of their own: `SG_KIND` and `SG_NAME` say what a unit is to
//! archive, and must not turn into a filter for what the same unit prunes.

use crate::catalog::{Bound, Selection, moment};
use crate::error::Result;
use clap::Args;
use jiff::Zoned;

/// Whose backups.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// Only the backups of this application
    #[arg(long, env = "SG_APP", value_name = "APP")]
    pub app: Option<String>,

    /// Only backups of this kind: db, globals, volume, …
    #[arg(long, env = "SG_ONLY_KIND", value_name = "KIND")]
    pub kind: Option<String>,

    /// Only the backups of the database or volume of this name
    #[arg(long, env = "SG_ONLY_NAME", value_name = "NAME")]
    pub name: Option<String>,
}

impl SourceArgs {
    /// What they select.
    pub fn selection(&self) -> Selection {
        Selection {
            app: given(&self.app),
            kind: given(&self.kind),
            name: given(&self.name),
            ..Selection::default()
        }
    }
}

/// An empty variable in a unit's configuration is as good as none.
fn given(option: &Option<String>) -> Option<String> {
    option.clone().filter(|text| !text.is_empty())
}

/// From when.
#[derive(Args, Clone, Debug, Default)]
pub struct TimeArgs {
    /// Only the newest backup of each source
    #[arg(long)]
    pub newest: bool,

    /// Only the newest backup of each source that was begun at TIME or before:
    /// 2026-11-21T02:30:00Z, '2026-11-21 02:30', 2026-11-21, '2h ago'
    #[arg(long, value_name = "TIME", conflicts_with = "until")]
    pub at: Option<String>,

    /// Only backups begun at TIME or after
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Only backups begun at TIME or before
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl TimeArgs {
    /// Narrows `selection`, seen from `now` and its time zone.
    ///
    /// # Errors
    /// One of the times is none.
    pub fn narrow(&self, selection: Selection, now: &Zoned) -> Result<Selection> {
        let time = |text: &Option<String>, bound| {
            let text = text.as_deref();
            text.map(|text| moment(text, now, bound)).transpose()
        };
        let until = self.at.clone().or_else(|| self.until.clone());
        Ok(Selection {
            newest: self.newest || self.at.is_some(),
            since: time(&self.since, Bound::Begin)?,
            until: time(&until, Bound::End)?,
            ..selection
        })
    }
}
