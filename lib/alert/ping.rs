//! A dead man's switch: a service elsewhere that is told when a run begins and how it ended, and raises the
//! alarm when it hears nothing. It hears of what no alert can tell: a host that is off, a timer that is not.
//!
//! The style is that of healthchecks.io, which others understand as well: `URL/start`, `URL`, `URL/fail`, the
//! last with words. A ping is sent now or not at all. One that came late would say that a run ended well when
//! the next one may have failed, so none is kept: what can't be sent, the alarm at the other end tells.

use super::channel::{Fault, Then};
use super::endpoint::{self, Endpoint};
use super::secret::Secret;
use crate::error::{Kind, Result};
use std::io::Read;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use url::Url;

/// One attempt may take so long: a server that hangs must leave time for another.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The first pause between two attempts; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);
/// So many bytes of words are sent; services cut off what is beyond.
const WORDS: usize = 10_000;
const HINT: &str = "Copy the check's ping URL, beginning with https://, into SG_PING_URL, or into SG_DRILL_PING_URL for drills.";

/// What a switch is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A run begins.
    Begun,
    /// It ended well.
    Well,
    /// It failed.
    Failed,
}

/// The switch.
pub struct Ping {
    endpoint: Endpoint,
}

impl Ping {
    /// The switch at `url`; `ca` is trusted beside the host's authorities.
    ///
    /// # Errors
    /// It is no URL. The error does not show it.
    pub fn new(url: &Secret, ca: Option<PathBuf>) -> Result<Self> {
        const WHAT: &str = "dead man's switch";
        let url = endpoint::parse(url, WHAT, HINT)?;
        Ok(Self {
            endpoint: Endpoint::new(url, WHAT.to_owned(), ca, None),
        })
    }

    /// Where it is, without the secret.
    pub fn name(&self) -> String {
        self.endpoint.name()
    }

    /// Tells it, trying again for at most `budget`. `words` go along where something failed.
    ///
    /// # Errors
    /// It could not be told in time ([`Kind::Unavailable`]), or does not want to hear it.
    pub fn send(&self, signal: Signal, words: &str, budget: Duration) -> Result<()> {
        let deadline = Instant::now() + budget;
        let mut pause = PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Err(fault) = self.attempt(signal, words, left.min(ATTEMPT)) else {
                return Ok(());
            };
            let Then::Retry(wait) = fault.then else {
                return Err(fault.error);
            };
            let wait = wait.unwrap_or(pause).max(PAUSE);
            if Instant::now() + wait >= deadline {
                return Err(fault.error);
            }
            thread::sleep(wait);
            pause *= 2;
        }
    }

    fn attempt(&self, signal: Signal, words: &str, left: Duration) -> Result<(), Fault> {
        let agent = self.endpoint.agent(left).map_err(Fault::permanent)?;
        let url = address(&self.endpoint.url, signal);
        let answer = match signal {
            // Every such service understands this; words only those that take a failure.
            Signal::Begun | Signal::Well => agent.get(url.as_str()).call(),
            Signal::Failed => agent
                .post(url.as_str())
                .content_type("text/plain; charset=utf-8")
                .send(cut(words)),
        };
        let mut answer = answer.map_err(|cause| self.endpoint.failed(&cause))?;
        let status = answer.status().as_u16();
        let wait = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        // Whoever hangs up on an answer may be taken for one who never called.
        let _ = std::io::copy(
            &mut answer.body_mut().as_reader().take(4096),
            &mut std::io::sink(),
        );
        let said = format!("answered {status}");
        match status {
            200..=299 => Ok(()),
            408 | 425 | 429 | 500..=599 => Err(Fault {
                error: self.endpoint.error(Kind::Unavailable, &said),
                then: Then::Retry(wait),
            }),
            _ => Err(Fault::permanent(
                self.endpoint.error(Kind::Config, &said).with_hint(HINT),
            )),
        }
    }
}

/// Where `signal` goes: what a check's URL ends with, a query, stays at its end.
fn address(check: &Url, signal: Signal) -> Url {
    let end = match signal {
        Signal::Begun => "/start",
        Signal::Well => return check.clone(),
        Signal::Failed => "/fail",
    };
    let mut url = check.clone();
    let path = format!("{}{end}", check.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// As much of `words` as is sent.
fn cut(words: &str) -> &str {
    let mut end = words.len().min(WORDS);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    &words[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_its_address() {
        for (check, begun, failed) in [
            ("https://hc.example.org/1a2b", "/1a2b/start", "/1a2b/fail"),
            ("https://hc.example.org/1a2b/", "/1a2b/start", "/1a2b/fail"),
            (
                "https://hc.example.org/key/slug?create=1",
                "/key/slug/start?create=1",
                "/key/slug/fail?create=1",
            ),
        ] {
            let check = Url::parse(check).unwrap();
            let of = |signal| address(&check, signal).to_string();
            assert_eq!(of(Signal::Begun), format!("https://hc.example.org{begun}"));
            assert_eq!(
                of(Signal::Failed),
                format!("https://hc.example.org{failed}")
            );
        }
    }

    #[test]
    fn words_are_cut_between_characters() {
        let words = "é".repeat(WORDS);
        assert_eq!(cut(&words).len(), WORDS);
        assert_eq!(cut(&format!("x{words}")).len(), WORDS - 1);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn no_error_shows_the_address() {
        for url in ["ftp://example.org/hidden", "hidden", "https:///hidden"] {
            if let Err(error) = Ping::new(&Secret::new(url), None) {
                assert!(!error.to_string().contains("hidden"), "{error}");
            }
        }
        let ping = Ping::new(&Secret::new("https://example.org/hidden?hidden"), None).unwrap();
        let error = ping.endpoint.error(Kind::Config, "has no /hidden?hidden");
        assert!(!error.to_string().contains("hidden"), "{error}");
        assert_eq!(ping.name(), "dead man's switch at example.org");
    }
}
