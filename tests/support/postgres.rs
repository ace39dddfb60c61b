//! A throw-away PostgreSQL server, and the stock programs run against it.
//!
//! Each [`Cluster`] has a directory of its own under /var/tmp, listens on a unix socket there and
//! nowhere else, and is gone when dropped. A server refuses to run as root, so where the tests do,
//! it runs as `postgres` or `nobody`.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use sg::postgres::Conninfo;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// The administrator of every cluster.
pub(crate) const ADMIN: &str = "postgres";

/// A server.
pub(crate) struct Cluster {
    directory: TempDir,
    server: Option<Child>,
}

impl Cluster {
    /// A running server with the defaults, in UTF-8.
    pub(crate) fn start() -> Self {
        Self::with(&["--encoding=UTF8", "--locale=C.UTF-8"], &[])
    }

    /// A running server, made by `initdb` with these arguments and run with these settings
    /// (`name=value`).
    pub(crate) fn with(initdb: &[&str], settings: &[&str]) -> Self {
        let mut cluster = Self::stopped();
        let made = unprivileged(&mut Command::new(binary("initdb")))
            .args(["--auth=trust", "--no-sync", "--username", ADMIN, "-D"])
            .arg(cluster.data())
            .args(initdb)
            .output()
            .unwrap();
        expect(&made, "initdb");
        cluster.run(settings);
        cluster
    }

    /// A directory for a server, still without one: for a standby made by `pg_basebackup`.
    pub(crate) fn stopped() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("sg-")
            .tempdir_in("/var/tmp")
            .unwrap();
        if let Some(user) = server_user() {
            chown(directory.path(), Some(user.uid), Some(user.gid)).unwrap();
        }
        Self {
            directory,
            server: None,
        }
    }

    /// Starts the server with these settings (`name=value`) and waits until it answers.
    pub(crate) fn run(&mut self, settings: &[&str]) {
        assert!(self.comes_up(settings), "no server: {}", self.log());
    }

    /// The same for a server that listens on TCP: on a port that was free a moment ago, and may be
    /// somebody else's before the server has it. Returns the port.
    pub(crate) fn run_on_tcp(&mut self, settings: &[&str]) -> u16 {
        for _ in 0..20 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let address = ["listen_addresses=127.0.0.1", &format!("port={port}")];
            if self.comes_up(&[settings, &address].concat()) {
                return port;
            }
        }
        panic!("no server: {}", self.log());
    }

    /// Starts the server; whether it stays.
    fn comes_up(&mut self, settings: &[&str]) -> bool {
        let log = fs::File::create(self.path().join("log")).unwrap();
        let sockets = format!("unix_socket_directories={}", self.path().display());
        let mut command = Command::new(binary("postgres"));
        unprivileged(&mut command).arg("-D").arg(self.data());
        for setting in [
            "fsync=off",
            "listen_addresses=",
            "shared_buffers=32MB",
            &sockets,
        ]
        .iter()
        .chain(settings)
        {
            command.args(["-c", setting]);
        }
        let server = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let mut server = server.unwrap();
        // As long as it lives: how fast it is depends on what else the machine does.
        while server.try_wait().unwrap().is_none() {
            let mut asked = self.command("pg_isready");
            if asked
                .args(port(settings))
                .output()
                .unwrap()
                .status
                .success()
            {
                self.server = Some(server);
                return true;
            }
            sleep(Duration::from_millis(20));
        }
        false
    }

    /// Where everything of it lies; its socket, too.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// The environment that leads to it, for our own programs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PGHOST", self.path().to_str().unwrap().to_owned()),
            ("PGPORT", "5432".to_owned()),
            ("PGUSER", ADMIN.to_owned()),
        ]
    }

    /// How the library reaches `database`.
    pub(crate) fn conninfo(&self, database: &str) -> Conninfo {
        self.conninfo_as(database, ADMIN)
    }

    /// How the library reaches `database` as `user`.
    pub(crate) fn conninfo_as(&self, database: &str, user: &str) -> Conninfo {
        let environment = self.environment();
        Conninfo::resolve(Some(database), |name| {
            if name == "PGUSER" {
                return Some(user.to_owned());
            }
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.clone())
        })
        .unwrap()
    }

    /// A stock program that will reach this server.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(binary(name));
        for variable in Conninfo::variables() {
            command.env_remove(variable);
        }
        command.envs(self.environment());
        // A server takes its time zone from whoever makes it.
        command.env("PGTZ", "UTC");
        command
    }

    /// Makes a file the property of the user whom servers run as.
    pub(crate) fn give_to_server(&self, path: &Path) {
        if let Some(user) = server_user() {
            chown(path, Some(user.uid), Some(user.gid)).unwrap();
        }
    }

    /// The same, run as the user whom servers run as: for what makes a server's files.
    pub(crate) fn server_command(&self, name: &str) -> Command {
        let mut command = self.command(name);
        unprivileged(&mut command);
        command
    }

    /// Creates a database; `arguments` as for createdb.
    pub(crate) fn create(&self, database: &str, arguments: &[&str]) {
        let made = self
            .command("createdb")
            .args(arguments)
            .arg(database)
            .output();
        expect(&made.unwrap(), "createdb");
    }

    /// Runs SQL in `database` by psql, stopping at the first error; returns what it yields,
    /// unaligned, one row a line.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.psql(database, sql.as_bytes());
        expect(&output, "psql");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Feeds `input` to psql, which stops at the first error.
    pub(crate) fn psql(&self, database: &str, input: &[u8]) -> Output {
        let mut command = self.command("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]);
        feed(&mut command, input)
    }

    /// What pg_dump writes, without the random keys of `\restrict`.
    pub(crate) fn pg_dump(&self, database: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self
            .command("pg_dump")
            .args(arguments)
            .args(["-d", database])
            .output()
            .unwrap();
        expect(&output, "pg_dump");
        without_keys(&output.stdout)
    }

    /// Stops the server at once, as a crash would.
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGQUIT);
            server.wait().unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `command` with `input` on stdin and returns what it did.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A child that ends early, as psql does at an error, hangs up: that is not our failure.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

/// Fails the test unless the program ended well.
#[track_caller]
pub(crate) fn expect(output: &Output, name: &str) {
    assert!(
        output.status.success(),
        "{name} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A dump without the lines that differ between two runs.
pub(crate) fn without_keys(dump: &[u8]) -> Vec<u8> {
    dump.split_inclusive(|&byte| byte == b'\n')
        .filter(|line| !line.starts_with(b"\\restrict ") && !line.starts_with(b"\\unrestrict "))
        .flatten()
        .copied()
        .collect()
}

/// The newest release's program of this name, or that in `SG_PG_BINDIR`.
pub(crate) fn binary(name: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os("SG_PG_BINDIR") {
        return Path::new(&directory).join(name);
    }
    let release = |path: &PathBuf| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let newest = fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL's server programs are in /usr/lib/postgresql")
        .map(|entry| entry.unwrap().path())
        .max_by_key(release);
    newest.unwrap().join("bin").join(name)
}

/// The option that leads a client to the port that the settings choose.
fn port(settings: &[&str]) -> Option<String> {
    let chosen = settings
        .iter()
        .find_map(|setting| setting.strip_prefix("port="));
    chosen.map(|port| format!("--port={port}"))
}

fn server_user() -> Option<User> {
    let named = |name| User::from_name(name).unwrap();
    geteuid()
        .is_root()
        .then(|| named("postgres").or_else(|| named("nobody")).unwrap())
}

fn unprivileged(command: &mut Command) -> &mut Command {
    match server_user() {
        Some(user) => command
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .current_dir("/"),
        None => command,
    }
}
