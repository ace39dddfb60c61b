//! Verifies a backup on its way through a pipe: every byte is passed on as it came, and read at the
//! same time.
//!
//! The index comes last in a file, so rows and files are not told apart by it here; checksums,
//! structure, completeness and the SQL or tar inside are checked all the same. Whoever is behind us
//! in the pipe has had the bytes before the verdict is known, so it is the exit status that counts.

use super::foreign::in_order;
use super::{Inside, Notes, Options, Outcome, Report};
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Monitor;
use crate::stream::contents::contents_of;
use jiff::Timestamp;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The first bytes of content that tell an archive from a dump: a tar header's.
const HEADER: u64 = 512;

/// Reads a backup from `input`, writes its bytes to `output`, and verifies it.
///
/// # Errors
/// Input or output fail; that the backup is damaged is no error, but in the report.
pub fn verify_flow(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Report> {
    let begun = Instant::now();
    monitor.stage("verifying", None);
    let passed = Arc::new(AtomicU64::new(0));
    let tee = Tee {
        input,
        output,
        passed: Arc::clone(&passed),
    };
    let mut notes = Notes::default();
    let mut outcome = Outcome::default();
    match check(tee, options, &mut outcome) {
        Ok(()) => outcome.complete = true,
        Err(error) if error.kind() == Kind::Damaged => {
            notes.damaged("content", error.to_string());
        }
        Err(error) => return Err(error),
    }
    let path = Path::new("-");
    let verdict = notes.verdict();
    Ok(Report {
        path: path.to_owned(),
        verdict,
        sound: outcome.complete,
        sealed: false,
        app: None,
        bytes: passed.load(Ordering::Relaxed),
        content_bytes: outcome.content_bytes,
        found: outcome.found,
        at: Timestamp::now(),
        seconds: begun.elapsed().as_secs_f64(),
        notes: notes.about(path),
    })
}

fn check(tee: impl Read + Send + 'static, options: &Options, outcome: &mut Outcome) -> Result<()> {
    let mut contents = contents_of(tee, options.jobs)?;
    let mut start = Vec::new();
    (&mut contents)
        .take(HEADER)
        .read_to_end(&mut start)
        .context(|| "cannot read the content")?;
    let inside = match start.get(257..262) {
        Some(b"ustar") => Inside::Archive,
        _ => Inside::Dump,
    };
    let mut content = io::Cursor::new(start).chain(contents);
    in_order(&mut content, inside, outcome)?;
    // The end of the content is only known to be its end once it was asked for.
    match io::copy(&mut content, &mut io::sink()).context(|| "cannot read the content")? {
        0 => Ok(()),
        _ => Err(Error::damaged("something follows the end of the content")),
    }
}

/// Passes on what is read through it.
struct Tee<R, W> {
    input: R,
    output: W,
    passed: Arc<AtomicU64>,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        if length == 0 {
            self.output.flush()?;
            return Ok(0);
        }
        self.output.write_all(&buffer[..length])?;
        self.passed.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
