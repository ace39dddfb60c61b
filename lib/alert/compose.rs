//! Messages about what happened: composed then, from what was known then.

use super::failure::Failure;
use super::incident::{Incident, Tell};
use super::log::Line;
use super::message::{Event, Message};
use super::text::{self, WIDTH, cut, span};
use super::unit::{Step, Unit};
use crate::monitor::Severity;
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

/// How a verification fails that finds damage.
const DAMAGED: &str = "exit-code 65";
/// So many unsent messages are named when they are folded into one.
const NAMED: usize = 20;

impl Message {
    /// The message about `failure`. `incident` is what is remembered of it by now, `tell` why it is told;
    /// `statuses` are our programs' exit statuses in words.
    pub fn failed(
        failure: &Failure,
        incident: Option<&Incident>,
        tell: Tell,
        statuses: &[(u8, &str)],
    ) -> Self {
        let unit = &failure.unit;
        let result = failure.outcome.in_words(statuses);
        let cause = failure.cause.clone();
        let (event, verb) = match tell {
            Tell::Reminder if failure.is_finding() => (Event::StillFailing, "still needs a look"),
            Tell::Relapse if failure.is_finding() => (Event::FailedAgain, "needs a look again"),
            _ if failure.is_finding() => (Event::Failed, "needs a look"),
            Tell::Reminder => (Event::StillFailing, "still fails"),
            Tell::Relapse => (Event::FailedAgain, "failed again"),
            Tell::First | Tell::NewCause | Tell::Nothing => (Event::Failed, "failed"),
        };
        let subject = format!(
            "[{}] {}: {} {verb} on {}: {}",
            capitals(failure.severity),
            unit.owner(),
            unit.step,
            failure.host,
            cause.as_deref().unwrap_or(&result),
        );
        let mut headline = failure.consequence();
        if let Some(incident) = incident.filter(|incident| incident.failures > 1) {
            let verb = match failure.is_finding() {
                true => "It was so",
                false => "It failed",
            };
            headline.push_str(&format!(
                " {verb} {} times since {}.",
                incident.failures,
                text::time(incident.since)
            ));
        }
        let mut facts = vec![
            ("Host".to_owned(), failure.host.clone()),
            ("Unit".to_owned(), unit.name.clone()),
            ("Result".to_owned(), result),
            ("Severity".to_owned(), capitals(failure.severity)),
        ];
        let ended = match failure.is_finding() {
            true => "Ended",
            false => "Failed",
        };
        match failure.started {
            Some(started) => {
                let lasted = failure.ended.duration_since(started);
                facts.push(("Began".to_owned(), text::time(started)));
                facts.push((
                    ended.to_owned(),
                    format!("{}, after {}", text::time(failure.ended), span(lasted)),
                ));
            }
            None => facts.push((ended.to_owned(), text::time(failure.ended))),
        }
        Self {
            id: id(
                &failure.host,
                &[
                    &unit.name,
                    failure.invocation.as_deref().unwrap_or_default(),
                    &failure.ended.to_string(),
                ],
            ),
            thread: incident.map(|incident| incident.thread.clone()),
            event,
            severity: failure.severity,
            host: failure.host.clone(),
            app: unit.app.clone(),
            unit: Some(unit.name.clone()),
            at: failure.noticed,
            subject: cut(&subject, WIDTH),
            headline,
            cause,
            hints: failure.hints.clone(),
            facts,
            log: failure.log.clone(),
            commands: commands(unit, failure.invocation.as_deref()),
            escalated: false,
            only: Vec::new(),
        }
    }

