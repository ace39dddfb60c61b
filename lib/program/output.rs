//! Standard output: data only, a line for each backup made, passed or listed.

use super::args::LinesArgs;
use crate::error::{Context, Error, Kind, Result};
use serde::Serialize;
use std::fs::Permissions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What it means for the work when nobody reads our output any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedPipe {
    /// Who was to act on the lines did not get them: a failure.
    Fails,
    /// The reader has seen enough: a quiet end.
    Ends,
}

/// Writes lines to standard output.
pub struct Lines {
    args: LinesArgs,
    closed: ClosedPipe,
}

impl Lines {
    /// Writes as `args` say.
    pub fn new(args: &LinesArgs, closed: ClosedPipe) -> Self {
        Self {
            args: args.clone(),
            closed,
        }
    }

    /// Writes `path`, or `object` if JSON was asked for. `false`: nobody reads any more, and that is
    /// all right.
    ///
    /// # Errors
    /// Standard output can't be written to.
    pub fn put(&self, path: &Path, object: &impl Serialize) -> Result<bool> {
        let mut line = if self.args.json {
            serde_json::to_vec(object).map_err(|cause| {
                Error::new(Kind::Failed, "cannot encode the output").with_source(cause)
            })?
        } else {
            path.as_os_str().as_bytes().to_vec()
        };
        line.push(if self.args.null { 0 } else { b'\n' });
        self.write(&line)
    }

    /// Writes bytes as they are; otherwise as [`Lines::put`].
    ///
    /// # Errors
    /// Standard output can't be written to.
    pub fn write(&self, bytes: &[u8]) -> Result<bool> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(cause)
                if cause.kind() == ErrorKind::BrokenPipe && self.closed == ClosedPipe::Ends =>
            {
                Ok(false)
            }
            Err(cause) => Err(cause).context(|| "cannot write to standard output"),
        }
    }
}

/// Writes a file for others to read (mode 0644) in one step: who reads it meanwhile gets the old one or
/// the new one whole.
///
/// # Errors
/// Its directory can't be written to; then the old file is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("cannot write '{}'", path.display());
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        // node_exporter reads what ends in .prom; a browser's server hides what begins with a dot.
        .prefix(".new-")
        .suffix(".tmp")
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .context(what)?;
    file.write_all(bytes)
        .and_then(|()| {
            file.as_file()
                .set_permissions(Permissions::from_mode(0o644))
        })
        .and_then(|()| file.as_file().sync_all())
        .context(what)?;
    file.persist(path)
        .map_err(|cause| cause.error)
        .context(what)?;
    Ok(())
}
