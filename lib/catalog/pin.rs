//! A file `BODY.keep` beside a backup pins it: no rule removes it. An empty one (`touch BODY.keep`) does
//! so for ever, one with a line `until=2026-12-21T03:30:00Z` until then.

use crate::error::{Context, Result};
use crate::store::{BackupName, Local};
use jiff::Timestamp;
use nix::unistd::{Gid, Uid, chown, geteuid};
use std::os::unix::fs::MetadataExt;

/// How the name of the file ends.
pub(super) const END: &str = ".keep";

/// A pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// When it falls out; `None`: never.
    pub until: Option<Timestamp>,
}

impl Pin {
    /// The pin of `name`. One that can't be read or understood is there for ever: it was meant to keep.
    pub(super) fn read(store: &Local, name: &BackupName) -> Self {
        let bytes = store.read_beside(&format!("{name}{END}")).ok().flatten();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        Self {
            until: text.and_then(|text| {
                let mut lines = text.lines().filter_map(|line| line.strip_prefix("until="));
                lines.next()?.trim().parse().ok()
            }),
        }
    }

    /// Whether it still holds at `time`.
    pub fn holds(self, time: Timestamp) -> bool {
        self.until.is_none_or(|until| time < until)
    }
}

/// Pins a backup; a pin that is there is replaced.
///
/// # Errors
/// The store can't be written to.
pub fn pin(store: &Local, name: &BackupName, pin: Pin) -> Result<()> {
    let file = format!("{name}{END}");
    let text = pin
        .until
        .map_or_else(String::new, |until| format!("until={until}\n"));
    store.write_beside(&file, text.as_bytes())?;
    if geteuid().is_root() {
        // Whoever prunes must be able to read until when.
        let path = store.directory().join(file);
        let failed = || format!("cannot give '{}' to the owner of the store", path.display());
        let owner = store.directory().metadata().context(failed)?;
        let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        chown(&path, Some(user), Some(group)).context(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_falls_out_at_its_time_and_one_that_says_nothing_never() {
        let directory = tempfile::tempdir().unwrap();
        let store = Local::open(directory.path());
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let name: BackupName = "db_shop_20261121_023000.sql.gz".parse().unwrap();
        let until = Some(time("2026-12-21T02:30:00Z"));
        pin(&store, &name, Pin { until }).unwrap();
        let found = Pin::read(&store, &name);
        assert_eq!(found.until, until);
        assert!(found.holds(time("2026-12-21T02:29:59Z")));
        assert!(!found.holds(time("2026-12-21T02:30:00Z")));
        for text in ["", "until=soon\n", "for the auditors\n"] {
            std::fs::write(directory.path().join(format!("{name}{END}")), text).unwrap();
            assert_eq!(Pin::read(&store, &name).until, None, "{text}");
        }
    }
}