    /// The message that `incidents`, all of one application or unit, are over.
    pub fn resolved(host: &str, incidents: &[Incident], now: Timestamp) -> Option<Self> {
        let first = incidents.iter().min_by_key(|incident| incident.since)?;
        let owner = first.unit.owner();
        let lasted = span(first.lasted(now));
        let steps: Vec<String> = incidents
            .iter()
            .map(|incident| incident.unit.step.to_string())
            .collect();
        let mut headline = match first.unit.app {
            Some(_) => format!(
                "{} of {owner}: well again after {lasted}.",
                sentence(&steps)
            ),
            None => format!("{owner} is well again after {lasted}."),
        };
        let damaged =
            |incident: &&Incident| incident.unit.step == Step::Verify && incident.had(DAMAGED);
        if incidents.iter().find(damaged).is_some() {
            headline.push_str(
                " The runs go on without what was found damaged; while that is there, sg-status and sg-list \
                 --all show it.",
            );
        }
        let facts = incidents
            .iter()
            .map(|incident| {
                let verb = match incident.finding {
                    true => "needed a look",
                    false => "failed",
                };
                let times = match incident.failures {
                    1 => format!("{verb} once"),
                    n => format!("{verb} {n} times"),
                };
                let since = text::time(incident.since);
                (
                    incident.unit.name.clone(),
                    format!("{times}, first on {since}"),
                )
            })
            .collect();
        Some(Self {
            id: id(host, &["resolved", &first.unit.name, &now.to_string()]),
            thread: Some(first.thread.clone()),
            event: Event::Resolved,
            severity: Severity::Info,
            host: host.to_owned(),
            app: first.unit.app.clone(),
            unit: Some(first.unit.name.clone()),
            at: now,
            subject: cut(
                &format!("[OK] {owner}: well again after {lasted} on {host}"),
                WIDTH,
            ),
            headline,
            cause: None,
            hints: Vec::new(),
            facts,
            log: Vec::new(),
            commands: first
                .unit
                .app
                .as_ref()
                .map(|app| format!("sg-list --app {app} --newest"))
                .into_iter()
                .collect(),
            escalated: incidents.iter().any(|incident| incident.escalated),
            only: Vec::new(),
        })
    }

    /// A message that only wants to arrive.
    pub fn test(host: &str, app: &str, now: Timestamp) -> Self {
        Self {
            id: id(host, &["test", app, &now.to_string()]),
            thread: None,
            event: Event::Test,
            severity: Severity::Info,
            host: host.to_owned(),
            app: Some(app.to_owned()),
            unit: None,
            at: now,
            subject: cut(
                &format!("[TEST] {app}: a test of the alerts from {host}"),
                WIDTH,
            ),
            headline: format!(
                "This is a test. Alerts about {app} on {host} arrive where you read this."
            ),
            cause: None,
            hints: vec!["Nothing is to be done.".to_owned()],
            facts: vec![("Sent".to_owned(), text::time(now))],
            log: Vec::new(),
            commands: Vec::new(),
            escalated: false,
            only: Vec::new(),
        }
    }

    /// The same for those who are told when nobody mends it: it has lasted since `since`.
    #[must_use]
    pub fn escalate(mut self, since: Timestamp, now: Timestamp) -> Self {
        let lasted = span(now.duration_since(since));
        self.id = id(&self.host, &["escalated", &self.id]);
        self.event = Event::StillFailing;
        self.at = now;
        self.subject = cut(&format!("[ESCALATED] {}", self.subject), WIDTH);
        self.headline = format!("For {lasted} nobody has mended this. {}", self.headline);
        self.escalated = true;
        self
    }

    /// One message for `older`, the oldest of too many unsent ones; what was a summary itself goes on.
    pub fn summary(older: &[Self]) -> Option<Self> {
        let first = older.first()?;
        let mut named = Vec::new();
        let mut more: usize = 0;
        for message in older {
            if message.event == Event::Summary {
                named.extend(message.log.iter().cloned());
                more += message
                    .facts
                    .first()
                    .map_or(0, |(_, count)| count.parse().unwrap_or(0));
            } else {
                named.push(Line {
                    at: Some(message.at),
                    priority: 3,
                    text: message.subject.clone(),
                });
            }
        }
        let all = named.len() + more;
        more += named.len().saturating_sub(NAMED);
        named.truncate(NAMED);
        Some(Self {
            id: first.id.clone(),
            thread: first.thread.clone(),
            event: Event::Summary,
            severity: older
                .iter()
                .map(|message| message.severity)
                .max()
                .unwrap_or(first.severity),
            host: first.host.clone(),
            app: first.app.clone(),
            unit: None,
            at: first.at,
            subject: cut(
                &format!(
                    "[{all} ALERTS] from {}, sent late: the first: {}",
                    first.host, first.subject
                ),
                WIDTH,
            ),
            headline: format!(
                "{all} messages could not be sent when they were written, and there was no room to keep \
                 them all. These were their subjects{}.",
                if more > 0 {
                    format!(", and {more} more followed")
                } else {
                    String::new()
                },
            ),
            cause: None,
            hints: vec!["Read the journal of these units for the rest.".to_owned()],
            facts: vec![("Not named".to_owned(), more.to_string())],
            log: named,
            commands: vec![format!(
                "journalctl --since '{}' -t sg-alert",
                first.at.strftime("%Y-%m-%d %H:%M:%S UTC")
            )],
            escalated: older.iter().any(|message| message.escalated),
            only: Vec::new(),
        })
    }
}

