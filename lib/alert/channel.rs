//! A way to reach people, and what it means when it fails.

use super::message::Message;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The ways there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// By SMTP or the local mail program.
    Mail,
    /// By HTTP to a chat or anything else.
    Webhook,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Webhook];
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        })
    }
}

/// A way to reach people, ready to use.
pub trait Channel: Send + Sync {
    /// Where it leads, without a secret, e.g. "mail to ops@example.org by mail.example.org:587".
    fn name(&self) -> String;

    /// Sends `message`, giving up at `deadline`. That somebody has it is a success.
    ///
    /// # Errors
    /// It was not accepted; the fault says what to do next.
    fn send(&self, message: &Message, deadline: Instant) -> Result<Accepted, Fault>;
}

/// What is worth knowing of a message that was accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What people should know, such as an address that was refused beside others that were not.
    pub remarks: Vec<String>,
    /// Addresses that the server wants to be asked about later: they don't have it yet.
    pub later: Vec<String>,
}

/// Why a message was not accepted, and what follows from that.
#[derive(Debug)]
pub struct Fault {
    /// The reason.
    pub error: Error,
    /// What to do next.
    pub then: Then,
}

/// What to do after a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Try again, soon or after the time that the server named.
    Retry(Option<Duration>),
    /// Nothing will be accepted until somebody mends something: keep all messages.
    Stop,
    /// This message was refused, others may pass.
    Skip,
}

impl Fault {
    /// It may work later.
    pub fn transient(error: Error) -> Self {
        Self {
            error,
            then: Then::Retry(None),
        }
    }

    /// Somebody has to mend something.
    pub fn permanent(error: Error) -> Self {
        Self {
            error,
            then: Then::Stop,
        }
    }
}

/// One of the ways as it is configured: absent, broken, or ready.
pub type Configured = Option<Result<Arc<dyn Channel>>>;

/// All ways in which one application's alerts go out.
#[derive(Default)]
pub struct Channels {
    /// By mail.
    pub mail: Configured,
    /// By webhook.
    pub webhook: Configured,
}

impl Channels {
    /// Those that somebody wants, also if their configuration is broken: their messages wait.
    pub fn wanted(&self) -> Vec<ChannelKind> {
        ChannelKind::ALL
            .into_iter()
            .filter(|kind| match kind {
                ChannelKind::Mail => self.mail.is_some(),
                ChannelKind::Webhook => self.webhook.is_some(),
            })
            .collect()
    }

    /// Takes one of them out.
    pub fn take(&mut self, kind: ChannelKind) -> Configured {
        match kind {
            ChannelKind::Mail => self.mail.take(),
            ChannelKind::Webhook => self.webhook.take(),
        }
    }
}
