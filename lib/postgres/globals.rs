//! What belongs to the whole server and to no database: roles and tablespaces, as pg_dumpall writes
//! them.

use super::parts::{Output, SqlPart};
use super::programs::{Program, Running};
use super::{Conninfo, Session};
use crate::error::{Context, Error, Kind, Result};
use crate::manifest::content::Globals;
use crate::monitor::{Monitor, Note, Severity};
use crate::stream::{Compression, Facts, Part};
use std::io::{Read, Write};
use std::process::Stdio;

const TRAILER: &[u8] = b"\n-- PostgreSQL database cluster dump complete\n";
const TAIL: usize = 512;

/// What came of it.
#[derive(Debug)]
pub struct Dumped<W> {
    /// What was written to.
    pub output: W,
    /// What was written.
    pub facts: Facts,
    /// What is inside.
    pub content: Globals,
}

/// A name for the server: the last word of its `cluster_name` (Debian's `15/main`), else `main`.
///
/// # Errors
/// The server can't be asked.
pub fn name(info: &Conninfo) -> Result<String> {
    let full: String = Session::connect(info)?.value("SHOW cluster_name", &[])?;
    Ok(match full.rsplit('/').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "main".to_owned(),
    })
}

/// Dumps roles and tablespaces to `output`. Password hashes are left out, with a finding, if the
/// user may not read them.
///
/// # Errors
/// The server can't be reached or refuses, pg_dumpall fails, or the output does.
pub fn dump<W: Write>(
    info: &Conninfo,
    compression: Compression,
    output: W,
    monitor: &dyn Monitor,
) -> Result<Dumped<W>> {
    monitor.stage("dumping roles and tablespaces", None);
    let mut session = Session::connect(info)?;
    let program = Program::find("pg_dumpall", session.major())?;
    let content = content(&mut session)?;
    let pinned = session.pinned();
    let mut command = program.command(&pinned);
    command.args(["--globals-only", "--no-password"]);
    command.arg(format!("--database={}", pinned.database()));
    if !content.passwords {
        command.arg("--no-role-passwords");
        monitor.note(Note::new(
            Severity::Medium,
            "no-role-passwords",
            format!("user '{}'", info.user()),
            "may not read password hashes: the roles come back without passwords",
        ));
    }
    let mut child = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut out = Output::new(output, compression, monitor)?;
    let mut part = SqlPart::new(Part::Globals);
    let mut tail = Vec::new();
    if let Some(mut stdout) = child.stdout() {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = stdout
                .read(&mut buffer)
                .context(|| "cannot read what pg_dumpall writes")?;
            if length == 0 {
                break;
            }
            part.put(&buffer[..length], &mut out)?;
            tail.extend_from_slice(&buffer[..length]);
            let surplus = tail.len().saturating_sub(TAIL);
            tail.drain(..surplus);
        }
    }
    child.finish()?;
    if memchr::memmem::find(&tail, TRAILER).is_none() {
        return Err(Error::new(Kind::Failed, "what pg_dumpall wrote is cut off"));
    }
    part.finish(&mut out)?;
    let (output, facts) = out.writer.finish()?;
    Ok(Dumped {
        output,
        facts,
        content,
    })
}

fn content(session: &mut Session) -> Result<Globals> {
    let mut names = |sql: &str| -> Result<Vec<String>> {
        Ok(session
            .query(sql, &[])?
            .iter()
            .map(|row| row.get(0))
            .collect())
    };
    let roles =
        names("SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1")?;
    let tablespaces = names(
        "SELECT spcname::text FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_' ORDER BY 1",
    )?;
    let version = names("SHOW server_version")?.concat();
    Ok(Globals {
        server_version: version
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned(),
        roles,
        tablespaces,
        passwords: session.value(
            "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')",
            &[],
        )?,
    })
}
