//! What the journal knows of the trail's lines. It is another file, in other hands, and its clock can't
//! be turned back by who can write to the trail.

use super::{MESSAGE_ID, Witness};
use crate::command;
use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
/// The newest bear out all before them, as each line knows the one before.
const NEWEST: &str = "5000";

/// A message of the journal, as `journalctl --output=json` writes it.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "_UID")]
    uid: Option<String>,
    #[serde(rename = "SG_AUDIT_FILE")]
    file: String,
    #[serde(rename = "SG_AUDIT_N")]
    n: String,
    #[serde(rename = "SG_AUDIT_HASH")]
    hash: String,
}

/// What the journal knows of the newest lines of the trail at `path`. Words of users who can't write to
/// it don't count: anybody may tell the journal anything.
///
/// # Errors
/// The journal can't be asked.
pub fn witnesses(path: &Path) -> Result<Vec<Witness>> {
    let mut ask = Command::new("journalctl");
    ask.args(["--quiet", "--no-pager", "--output=json", "--lines", NEWEST])
        .arg("--output-fields=_UID,SG_AUDIT_FILE,SG_AUDIT_N,SG_AUDIT_HASH")
        .arg(format!("MESSAGE_ID={MESSAGE_ID}"))
        .arg(format!("SG_AUDIT_FILE={}", path.display()));
    let said = command::run(&mut ask, b"", LIMIT)?;
    // With nothing to show it fails on some versions, without a word.
    if !said.status.success() && !said.stderr.trim().is_empty() {
        let message = format!("the journal can't be asked: {}", said.stderr.trim());
        return Err(Error::new(Kind::Unavailable, message));
    }
    let above = path.parent().unwrap_or(Path::new("/"));
    let owner = path.metadata().or_else(|_| above.metadata());
    let owner = owner.map_or(0, |found| found.uid());
    Ok(read(&said.stdout, path, owner))
}

fn read(lines: &[u8], path: &Path, owner: u32) -> Vec<Witness> {
    let trusted = |uid: &Option<String>| {
        uid.as_ref()
            .and_then(|uid| uid.parse::<u32>().ok())
            .is_some_and(|uid| uid == 0 || uid == owner)
    };
    lines
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| trusted(&message.uid) && Path::new(&message.file) == path)
        .filter_map(|message| {
            Some(Witness {
                n: message.n.parse().ok()?,
                hash: message.hash,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_can_write_to_the_trail_is_believed() {
        let message = |uid: &str, n: u64, file: &str| {
            format!(
                r#"{{"_UID":"{uid}","SG_AUDIT_N":"{n}","SG_AUDIT_HASH":"h{n}","SG_AUDIT_FILE":"{file}","__CURSOR":"x"}}"#
            )
        };
        let lines = [
            message("990", 1, "/a"),
            message("0", 2, "/a"),
            message("1000", 3, "/a"),
            message("990", 4, "/b"),
            "nonsense".to_owned(),
        ];
        let found = read(lines.join("\n").as_bytes(), Path::new("/a"), 990);
        let numbers: Vec<u64> = found.iter().map(|witness| witness.n).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(found[1].hash, "h2");
    }
}
