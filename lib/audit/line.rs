//! One line: how it is written, and how one that was changed is told from one that was not.

use super::{Actor, Deed};
use crate::error::{Error, Kind, Result};
use crate::stream::writer::hex;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What stands before a line's own hash.
const FIELD: &str = r#","hash":""#;
/// `"}`
const END: usize = 2;
const HEX: usize = 64;

/// A line of the trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this format.
    pub format: u32,
    /// Which line it is, from 1.
    pub n: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
    /// By whom.
    #[serde(flatten)]
    pub actor: Actor,
    /// What the writer found behind the line before, which is no line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Cut>,
    /// The hash of the line before.
    pub previous: String,
    /// The hash of this one; not written as the rest is, see `Record::encode`.
    #[serde(skip_serializing, default)]
    pub hash: String,
}

/// Bytes in the trail that are no record, as the next writer found them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// How many there are.
    pub bytes: u64,
    /// Their SHA-256, without the last line's end.
    pub sha256: String,
}

impl Cut {
    /// What `bytes` are.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        }
    }
}

impl Record {
    /// The line, its end included; sets [`Record::hash`].
    ///
    /// # Errors
    /// As for a manifest: none that can happen.
    pub(super) fn encode(&mut self) -> Result<Vec<u8>> {
        let mut line = serde_json::to_string(self).map_err(|cause| {
            Error::new(Kind::Failed, "cannot encode a line of the audit trail").with_source(cause)
        })?;
        self.hash = sha256(line.as_bytes());
        line.pop();
        line.push_str(FIELD);
        line.push_str(&self.hash);
        line.push_str("\"}\n");
        Ok(line.into_bytes())
    }

    /// Reads a line without its end; `None` if it is no record.
    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Whether `line` is what was written: byte for byte, by its own hash.
    pub(super) fn is_intact(&self, line: &[u8]) -> bool {
        let Some(at) = line.len().checked_sub(FIELD.len() + HEX + END) else {
            return false;
        };
        let (content, hash) = line.split_at(at);
        let written = format!("{FIELD}{}\"}}", self.hash);
        hash == written.as_bytes()
            && self.hash == {
                let mut sum = Sha256::new();
                sum.update(content);
                sum.update(b"}");
                hex(&sum.finalize())
            }
    }
}

/// Whether `line` is the beginning of one whose writer was killed: an object that does not end.
pub(super) fn is_cut_off(line: &[u8]) -> bool {
    line.first() == Some(&b'{')
        && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|cause| cause.is_eof())
}

/// The `previous` of the first line.
pub(super) fn beginning() -> String {
    "0".repeat(HEX)
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
