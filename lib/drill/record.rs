//! The proof beside the backup: what sg-list shows, and what sg-prune keeps to.

use super::report::{SourceReport, Verdict};
use crate::error::Result;
use crate::manifest::Proof;
use crate::manifest::proof::Check;
use crate::monitor::Note;

/// Records what a drill found out about a sealed backup; `false` if there is nothing to record, or
/// nothing to record it with. A drill that could not be done leaves what is known as it is.
///
/// # Errors
/// The store can't be written to.
pub(super) fn record(source: &SourceReport, tool: &str) -> Result<bool> {
    if source.verdict == Verdict::NotRun {
        return Ok(false);
    }
    let findings = source.findings.iter().filter(|note| note.is_finding());
    let check = Check {
        at: source.at,
        tool: tool.to_owned(),
        sound: source.verdict != Verdict::Damaged,
        findings: findings.map(Note::to_string).collect(),
        since: None,
    };
    Proof::amend(&source.backup, |proof| proof.restored = Some(check))
}
