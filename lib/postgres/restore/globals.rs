//! Roles and tablespaces come back: what is missing is created, what is there is left as it is. A
//! password that somebody changed since is not changed back unless that is asked for.

use crate::error::{Error, Kind, Result};
use crate::monitor::{Monitor, Note, Severity};
use crate::postgres::script::{Element, Guard, Lexer, What, summary};
use crate::postgres::{Conninfo, Session};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Read;

/// Makes the statement that creates a tablespace elsewhere than the dump says.
pub type Elsewhere<'a> = &'a dyn Fn(&str) -> Result<String>;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Roles that were created.
    pub roles: Vec<String>,
    /// Roles that were there.
    pub roles_present: Vec<String>,
    /// Tablespaces that were created.
    pub tablespaces: Vec<String>,
    /// Tablespaces that were there.
    pub tablespaces_present: Vec<String>,
}

/// Applies a dump of globals, ours or pg_dumpall's, to the server of `to`. With `overwrite`, roles that
/// are there get the attributes and passwords of the dump.
///
/// What the server refuses, e.g. a tablespace whose directory is missing, is noted, and the rest goes
/// on.
///
/// # Errors
/// The dump is damaged or no dump of globals, or the server can't be reached.
pub fn apply(
    script: impl Read,
    to: &Conninfo,
    overwrite: bool,
    monitor: &dyn Monitor,
) -> Result<Applied> {
    apply_with(script, to, overwrite, None, monitor)
}

/// The same on a server that is not the one dumped: `elsewhere` says where tablespaces go, because
/// their place may be in use by that one.
///
/// # Errors
/// As [`apply`], and where `elsewhere` fails.
pub fn apply_elsewhere(
    script: impl Read,
    to: &Conninfo,
    elsewhere: Elsewhere<'_>,
    monitor: &dyn Monitor,
) -> Result<Applied> {
    apply_with(script, to, false, Some(elsewhere), monitor)
}

fn apply_with(
    script: impl Read,
    to: &Conninfo,
    overwrite: bool,
    elsewhere: Option<Elsewhere<'_>>,
    monitor: &dyn Monitor,
) -> Result<Applied> {
    let mut session = Session::connect(&to.with_database("postgres"))
        .or_else(|first| Session::connect(&to.with_database("template1")).map_err(|_| first))?;
    let mut names = |sql: &str| -> Result<BTreeSet<String>> {
        Ok(session
            .query(sql, &[])?
            .iter()
            .map(|row| row.get(0))
            .collect())
    };
    let roles = names("SELECT rolname::text FROM pg_catalog.pg_roles")?;
    let tablespaces = names("SELECT spcname::text FROM pg_catalog.pg_tablespace")?;
    let mut applied = Applied::default();
    let mut lexer = Lexer::new(script);
    let mut guard = Guard::default();
    while let Some(element) = lexer.next()? {
        if is_connect(&element) {
            // pg_dumpall ends its globals so, where a whole server follows.
            continue;
        }
        guard.check(&element)?;
        let sql = match element {
            Element::Statement(sql) => sql,
            Element::Copy(_) => {
                return Err(Error::new(
                    Kind::Usage,
                    "this is the dump of a database, not one of roles and tablespaces",
                )
                .with_hint("Restore it with sg-restore db."));
            }
            _ => continue,
        };
        match summary(sql).what {
            What::Role(role) if roles.contains(&role) => {
                applied.roles_present.push(role);
                continue;
            }
            What::AlterRole(role) if roles.contains(&role) && !overwrite => continue,
            What::Tablespace(tablespace) if tablespaces.contains(&tablespace) => {
                applied.tablespaces_present.push(tablespace);
                continue;
            }
            What::Role(role) => {
                if run(&mut session, sql, &role, monitor)? {
                    applied.roles.push(role);
                }
            }
            What::Tablespace(tablespace) => {
                let moved = elsewhere.map(|statement| statement(&tablespace));
                let moved = moved.transpose()?;
                let sql = moved.as_ref().map_or(sql, |sql| sql.as_bytes());
                if run(&mut session, sql, &tablespace, monitor)? {
                    applied.tablespaces.push(tablespace);
                }
            }
            What::AlterRole(role) => {
                run(&mut session, sql, &role, monitor)?;
            }
            _ => {
                run(&mut session, sql, "globals", monitor)?;
            }
        }
    }
    Ok(applied)
}

fn is_connect(element: &Element<'_>) -> bool {
    matches!(element, Element::Command { text, alone: true, .. } if *text == b"\\connect template1")
}

/// Runs a statement; `false`, with a note, if the server refuses it.
fn run(session: &mut Session, sql: &[u8], subject: &str, monitor: &dyn Monitor) -> Result<bool> {
    let sql = std::str::from_utf8(sql).map_err(|_| Error::damaged("the dump is not in UTF-8"))?;
    match session.batch(sql) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == Kind::Unavailable => Err(error),
        Err(error) => {
            // Passwords must not get into a log, so the statement itself is not told.
            let severity = Severity::Medium;
            monitor.note(Note::new(severity, "refused", subject, error.to_string()));
            Ok(false)
        }
    }
}
