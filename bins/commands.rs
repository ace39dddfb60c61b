//! The command lines of all programs, side by side: what completions are made from, and what the man
//! pages are held against. The programs themselves don't use it; each has its `args.rs` to itself.

#![allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "only the definitions of the arguments are wanted here, not what the programs read from them"
)]

use clap::{Command, CommandFactory};

#[path = "sg-alert/args.rs"]
mod alert;
#[path = "sg-archive-volume/args.rs"]
mod archive_volume;
#[path = "sg-backup/args.rs"]
mod backup;
#[path = "sg-drill/args.rs"]
mod drill;
#[path = "sg-dump-db/args.rs"]
mod dump_db;
#[path = "sg-list/args.rs"]
mod list;
#[path = "sg-prune/args.rs"]
mod prune;
#[path = "sg-restore/args.rs"]
mod restore;
#[path = "sg-status/args.rs"]
mod status;
#[path = "sg-verify/args.rs"]
mod verify;

/// The command line of each program.
pub(crate) fn all() -> Vec<Command> {
    vec![
        alert::Args::command(),
        archive_volume::Args::command(),
        backup::Args::command(),
        drill::Args::command(),
        dump_db::Args::command(),
        list::Args::command(),
        prune::Args::command(),
        restore::Args::command(),
        status::Args::command(),
        verify::Args::command(),
    ]
}
