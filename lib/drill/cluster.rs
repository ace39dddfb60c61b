//! A PostgreSQL server for one drill: made by initdb, reached by a socket in a closed directory and by
//! nothing else, in a hurry because nothing in it has to last.
//!
//! It knows nothing of production: no variable of ours reaches it, its settings are initdb's and those
//! given here. It ends when the drill does, also when that is killed: the kernel sends it a signal then
//! (`setpriv --pdeathsig`), and what that misses, the next drill finds.

use super::fence;
use super::room::wal;
use super::scratch::{DATA, Scratch};
use crate::error::{Context, Error, Kind, Result};
use crate::postgres::Conninfo;
use crate::postgres::programs::{Program, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Its administrator: as on most servers, so that a dump that names no other role finds its owner.
const ADMIN: &str = "postgres";
/// Where its socket is in the scratch directory.
const RUN: &str = "run";
/// The longest path that a socket can have, less the name that the server gives it.
const SOCKET_MAX: usize = 107 - "/.s.PGSQL.5432.lock".len();
/// A server that has not begun to answer by then never will.
const PATIENCE: Duration = Duration::from_secs(300);
/// How much of its log is quoted.
const LAST_WORDS: usize = 2000;

/// What bounds a server.
pub(super) struct Bounds<'a> {
    /// Memory in bytes that it may plan with.
    pub(super) memory: u64,
    /// How many connections will work at once.
    pub(super) jobs: usize,
    /// How many bytes of database it takes up.
    pub(super) database: u64,
    /// Settings given by the user, as `name=value`.
    pub(super) settings: &'a [String],
}

/// The thread that started a server. A server is told of its parent's death when that thread ends, so
/// it has to live as long.
struct Keeper {
    until: Sender<()>,
    thread: JoinHandle<Result<()>>,
}

/// A running server; ended when dropped.
pub(super) struct Cluster {
    server: Child,
    keeper: Option<Keeper>,
    log: PathBuf,
    info: Conninfo,
    /// Its version, e.g. `15.18`.
    pub(super) version: String,
}

impl Cluster {
    /// Makes a server of release `major`, or of the oldest newer one that is installed, and starts it.
    ///
    /// # Errors
    /// No such server is installed, or it does not start.
    pub(super) fn start(scratch: &Scratch, major: u32, bounds: &Bounds<'_>) -> Result<Self> {
        let initdb = Program::find_server("initdb", major)?;
        let postgres = initdb.path.with_file_name("postgres");
        let sockets = scratch.servers_directory(RUN)?;
        if sockets.as_os_str().len() > SOCKET_MAX {
            return Err(Error::new(
                Kind::Config,
                format!("the path '{}' is too long for a socket", sockets.display()),
            )
            .with_hint("Name a directory with a shorter path with --scratch (SG_DRILL_SCRATCH)."));
        }
        let data = scratch.servers_directory(DATA)?;
        let arguments = [
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ];
        let mut making = unprivileged(&initdb.path, scratch);
        making
            .args(arguments)
            .args(["--no-instructions", "--username", ADMIN, "--pgdata"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let programs = initdb.path.parent().unwrap_or(Path::new("/"));
        fence::behind(scratch.path(), programs, move || run(&mut making))
            .join()
            .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "a thread panicked")))?;

        let log = scratch.path().join("server.log");
        let output = File::create(&log).context(|| format!("cannot make '{}'", log.display()))?;
        let errors = output
            .try_clone()
            .context(|| format!("cannot open '{}'", log.display()))?;
        let mut command = unprivileged(&postgres, scratch);
        command.arg("-D").arg(&data);
        for setting in settings(&sockets, bounds).iter().chain(bounds.settings) {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let (server, keeper) = keep(command, scratch.path(), programs)?;
        let mut cluster = Self {
            server,
            keeper: Some(keeper),
            log,
            info: conninfo(&sockets)?,
            version: initdb.version,
        };
        cluster.wait(&data)?;
        Ok(cluster)
    }

