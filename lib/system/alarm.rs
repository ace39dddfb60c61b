//! A restore that failed is told to people as a failed unit is: by `OnFailure=`, with the credentials and
//! the spool of sg-alert. Somebody calls sg-restore by hand, so there is no unit that could fail; one is
//! made that says what it said and ends as it ended.

use super::units::systemctl;
use crate::error::{Context, Error, Kind, Result};
use std::process::{Command, Stdio};

/// As an error, in journald's words, with the hint on a line of its own. It lingers, for journald asks the
/// kernel whose words those are, and of one that is gone it learns nothing: they would not be the unit's.
const SAY: &str = r#"printf '<3>%s\n' "$SG_WORDS" >&2; sleep 3; exit "$SG_STATUS""#;

fn unit(app: &str) -> String {
    format!("sg-restore@{app}.service")
}

/// Tells people that a restore of `app` ended with `error` and `status`.
///
/// # Errors
/// systemd did not take it.
pub fn raise(app: &str, error: &Error, status: u8) -> Result<()> {
    let unit = unit(app);
    let mut words = error.to_string();
    if let Some(hint) = error.hint() {
        words.push_str(&format!("\nhint: {hint}"));
    }
    // One that failed before is in the way of the same name.
    let _ = systemctl(&["reset-failed", "--", &unit]);
    let output = Command::new("systemd-run")
        .args(["--quiet", "--no-block", "--property=Type=oneshot"])
        .arg(format!("--unit={unit}"))
        .arg(format!("--description=Restore of {app}"))
        .arg(format!("--property=OnFailure=sg-alert@{unit}.service"))
        .arg(format!("--setenv=SG_WORDS={words}"))
        .arg(format!("--setenv=SG_STATUS={status}"))
        .args(["--", "sh", "-c", SAY])
        .stdin(Stdio::null())
        .output()
        .context(|| "cannot start systemd-run")?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let message = format!("nobody is told of it: systemd-run: {}", words.trim());
    Err(Error::new(Kind::Failed, message))
}

/// Tells people who heard of a failed restore of `app` that one succeeded; where nobody did, nothing.
pub fn settle(app: &str) {
    let unit = unit(app);
    let resolved = format!("sg-alert-resolved@{unit}.service");
    // There may be neither.
    let _ = systemctl(&["reset-failed", "--", &unit]);
    let _ = systemctl(&["start", "--no-block", "--", &resolved]);
}
