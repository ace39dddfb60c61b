//! Whether the application is well after it was restored: it is asked until it is, or its time is up.

use crate::alert::authorities;
use crate::application::Application;
use crate::command;
use crate::error::{Error, Kind, Result};
use crate::monitor::Monitor;
use jiff::{SignedDuration, Span};
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const ASK_EVERY: Duration = Duration::from_millis(500);
/// So long an answer may take at most, and so long though the time is up.
const ANSWER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// So long the command may take though the time is up.
const COMMAND: Duration = Duration::from_secs(30);
const PATIENCE: u64 = 120;

/// What has to be well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Addresses that have to answer with a status of 200 to 299; where one leads elsewhere, what is there
    /// counts.
    pub urls: Vec<String>,
    /// A command for the shell that has to succeed.
    pub command: Option<String>,
    /// How many seconds it may take until all is well.
    pub patience: u64,
}

impl Health {
    /// What the settings ask for.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn of(application: &Application) -> Result<Self> {
        let patience = match application.get("SG_HEALTH_TIMEOUT") {
            None => PATIENCE,
            Some(text) => text
                .parse::<Span>()
                .ok()
                .and_then(|span| SignedDuration::try_from(span).ok())
                .and_then(|time| u64::try_from(time.as_secs()).ok())
                .ok_or_else(|| {
                    let message = format!("SG_HEALTH_TIMEOUT is no span of time: '{text}'");
                    Error::new(Kind::Config, message).with_hint("Write it like 90s or 5m.")
                })?,
        };
        let urls = application.words("SG_HEALTH_URL");
        for url in &urls {
            let parsed = url::Url::parse(url).ok();
            if !parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
                let message = format!("SG_HEALTH_URL is no address: '{url}'");
                return Err(Error::new(Kind::Config, message)
                    .with_hint("Write it like http://localhost:8080/health."));
            }
        }
        Ok(Self {
            urls,
            command: application.get("SG_HEALTH_COMMAND").map(str::to_owned),
            patience,
        })
    }

    /// Whether anything is asked.
    pub fn is_asked(&self) -> bool {
        !self.urls.is_empty() || self.command.is_some()
    }

    /// Waits until all is well.
    ///
    /// # Errors
    /// It was not in time.
    pub fn wait(&self, monitor: &dyn Monitor) -> Result<()> {
        let begun = Instant::now();
        let patience = Duration::from_secs(self.patience);
        monitor.stage("waiting for its health", None);
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            match self.ask(left.clamp(ANSWER.1, ANSWER.0), left.max(COMMAND)) {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() >= patience => {
                    return Err(Error::new(
                        Kind::Failed,
                        format!(
                            "the application is not well after {} s: {error}",
                            self.patience
                        ),
                    )
                    .with_hint(
                        "Look at its log. If it is only slow to start, give it more time (SG_HEALTH_TIMEOUT); \
                         if the backup has the fault in it, restore an older one (--at).",
                    ));
                }
                Err(_) => thread::sleep(ASK_EVERY),
            }
        }
    }

    /// Asks all once; an answer may take so long, the command so long.
    fn ask(&self, answer: Duration, end: Duration) -> Result<()> {
        for url in &self.urls {
            let failed = |reason: String| Error::new(Kind::Failed, format!("{url}: {reason}"));
            let mut config = ureq::Agent::config_builder()
                .timeout_global(Some(answer))
                .http_status_as_error(false);
            if url.starts_with("https:") {
                config = config.tls_config(tls()?);
            }
            let asked = config.build().new_agent().get(url).call();
            let status = asked.map_err(|cause| failed(cause.to_string()))?.status();
            if !status.is_success() {
                return Err(failed(format!("answers {status}")));
            }
        }
        let Some(words) = &self.command else {
            return Ok(());
        };
        let said = command::run(Command::new("sh").args(["-c", words]), b"", end)
            .map_err(|error| Error::new(Kind::Failed, format!("'{words}': {error}")))?;
        if !said.status.success() {
            let message = format!("'{words}': {}: {}", said.status, said.stderr);
            return Err(Error::new(Kind::Failed, message));
        }
        Ok(())
    }
}

fn tls() -> Result<TlsConfig> {
    let roots = authorities(None)?;
    let roots: Vec<Certificate<'static>> = roots
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_end_is_not_well() {
        let health = Health {
            command: Some("sleep 1000".to_owned()),
            ..Health::default()
        };
        let error = health.ask(ANSWER.0, Duration::from_millis(100));
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("'sleep 1000': ") && error.contains("did not end within"),
            "{error}"
        );
    }
}
