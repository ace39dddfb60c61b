//! The backups to work on: operands, or paths read from standard input, so that programs can be
//! chained by pipes.

use super::args::LinesArgs;
use crate::error::{Context, Error, Kind, Result};
use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The operands, or else what standard input names: a path a line (ended by NUL with `-0`), or with
/// `--json` objects with a `path`. Reads as lines come, so that a chain works on the first backup
/// while the second is still being made.
///
/// # Errors
/// There are neither operands nor a pipe; an item fails if standard input can't be read.
pub fn paths(
    operands: &[PathBuf],
    lines: &LinesArgs,
) -> Result<Box<dyn Iterator<Item = Result<PathBuf>>>> {
    if !operands.is_empty() {
        let operands = operands.to_vec();
        return Ok(Box::new(operands.into_iter().map(Ok)));
    }
    if io::stdin().is_terminal() {
        return Err(Error::new(Kind::Usage, "no backup was named")
            .with_hint("Name one, or pipe paths in: sg-list --newest | …"));
    }
    let end = if lines.null { 0 } else { b'\n' };
    let json = lines.json;
    Ok(Box::new(std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            match io::stdin().lock().read_until(end, &mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(cause) => {
                    return Some(Err(cause).context(|| "cannot read paths from standard input"));
                }
            }
            if line.last() == Some(&end) {
                line.pop();
            }
            if !line.is_empty() {
                return Some(path(line, json));
            }
        }
    })))
}

fn path(line: Vec<u8>, json: bool) -> Result<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Object {
        path: PathBuf,
    }
    if !json {
        return Ok(PathBuf::from(OsString::from_vec(line)));
    }
    serde_json::from_slice::<Object>(&line)
        .map(|object| object.path)
        .map_err(|cause| {
            Error::new(
                Kind::Usage,
                "standard input has a line that is no JSON object with a 'path'",
            )
            .with_source(cause)
        })
}

/// The one backup to work on.
///
/// # Errors
/// There is none, or more than one.
pub fn path_of_one(operand: Option<&PathBuf>, lines: &LinesArgs) -> Result<PathBuf> {
    let operands: Vec<PathBuf> = operand.cloned().into_iter().collect();
    let mut paths = paths(&operands, lines)?;
    let Some(first) = paths.next().transpose()? else {
        return Err(
            Error::new(Kind::Usage, "standard input named no backup").with_hint(
                "The program before this one in the pipe found nothing; look at its message.",
            ),
        );
    };
    if paths.next().is_some() {
        return Err(
            Error::new(Kind::Usage, "standard input named more than one backup")
                .with_hint("Choose one: sg-list --newest lists one of each source, --app, --kind and --name say which."),
        );
    }
    Ok(first)
}
