//! Tells people that a unit failed, and that it is well again: once for each cause, by every channel
//! they chose, also when the network comes back only tomorrow.
//!
//! The way of an alert: what systemd and the journal know about a [`Failure`] is gathered
//! ([`systemd`], [`log`]) and freed of secrets ([`Redactor`]); the open [`Incident`] of its unit decides
//! whether anybody has to hear of it; if so, a [`Message`] is put into the [`Spool`], once for each
//! channel, before [`deliver`] tries to send it, and stays there until that channel took it.
//!
//! What is promised: a message is lost only if the disk is; it is repeated only if the power fails
//! in the moment between a server's "accepted" and our noting it, and then with the same Message-ID.
//! No password, token or webhook URL stands in a message, an error or the spool.

mod channel;
mod compose;
mod deliver;
mod endpoint;
mod failure;
mod incident;
pub mod log;
mod mail;
mod message;
mod outcome;
mod payload;
mod ping;
mod raise;
mod redact;
mod secret;
pub mod shelter;
mod smtp;
mod spool;
pub mod systemd;
mod text;
mod tls;
mod unit;
mod webhook;

pub use channel::{Accepted, Channel, ChannelKind, Channels, Configured, Fault, Then};
pub use deliver::{Delivery, Directory, Sent, deliver, deliver_now};
pub use failure::Failure;
pub use incident::{Incident, Recovery, Seen, Tell};
pub use mail::{Mail, Route};
pub use message::{Event, Message};
pub use outcome::Outcome;
pub use ping::{Ping, Signal};
pub use raise::{Raised, Raiser};
pub use redact::Redactor;
pub use secret::Secret;
pub use smtp::{Login, Smtp, SmtpTls, SmtpUrl};
pub use spool::{Item, Spool};
pub use tls::authorities;
pub use unit::{Step, Unit};
pub use webhook::{Webhook, WebhookKind};
