//! Other programs, called with a limit to their time and their output: an alert must not hang because
//! the journal does.

use crate::error::{Context, Error, Kind, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// No program that we call has more to say.
const MOST: u64 = 4 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a program said.
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs `command` with `input`, for at most `limit`.
///
/// # Errors
/// It can't be started, or did not end in time and was killed, together with what it has started.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Said> {
    let name = command.get_program().to_string_lossy().into_owned();
    let end = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context(|| format!("cannot start '{name}'"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A program that does not want its input tells why by its status.
        thread::spawn(move || stdin.write_all(&input).ok());
    }
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .context(|| format!("cannot wait for '{name}'"))?
        {
            break status;
        }
        if Instant::now() >= end {
            // They may have ended meanwhile; then there is nothing to kill.
            killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).ok();
            child.wait().ok();
            return Err(Error::new(
                Kind::Unavailable,
                format!("'{name}' did not end within {} s", limit.as_secs()),
            ));
        }
        thread::sleep(LOOK_EVERY);
    };
    // A grandchild may hold the pipes open; what it has to say does not matter.
    let rest = LOOK_EVERY * 50;
    let stdout = stdout.recv_timeout(rest).unwrap_or_default();
    let stderr = stderr.recv_timeout(rest).unwrap_or_default();
    Ok(Said {
        status,
        stdout,
        stderr: String::from_utf8_lossy(&stderr).trim().to_owned(),
    })
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before a failure is all there is.
            pipe.take(MOST).read_to_end(&mut bytes).ok();
        }
        sender.send(bytes).ok();
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = run(
            Command::new("sleep").arg("1000"),
            b"",
            Duration::from_millis(50),
        )
        .err()
        .unwrap();
        assert_eq!(error.kind(), Kind::Unavailable);
    }

    #[test]
    fn what_it_has_started_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1000 & echo $! >$0.new; mv $0.new $0; wait"]);
        let error = run(shell.arg(&file), b"", Duration::from_secs(2)).err();
        assert_eq!(error.unwrap().kind(), Kind::Unavailable);
        let pid = std::fs::read_to_string(file).unwrap();
        // Gone, or dead and not yet waited for by who inherits it.
        let state = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
            stat.rsplit(") ").next()?.chars().next()
        };
        while !matches!(state(), None | Some('Z')) {
            thread::sleep(LOOK_EVERY);
        }
    }

    #[test]
    fn input_and_output_pass_through() {
        let said = run(&mut Command::new("cat"), b"hello", Duration::from_secs(60)).unwrap();
        assert!(said.status.success());
        assert_eq!(said.stdout, b"hello");
    }
}
