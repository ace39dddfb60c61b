//! The chain without systemd: the same programs, one after the other, with the settings that the units
//! would give them. The first that fails ends it.

use super::Request;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Monitor;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A step: the program, its arguments, and the settings of which it needs one.
struct Step {
    program: &'static str,
    arguments: &'static [&'static str],
    needs: &'static [&'static str],
}

/// As in `sg-backup@.service` and the units that it starts.
const STEPS: [Step; 4] = [
    Step {
        program: "sg-dump-db",
        arguments: &[],
        needs: &["SG_DATABASE", "SG_ALL", "SG_GLOBALS"],
    },
    Step {
        program: "sg-archive-volume",
        arguments: &[],
        needs: &["SG_VOLUMES", "SG_CONFIG_PATHS", "SG_PATH"],
    },
    Step {
        program: "sg-verify",
        arguments: &["--new"],
        needs: &[],
    },
    Step {
        program: "sg-prune",
        arguments: &[],
        needs: &["SG_KEEP_"],
    },
];

/// Status 3, done with findings, is no failure here as in the units.
const FINDINGS: i32 = 3;

/// Runs the steps.
///
/// # Errors
/// A program is missing or failed; it has said why on standard error.
pub fn run(request: &Request, monitor: &dyn Monitor) -> Result<()> {
    for step in STEPS.iter().filter(|step| step.is_needed(request)) {
        monitor.stage(step.program, None);
        step.run(request)?;
    }
    Ok(())
}

impl Step {
    fn is_needed(&self, request: &Request) -> bool {
        let application = &request.application;
        let is_set = |name: &&str| {
            if name.ends_with('_') {
                let mut names = application.settings().keys();
                names.any(|set| set.starts_with(*name) && application.get(set).is_some())
            } else {
                application.get(name).is_some()
            }
        };
        self.needs.is_empty() || self.needs.iter().any(is_set)
    }

    fn run(&self, request: &Request) -> Result<()> {
        let mut command = Command::new(beside_us(self.program));
        command
            .args(self.arguments)
            .envs(request.application.settings())
            .envs(request.settings())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let status = command
            .status()
            .context(|| format!("cannot start {}", self.program))?;
        match status.code() {
            Some(0 | FINDINGS) => Ok(()),
            code => Err(Error::new(
                kind(code.unwrap_or(1)),
                format!(
                    "the step {} failed ({status}); see its message above",
                    self.program
                ),
            )),
        }
    }
}

/// The program of this name that lies where we do, or else the one in `PATH`.
fn beside_us(program: &str) -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.map(|own| own.with_file_name(program));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(program))
}

/// What kind of failure an exit status of our programs says.
pub(super) fn kind(status: i32) -> Kind {
    match status {
        2 => Kind::Usage,
        65 => Kind::Damaged,
        69 => Kind::Unavailable,
        73 => Kind::CannotCreate,
        74 => Kind::Io,
        75 => Kind::Locked,
        77 => Kind::Permission,
        78 => Kind::Config,
        _ => Kind::Failed,
    }
}
