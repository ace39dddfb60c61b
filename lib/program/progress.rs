//! A program's voice while it works: a bar on a terminal, `STATUS=` to systemd, notes and failures to
//! the log.

use super::args::TalkArgs;
use super::journal::{Event, Journal, fields_of};
use crate::error::Error;
use crate::manifest::Manifest;
use crate::monitor::{Monitor, Note, Severity};
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sd_notify::NotifyState;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// systemd is told at most so often.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Each word of progress gives a unit this much longer before systemd takes it for hung.
const EXTEND_MICROSECONDS: u32 = 300_000_000;

/// The [`Monitor`] of all programs.
pub struct Console {
    journal: Journal,
    quiet: bool,
    bar: Option<ProgressBar>,
    systemd: bool,
    stage: Mutex<Stage>,
    done: AtomicU64,
    findings: AtomicBool,
}

struct Stage {
    name: String,
    total: Option<u64>,
    begun: Instant,
    told: Instant,
}

impl Console {
    /// The console of `program`.
    pub fn new(program: &'static str, talk: &TalkArgs) -> Self {
        let journal = Journal::open(program, talk.log);
        let bar = (!talk.quiet && journal.is_stderr() && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(style(None));
            bar
        });
        let now = Instant::now();
        Self {
            journal,
            quiet: talk.quiet,
            bar,
            systemd: std::env::var_os("NOTIFY_SOCKET").is_some(),
            stage: Mutex::new(Stage {
                name: String::new(),
                total: None,
                begun: now,
                told: now,
            }),
            done: AtomicU64::new(0),
            findings: AtomicBool::new(false),
        }
    }

    /// Says something that is worth a line, with fields for the journal.
    pub fn say(&self, message: &str, fields: &[(&str, String)]) {
        if !self.quiet {
            self.aside(|| self.journal.write(Severity::Info, message, None, fields));
        }
    }

    /// Says that a grave event took place, which the journal's catalog explains.
    pub fn tell_of(&self, event: Event, message: &str, fields: &[(&str, String)]) {
        self.aside(|| {
            self.journal
                .write(Severity::High, message, Some(event), fields);
        });
    }

    /// Says that a backup was made.
    pub fn made(&self, path: &Path, manifest: &Manifest) {
        let seconds = manifest
            .finished
            .duration_since(manifest.started)
            .as_secs_f64();
        let message = format!(
            "made {}: {} of {}, in {seconds:.1} s",
            path.display(),
            HumanBytes(manifest.bytes),
            HumanBytes(manifest.content_bytes),
        );
        let fields = [
            ("SG_BACKUP", path.display().to_string()),
            ("SG_APP", manifest.app.clone().unwrap_or_default()),
            ("SG_KIND", manifest.kind.clone()),
            ("SG_NAME", manifest.name.clone()),
            ("SG_BYTES", manifest.bytes.to_string()),
            ("SG_CONTENT_BYTES", manifest.content_bytes.to_string()),
            ("SG_SHA256", manifest.sha256.clone()),
        ];
        self.say(&message, &fields);
    }

    /// Says that something failed, and what to do about it.
    pub fn failure(&self, error: &Error) {
        self.failure_with(error, &[]);
    }

    /// The same with fields for the journal.
    pub fn failure_with(&self, error: &Error, fields: &[(&str, String)]) {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Some libraries repeat their cause in their own words.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        if let Some(hint) = error.hint() {
            message.push_str("\nhint: ");
            message.push_str(hint);
        }
        self.aside(|| {
            self.journal
                .write(Severity::High, &message, Some(Event::Failure), fields);
        });
    }

    /// Tells the journal of something that must not be known to a file alone, whatever else is said.
    pub fn testify(&self, message: &str, event: Event, fields: &[(&str, String)]) {
        self.journal.testify(message, event, fields);
    }

    /// Whether any note was a finding.
    pub fn has_findings(&self) -> bool {
        self.findings.load(Ordering::Relaxed)
    }

    /// Takes the bar away, and lets the last message reach the log.
    pub fn finish(&self) {
        self.journal.linger();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Does something on standard error without the bar in the way.
    fn aside(&self, act: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(act),
            None => act(),
        }
    }

    fn tell_systemd(&self, stage: &Stage) {
        let done = self.done.load(Ordering::Relaxed);
        let status = status(stage, done);
        // Whether systemd listens makes no difference to the work.
        let _ = sd_notify::notify(&[
            NotifyState::Status(&status),
            NotifyState::ExtendTimeoutUsec(EXTEND_MICROSECONDS),
        ]);
    }
}

impl Monitor for Console {
    fn stage(&self, name: &str, total: Option<u64>) {
        let Ok(mut stage) = self.stage.lock() else {
            return;
        };
        self.done.store(0, Ordering::Relaxed);
        let now = Instant::now();
        *stage = Stage {
            name: name.to_owned(),
            total,
            begun: now,
            told: now,
        };
        if let Some(bar) = &self.bar {
            bar.set_style(style(total));
            bar.reset();
            bar.set_message(name.to_owned());
            match total {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
        }
        if self.systemd {
            self.tell_systemd(&stage);
        }
    }

    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
        if self.systemd
            && let Ok(mut stage) = self.stage.try_lock()
            && stage.told.elapsed() >= TELL_EVERY
        {
            stage.told = Instant::now();
            self.tell_systemd(&stage);
        }
    }

    fn note(&self, note: Note) {
        if note.is_finding() {
            self.findings.store(true, Ordering::Relaxed);
        } else if self.quiet {
            return;
        }
        let event = note.is_finding().then_some(Event::Finding);
        let mut message = if note.is_finding() {
            format!("{}: {note}", note.severity)
        } else {
            note.to_string()
        };
        if let Some(hint) = &note.hint {
            message.push_str("\nhint: ");
            message.push_str(hint);
        }
        self.aside(|| {
            self.journal
                .write(note.severity, &message, event, &fields_of(&note));
        });
    }
}

fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        Some(_) => {
            "{msg:12} [{bar:30}] {percent:>3}% {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
        }
        None => "{msg:12} {spinner} {bytes}, {bytes_per_sec}",
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// One line for `systemctl status`, e.g. "dumping: 43 %, 1.2 GiB at 190 MiB/s, 3 minutes left".
fn status(stage: &Stage, done: u64) -> String {
    let seconds = stage.begun.elapsed().as_secs_f64();
    let rate = if seconds > 0.0 {
        done as f64 / seconds
    } else {
        0.0
    };
    let mut text = stage.name.clone();
    if done == 0 {
        return text;
    }
    if let Some(total) = stage.total.filter(|&total| total > 0) {
        let percent = (done as f64 / total as f64 * 100.0).min(100.0);
        text.push_str(&format!(": {percent:.0} %, {}", HumanBytes(done)));
    } else {
        text.push_str(&format!(": {}", HumanBytes(done)));
    }
    text.push_str(&format!(" at {}/s", HumanBytes(rate as u64)));
    if let Some(left) = stage.total.and_then(|total| total.checked_sub(done))
        && rate > 0.0
    {
        let left = Duration::from_secs_f64(left as f64 / rate);
        text.push_str(&format!(", {} left", HumanDuration(left)));
    }
    text
}
