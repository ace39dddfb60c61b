//! The database that is filled beside the one in use, and the moment when they change places.
//!
//! It is recognisable from its first moment (by its name, and by a connection limit that nobody sets
//! by hand), so that the run after a crash clears it away; and it is under a lock that the server
//! frees when the run that holds it dies, so that a database at work is left alone.

use crate::error::{Error, Kind, Result};
use crate::manifest::content::Properties;
use crate::monitor::{Monitor, Note, Severity};
use crate::postgres::script::{literal, quote};
use crate::postgres::{Conninfo, Session};
use jiff::Timestamp;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest name that a server takes, in bytes.
const NAME_MAX: usize = 63;
/// The connection limit that marks an unfinished database.
const MARK: i32 = 1_957_211;
/// The class of our advisory locks: "sgr".
const LOCK_CLASS: i32 = 0x73_6772;
/// How long the swap waits for those who use the old database.
const SWAP_TRIES: u32 = 3;
/// So often the lock is tried for, as long a time apart as a name: the server notices a moment later that a
/// restore which held it has ended.
const LOCK_TRIES: u32 = 30;
/// How long a name that is taken is waited for at a time; a second brings another one.
const UNTIL_NEXT: Duration = Duration::from_millis(100);

/// The leading connection of a restore: to the maintenance database of the target's server, holding
/// the lock on the target's name.
pub struct Control {
    session: Session,
    target: String,
}

impl Control {
    /// Connects to the server of `info` and locks the database that `info` names against other
    /// restores.
    ///
    /// # Errors
    /// The server can't be reached, or another restore of that name is under way
    /// ([`Kind::Locked`]).
    pub fn new(info: &Conninfo) -> Result<Self> {
        let target = info.database().to_owned();
        let connect = |name: &str| Session::connect(&info.with_database(name));
        let mut session = connect("postgres").or_else(|first| {
            // Some servers have no such database; every one has this.
            connect("template1").map_err(|_| first)
        })?;
        if !lock(&mut session, &target)? {
            return Err(Error::new(
                Kind::Locked,
                format!("another restore of database '{target}' is under way"),
            )
            .with_hint("Wait for its end."));
        }
        Ok(Self { session, target })
    }

    /// The database's name.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The connection, for questions.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Drops what killed runs left behind. Only a holder of the lock on the name gets here, so none
    /// of it belongs to a live run.
    ///
    /// # Errors
    /// A leftover can't be dropped.
    pub fn clear(&mut self, monitor: &dyn Monitor) -> Result<()> {
        // A server marks a database by -2 whose dropping has failed half-way.
        let rows = self.session.query(
            "SELECT datname::text FROM pg_database \
             WHERE datconnlimit IN ($1, -2) AND starts_with(datname::text, $2)",
            &[&MARK, &prefix(&self.target, RESTORING)],
        )?;
        for row in rows {
            let name: String = row.get(0);
            if time_of(&name, &self.target).is_none() {
                continue;
            }
            self.drop_database(&name)?;
            monitor.note(Note::new(
                Severity::Info,
                "leftover-dropped",
                name,
                "dropped: a restore that was killed had left it",
            ));
        }
        Ok(())
    }

