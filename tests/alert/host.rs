//! What the tests of alerts share: a host whose units fail as told, and servers that write down what
//! they get.

use crate::support::{install_script, program, scratch};
use assert_cmd::Command;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use tempfile::TempDir;

/// A host: its journal, its systemd, the settings in /etc/sg and the credentials of the unit.
pub(crate) struct Host {
    directory: TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self {
            directory: scratch(),
        };
        for name in ["bin", "etc", "credentials"] {
            fs::create_dir(host.path(name)).unwrap();
        }
        // At the end systemd's last word, without which it is asked again.
        host.stub(
            "journalctl",
            "cat \"$SG_TEST_HOST/journal\" 2>/dev/null
             echo '{\"MESSAGE\":\"\",\"MESSAGE_ID\":\"d9b373ed55a64feb8242e02dbe79a49c\",\"SYSLOG_IDENTIFIER\":\"systemd\"}'",
        );
        host.stub("systemctl", "cat \"$SG_TEST_HOST/show\" 2>/dev/null");
        host.journal(&[
            json!({"MESSAGE": "Starting it", "SYSLOG_IDENTIFIER": "systemd", "PRIORITY": "6"}),
            json!({"MESSAGE": "connecting to 'shop'", "PRIORITY": "6",
                   "__REALTIME_TIMESTAMP": "1795231802000000"}),
            json!({"MESSAGE": "cannot connect to 'shop': Connection refused\nhint: Start PostgreSQL.",
                   "PRIORITY": "3", "__REALTIME_TIMESTAMP": "1795231803000000"}),
        ]);
        host
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program found first on the PATH.
    pub(crate) fn stub(&self, name: &str, script: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        install_script(&format!("#!/bin/sh\n{script}\n"), &path);
        path
    }

    /// What journalctl says.
    pub(crate) fn journal(&self, entries: &[Value]) {
        let lines: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        fs::write(self.path("journal"), lines).unwrap();
    }

    pub(crate) fn credential(&self, name: &str, text: &str) {
        fs::write(self.path("credentials").join(name), text).unwrap();
    }

    pub(crate) fn setting(&self, file: &str, text: &str) {
        fs::write(self.path("etc").join(file), text).unwrap();
    }

    /// sg-alert on this host. It may take its time: the machine may be busy.
    pub(crate) fn alert(&self, arguments: &[&str]) -> Command {
        let mut command = program("sg-alert");
        let path = std::env::var("PATH").unwrap();
        command
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("SG_TEST_HOST", self.directory.path())
            .env("SG_STATE_DIRECTORY", self.path("state"))
            .env("SG_CONFIG_DIRECTORY", self.path("etc"))
            .env("CREDENTIALS_DIRECTORY", self.path("credentials"))
            .env("SG_ALERT_TIMEOUT", "60s")
            .env("SG_ALERT_GRACE", "60s")
            .env("SG_LOG", "stderr");
        command
    }

    /// The same, as systemd calls it when `unit` failed in its run `run`.
    pub(crate) fn fails(&self, unit: &str, run: u32, status: &str) -> Command {
        let mut command = self.alert(&[unit]);
        command
            .env("MONITOR_UNIT", unit)
            .env("MONITOR_SERVICE_RESULT", "exit-code")
            .env("MONITOR_EXIT_CODE", "exited")
            .env("MONITOR_EXIT_STATUS", status)
            .env("MONITOR_INVOCATION_ID", format!("{run:032x}"));
        command
    }

    /// The files of messages that wait.
    pub(crate) fn waiting(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("state/queue")) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

/// Runs it; its exit status and what it said.
pub(crate) fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

/// A port where nobody listens. None that was free a moment ago: another test may have it by now.
pub(crate) const CLOSED: u16 = 1;

/// A server of ours.
pub(crate) struct Receiver {
    server: Child,
    pub(crate) port: u16,
    directory: TempDir,
}

impl Receiver {
    /// A mail server.
    pub(crate) fn smtp(arguments: &[&str]) -> Self {
        Self::start("smtp.py", arguments)
    }

    /// A web server.
    pub(crate) fn webhook(arguments: &[&str]) -> Self {
        Self::start("webhook.py", arguments)
    }

    fn start(script: &str, arguments: &[&str]) -> Self {
        let directory = scratch();
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/alert/receivers")
            .join(script);
        // Not the first python3 on the PATH: Debian's has the modules that Debian installed.
        let mut server = std::process::Command::new("/usr/bin/python3")
            .arg(script)
            .arg(directory.path().join("record"))
            .args(arguments)
            .stdout(Stdio::piped())
            // What it thinks of clients that break off is of no interest.
            .stderr(fs::File::create(directory.path().join("words")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let words = || fs::read_to_string(directory.path().join("words")).unwrap();
        Self {
            port: line
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("{}", words())),
            server,
            directory,
        }
    }

    /// What it got.
    pub(crate) fn got(&self) -> Vec<Value> {
        let Ok(record) = fs::read_to_string(self.directory.path().join("record")) else {
            return Vec::new();
        };
        record
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The subjects of the mails that it accepted.
    pub(crate) fn subjects(&self) -> Vec<String> {
        let subject = |got: &Value| {
            let mail = got["mail"].as_str()?;
            let line = mail.lines().find(|line| line.starts_with("Subject:"))?;
            Some(line.trim_start_matches("Subject: ").to_owned())
        };
        self.got().iter().filter_map(subject).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// An authority that nobody knows, and a certificate of its for this host.
pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = scratch();
        let openssl = |arguments: &str| {
            let done = std::process::Command::new("openssl")
                .args(arguments.split(' '))
                .current_dir(directory.path())
                .output()
                .unwrap();
            assert!(
                done.status.success(),
                "{}",
                String::from_utf8_lossy(&done.stderr)
            );
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!(
            "req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Test -days 2"
        ));
        openssl(&format!(
            "req {key} -keyout key.pem -out request.pem -subj /CN=localhost"
        ));
        fs::write(
            directory.path().join("extensions"),
            "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
        )
        .unwrap();
        openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile extensions -out certificate.pem",
        );
        Self(directory)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// What a server needs to show the certificate.
    pub(crate) fn arguments(&self) -> Vec<String> {
        [
            "--certificate",
            &self.path("certificate.pem"),
            "--key",
            &self.path("key.pem"),
        ]
        .map(str::to_owned)
        .to_vec()
    }
}
