//! One connection to a server, used from one thread, with calls that wait.
//!
//! A dump or a restore is a handful of threads that each own a connection. So a session hides the
//! asynchronous client: it owns a little runtime and drives client and socket inside each call.

use super::conninfo::{Conninfo, Endpoint};
use super::link::{Link, Stop, drive, settle};
use super::login::{Refusal, establish, failure, name};
use super::tls::Mode;
use super::wire::Rows;
use crate::error::{Context as _, Error, Kind, Result};
use futures_util::SinkExt;
use std::future::{Future, poll_fn};
use std::hash::BuildHasher;
use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::DbError;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, CopyInSink, Row};

/// What a parameter of a statement may be.
pub type Parameter<'a> = &'a (dyn ToSql + Sync);

/// How often a server that is just starting, or full, is asked again, and the first pause.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// How long a session that ends waits until its farewell is on the way.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection to a database.
pub struct Session {
    runtime: Runtime,
    client: Option<Client>,
    link: Link,
    rows: Rows,
    info: Conninfo,
    endpoint: Endpoint,
    major: u32,
}

impl Session {
    /// Connects as `info` says: to the first of its servers that will have us.
    ///
    /// # Errors
    /// No server answers ([`Kind::Unavailable`]), or none lets us in ([`Kind::Permission`]).
    pub fn connect(info: &Conninfo) -> Result<Self> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match Self::connect_once(info) {
                Err(Refusal { passing: true, .. }) => std::thread::sleep(pause),
                other => return other.map_err(|refusal| refusal.error),
            }
            pause *= 2;
        }
        Self::connect_once(info).map_err(|refusal| refusal.error)
    }

    fn connect_once(info: &Conninfo) -> Result<Self, Refusal> {
        supported(info)?;
        match info.get("target_session_attrs").unwrap_or("any") {
            "prefer-standby" => {
                Self::connect_among(info, "standby").or_else(|_| Self::connect_among(info, "any"))
            }
            wanted => Self::connect_among(info, wanted),
        }
    }

    /// Connects to the first server that will have us and is of the kind that is wanted.
    fn connect_among(info: &Conninfo, wanted: &str) -> Result<Self, Refusal> {
        let modes = match Mode::of(info)? {
            // As libpq: the second choice is tried where the first does not work.
            Mode::Prefer => vec![Mode::Prefer, Mode::Disable],
            Mode::Allow => vec![Mode::Disable, Mode::Require],
            other => vec![other],
        };
        let mut first: Option<Refusal> = None;
        let mut endpoints = info.endpoints()?;
        if info.get("load_balance_hosts") == Some("random") {
            let order = std::hash::RandomState::new();
            endpoints.sort_by_cached_key(|endpoint| order.hash_one(endpoint.to_string()));
        }
        for endpoint in endpoints {
            let modes = if endpoint.socket().is_some() {
                &[Mode::Disable]
            } else {
                modes.as_slice()
            };
            for &mode in modes {
                let connected = Self::connect_to(info, &endpoint, mode).and_then(|mut session| {
                    session.check_attributes(wanted)?;
                    Ok(session)
                });
                match connected {
                    Ok(session) => return Ok(session),
                    Err(refusal) => {
                        let weightier = refusal.error.kind() == Kind::Permission;
                        let answered = !refusal.unreachable;
                        if first
                            .as_ref()
                            .is_none_or(|first| weightier && first.unreachable)
                        {
                            first = Some(refusal);
                        }
                        if !answered {
                            break; // another mode does not help where nobody answers
                        }
                    }
                }
            }
        }
        Err(first.unwrap_or_else(|| Error::new(Kind::Config, "no server is named").into()))
    }

    fn connect_to(info: &Conninfo, endpoint: &Endpoint, mode: Mode) -> Result<Self, Refusal> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context(|| "cannot set up the client's runtime")?;
        let limit = match info.get("connect_timeout").unwrap_or("0").trim().parse() {
            Ok(0) => Duration::MAX,
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => return Err(Error::new(Kind::Config, "connect_timeout is no number").into()),
        };
        let attempt = async {
            let attempt = establish(info, endpoint, mode);
            if limit == Duration::MAX {
                return attempt.await;
            }
            let late = |_| Refusal::unreachable(info, endpoint, &io::ErrorKind::TimedOut.into());
            tokio::time::timeout(limit, attempt).await.map_err(late)?
        };
        let (client, connection, rows) = runtime.block_on(attempt)?;
        let major = connection
            .parameter("server_version")
            .and_then(|version| {
                version
                    .split(|c: char| !c.is_ascii_digit())
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        Ok(Self {
            runtime,
            client: Some(client),
            link: Link {
                connection,
                notices: Vec::new(),
                end: None,
            },
            rows,
            info: info.clone(),
            endpoint: endpoint.clone(),
            major,
        })
    }

    /// `target_session_attrs`: whether this is the kind of server that is wanted.
    fn check_attributes(&mut self, wanted: &str) -> Result<(), Refusal> {
        let (sql, right) = match wanted {
            "any" => return Ok(()),
            "read-write" => ("SHOW transaction_read_only", "off"),
            "read-only" => ("SHOW transaction_read_only", "on"),
            "primary" => (
                "SELECT CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END",
                "off",
            ),
            "standby" => (
                "SELECT CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END",
                "on",
            ),
            other => {
                return Err(Error::new(
                    Kind::Config,
                    format!("'{other}' is no target_session_attrs"),
                )
                .into());
            }
        };
        let state: String = self.value(sql, &[])?;
        if state == right {
            return Ok(());
        }
        let message = format!("the server at {} is not {wanted}", self.endpoint);
        Err(Error::new(Kind::Unavailable, message).into())
    }

    /// The server's major version, e.g. 15.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The server that this session reached.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How it was reached.
    pub fn info(&self) -> &Conninfo {
        &self.info
    }

    /// A connection like this one, to this very server: for further sessions and for children,
    /// which must see the same snapshots.
    pub fn pinned(&self) -> Conninfo {
        self.info.at(&self.endpoint)
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// The server refuses it, or hangs up.
    pub fn query(&mut self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        let (client, link) = (client(&self.client)?, &mut self.link);
        drive(&self.runtime, link, client.query(sql, parameters)).map_err(|stop| self.failed(stop))
    }

    /// Runs one statement that yields one row and returns its first column.
    ///
    /// # Errors
    /// As [`Session::query`]; or it yields no row, several, or another type.
    pub fn value<T: FromSqlOwned>(&mut self, sql: &str, parameters: &[Parameter<'_>]) -> Result<T> {
        let (client, link) = (client(&self.client)?, &mut self.link);
        let request = async { client.query_one(sql, parameters).await?.try_get(0) };
        drive(&self.runtime, link, request).map_err(|stop| self.failed(stop))
    }

    /// Runs one statement and returns how many rows it touched.
    ///
    /// # Errors
    /// The server refuses it, or hangs up.
    pub fn execute(&mut self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
        let (client, link) = (client(&self.client)?, &mut self.link);
        drive(&self.runtime, link, client.execute(sql, parameters))
            .map_err(|stop| self.failed(stop))
    }

    /// Runs any number of statements, without results.
    ///
    /// # Errors
    /// The server refuses one, or hangs up.
    pub fn batch(&mut self, sql: &str) -> Result<()> {
        let (client, link) = (client(&self.client)?, &mut self.link);
        drive(&self.runtime, link, client.batch_execute(sql)).map_err(|stop| self.failed(stop))
    }

    /// Runs a `COPY … TO STDOUT` and hands over each row: its text with the newline, in a buffer
    /// that is valid for the call.
    ///
    /// # Errors
    /// The server refuses, fails or hangs up, or `row` fails; then the session is of no more use.
    pub fn copy_out(&mut self, sql: &str, mut row: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let client = client(&self.client)?;
        let (link, rows) = (&mut self.link, &self.rows);
        rows.keep(true);
        let copied = self.runtime.block_on(tokio::task::unconstrained(async {
            let mut request = pin!(async {
                let mut stream = pin!(client.copy_out(sql).await?);
                // The rows go another way; what comes through here is the end.
                let next =
                    poll_fn(|context| futures_util::Stream::poll_next(stream.as_mut(), context));
                match next.await {
                    None => Ok(()),
                    Some(other) => other.map(|_| ()),
                }
            });
            poll_fn(|context| {
                let ended = loop {
                    let ended = link.poll(context).is_ready();
                    match rows.drain(&mut row) {
                        Ok(true) => {}
                        Ok(false) => break ended,
                        Err(error) => return Poll::Ready(Err(Stop::Caller(error))),
                    }
                };
                settle(request.as_mut().poll(context), ended)
            })
            .await
        }));
        rows.keep(false);
        match copied {
            Ok(()) => Ok(()),
            Err(stop) => {
                if let Stop::Caller(_) = stop {
                    self.client = None; // rows that nobody wants are on the way
                }
                Err(self.failed(stop))
            }
        }
    }

    /// Begins a `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// The server refuses it, or hangs up.
    pub fn copy_in(&mut self, sql: &str) -> Result<CopyIn<'_>> {
        let (client, link) = (client(&self.client)?, &mut self.link);
        match drive(&self.runtime, link, client.copy_in(sql)) {
            Ok(sink) => Ok(CopyIn {
                sink: Box::pin(sink),
                session: self,
            }),
            Err(stop) => Err(self.failed(stop)),
        }
    }

    /// The notices and warnings that the server sent since the last call.
    pub fn notices(&mut self) -> Vec<DbError> {
        std::mem::take(&mut self.link.notices)
    }

    fn failed(&mut self, stop: Stop) -> Error {
        let cause = match stop {
            Stop::Caller(error) => return error,
            Stop::Ended => None,
            Stop::Server(cause) => Some(cause),
        };
        // Why the server hung up is in what it said last, not in what the call ran into.
        let cause = match (cause, self.link.end.take()) {
            (Some(cause), Some(end)) if cause.as_db_error().is_none() => Some(end),
            (cause, end) => cause.or(end),
        };
        match cause {
            Some(cause) => failure(&self.info, &self.endpoint, cause),
            None => {
                let place = name(&self.info, &self.endpoint);
                Error::new(
                    Kind::Unavailable,
                    format!("{place}: the connection has ended"),
                )
            }
        }
    }
}

impl Drop for Session {
    /// Takes leave, so that the server's log has no line about a lost client.
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        drop(client);
        let link = &mut self.link;
        let _ = self.runtime.block_on(async {
            let farewell = poll_fn(|context| link.poll(context));
            tokio::time::timeout(FAREWELL, farewell).await
        });
    }
}