/// A severity as it stands in a subject.
pub(super) fn capitals(severity: Severity) -> String {
    severity.to_string().to_uppercase()
}

/// A Message-ID that is the same for the same `parts`.
pub(super) fn id(host: &str, parts: &[&str]) -> String {
    let host: String = host
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c))
        .collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    format!("<sg-{:032x}@{host}>", xxh3_128(parts.join("\0").as_bytes()))
}

fn commands(unit: &Unit, invocation: Option<&str>) -> Vec<String> {
    let mut commands = vec![format!("systemctl status '{}'", unit.name)];
    commands.push(match invocation {
        Some(id) => format!("journalctl -x _SYSTEMD_INVOCATION_ID={id}"),
        None => format!("journalctl -x -u '{}' -n 50", unit.name),
    });
    if let Some(app) = &unit.app
        && unit.step != Step::Other
    {
        commands.push(format!("sg-list --app {app}"));
        if matches!(unit.step, Step::Verify | Step::Freshness) {
            commands.push(format!("sg-list --app {app} --newest | sg-verify"));
        }
    }
    commands
}

/// Some names as the beginning of a sentence.
fn sentence(names: &[String]) -> String {
    let mut unique: Vec<&str> = names.iter().map(String::as_str).collect();
    unique.dedup();
    let joined = unique.join(", ");
    let mut chars = joined.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::outcome::Outcome;

    fn failure() -> Failure {
        Failure {
            unit: Unit::parse("sg-dump-db@shop").unwrap(),
            host: "db1".to_owned(),
            outcome: Outcome::new("exit-code", "exited", "69"),
            invocation: Some("0123456789abcdef0123456789abcdef".to_owned()),
            started: Some("2026-11-21T03:30:00Z".parse().unwrap()),
            ended: "2026-11-21T03:31:02Z".parse().unwrap(),
            noticed: "2026-11-21T03:31:03Z".parse().unwrap(),
            severity: Severity::Critical,
            cause: Some(format!("cannot connect to '{}': refused", "x".repeat(90))),
            hints: vec!["Start PostgreSQL.".to_owned()],
            log: vec![Line {
                at: None,
                priority: 3,
                text: "word ".repeat(60),
            }],
            sameness: "exit-code 69".to_owned(),
        }
    }

    #[test]
    fn cause_and_cure_come_first_and_no_line_is_too_long() {
        let message = Message::failed(&failure(), None, Tell::First, &[(69, "unreachable")]);
        assert!(
            message
                .subject
                .starts_with("[CRITICAL] shop: database dump failed on db1: cannot")
        );
        let text = message.text(message.at);
        assert!(text.starts_with("There is no new database backup of shop.\n\n  cannot connect"));
        assert!(
            text.contains("\nWhat to do\n  Start PostgreSQL.\n"),
            "{text}"
        );
        assert!(text.contains("exit status 69: unreachable"));
        assert!(text.contains(", after 1 min 2 s"));
        assert!(!text.contains("could not be sent"));
        for line in text.lines().chain([message.subject.as_str()]) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn the_same_failure_has_the_same_id() {
        let id = |failure: &Failure| Message::failed(failure, None, Tell::First, &[]).id;
        assert_eq!(id(&failure()), id(&failure()));
        let other = Failure {
            invocation: None,
            ..failure()
        };
        assert_ne!(id(&failure()), id(&other));
    }

    #[test]
    fn a_summary_of_summaries_counts_all() {
        let test = |n| Message::test("db1", "shop", Timestamp::from_second(n).unwrap());
        let mut summary = Message::summary(&[test(0), test(1)]).unwrap();
        for n in 2..100 {
            summary = Message::summary(&[summary, test(n)]).unwrap();
        }
        assert!(
            summary.subject.starts_with("[100 ALERTS]"),
            "{}",
            summary.subject
        );
        assert_eq!(summary.log.len(), NAMED);
        assert!(summary.headline.contains("80 more"), "{}", summary.headline);
    }
}
