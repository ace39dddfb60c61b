//! PostgreSQL's own programs, as children.
//!
//! `pg_dump` decides what belongs to a schema and `psql` reads what it writes, so both are used
//! rather than imitated. A host often has several releases of them; the one of the server's own
//! release is taken, else the oldest newer one, since an older one must not dump a newer server.

use super::conninfo::Conninfo;
use super::peer;
use crate::error::{Context, Error, Kind, Result};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

/// How much of a child's last words is kept.
const LAST_WORDS: usize = 4096;

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, e.g. `15.18`.
    pub version: String,
    /// The first number of it.
    pub major: u32,
}

impl Program {
    /// The program `name` (`pg_dump`, `psql`, …) that suits a server of release `major` best. Looks
    /// into `SG_PG_BINDIR` alone if that is set, else where the packages of Debian and Red Hat put
    /// the releases, and along PATH.
    ///
    /// # Errors
    /// None is found that is as new as the server.
    pub fn find(name: &str, major: u32) -> Result<Self> {
        Self::find_with(name, major, |major| {
            format!(
                "Install postgresql-client-{major} (Debian, Ubuntu) or postgresql{major} (Red Hat), or name its directory with SG_PG_BINDIR."
            )
        })
    }

    /// The same for a program that comes with the server: `initdb`, `postgres`.
    ///
    /// # Errors
    /// None is found that is as new as the server.
    pub fn find_server(name: &str, major: u32) -> Result<Self> {
        Self::find_with(name, major, |major| {
            format!(
                "Install postgresql-{major} (Debian, Ubuntu) or postgresql{major}-server (Red Hat), or name its directory with SG_PG_BINDIR. The drill makes a server of its own; none has to run."
            )
        })
    }

    fn find_with(name: &str, major: u32, hint: impl Fn(u32) -> String) -> Result<Self> {
        let directories = match std::env::var_os("SG_PG_BINDIR").filter(|value| !value.is_empty()) {
            Some(directory) => vec![PathBuf::from(directory)],
            None => directories(),
        };
        let mut found = Vec::new();
        for directory in directories {
            match Self::at(&directory.join(name)) {
                // Nothing suits better; the rest, with slow wrappers among them, need not be asked.
                Some(program) if program.major == major => return Ok(program),
                other => found.extend(other),
            }
        }
        Self::choose(found, name, major).map_err(|error| error.with_hint(hint(major)))
    }

    fn choose(found: Vec<Self>, name: &str, major: u32) -> Result<Self> {
        let newest = found.iter().map(|program| program.major).max();
        found
            .into_iter()
            .filter(|program| program.major >= major)
            .min_by_key(|program| program.major)
            .ok_or_else(|| {
                let message = match newest {
                    Some(newest) => format!(
                        "the newest {name} here is of release {newest}, but the server is of {major}"
                    ),
                    None => format!("{name} is not installed"),
                };
                Error::new(Kind::Config, message)
            })
    }

    fn at(path: &Path) -> Option<Self> {
        if !path.is_file() {
            return None;
        }
        // "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let output = Command::new(path).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(2)?.to_owned();
        let major = version
            .split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()?;
        Some(Self {
            path: path.to_owned(),
            version,
            major,
        })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// A command that connects as `info` does; take [`super::Session::pinned`] to reach the same
    /// server as that session.
    pub fn command(&self, info: &Conninfo) -> Command {
        let mut command = Command::new(&self.path);
        for name in Conninfo::variables() {
            command.env_remove(name);
        }
        command.envs(info.environment()).env("LC_MESSAGES", "C");
        let server = info
            .endpoints()
            .ok()
            .and_then(|servers| servers.into_iter().next());
        if let Some(user) = server.and_then(|server| info.administrator(&server)) {
            peer::work_as(&mut command, &user);
        }
        command
    }
}

/// Where programs of PostgreSQL may be.
fn directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let releases = |parent: &str, directories: &mut Vec<PathBuf>, fits: fn(&str) -> bool| {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            if fits(&entry.file_name().to_string_lossy()) {
                directories.push(entry.path().join("bin"));
            }
        }
    };
    releases("/usr/lib/postgresql", &mut directories, |_| true);
    releases("/usr", &mut directories, |name| name.starts_with("pgsql-"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    directories.extend(std::env::split_paths(&path));
    directories
}

/// A child at work. Dropped before [`Running::finish`], it is killed.
pub struct Running {
    child: Option<Child>,
    name: String,
    words: Option<JoinHandle<VecDeque<u8>>>,
}

impl Running {
    /// Starts `command`; what it says on stderr is kept for the message.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or(OsStr::new("child"))
            .to_string_lossy()
            .into_owned();
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .context(|| format!("cannot start {name}"))?;
        let words = child
            .stderr
            .take()
            .map(|stderr| thread::spawn(move || last_words(stderr)));
        Ok(Self {
            child: Some(child),
            name,
            words,
        })
    }

    /// What it reads from, if that was piped; can be taken once.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.as_mut()?.stdin.take()
    }

    /// What it writes to, if that was piped; can be taken once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.as_mut()?.stdout.take()
    }

    /// Waits for its end; returns what it said on stderr, the last of it.
    ///
    /// # Errors
    /// It did not end with status 0: the message has what it said.
    pub fn finish(mut self) -> Result<String> {
        let Some(mut child) = self.child.take() else {
            return Ok(String::new());
        };
        let status = child
            .wait()
            .context(|| format!("cannot wait for {}", self.name))?;
        let words = self
            .words
            .take()
            .and_then(|words| words.join().ok())
            .unwrap_or_default();
        let words = String::from_utf8_lossy(&Vec::from(words)).trim().to_owned();
        if status.success() {
            return Ok(words);
        }
        let kind = if words.contains("permission denied") {
            Kind::Permission
        } else if words.contains("connection to server") {
            Kind::Unavailable
        } else {
            Kind::Failed
        };
        let message = match words.as_str() {
            "" => format!("{} failed: {status}", self.name),
            words => format!("{} failed ({status}): {words}", self.name),
        };
        Err(Error::new(kind, message))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs `command` to its end; returns what it said on stderr, the last of it.
///
/// # Errors
/// It can't be started, or does not end with status 0.
pub fn run(command: &mut Command) -> Result<String> {
    Running::start(command)?.finish()
}

fn last_words(mut stderr: impl Read) -> VecDeque<u8> {
    let mut kept = VecDeque::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut buffer) {
        kept.extend(&buffer[..length]);
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(major: u32) -> Program {
        Program {
            path: PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/pg_dump")),
            version: format!("{major}.1"),
            major,
        }
    }

    #[test]
    fn the_servers_own_release_is_best_and_an_older_one_will_not_do() {
        let all = || vec![program(13), program(17), program(15)];
        assert_eq!(Program::choose(all(), "pg_dump", 15).unwrap().major, 15);
        assert_eq!(Program::choose(all(), "pg_dump", 14).unwrap().major, 15);
        let error = Program::choose(all(), "pg_dump", 18).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(Program::choose(Vec::new(), "psql", 15).is_err());
    }

    #[test]
    fn a_child_that_fails_is_quoted() {
        let failing =
            "for i in $(seq 2000); do echo line $i >&2; done; echo the reason >&2; exit 4";
        let error = run(Command::new("sh").args(["-c", failing])).unwrap_err();
        let message = error.to_string();
        assert!(message.ends_with("the reason"), "{message}");
        assert!(message.len() < LAST_WORDS + 100);
        assert_eq!(
            run(Command::new("sh").args(["-c", "echo hm >&2"])).unwrap(),
            "hm"
        );
    }
}
