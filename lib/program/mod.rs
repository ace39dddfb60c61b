//! What all programs share: how they are called, how they talk, and how they end. Only here does the
//! toolkit print, log and exit.

pub mod args;
pub mod audit;
pub mod duration;
pub mod exit;
pub mod journal;
pub mod keep;
pub mod operands;
pub mod output;
mod parse;
pub mod policy;
pub mod progress;
pub mod select;
pub mod table;

pub use audit::Auditor;
pub use exit::Exit;
pub use parse::{parse, parse_from, parse_with, split_variable};
pub use progress::Console;

use crate::error::Error;
use std::process::ExitCode;

/// Runs a program's work and ends it: prints a failure with its reason and what to do about it, and
/// turns it into the exit status.
///
/// `name` is the program's; `work` gets a [`Console`] for its progress and notes. If `work` is done
/// but noted findings, the status says so.
pub fn run(
    name: &'static str,
    talk: &args::TalkArgs,
    work: impl FnOnce(&Console) -> Result<Exit, Error>,
) -> ExitCode {
    let console = Console::new(name, talk);
    let exit = match work(&console) {
        Ok(Exit::Done) if console.has_findings() => Exit::Findings,
        Ok(exit) => exit,
        Err(error) => {
            console.failure(&error);
            Exit::from(error.kind())
        }
    };
    console.finish();
    exit.into()
}

/// The program's name and version, as manifests record it.
pub fn tool(name: &str) -> String {
    format!("{name} {}", env!("CARGO_PKG_VERSION"))
}
