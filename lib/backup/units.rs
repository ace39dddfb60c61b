//! The chain by systemd: `sg-backup@APP.service` is started and waited for, and its steps learn the reason
//! from a file that they read after their settings.
//!
//! A run of the night may be under way, or begin in the same moment. It is waited for; should one slip in
//! between, the start joins it, and what it made before the request is not labelled, and so does not
//! count: the chain is run again.

use super::chain::kind;
use super::{Made, Request};
use crate::catalog::Backup;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Monitor;
use crate::store::Local;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Where the request lies for the steps: as `EnvironmentFile=` of their units has it.
const DIRECTORY: &str = "/run/sg-backup";
const STEPS: [&str; 4] = ["sg-dump-db", "sg-archive-volume", "sg-verify", "sg-prune"];
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A run that joins one of the night is repeated; that it happens twice can't be.
const TRIES: usize = 3;

/// Whether systemd runs this host.
pub fn booted() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Runs the chain and returns the backups that it made.
///
/// # Errors
/// Another request for the application is under way, a step failed, or its backups are not complete.
pub fn run(request: &Request, store: &Local, monitor: &dyn Monitor) -> Result<Vec<Backup>> {
    let app = request.application.name();
    let driver = format!("sg-backup@{app}.service");
    let _one_at_a_time = lock(app)?;
    let mut made = Made::default();
    for _ in 0..TRIES {
        monitor.stage("waiting for the run that is under way", None);
        while shown(&[&driver])?.iter().any(Shown::is_running) {
            thread::sleep(LOOK_EVERY);
        }
        let asked = Asked::write(request)?;
        start(app, &driver, monitor)?;
        drop(asked);
        made = Made::look(request, store)?;
        if made.missing.is_empty() {
            break;
        }
    }
    made.complete()
}

fn lock(app: &str) -> Result<File> {
    let failed = || format!("cannot lock the request in '{DIRECTORY}'");
    fs::create_dir_all(DIRECTORY).context(failed)?;
    let file = File::create(Path::new(DIRECTORY).join(format!("{app}.lock"))).context(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Kind::Locked,
            format!("another sg-backup of '{app}' is under way"),
        )
        .with_hint("Wait until it has ended and try again.")),
        Err(TryLockError::Error(cause)) => Err(cause).context(failed),
    }
}

/// The request as it lies for the steps; gone when dropped, and when the run ends.
struct Asked(PathBuf);

impl Asked {
    fn write(request: &Request) -> Result<Self> {
        let path = Path::new(DIRECTORY).join(format!("{}.request", request.application.name()));
        let new = path.with_extension("request.new");
        let failed = || format!("cannot write '{}'", path.display());
        let mut text = String::new();
        for (name, value) in request.settings() {
            if name != "SG_APP" {
                text.push_str(&format!("{name}={}\n", quoted(&value)));
            }
        }
        let mut file = File::create(&new).context(failed)?;
        file.write_all(text.as_bytes()).context(failed)?;
        fs::rename(&new, &path).context(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // The end of the run has removed it already.
        let _ = fs::remove_file(&self.0);
    }
}

/// A value as systemd reads it in an `EnvironmentFile=`.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// Starts the run, waits for its end, and meanwhile tells what it is doing.
fn start(app: &str, driver: &str, monitor: &dyn Monitor) -> Result<()> {
    let steps: Vec<String> = STEPS
        .iter()
        .map(|step| format!("{step}@{app}.service"))
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let before = shown(&steps)?;
    let mut started = Command::new("systemctl")
        .args(["start", driver])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(|| "cannot start systemctl")?;
    let mut said = String::new();
    let status = loop {
        if let Some(status) = started.try_wait().context(|| "cannot wait for systemctl")? {
            break status;
        }
        // What can't be shown now can be shown later.
        let running = shown(&steps).unwrap_or_default();
        if let Some(unit) = running.iter().find(|unit| unit.is_running()) {
            let status = unit.get("StatusText");
            let name = unit.get("Id").split('@').next().unwrap_or_default();
            let text = format!("{name} {status}");
            if text != said {
                monitor.stage(text.trim_end(), None);
                said = text;
            }
        }
        thread::sleep(LOOK_EVERY);
    };
    if status.success() {
        return Ok(());
    }
    let failed = shown(&steps)?
        .into_iter()
        .zip(before)
        .find(|(after, before)| {
            after.get("InvocationID") != before.get("InvocationID")
                && !matches!(after.get("Result"), "success" | "exec-condition")
        });
    Err(match failed {
        Some((unit, _)) => {
            let name = unit.get("Id");
            let status: i32 = unit.get("ExecMainStatus").parse().unwrap_or(1);
            Error::new(
                kind(status),
                format!("{name} failed ({}, status {status})", unit.get("Result")),
            )
            .with_hint(format!("See why: journalctl -u {name} -n 30"))
        }
        None => Error::new(Kind::Failed, format!("{driver} could not be run"))
            .with_hint(format!("See why: systemctl status {driver}")),
    })
}

/// What systemd shows of a unit.
#[derive(Default)]
struct Shown(BTreeMap<String, String>);

impl Shown {
    fn get(&self, property: &str) -> &str {
        self.0.get(property).map_or("", String::as_str)
    }

    fn is_running(&self) -> bool {
        matches!(
            self.get("ActiveState"),
            "activating" | "deactivating" | "reloading"
        )
    }
}

fn shown(units: &[&str]) -> Result<Vec<Shown>> {
    let output = Command::new("systemctl")
        .args([
            "show",
            "--no-pager",
            "--property=Id,ActiveState,StatusText,Result,ExecMainStatus,InvocationID",
            "--",
        ])
        .args(units)
        .env("LC_ALL", "C")
        .output()
        .context(|| "cannot start systemctl")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(
            Kind::Unavailable,
            format!("systemctl show failed: {}", words.trim()),
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .split("\n\n")
        .map(|block| {
            let lines = block.lines().filter_map(|line| line.split_once('='));
            Shown(
                lines
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_reads_what_was_meant() {
        for value in ["before 2.4", "say \"x\"", "a\\b", "$HOME `id`", "ü"] {
            let text = format!("SG_REASON={}\n", quoted(value));
            assert_eq!(crate::settings::parse(&text)["SG_REASON"], value);
        }
    }
}
