//! Puts SQL from a dump to the server, statement by statement, over connections of our own.
//!
//! No psql reads the dump, so nothing in it can reach a shell or a file of ours, whatever it says:
//! it can only do what the server lets this user do. (One exception: the client library takes
//! statements in UTF-8 only. One in another encoding is handed to psql, after the lexer has seen
//! that it is a single statement without any command for psql.)

use crate::error::{Context, Error, Result};
use crate::postgres::login::is_deadlock;
use crate::postgres::programs::{Program, Running};
use crate::postgres::script::{Element, Entry, Guard, Lexer, Summary, What, quote, summary};
use crate::postgres::{Conninfo, Session};
use std::io::{Read, Write};
use std::process::Stdio;

/// What every connection of a restore begins with. The first line is what digests are taken with.
const SETTINGS: &str = "SET DateStyle = ISO; SET IntervalStyle = postgres; \
    SET extra_float_digits = 3; SET TimeZone = 'UTC'; SET bytea_output = hex; \
    SET standard_conforming_strings = on; SET check_function_bodies = off; \
    SET xmloption = content; SET row_security = off; SET client_min_messages = warning; \
    SET statement_timeout = 0; SET lock_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0; SET synchronous_commit = off; SET jit = off; \
    SELECT pg_catalog.set_config('search_path', '', false);";

/// How often a statement is run that a deadlock ends.
const DEADLOCKS: u32 = 5;

/// What of a dump is not to be restored.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Leave everything to the restoring user.
    pub no_owner: bool,
    /// Leave out grants.
    pub no_privileges: bool,
    /// Put everything into the database's own tablespace.
    pub no_tablespaces: bool,
}

impl Filter {
    /// Whether a statement is to be left out.
    pub fn drops(&self, statement: &Summary) -> bool {
        match statement.what {
            What::Owner(_) => self.no_owner,
            What::Authorization(_) => self.no_owner || self.no_privileges,
            What::Privileges(_) => self.no_privileges,
            What::Setting(ref name) => self.no_tablespaces && name == "default_tablespace",
            _ => false,
        }
    }
}

/// How connections for the work are made: where to, and with which settings.
#[derive(Clone)]
pub struct Connector {
    /// The database that is filled, at the server reached first.
    pub info: Conninfo,
    /// The encoding that the dump is written in.
    pub encoding: String,
    /// Work as this role.
    pub role: Option<String>,
}

impl Connector {
    /// A connection with everything set.
    ///
    /// # Errors
    /// The server can't be reached, or refuses the encoding or the role.
    pub fn connect(&self) -> Result<Session> {
        let mut session = Session::connect(&self.info)?;
        session.batch(SETTINGS)?;
        session.batch(&self.own_settings())?;
        if session.major() >= 17 {
            session.batch("SET transaction_timeout = 0")?;
        }
        Ok(session)
    }

    fn own_settings(&self) -> String {
        let mut sql = String::new();
        if !self.encoding.is_empty() {
            sql.push_str(&format!("SET client_encoding = {};", quote(&self.encoding)));
        }
        if let Some(role) = &self.role {
            sql.push_str(&format!("SET ROLE {};", quote(role)));
        }
        sql
    }

    /// Lets `ask` put questions in an encoding that the client library can read the answers in.
    ///
    /// # Errors
    /// The server refuses, or `ask` fails.
    pub fn in_utf8<T>(
        &self,
        session: &mut Session,
        ask: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Result<T> {
        session.batch("SET client_encoding = 'UTF8'")?;
        let answer = ask(session)?;
        if !self.encoding.is_empty() {
            session.batch(&format!("SET client_encoding = {}", quote(&self.encoding)))?;
        }
        Ok(answer)
    }

    /// Runs one statement; `settings` are those in force where it stands in the dump.
    ///
    /// # Errors
    /// The server refuses it; the message says which.
    pub fn apply(&self, session: &mut Session, settings: &str, statement: &[u8]) -> Result<()> {
        self.run(session, settings, statement)
            .map_err(|error| name_statement(&error, statement))
    }

    /// The same outside of a transaction and beside other connections: where these waited for each other
    /// in a circle, and the server broke it here, the statement is run again.
    ///
    /// # Errors
    /// As for [`Connector::apply`].
    pub fn apply_alone(
        &self,
        session: &mut Session,
        settings: &str,
        statement: &[u8],
    ) -> Result<()> {
        for _ in 1..DEADLOCKS {
            match self.run(session, settings, statement) {
                Err(error) if is_deadlock(&error) => {}
                done => return done.map_err(|error| name_statement(&error, statement)),
            }
        }
        self.apply(session, settings, statement)
    }

    fn run(&self, session: &mut Session, settings: &str, statement: &[u8]) -> Result<()> {
        match std::str::from_utf8(statement) {
            Ok(sql) if settings.is_empty() => session.batch(sql),
            Ok(sql) => session.batch(settings).and_then(|()| session.batch(sql)),
            Err(_) => self.by_psql(session, settings, statement),
        }
    }

    fn by_psql(&self, session: &mut Session, settings: &str, statement: &[u8]) -> Result<()> {
        let psql = Program::find("psql", session.major())?;
        let mut command = psql.command(&session.pinned());
        command
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut running = Running::start(&mut command)?;
        if let Some(mut stdin) = running.stdin() {
            let own = self.own_settings();
            // If psql ends early, its own words say why.
            let _ = [
                SETTINGS.as_bytes(),
                own.as_bytes(),
                settings.as_bytes(),
                statement,
                b"\n",
            ]
            .into_iter()
            .try_for_each(|text| stdin.write_all(text));
        }
        running.finish().map(|_| ())
    }
}

/// The same failure, with the beginning of the statement that met it.
fn name_statement(error: &Error, statement: &[u8]) -> Error {
    let text = String::from_utf8_lossy(&statement[..statement.len().min(200)]);
    let mut words: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.len() > 100 {
        let end = (0..=100).rev().find(|&end| words.is_char_boundary(end));
        words.truncate(end.unwrap_or(0));
        words.push('…');
    }
    let named = Error::new(error.kind(), format!("{error}, in: {words}"));
    match error.hint() {
        Some(hint) => named.with_hint(hint.to_owned()),
        None => named,
    }
}

/// Reads SQL without rows and hands over each statement with the heading above it.
///
/// # Errors
/// The text is cut off, holds commands for psql or rows, or `act` fails.
pub fn each_statement(
    script: impl Read,
    mut act: impl FnMut(Option<&Entry>, &Summary, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut lexer = Lexer::new(script);
    let mut guard = Guard::default();
    let mut entry = None;
    while let Some(element) = lexer.next()? {
        // Each part is read by itself, but the pair of commands stands around the whole.
        if !matches!(element, Element::Command { text, .. } if text.starts_with(b"\\unrestrict ")) {
            guard.check(&element)?;
        }
        match element {
            Element::Comment(text) => {
                if let Some(next) = Entry::parse(text) {
                    entry = Some(next);
                }
            }
            Element::Statement(text) => act(entry.as_ref(), &summary(text), text)?,
            Element::Copy(_) | Element::Rows(_) | Element::RowsEnd => {
                return Err(Error::damaged(
                    "there are rows in a part of the dump without any",
                ));
            }
            Element::Command { .. } => {}
        }
    }
    Ok(())
}

/// Reads all of a small stretch of content.
///
/// # Errors
/// It is damaged.
pub fn read_all(mut content: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content
        .read_to_end(&mut bytes)
        .context(|| "cannot read the dump")?;
    Ok(bytes)
}