    /// Drops a database and whoever is connected to it.
    ///
    /// # Errors
    /// The server refuses.
    pub fn drop_database(&mut self, name: &str) -> Result<()> {
        self.session.batch(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quote(name)
        ))
    }

    /// Creates the database to fill and returns its name.
    ///
    /// # Errors
    /// The server refuses: a right, an encoding, a locale, or room is missing.
    pub fn create(&mut self, properties: &Properties, tablespace: Option<&str>) -> Result<String> {
        let name = self.name_for_side()?;
        self.create_as(&name, properties, tablespace)?;
        Ok(name)
    }

    /// A name for a database to fill.
    pub(super) fn name_for_side(&mut self) -> Result<String> {
        self.free_name(RESTORING)
    }

    /// A name for the database that will be replaced.
    pub(super) fn name_for_old(&mut self) -> Result<String> {
        self.free_name(BEFORE)
    }

    /// A name for now. Names count whole seconds: where this one is taken, the next is waited for.
    fn free_name(&mut self, tag: &str) -> Result<String> {
        loop {
            let name = timed(&self.target, tag, Timestamp::now());
            if self.number(&name)?.is_none() {
                return Ok(name);
            }
            std::thread::sleep(UNTIL_NEXT);
        }
    }

    /// The number by which the server knows a database, whatever it is called.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u32>> {
        let rows = self
            .session
            .query("SELECT oid FROM pg_database WHERE datname = $1", &[&name])?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// Creates the database to fill under a name that was chosen before.
    ///
    /// # Errors
    /// As [`Control::create`].
    pub(super) fn create_as(
        &mut self,
        name: &str,
        properties: &Properties,
        tablespace: Option<&str>,
    ) -> Result<()> {
        let mut sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 CONNECTION LIMIT {MARK}",
            quote(name)
        );
        let mut add = |option: &str, value: &str| {
            if !value.is_empty() {
                sql.push_str(&format!(" {option} {}", literal(value)));
            }
        };
        add("ENCODING", &properties.encoding);
        add("LC_COLLATE", &properties.collate);
        add("LC_CTYPE", &properties.ctype);
        let major = self.session.major();
        if major >= 15 && !matches!(properties.locale_provider.as_str(), "" | "libc") {
            add("LOCALE_PROVIDER", &properties.locale_provider);
            let locale = properties.locale.as_deref().unwrap_or_default();
            match (properties.locale_provider.as_str(), major) {
                ("icu", _) => add("ICU_LOCALE", locale),
                (_, 17..) => add("BUILTIN_LOCALE", locale),
                _ => {}
            }
            if major >= 16 {
                add(
                    "ICU_RULES",
                    properties.icu_rules.as_deref().unwrap_or_default(),
                );
            }
        }
        if let Some(tablespace) = tablespace {
            sql.push_str(&format!(" TABLESPACE {}", quote(tablespace)));
        }
        self.session.batch(&sql)
    }

    /// Puts the database `side` in the place of the target, in one transaction, and returns the name
    /// under which the old one is kept, if there was one.
    ///
    /// # Errors
    /// The server refuses; then all is as before.
    pub fn swap(&mut self, side: &str, limit: i32) -> Result<Option<String>> {
        let exists: bool = self.session.value(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)",
            &[&self.target],
        )?;
        let before = exists.then(|| self.name_for_old()).transpose()?;
        self.swap_as(side, before.as_deref(), limit)?;
        Ok(before)
    }

    /// The same, with the name for the old one as it was chosen before; without one there is none.
    ///
    /// # Errors
    /// The server refuses; then all is as before.
    pub(super) fn swap_as(&mut self, side: &str, before: Option<&str>, limit: i32) -> Result<()> {
        let target = quote(&self.target);
        let mut sql = String::from("BEGIN; SET LOCAL lock_timeout = '15s';");
        if let Some(before) = before {
            // The first rename takes a lock that new connections wait for, and waits itself for
            // the old ones to go; meanwhile another connection sends them away.
            sql.push_str(&format!(
                "ALTER DATABASE {target} RENAME TO {};",
                quote(before)
            ));
        }
        sql.push_str(&format!(
            "ALTER DATABASE {side} RENAME TO {target};\
             ALTER DATABASE {target} CONNECTION LIMIT {limit}; COMMIT",
            side = quote(side)
        ));
        self.exchange(side, &sql)
    }

    /// Puts the old database, called `before`, in the target's place again, and the one that is there
    /// aside as `side`: [`Control::swap_as`] backwards.
    ///
    /// # Errors
    /// The server refuses; then all is as before.
    pub(super) fn swap_back(&mut self, side: &str, before: Option<&str>) -> Result<()> {
        let (target, side_name) = (quote(&self.target), quote(side));
        let mut sql = format!(
            "BEGIN; SET LOCAL lock_timeout = '15s';\
             ALTER DATABASE {target} RENAME TO {side_name};\
             ALTER DATABASE {side_name} CONNECTION LIMIT {MARK};"
        );
        if let Some(before) = before {
            sql.push_str(&format!(
                "ALTER DATABASE {} RENAME TO {target};",
                quote(before)
            ));
        }
        sql.push_str("COMMIT");
        self.exchange(side, &sql)
    }

    /// Runs a transaction that renames the target, as often as it takes to get past its users.
    fn exchange(&mut self, side: &str, sql: &str) -> Result<()> {
        let mut tries = SWAP_TRIES;
        loop {
            let result = self.with_bouncer(side, |session| session.batch(sql));
            match result {
                Ok(()) => return Ok(()),
                Err(error) => {
                    // Out of the failed transaction; a lost connection fails here once more.
                    let _ = self.session.batch("ROLLBACK");
                    tries -= 1;
                    if tries == 0 || error.kind() != Kind::Failed {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Runs `act` while another connection keeps sending away whoever uses the target or `side`.
    fn with_bouncer(
        &mut self,
        side: &str,
        act: impl FnOnce(&mut Session) -> Result<()>,
    ) -> Result<()> {
        let mut bouncer = Session::connect(&self.session.pinned())?;
        let names = [self.target.clone(), side.to_owned()];
        let done = AtomicBool::new(false);
        let mut bounce = || {
            bouncer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname IN ($1, $2) AND pid <> pg_backend_pid()",
                &[&names[0], &names[1]],
            )
        };
        bounce()?;
        std::thread::scope(|scope| {
            let bouncing = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    bounce()?;
                    std::thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            });
            let result = act(&mut self.session);
            done.store(true, Ordering::Relaxed);
            let bounced: Result<()> = bouncing
                .join()
                .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "a thread panicked")));
            result.and(bounced)
        })
    }
}

