//! What a person gets to read, in its parts, so that each channel can show it in its own way, also a day
//! later; and as plain text: cause first, then what to do, then what else is known.

use super::log::Line;
use super::text::{self, span, wrap};
use crate::monitor::Severity;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A message that comes so much later than it was written says so.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Something failed that was well, or in a new way.
    Failed,
    /// It failed again soon after it was well.
    FailedAgain,
    /// It still fails.
    StillFailing,
    /// It is well again.
    Resolved,
    /// Somebody wants to know whether messages arrive.
    Test,
    /// Messages that could not be sent, in a few words.
    Summary,
}

/// A message in its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its Message-ID, in angle brackets; the same however often it is sent.
    pub id: String,
    /// The first message about the same incident.
    pub thread: Option<String>,
    /// What it is about.
    pub event: Event,
    /// How much it matters.
    pub severity: Severity,
    /// The host that it is about.
    pub host: String,
    /// The application that it is about.
    pub app: Option<String>,
    /// The unit that it is about.
    pub unit: Option<String>,
    /// When it was written.
    pub at: Timestamp,
    /// One line that says it all.
    pub subject: String,
    /// What happened and what it means, in whole sentences.
    pub headline: String,
    /// The reason that the program gave.
    pub cause: Option<String>,
    /// What to do, in whole sentences.
    pub hints: Vec<String>,
    /// What else is known: name and value.
    pub facts: Vec<(String, String)>,
    /// The last lines of the log.
    pub log: Vec<Line>,
    /// Commands with which to look further.
    pub commands: Vec<String>,
    /// Whether those hear of it, too, who are told when nobody mends it.
    #[serde(default)]
    pub escalated: bool,
    /// The mail addresses that it is still for, where others have it already.
    #[serde(default)]
    pub only: Vec<String>,
}

impl Message {
    /// The whole as plain text, no line longer than 78 characters but for commands; `now` is when it is
    /// sent.
    pub fn text(&self, now: Timestamp) -> String {
        let mut out = String::new();
        wrap(&mut out, "", "", &self.headline);
        if let Some(cause) = &self.cause {
            out.push('\n');
            wrap(&mut out, "  ", "  ", cause);
        }
        if !self.hints.is_empty() {
            out.push_str("\nWhat to do\n");
            for hint in &self.hints {
                wrap(&mut out, "  ", "  ", hint);
            }
        }
        if !self.facts.is_empty() {
            out.push('\n');
            let widest = self.facts.iter().map(|(name, _)| name.chars().count());
            let widest = widest.max().unwrap_or(0).min(40);
            for (name, value) in &self.facts {
                let first = format!("{name:widest$}  ");
                wrap(&mut out, &first, &" ".repeat(widest + 2), value);
            }
        }
        if !self.log.is_empty() {
            out.push_str(match self.event {
                Event::Summary => "\nMessages\n",
                _ => "\nLast lines of its log\n",
            });
            for line in &self.log {
                let at = match self.event {
                    Event::Summary => line.at.map(text::time),
                    _ => line.at.map(text::time_of_day),
                };
                let first = at.map_or_else(|| "  ".to_owned(), |at| format!("  {at} "));
                wrap(&mut out, &first, "           ", &line.text);
            }
        }
        if !self.commands.is_empty() {
            out.push_str("\nTo look further\n");
            for command in &self.commands {
                out.push_str(&format!("  {command}\n"));
            }
        }
        if let Some(waited) = self.late(now) {
            out.push('\n');
            wrap(
                &mut out,
                "",
                "",
                &format!("This message was written {waited} ago and could not be sent before."),
            );
        }
        out
    }

    /// How late it is, if it is.
    pub fn late(&self, now: Timestamp) -> Option<String> {
        let waited = now.duration_since(self.at);
        (waited >= LATE).then(|| span(waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_message_says_so() {
        let message = Message::test("db1", "shop", Timestamp::UNIX_EPOCH);
        let text = message.text(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(3));
        assert!(text.contains("written 3 h ago"), "{text}");
    }
}
