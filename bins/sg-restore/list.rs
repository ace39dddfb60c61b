//! sg-restore list.

use super::args::ListArgs;
use indicatif::HumanBytes;
use sg::postgres::restore::listing::{Inside, list};
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{Exit, operands};
use sg::stream::Reader;
use sg::{Error, Kind, Result};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Lists what is inside: names with `-0`, objects with `--json`, else a table.
pub(crate) fn run(args: &ListArgs) -> Result<Exit> {
    let path = operands::path_of_one(args.common.file.as_ref(), &args.common.lines)?;
    let lines = Lines::new(&args.common.lines, ClosedPipe::Ends);
    let bare = args.common.lines.null || args.common.lines.json;
    let mut gone = false;
    let listed = list(
        &Reader::open(&path)?,
        args.common.jobs.jobs(),
        |name, inside| {
            let open = if bare {
                lines.put(Path::new(OsStr::from_bytes(name)), inside)?
            } else {
                lines.write(line(inside).as_bytes())?
            };
            gone = !open;
            // Ends the reading; whoever closed the pipe has seen enough.
            open.then_some(())
                .ok_or_else(|| Error::new(Kind::Io, "nobody reads any more"))
        },
    );
    match listed {
        Err(_) if gone => Ok(Exit::Done),
        listed => listed.map(|()| Exit::Done),
    }
}

fn line(inside: &Inside) -> String {
    match inside {
        Inside::Table { name, rows, bytes } => {
            format!(
                "{rows:>12} rows {:>12}  {name}\n",
                HumanBytes(*bytes).to_string()
            )
        }
        Inside::Entry { path, kind, bytes } => {
            let kind = format!("{kind:?}").to_lowercase();
            format!(
                "{kind:<11} {:>12}  {path}\n",
                HumanBytes(*bytes).to_string()
            )
        }
    }
}
