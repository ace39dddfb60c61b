//! The seal: what the manifest says, held against what was found; and the record that this was done.

use super::dump::Tables;
use super::{Notes, Outcome, Report};
use crate::error::Result;
use crate::manifest::proof::Check;
use crate::manifest::{Content, Manifest, Proof, content};
use crate::stream::Reader;
use crate::words::count;
use std::collections::BTreeMap;

/// Holds a manifest against the file and its content.
pub(super) fn compare(manifest: &Manifest, reader: &Reader, outcome: &Outcome, notes: &mut Notes) {
    if manifest.bytes != reader.bytes() {
        notes.damaged(
            "size",
            format!(
                "it has {} where its manifest says {}",
                count(reader.bytes(), "byte"),
                manifest.bytes
            ),
        );
    } else if outcome
        .sha256
        .as_ref()
        .is_some_and(|sum| *sum != manifest.sha256)
    {
        notes.damaged("sha256", "its SHA-256 is not the one in its manifest");
    }
    if !outcome.complete {
        return;
    }
    if outcome.content_bytes != manifest.content_bytes {
        notes.damaged(
            "content",
            format!(
                "its content has {} where the manifest says {}",
                count(outcome.content_bytes, "byte"),
                manifest.content_bytes
            ),
        );
    }
    match &manifest.content {
        Content::Database(database) => {
            if let Some(found) = &outcome.tables {
                tables(&database.tables, found, notes);
            }
        }
        Content::Volume(volume) => {
            let entries = volume.files
                + volume.directories
                + volume.symlinks
                + volume.hardlinks
                + volume.special;
            let found = (outcome.found.entries, outcome.found.file_bytes);
            if found != (entries, volume.file_bytes) {
                notes.damaged(
                    "entries",
                    format!(
                        "it has {} with {} where the manifest says {entries} with {}",
                        count(found.0, "entry"),
                        count(found.1, "byte"),
                        volume.file_bytes
                    ),
                );
            }
        }
        Content::Globals(_) => {}
    }
}

fn tables(expected: &[content::Table], found: &Tables, notes: &mut Notes) {
    let mut found: BTreeMap<_, _> = found
        .iter()
        .map(|((schema, name), (digest, _))| ((schema.as_str(), name.as_str()), digest))
        .collect();
    for table in expected {
        let name = format!("{}.{}", table.schema, table.name);
        match found.remove(&(table.schema.as_str(), table.name.as_str())) {
            None => notes.damaged("table", format!("{name} is missing")),
            Some(digest) if digest.rows != table.rows => notes.damaged(
                "rows",
                format!(
                    "{name} has {} where the manifest says {}",
                    count(digest.rows, "row"),
                    table.rows
                ),
            ),
            Some(digest) if format!("{:032x}", digest.sum) != table.digest => notes.damaged(
                "rows",
                format!("the rows of {name} are not those of its manifest"),
            ),
            Some(_) => {}
        }
    }
    for (schema, name) in found.keys() {
        notes.damaged("table", format!("{schema}.{name} is not in the manifest"));
    }
}

/// Records a verification of a sealed backup beside it; `false` if there is nothing to record it
/// with: the backup has no manifest, or is in no store.
///
/// # Errors
/// The store can't be written to.
pub fn record(report: &Report, tool: &str) -> Result<bool> {
    let findings = report.notes.iter().filter(|note| note.is_finding());
    let check = Check {
        at: report.at,
        tool: tool.to_owned(),
        sound: report.sound,
        findings: findings.map(|note| note.message.clone()).collect(),
        since: None,
    };
    Proof::amend(&report.path, |proof| proof.verify(check))
}
