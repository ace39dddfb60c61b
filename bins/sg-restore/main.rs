//! sg-restore: brings back a database, tables of it, roles, a volume or files of it, or a whole application.

mod args;
mod confirm;
mod db;
mod globals;
mod list;
mod system;
mod volume;

use args::{Args, What};
use sg::audit::Action;
use sg::program::{self, Auditor, Console, Exit};
use std::process::ExitCode;

const NAME: &str = "sg-restore";

pub(crate) fn main() -> ExitCode {
    let args: Args = program::parse();
    program::run(NAME, args.talk(), |console| work(&args, console))
}

fn work(args: &Args, console: &Console) -> sg::Result<Exit> {
    let audit = Auditor::new(NAME, Action::Restore, None, args.audit(), console);
    match &args.what {
        What::Db(args) => db::restore(args, console, &audit),
        What::Globals(args) => globals::run(args, console, &audit),
        What::Volume(args) => volume::run(args, console, &audit),
        What::System(args) => system::run(args, console, &audit),
        What::List(args) => list::run(args),
    }
}
