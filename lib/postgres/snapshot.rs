//! One moment of a database, seen by several connections.
//!
//! The leader opens a transaction that sees one moment for as long as it lasts and exports it; every
//! further connection, pg_dump's included, joins. The leader also holds the locks that keep the
//! tables from being dropped or truncated meanwhile, and so stays until the end.

use super::{Conninfo, Session};
use crate::error::Result;

/// What pg_dump sets, so that rows come out the same whatever the server's, the database's or the
/// user's settings are; and what keeps a long dump from being ended, or planned badly.
const SETTINGS: &str = "\
    SET datestyle = ISO; SET intervalstyle = postgres; SET extra_float_digits = 3;\
    SET bytea_output = hex; SET timezone = 'UTC'; SET quote_all_identifiers = off;\
    SET synchronize_seqscans = off; SET row_security = off; SET standard_conforming_strings = on;\
    SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;\
    SET jit = off; SET max_parallel_workers_per_gather = 0;\
    SELECT pg_catalog.set_config('search_path', '', false);";

const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;";

/// A session with the settings of a dump, outside any snapshot.
pub(super) fn settled(info: &Conninfo) -> Result<Session> {
    let mut session = Session::connect(info)?;
    session.batch(SETTINGS)?;
    if session.major() >= 17 {
        session.batch("SET transaction_timeout = 0")?;
    }
    Ok(session)
}

/// The moment, with its leader.
pub(super) struct Snapshot {
    pub(super) leader: Session,
    ticket: Ticket,
}

/// What it takes to join; every thread can have one.
#[derive(Clone)]
pub(super) struct Ticket {
    info: Conninfo,
    id: String,
}

impl Snapshot {
    /// Takes the present moment of the database that `leader` is connected to.
    pub(super) fn take(mut leader: Session) -> Result<Self> {
        leader.batch(BEGIN)?;
        let id = leader.value("SELECT pg_catalog.pg_export_snapshot()", &[])?;
        let info = leader.pinned();
        Ok(Self {
            leader,
            ticket: Ticket { info, id },
        })
    }

    /// Lets the moment go and takes the next.
    pub(super) fn retake(mut self) -> Result<Self> {
        self.leader.batch("ROLLBACK")?;
        Self::take(self.leader)
    }

    /// What it takes to join.
    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Ends the transaction; that this works proves that it lasted until now.
    pub(super) fn release(mut self) -> Result<()> {
        self.leader.batch("COMMIT")
    }
}

impl Ticket {
    /// A further connection that sees the same moment.
    pub(super) fn join(&self) -> Result<Session> {
        let mut session = settled(&self.info)?;
        // The server makes the name out of hexadecimal digits and dashes.
        session.batch(&format!("{BEGIN} SET TRANSACTION SNAPSHOT '{}'", self.id))?;
        Ok(session)
    }

    /// How children reach the same server.
    pub(super) fn info(&self) -> &Conninfo {
        &self.info
    }

    /// The name of the snapshot, for pg_dump.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}
