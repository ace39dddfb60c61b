//! The application itself: its units are stopped and started.

use crate::error::{Context, Error, Kind, Result};
use std::process::{Command, Stdio};

/// What stands in the way of stopping and starting.
pub fn check(units: &[String]) -> Option<String> {
    if units.is_empty() {
        return None;
    }
    let answer = systemctl(&["show", "--property=Version"]);
    answer
        .err()
        .map(|error| format!("units can't be stopped: {error}"))
}

/// Those that are running.
///
/// # Errors
/// systemd can't be asked.
pub fn running(units: &[String]) -> Result<Vec<String>> {
    let mut running = Vec::new();
    for unit in units {
        let state = systemctl(&["show", "--value", "--property=ActiveState", "--", unit])?;
        if matches!(state.trim(), "active" | "activating" | "reloading") {
            running.push(unit.clone());
        }
    }
    Ok(running)
}

/// Stops them, the last first. One that systemd does not know is not running.
///
/// # Errors
/// One can't be stopped.
pub fn stop(units: &[String]) -> Result<()> {
    for unit in units.iter().rev() {
        let load = systemctl(&["show", "--value", "--property=LoadState", "--", unit])?;
        if load.trim() != "not-found" {
            systemctl(&["stop", "--", unit])?;
        }
    }
    Ok(())
}

/// Starts them, the first first.
///
/// # Errors
/// One can't be started, or is not running afterwards.
pub fn start(units: &[String]) -> Result<()> {
    for unit in units {
        systemctl(&["start", "--", unit])?;
    }
    Ok(())
}

/// Makes systemd read unit files anew.
///
/// # Errors
/// It can't.
pub fn reload() -> Result<()> {
    systemctl(&["daemon-reload"]).map(drop)
}

pub(super) fn systemctl(arguments: &[&str]) -> Result<String> {
    let output = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .env("LC_ALL", "C")
        .output()
        .context(|| "cannot start systemctl")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let message = format!("systemctl {} failed: {}", arguments.join(" "), words.trim());
    Err(Error::new(Kind::Failed, message))
}
