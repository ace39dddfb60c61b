//! By HTTP: to a chat, a push service, or anything that takes JSON.

use super::channel::{Accepted, Channel, Fault, Then};
use super::endpoint::{self, Endpoint};
use super::message::Message;
use super::payload;
use super::secret::Secret;
use crate::error::{Kind, Result};
use jiff::Timestamp;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use url::Url;

/// So much of an answer is read to find a reason in it.
const ANSWER: u64 = 2048;
/// So much of it is passed on.
const REASON: usize = 120;

/// Whom a webhook belongs to, which decides what it understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookKind {
    /// Slack, and Mattermost and Rocket.Chat, which speak alike.
    Slack,
    /// Discord.
    Discord,
    /// Microsoft Teams, by a workflow that takes adaptive cards.
    Teams,
    /// Microsoft Teams, by a connector of old.
    TeamsConnector,
    /// ntfy.
    Ntfy,
    /// Anything that takes a JSON object.
    Json,
}

impl WebhookKind {
    /// Told by the URL.
    fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let ends = |suffix: &str| host.ends_with(suffix);
        match host {
            "hooks.slack.com" | "hooks.slack-gov.com" => Self::Slack,
            "discord.com" | "discordapp.com" => Self::Discord,
            "ntfy.sh" => Self::Ntfy,
            _ if ends(".discord.com") => Self::Discord,
            _ if ends(".webhook.office.com") || host == "outlook.office.com" => {
                Self::TeamsConnector
            }
            _ if ends(".logic.azure.com") || ends(".api.powerplatform.com") => Self::Teams,
            _ if host.starts_with("ntfy.") => Self::Ntfy,
            _ => Self::Json,
        }
    }
}

impl fmt::Display for WebhookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slack => "Slack",
            Self::Discord => "Discord",
            Self::Teams => "Teams",
            Self::TeamsConnector => "Teams connector",
            Self::Ntfy => "ntfy",
            Self::Json => "JSON",
        })
    }
}

/// The channel.
pub struct Webhook {
    endpoint: Endpoint,
    kind: WebhookKind,
    token: Option<Secret>,
}

impl Webhook {
    /// The webhook at `url`; its `kind` is told by the URL unless it is given. `token` is sent along
    /// where one is asked for; `ca` is trusted beside the host's authorities.
    ///
    /// # Errors
    /// It is no URL. The error does not show it.
    pub fn new(
        url: &Secret,
        kind: Option<WebhookKind>,
        token: Option<Secret>,
        ca: Option<PathBuf>,
    ) -> Result<Self> {
        let hint = "Put the whole URL, beginning with https://, into the credential webhook-url.";
        let url = endpoint::parse(url, "webhook", hint)?;
        let kind = kind.unwrap_or_else(|| WebhookKind::of(&url));
        Ok(Self {
            endpoint: Endpoint::new(url, format!("{kind} webhook"), ca, token.clone()),
            kind,
            token,
        })
    }

    /// What an answer means.
    fn judge(&self, status: u16, wait: Option<Duration>, answer: &str) -> Result<(), Fault> {
        let reason: String = answer
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(REASON)
            .collect();
        let said = if reason.is_empty() {
            format!("answered {status}")
        } else {
            format!("answered {status}: {reason}")
        };
        // The old connector says 200 also when it fails, and then tells why in its text.
        if self.kind == WebhookKind::TeamsConnector && status == 200 && answer.trim() != "1" {
            let then = if answer.contains("HTTP error 429") || answer.contains("HTTP error 5") {
                Then::Retry(None)
            } else {
                Then::Skip
            };
            let error = self.endpoint.error(Kind::Unavailable, &said);
            return Err(Fault { error, then });
        }
        let (kind, then, hint) = match status {
            200..=299 => return Ok(()),
            300..=399 => (
                Kind::Config,
                Then::Stop,
                Some("It points elsewhere; use the URL that it leads to."),
            ),
            408 | 425 | 429 | 500..=599 => (Kind::Unavailable, Then::Retry(wait), None),
            400 | 413 | 422 => (
                Kind::Failed,
                Then::Skip,
                Some("If it is of another kind than the URL tells, set SG_WEBHOOK_KIND."),
            ),
            _ => (
                Kind::Config,
                Then::Stop,
                Some("Make a new webhook there and put its URL into the credential webhook-url."),
            ),
        };
        let error = self.endpoint.error(kind, &said);
        let error = match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
        Err(Fault { error, then })
    }
}

