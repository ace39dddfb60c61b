//! What the application itself wants to be true of a restored database: files of SQL, each a query
//! that yields one row with one value, `true`.
//!
//! Those that lie in the directory are put to every database of the application, those in a directory
//! of a database's name below it to that one alone. They can't change anything, and not take for ever.

use super::findings::Findings;
use super::report::Assertion;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Severity;
use crate::postgres::{Conninfo, Session};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

/// The assertions about `database` in `directory`, in the order of their names.
pub(super) fn files(directory: Option<&Path>, database: &str) -> Result<Vec<PathBuf>> {
    let Some(directory) = directory else {
        return Ok(Vec::new());
    };
    let mut files = in_directory(directory)?;
    let plain = !matches!(database, "" | "." | "..") && !database.contains('/');
    if plain {
        files.extend(in_directory(&directory.join(database))?);
    }
    Ok(files)
}

fn in_directory(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read '{}'", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(unreadable)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.context(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Puts each of `files` to the database that `info` leads to; what does not hold is a finding.
pub(super) fn run(
    files: &[PathBuf],
    info: &Conninfo,
    timeout: Duration,
    findings: &mut Findings,
) -> Result<Vec<Assertion>> {
    let mut session = Session::connect(info)?;
    session.batch(&format!(
        "SET statement_timeout = {}; SET default_transaction_read_only = on",
        timeout.as_millis()
    ))?;
    let mut assertions = Vec::with_capacity(files.len());
    for file in files {
        let begun = Instant::now();
        let result = fs::read_to_string(file)
            .context(|| format!("cannot read '{}'", file.display()))
            .and_then(|sql| hold(&mut session, &sql));
        let message = match result {
            Ok(()) => None,
            Err(error) if error.kind() == Kind::Unavailable => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        if let Some(message) = &message {
            let subject = format!("assertion {}", file.display());
            findings.about(Severity::High, "assertion-failed", subject, message);
        }
        assertions.push(Assertion {
            file: file.clone(),
            passed: message.is_none(),
            message,
            seconds: begun.elapsed().as_secs_f64(),
        });
    }
    Ok(assertions)
}

/// Whether the statement `sql` yields `true`.
fn hold(session: &mut Session, sql: &str) -> Result<()> {
    // Once something was read in it, a transaction can't be made one that writes.
    session.batch("BEGIN READ ONLY; SELECT 1")?;
    // Takes one statement only, so none that would end the transaction can stand before another.
    let rows = session.query(sql, &[]);
    session.batch("ROLLBACK")?;
    let failed = |reason: String| Error::new(Kind::Failed, reason);
    let rows = rows.map_err(|error| failed(format!("can't be asked: {error}")))?;
    let [row] = rows.as_slice() else {
        return Err(failed(format!("yields {} rows instead of one", rows.len())));
    };
    if row.len() != 1 {
        return Err(failed(format!(
            "yields {} columns instead of one",
            row.len()
        )));
    }
    match value(row) {
        Some(true) => Ok(()),
        Some(false) => Err(failed("is false".to_owned())),
        None => Err(failed("is neither true nor false".to_owned())),
    }
}

fn value(row: &Row) -> Option<bool> {
    let kind = row.columns().first()?.type_();
    if *kind == Type::BOOL {
        return row.try_get::<_, Option<bool>>(0).ok()?;
    }
    match row.try_get::<_, Option<String>>(0).ok()??.as_str() {
        "t" | "true" => Some(true),
        "f" | "false" => Some(false),
        _ => None,
    }
}
