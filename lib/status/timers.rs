//! What systemd will start next, and what failed when it last ran. A host without systemd has neither.

use crate::alert::Unit;
use crate::command;
use jiff::Timestamp;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Its unit, e.g. `sg-backup@shop.timer`.
    pub unit: Unit,
    /// When it fires next.
    pub next: Option<Timestamp>,
    /// When it fired last.
    pub last: Option<Timestamp>,
}

/// The active timers that start something of ours; `None` if systemd does not answer.
pub(super) fn timers() -> Option<Vec<Timer>> {
    let rows = systemctl(&["list-timers", "sg-*.timer"])?;
    Some(rows.iter().filter_map(timer).collect())
}

/// The services of ours that failed when they last ran.
pub(super) fn failed() -> Vec<Unit> {
    let rows = systemctl(&["list-units", "--state=failed", "sg-*.service"]).unwrap_or_default();
    let name = |row: &Value| Unit::parse(row["unit"].as_str()?).ok();
    rows.iter().filter_map(name).collect()
}

fn systemctl(arguments: &[&str]) -> Option<Vec<Value>> {
    let mut command = Command::new("systemctl");
    command
        .args(arguments)
        .args(["--all", "--no-pager", "--output=json"])
        .env("LC_ALL", "C");
    let said = command::run(&mut command, b"", LIMIT).ok()?;
    if !said.status.success() {
        return None;
    }
    serde_json::from_slice(&said.stdout).ok()
}

fn timer(row: &Value) -> Option<Timer> {
    Some(Timer {
        unit: Unit::parse(row["unit"].as_str()?).ok()?,
        next: moment(&row["next"]),
        last: moment(&row["last"]),
    })
}

/// Microseconds since the epoch; systemd writes nothing, 0, or the end of time for "never".
fn moment(value: &Value) -> Option<Timestamp> {
    let microseconds = value.as_i64().filter(|&microseconds| microseconds > 0)?;
    Timestamp::from_microsecond(microseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_list_timers_is_understood() {
        let row = serde_json::json!({
            "next": 1_795_404_600_000_000_i64, "left": 71_403_000_000_i64, "last": null,
            "passed": 0, "unit": "sg-backup@shop.timer", "activates": "sg-backup@shop.service"
        });
        let timer = timer(&row).unwrap();
        assert_eq!(timer.unit.app.as_deref(), Some("shop"));
        assert_eq!(timer.next.unwrap().to_string(), "2026-11-23T03:30:00Z");
        assert_eq!(timer.last, None);
        assert_eq!(moment(&serde_json::json!(u64::MAX)), None);
    }
}