const RESTORING: &str = "_restoring_";
const BEFORE: &str = "_before_";
const TIME: &str = "%Y%m%d_%H%M%S";
const TIME_LENGTH: usize = 15;

/// The beginning of a name derived from `target`: cut so that the whole fits.
fn prefix(target: &str, tag: &str) -> String {
    let most = NAME_MAX - tag.len() - TIME_LENGTH;
    let end = (0..=most.min(target.len()))
        .rev()
        .find(|&end| target.is_char_boundary(end))
        .unwrap_or(0);
    format!("{}{tag}", &target[..end])
}

fn timed(target: &str, tag: &str, time: Timestamp) -> String {
    format!("{}{}", prefix(target, tag), time.strftime(TIME))
}

/// Takes the lock on the database `target`; `false` if another restore has it and keeps it.
fn lock(session: &mut Session, target: &str) -> Result<bool> {
    let sql = "SELECT pg_try_advisory_lock($1, hashtext($2))";
    for _ in 1..LOCK_TRIES {
        if session.value(sql, &[&LOCK_CLASS, &target])? {
            return Ok(true);
        }
        std::thread::sleep(UNTIL_NEXT);
    }
    session.value(sql, &[&LOCK_CLASS, &target])
}

/// The time in the name of an unfinished database of `target`; `None` if it is another's.
fn time_of<'a>(name: &'a str, target: &str) -> Option<&'a str> {
    let time = name.strip_prefix(&prefix(target, RESTORING))?;
    let fits = time.len() == TIME_LENGTH
        && time.bytes().enumerate().all(|(at, byte)| {
            if at == 8 {
                byte == b'_'
            } else {
                byte.is_ascii_digit()
            }
        });
    fits.then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_are_recognised() {
        let time = Timestamp::UNIX_EPOCH;
        assert_eq!(
            timed("shop", RESTORING, time),
            "shop_restoring_19700101_000000"
        );
        let long = "ä".repeat(31);
        let name = timed(&long, RESTORING, time);
        assert!(name.len() <= NAME_MAX);
        assert_eq!(time_of(&name, &long), Some("19700101_000000"));
        assert_eq!(time_of("shop_restoring_19700101_000000", "sho"), None);
        assert_eq!(time_of("shop_restoring_1970010_0000000", "shop"), None);
        assert_eq!(time_of("shop_restoring_", "shop"), None);
    }
}
