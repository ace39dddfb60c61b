//! By mail: over SMTP, or by the mail program of the host.

use super::channel::{Accepted, Channel, Fault, Then};
use super::message::{Event, Message};
use super::smtp::Smtp;
use crate::command;
use crate::error::{Error, Kind, Result};
use crate::monitor::Severity;
use jiff::Timestamp;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, Message as Rendered};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// sysexits(3): try again later.
const TEMPORARY: i32 = 75;

/// Over which way mail goes.
#[derive(Clone, Debug)]
pub enum Route {
    /// To a mail server.
    Smtp(Smtp),
    /// To a program that takes a mail on its standard input, as `/usr/sbin/sendmail` does.
    Sendmail(PathBuf),
}

/// The channel.
pub struct Mail {
    from: Mailbox,
    to: Mailboxes,
    /// Who is told when nobody mends it.
    beyond: Mailboxes,
    route: Route,
}

impl Mail {
    /// From one address to one or more, separated by commas.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn new(from: &str, to: &str, route: Route) -> Result<Self> {
        let wrong = |setting: &str, text: &str| {
            Error::new(
                Kind::Config,
                format!("{setting}: '{text}' is no mail address"),
            )
            .with_hint("Write ops@example.org; separate several by commas.")
        };
        let to: Mailboxes = to
            .trim()
            .trim_end_matches(',')
            .parse()
            .map_err(|_| wrong("SG_ALERT_TO", to))?;
        if to.iter().next().is_none() {
            return Err(wrong("SG_ALERT_TO", ""));
        }
        let from = from.parse().map_err(|_| wrong("SG_ALERT_FROM", from))?;
        let beyond = Mailboxes::new();
        Ok(Self {
            from,
            to,
            beyond,
            route,
        })
    }

    /// The same, with those who are told, too, when nobody mends it.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn escalating_to(mut self, to: &str) -> Result<Self> {
        self.beyond = to.trim().trim_end_matches(',').parse().map_err(|_| {
            Error::new(
                Kind::Config,
                format!("SG_ESCALATE_TO: '{to}' is no mail address"),
            )
            .with_hint("Write boss@example.org; separate several by commas.")
        })?;
        Ok(self)
    }

    /// Who is to get `message`.
    fn recipients(&self, message: &Message) -> Vec<Mailbox> {
        let beyond = self.beyond.iter().filter(|_| message.escalated);
        let all = self.to.iter().chain(beyond);
        let left = |mailbox: &&Mailbox| {
            message.only.is_empty() || message.only.contains(&mailbox.email.to_string())
        };
        let left: Vec<Mailbox> = all.clone().filter(left).cloned().collect();
        // They may have been taken out of the settings since.
        match left.is_empty() {
            true => all.cloned().collect(),
            false => left,
        }
    }

    fn render(&self, message: &Message) -> Result<Rendered> {
        let mut builder = Rendered::builder()
            .from(self.from.clone())
            .subject(message.subject.clone())
            .date(message.at.into())
            .message_id(Some(message.id.clone()))
            .user_agent(concat!("sg-alert/", env!("CARGO_PKG_VERSION")).to_owned())
            .header(ContentType::TEXT_PLAIN);
        for mailbox in self.recipients(message) {
            builder = builder.to(mailbox);
        }
        if let Some(thread) = message
            .thread
            .as_ref()
            .filter(|thread| **thread != message.id)
        {
            builder = builder
                .in_reply_to(thread.clone())
                .references(thread.clone());
        }
        // No holiday reply, please; and a sign for those who filter.
        let mut extra = vec![
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-SG-Severity", message.severity.to_string()),
        ];
        if message.severity == Severity::Critical && message.event != Event::Resolved {
            extra.push(("Importance", "high".to_owned()));
            extra.push(("X-Priority", "1".to_owned()));
        }
        for (name, value) in extra {
            builder = builder.raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str(name),
                value,
            ));
        }
        builder
            .body(message.text(Timestamp::now()))
            .map_err(|cause| Error::new(Kind::Failed, "cannot compose the mail").with_source(cause))
    }

    fn hand_over(&self, program: &Path, mail: &Rendered, deadline: Instant) -> Result<(), Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut command = Command::new(program);
        command
            .args(["-i", "-f"])
            .arg(mail.envelope().from().map_or("", AsRef::as_ref));
        command.arg("--");
        command.args(mail.envelope().to().iter().map(AsRef::<str>::as_ref));
        // Local mail programs want the line ends of the host.
        let text: Vec<u8> = mail
            .formatted()
            .into_iter()
            .filter(|byte| *byte != b'\r')
            .collect();
        let said = command::run(&mut command, &text, left).map_err(|error| {
            if error.kind() == Kind::Unavailable {
                Fault::transient(error)
            } else {
                Fault::permanent(error.with_hint("Install a mail program, or set SG_SMTP_URL."))
            }
        })?;
        if said.status.success() {
            return Ok(());
        }
        let temporary = said.status.code() == Some(TEMPORARY);
        let error = Error::new(
            if temporary {
                Kind::Unavailable
            } else {
                Kind::Failed
            },
            format!(
                "'{}' did not take the mail ({}): {}",
                program.display(),
                said.status,
                said.stderr.lines().next().unwrap_or("no reason given")
            ),
        );
        Err(if temporary {
            Fault::transient(error)
        } else {
            Fault::permanent(error)
        })
    }
}

impl Channel for Mail {
    fn name(&self) -> String {
        let to: Vec<&str> = self.to.iter().map(|to| to.email.as_ref()).collect();
        let by = match &self.route {
            Route::Smtp(smtp) => smtp.address(),
            Route::Sendmail(program) => program.display().to_string(),
        };
        format!("mail to {} by {by}", to.join(", "))
    }

    fn send(&self, message: &Message, deadline: Instant) -> Result<Accepted, Fault> {
        let mail = self.render(message).map_err(|error| Fault {
            error,
            then: Then::Skip,
        })?;
        match &self.route {
            Route::Smtp(smtp) => smtp.send(mail.envelope(), &mail.formatted(), deadline),
            Route::Sendmail(program) => {
                self.hand_over(program, &mail, deadline)?;
                Ok(Accepted::default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_threads_and_asks_for_no_reply() {
        let route = Route::Sendmail("/bin/true".into());
        let mail = Mail::new("sg@db1", "a@example.org, B <b@example.org>,", route).unwrap();
        let mut message = Message::test("db1", "shop", Timestamp::UNIX_EPOCH);
        message.thread = Some("<first@db1>".to_owned());
        message.severity = Severity::Critical;
        let text = String::from_utf8(mail.render(&message).unwrap().formatted()).unwrap();
        for header in [
            "To: a@example.org, B <b@example.org>",
            "In-Reply-To: <first@db1>",
            "Auto-Submitted: auto-generated",
            "Importance: high",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
        ] {
            assert!(text.contains(header), "{header} in {text}");
        }
        let route = || Route::Sendmail("/bin/true".into());
        for (from, to) in [
            ("sg@db1", ""),
            ("sg@db1", "a b"),
            ("sg", "a@b"),
            ("a@b", "a@b, c"),
        ] {
            assert!(Mail::new(from, to, route()).is_err(), "{from} {to}");
        }
    }
}
