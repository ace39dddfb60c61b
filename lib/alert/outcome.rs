//! How a unit's run ended, in systemd's words and in a person's.

use serde::{Deserialize, Serialize};

/// How a run ended: `Result=`, and how its main process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What systemd calls it: `exit-code`, `signal`, `timeout`, `oom-kill`, …
    pub result: String,
    /// The exit status, if the process ended by itself.
    pub status: Option<u8>,
    /// The signal that ended it, without `SIG`.
    pub signal: Option<String>,
}

/// Statuses with which systemd itself ends a process that it can't start, by systemd.exec(5), as far
/// as an operator can bring them about.
const SYSTEMD: [(u8, &str); 9] = [
    (200, "its working directory is not there"),
    (203, "the program can't be started"),
    (209, "its standard output can't be set up"),
    (216, "its group does not exist or can't be joined"),
    (217, "its user does not exist"),
    (226, "its sandbox can't be set up: a path is missing"),
    (238, "its state directory can't be made"),
    (240, "its log directory can't be made"),
    (243, "a credential can't be loaded"),
];

impl Outcome {
    /// From systemd's `MONITOR_SERVICE_RESULT`, `MONITOR_EXIT_CODE` and `MONITOR_EXIT_STATUS`.
    pub fn new(result: &str, code: &str, status: &str) -> Self {
        let by_itself = code == "exited";
        Self {
            result: result.to_owned(),
            status: status.parse().ok().filter(|_| by_itself),
            signal: (!by_itself && !status.is_empty()).then(|| status.to_owned()),
        }
    }

    /// Whether it failed, as far as is known.
    pub fn failed(&self) -> bool {
        !matches!(self.result.as_str(), "" | "success")
    }

    /// A word for what makes two failures the same.
    pub fn cause(&self) -> String {
        match (&self.status, &self.signal) {
            (Some(status), _) => format!("{} {status}", self.result),
            (None, Some(signal)) => format!("{} {signal}", self.result),
            (None, None) => self.result.clone(),
        }
    }

    /// What happened, e.g. "exit status 69: a server is unreachable". `statuses` are those of our
    /// own programs.
    pub fn in_words(&self, statuses: &[(u8, &str)]) -> String {
        match self.result.as_str() {
            "exit-code" => match self.status {
                Some(status) => statuses
                    .iter()
                    .chain(&SYSTEMD)
                    .find(|(known, _)| *known == status)
                    .map_or_else(
                        || format!("exit status {status}"),
                        |(_, words)| format!("exit status {status}: {words}"),
                    ),
                None => "it failed".to_owned(),
            },
            "signal" => format!("killed by SIG{}", self.signal_name()),
            "core-dump" => format!("crashed with SIG{}", self.signal_name()),
            "timeout" => "it took longer than its time limit and was stopped".to_owned(),
            "watchdog" => "it hung: no sign of life within its watchdog time".to_owned(),
            "oom-kill" => "killed because memory ran out".to_owned(),
            "start-limit-hit" => "started too often in a short time".to_owned(),
            "resources" => "systemd could not start it: a resource is missing".to_owned(),
            "exec-condition" => "its condition did not let it start".to_owned(),
            "protocol" => "it ended without telling systemd that it was ready".to_owned(),
            "success" if self.status == Some(3) => "done, with findings".to_owned(),
            "success" => "it was not started: something that it needs failed".to_owned(),
            "" => "it failed; systemd does not say how".to_owned(),
            other => format!("systemd says: {other}"),
        }
    }

    fn signal_name(&self) -> &str {
        self.signal.as_deref().unwrap_or(" (unknown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        let ours = [(69, "a server is unreachable")];
        for (result, code, status, words) in [
            (
                "exit-code",
                "exited",
                "69",
                "exit status 69: a server is unreachable",
            ),
            ("exit-code", "exited", "7", "exit status 7"),
            (
                "exit-code",
                "exited",
                "243",
                "exit status 243: a credential can't be loaded",
            ),
            ("signal", "killed", "KILL", "killed by SIGKILL"),
            ("core-dump", "dumped", "SEGV", "crashed with SIGSEGV"),
            (
                "oom-kill",
                "killed",
                "KILL",
                "killed because memory ran out",
            ),
            (
                "timeout",
                "killed",
                "TERM",
                "it took longer than its time limit and was stopped",
            ),
        ] {
            assert_eq!(Outcome::new(result, code, status).in_words(&ours), words);
        }
        assert_ne!(
            Outcome::new("exit-code", "exited", "69").cause(),
            Outcome::new("exit-code", "exited", "65").cause()
        );
    }
}