    /// Waits until it answers.
    fn wait(&mut self, data: &Path) -> Result<()> {
        let begun = Instant::now();
        loop {
            let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
            if file
                .lines()
                .nth(7)
                .is_some_and(|line| line.trim() == "ready")
            {
                return Ok(());
            }
            let ended = self
                .server
                .try_wait()
                .context(|| "cannot wait for the scratch server")?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                return Err(Error::new(
                    Kind::Config,
                    format!("the scratch server does not start: {}", self.last_words()),
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The server's process.
    pub(super) fn process(&self) -> u32 {
        self.server.id()
    }

    /// How `database` in it is reached.
    pub(super) fn conninfo(&self, database: &str) -> Conninfo {
        self.info.with_database(database)
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let from = log.len().saturating_sub(LAST_WORDS);
        String::from_utf8_lossy(&log[from..]).trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // At once: nothing in it is worth a checkpoint.
        let _ = kill(
            Pid::from_raw(self.server.id().cast_signed()),
            Signal::SIGQUIT,
        );
        let _ = self.server.wait();
        if let Some(keeper) = self.keeper.take() {
            drop(keeper.until);
            // It has nothing left to say.
            let _ = keeper.thread.join();
        }
    }
}

/// Starts a server behind its fence, from a thread that lives on.
fn keep(mut command: Command, directory: &Path, programs: &Path) -> Result<(Child, Keeper)> {
    let (started, child) = channel();
    let (until, end) = channel::<()>();
    let thread = fence::behind(directory, programs, move || {
        let spawned = command.spawn();
        let child = spawned.context(|| format!("cannot start '{:?}'", command.get_program()))?;
        // Who waits for it is there until it comes.
        let _ = started.send(child);
        let _ = end.recv();
        Ok(())
    });
    match child.recv() {
        Ok(child) => Ok((child, Keeper { until, thread })),
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            _ => Err(Error::new(Kind::Failed, "a thread panicked")),
        },
    }
}

/// A command that runs as the server's user, with nothing of our environment, and ends with us.
fn unprivileged(program: &Path, scratch: &Scratch) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let setpriv = std::env::split_paths(&path)
        .map(|directory| directory.join("setpriv"))
        .find(|setpriv| setpriv.is_file());
    let mut command = match setpriv {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "QUIT", "--no-new-privs"]);
            if let Some(user) = scratch.user() {
                command.args(["--clear-groups", "--inh-caps=-all"]);
                command.args([
                    format!("--reuid={}", user.uid),
                    format!("--regid={}", user.gid),
                ]);
            }
            command.arg(program);
            command
        }
        None => {
            let mut command = Command::new(program);
            if let Some(user) = scratch.user() {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            command
        }
    };
    command
        .env_clear()
        .env("PATH", OsStr::new("/usr/sbin:/usr/bin:/sbin:/bin"))
        .env("LC_ALL", "C")
        .current_dir(scratch.path());
    command
}

fn settings(sockets: &Path, bounds: &Bounds<'_>) -> Vec<String> {
    let mebibytes = |bytes: u64| format!("{}MB", (bytes >> 20).max(1));
    let connections = bounds.jobs + 10;
    vec![
        // Reached by its socket alone.
        "listen_addresses=".to_owned(),
        "port=5432".to_owned(),
        format!("unix_socket_directories={}", sockets.display()),
        "unix_socket_permissions=0700".to_owned(),
        // Nothing in it has to last.
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
        "archive_mode=off".to_owned(),
        "checkpoint_timeout=1h".to_owned(),
        format!("max_wal_size={}", mebibytes(wal(bounds.database))),
        "autovacuum=off".to_owned(),
        // A sandbox may forbid memory that is both written and run.
        "jit=off".to_owned(),
        "restart_after_crash=off".to_owned(),
        // Its bounds.
        format!("shared_buffers={}", mebibytes(bounds.memory / 4)),
        "maintenance_work_mem=256MB".to_owned(),
        format!("max_connections={connections}"),
        "max_locks_per_transaction=256".to_owned(),
        "max_prepared_transactions=0".to_owned(),
        format!(
            "temp_file_limit={}",
            mebibytes(bounds.database.max(1 << 30))
        ),
        // Says what stops it, and nothing of the data.
        "logging_collector=off".to_owned(),
        "log_min_messages=warning".to_owned(),
        "log_min_error_statement=panic".to_owned(),
        "log_error_verbosity=terse".to_owned(),
    ]
}

/// The way to the socket in `sockets`, whatever our own environment says.
fn conninfo(sockets: &Path) -> Result<Conninfo> {
    let sockets = sockets.to_str().ok_or_else(|| {
        Error::new(
            Kind::Config,
            format!("the path '{}' is not in UTF-8", sockets.display()),
        )
    })?;
    Conninfo::resolve(Some("postgres"), |name| match name {
        "PGHOST" => Some(sockets.to_owned()),
        "PGPORT" => Some("5432".to_owned()),
        "PGUSER" => Some(ADMIN.to_owned()),
        "PGAPPNAME" => Some("sg-drill".to_owned()),
        _ => None,
    })
}