/// A `COPY … FROM STDIN` under way. Dropped without [`CopyIn::finish`], it is undone.
pub struct CopyIn<'a> {
    session: &'a mut Session,
    sink: Pin<Box<CopyInSink<Cursor<Vec<u8>>>>>,
}

impl CopyIn<'_> {
    /// Sends COPY text; where it is cut does not matter.
    ///
    /// # Errors
    /// The server hung up. That it refuses the rows is told by [`CopyIn::finish`].
    pub fn send(&mut self, text: Vec<u8>) -> Result<()> {
        let session = &mut *self.session;
        let sending = self.sink.send(Cursor::new(text));
        drive(&session.runtime, &mut session.link, sending).map_err(|stop| session.failed(stop))
    }

    /// Ends the statement and returns how many rows went in.
    ///
    /// # Errors
    /// The server refuses the rows, or hung up.
    pub fn finish(mut self) -> Result<u64> {
        let session = &mut *self.session;
        let finishing = self.sink.as_mut().finish();
        drive(&session.runtime, &mut session.link, finishing).map_err(|stop| session.failed(stop))
    }
}

/// Refuses what was asked for and can't be given: to go on as if it had not been asked would be less
/// safe than the user believes.
fn supported(info: &Conninfo) -> Result<()> {
    let is = |keyword: &str, value: &str| info.get(keyword) == Some(value);
    let refuse = |what: &str, hint: &'static str| {
        Err(Error::new(Kind::Config, format!("{what} is not supported")).with_hint(hint))
    };
    if is("gssencmode", "require") {
        return refuse(
            "encryption by GSSAPI (gssencmode=require)",
            "Use TLS: sslmode=verify-full, and leave gssencmode out.",
        );
    }
    if is("sslcertmode", "require") {
        return refuse(
            "sslcertmode=require",
            "Let pg_hba.conf demand the certificate (clientcert=verify-full).",
        );
    }
    Ok(())
}

fn client(client: &Option<Client>) -> Result<&Client> {
    client
        .as_ref()
        .ok_or_else(|| Error::new(Kind::Failed, "the connection was given up"))
}