impl Channel for Webhook {
    fn name(&self) -> String {
        self.endpoint.name()
    }

    fn send(&self, message: &Message, deadline: Instant) -> Result<Accepted, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let error = self.endpoint.error(Kind::Unavailable, "takes too long");
            return Err(Fault::transient(error));
        }
        let payload = payload::of(self.kind, &self.endpoint.url, message, Timestamp::now());
        let agent = self.endpoint.agent(left).map_err(Fault::permanent)?;
        let mut request = agent
            .post(payload.url.as_str())
            .content_type("application/json; charset=utf-8");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {}", token.expose()));
        }
        let mut response = request
            .send(payload.body.to_string())
            .map_err(|cause| self.endpoint.failed(&cause))?;
        let wait = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut answer = Vec::new();
        // The status says it all if the rest does not come.
        response
            .body_mut()
            .as_reader()
            .take(ANSWER)
            .read_to_end(&mut answer)
            .ok();
        self.judge(
            response.status().as_u16(),
            wait,
            &String::from_utf8_lossy(&answer),
        )?;
        Ok(Accepted::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str) -> Webhook {
        Webhook::new(&Secret::new(url), None, None, None).unwrap()
    }

    #[test]
    fn a_webhook_is_told_by_its_url() {
        for (url, kind) in [
            ("https://hooks.slack.com/services/T/B/x", WebhookKind::Slack),
            ("https://discord.com/api/webhooks/1/x", WebhookKind::Discord),
            (
                "https://contoso.webhook.office.com/webhookb2/x",
                WebhookKind::TeamsConnector,
            ),
            (
                "https://prod-1.westeurope.logic.azure.com:443/workflows/x",
                WebhookKind::Teams,
            ),
            (
                "https://d.1.environment.api.powerplatform.com/x",
                WebhookKind::Teams,
            ),
            ("https://ntfy.sh/topic", WebhookKind::Ntfy),
            ("https://ntfy.example.org/topic", WebhookKind::Ntfy),
            ("https://example.org/hook", WebhookKind::Json),
            ("https://hooks.slack.com.example.org/x", WebhookKind::Json),
        ] {
            assert_eq!(webhook(url).kind, kind, "{url}");
        }
    }

    #[test]
    fn an_answer_decides_what_follows() {
        let json = webhook("https://example.org/very-secret");
        let then = |status| json.judge(status, None, "x").err().map(|fault| fault.then);
        assert_eq!(then(202), None);
        assert_eq!(then(302), Some(Then::Stop));
        assert_eq!(then(400), Some(Then::Skip));
        assert_eq!(then(404), Some(Then::Stop));
        assert_eq!(then(503), Some(Then::Retry(None)));
        let wait = Some(Duration::from_secs(7));
        assert_eq!(
            json.judge(429, wait, "").unwrap_err().then,
            Then::Retry(wait)
        );
        let old = webhook("https://contoso.webhook.office.com/webhookb2/x");
        assert!(old.judge(200, None, "1").is_ok());
        let fault = old
            .judge(
                200,
                None,
                "Microsoft Teams endpoint returned HTTP error 429",
            )
            .unwrap_err();
        assert_eq!(fault.then, Then::Retry(None));
    }

    #[test]
    fn no_error_shows_the_address() {
        let hook = webhook("https://example.org/very-secret?x=also-secret");
        let fault = hook
            .judge(404, None, "no /very-secret here, nor x=also-secret")
            .unwrap_err();
        assert!(
            !fault.error.to_string().contains("secret"),
            "{}",
            fault.error
        );
        assert!(!hook.name().contains("secret"));
        let secret = Secret::new("ftp://example.org/very-secret");
        let error = Webhook::new(&secret, None, None, None).err().unwrap();
        assert!(!error.to_string().contains("secret"));
    }
}
