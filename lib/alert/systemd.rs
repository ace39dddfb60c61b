//! What systemd knows about a failed run: from the `MONITOR_…` variables that it gives to an
//! `OnFailure=` unit (251 and later), and from `systemctl show`, which is asked on all versions for
//! the times and on older ones for everything.

use super::outcome::Outcome;
use super::unit::Unit;
use crate::command;
use jiff::Timestamp;
use jiff::fmt::strtime;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
const PROPERTIES: &str = "Result,ExecMainCode,ExecMainStatus,InvocationID,InactiveExitTimestamp,\
                          ExecMainExitTimestamp,InactiveEnterTimestamp";

/// One run of a unit.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// Its invocation, by which the journal knows it.
    pub invocation: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// The last run of `unit`; `variable` looks up the environment. What can't be found out is left out:
/// no alert fails for want of a detail.
pub fn last_run(unit: &Unit, variable: impl Fn(&str) -> Option<String>) -> Run {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let shown = show(unit);
    let mut run = from_properties(&shown);
    // The variables may have been inherited from something else.
    let about_it = variable("MONITOR_UNIT").is_some_and(|name| name == unit.name);
    if about_it && let Some(result) = variable("MONITOR_SERVICE_RESULT") {
        let code = variable("MONITOR_EXIT_CODE").unwrap_or_default();
        let status = variable("MONITOR_EXIT_STATUS").unwrap_or_default();
        run.outcome = Outcome::new(&result, &code, &status);
        let invocation = variable("MONITOR_INVOCATION_ID");
        if invocation != run.invocation {
            // It has been started again meanwhile: these are the times of the next run.
            run.started = None;
            run.ended = None;
        }
        run.invocation = invocation;
    }
    run.invocation = run.invocation.filter(|id| is_invocation(id));
    run
}

fn is_invocation(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn show(unit: &Unit) -> BTreeMap<String, String> {
    let mut command = Command::new("systemctl");
    command
        .args(["show", "--no-pager", "--property", PROPERTIES, "--"])
        .arg(&unit.name)
        // Times in a form that does not depend on the host.
        .envs([("TZ", "UTC"), ("LC_ALL", "C")]);
    let Ok(said) = command::run(&mut command, b"", LIMIT) else {
        return BTreeMap::new();
    };
    String::from_utf8_lossy(&said.stdout)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn from_properties(shown: &BTreeMap<String, String>) -> Run {
    let text = |name: &str| {
        shown
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let status = text("ExecMainStatus").unwrap_or_default();
    // The codes of waitid(2).
    let (code, status) = match text("ExecMainCode") {
        Some("1") => ("exited", status.to_owned()),
        Some("2") => ("killed", signal(status)),
        Some("3") => ("dumped", signal(status)),
        _ => ("", String::new()),
    };
    Run {
        outcome: Outcome::new(text("Result").unwrap_or_default(), code, &status),
        invocation: text("InvocationID").map(str::to_owned),
        started: text("InactiveExitTimestamp").and_then(timestamp),
        ended: text("ExecMainExitTimestamp")
            .or_else(|| text("InactiveEnterTimestamp"))
            .and_then(timestamp),
    }
}

fn signal(number: &str) -> String {
    number
        .parse::<i32>()
        .ok()
        .and_then(|number| nix::sys::signal::Signal::try_from(number).ok())
        .map_or_else(
            || number.to_owned(),
            |signal| signal.as_str().trim_start_matches("SIG").to_owned(),
        )
}

/// Reads `Sat 2026-11-21 03:30:02 UTC`.
fn timestamp(text: &str) -> Option<Timestamp> {
    let civil = text.split_once(' ')?.1.strip_suffix(" UTC")?;
    strtime::parse("%Y-%m-%d %H:%M:%S", civil)
        .and_then(|parsed| parsed.to_datetime())
        .and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC))
        .map(|zoned| zoned.timestamp())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_shows_is_understood() {
        let shown = [
            ("Result", "signal"),
            ("ExecMainCode", "2"),
            ("ExecMainStatus", "9"),
            ("InvocationID", "0123456789abcdef0123456789abcdef"),
            ("InactiveExitTimestamp", "Sat 2026-11-21 03:30:02 UTC"),
            ("ExecMainExitTimestamp", ""),
            ("InactiveEnterTimestamp", "Sat 2026-11-21 03:31:00 UTC"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let run = from_properties(&BTreeMap::from(shown));
        assert_eq!(run.outcome, Outcome::new("signal", "killed", "KILL"));
        assert_eq!(run.started.unwrap().to_string(), "2026-11-21T03:30:02Z");
        assert_eq!(run.ended.unwrap().to_string(), "2026-11-21T03:31:00Z");
    }
}
