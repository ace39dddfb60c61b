//! All programs in one file, which the packages install once under the name of each: what they share, the
//! library, TLS, PostgreSQL, is then on the disk and in memory once. The name it is called by says which
//! program it is.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

#[path = "sg-alert/main.rs"]
mod alert;
#[path = "sg-archive-volume/main.rs"]
mod archive_volume;
#[path = "sg-backup/main.rs"]
mod backup;
#[path = "sg-drill/main.rs"]
mod drill;
#[path = "sg-dump-db/main.rs"]
mod dump_db;
#[path = "sg-list/main.rs"]
mod list;
#[path = "sg-prune/main.rs"]
mod prune;
#[path = "sg-restore/main.rs"]
mod restore;
#[path = "sg-status/main.rs"]
mod status;
#[path = "sg-verify/main.rs"]
mod verify;

/// What a program does from its call to its end.
type Main = fn() -> ExitCode;

/// The programs, by their names.
const PROGRAMS: [(&str, Main); 10] = [
    ("sg-alert", alert::main),
    ("sg-archive-volume", archive_volume::main),
    ("sg-backup", backup::main),
    ("sg-drill", drill::main),
    ("sg-dump-db", dump_db::main),
    ("sg-list", list::main),
    ("sg-prune", prune::main),
    ("sg-restore", restore::main),
    ("sg-status", status::main),
    ("sg-verify", verify::main),
];

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().and_then(OsStr::to_str);
    match PROGRAMS.iter().find(|(known, _)| Some(*known) == name) {
        Some((_, program)) => program(),
        None => introduce(),
    }
}

/// Called by its own name it does nothing, but says where everything is.
fn introduce() -> ExitCode {
    let mut text = format!(
        "sg-toolkit {}; see man sg-toolkit\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, _) in PROGRAMS {
        text.push_str(name);
        text.push('\n');
    }
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
