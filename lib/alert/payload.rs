//! A message as each kind of webhook wants it.
//!
//! The limits are those that the services document: Discord 256 characters of title, 4096 of
//! description, 6000 in all; ntfy 4096 bytes; Teams 28 KB; Slack advises 4000 characters.

use super::log::Line;
use super::message::{Event, Message};
use super::text::{cut, time_of_day};
use super::webhook::WebhookKind;
use crate::monitor::Severity;
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

/// So many lines of the log fit a chat; the mail has more.
const LINES: usize = 8;
const LINE: usize = 200;
const DISCORD_TITLE: usize = 256;
const DISCORD_DESCRIPTION: usize = 3000;
const NTFY_BYTES: usize = 4000;
const TEXT: usize = 3500;

/// What to send, and where to.
pub(super) struct Payload {
    pub(super) url: Url,
    pub(super) body: Value,
}

/// `message` for a webhook of `kind` at `url`.
pub(super) fn of(kind: WebhookKind, url: &Url, message: &Message, now: Timestamp) -> Payload {
    let mut url = url.clone();
    let body = match kind {
        WebhookKind::Slack => slack(message, now),
        WebhookKind::Discord => discord(message, now),
        WebhookKind::Teams => teams(message, now),
        WebhookKind::TeamsConnector => connector(message, now),
        WebhookKind::Ntfy => {
            // Published as JSON to the root, so that a title may hold any character.
            let topic = url
                .path_segments()
                .and_then(|mut segments| segments.next_back().map(str::to_owned))
                .unwrap_or_default();
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop();
            }
            ntfy(&topic, message, now)
        }
        WebhookKind::Json => plain(message, now),
    };
    Payload { url, body }
}

/// Everything, for programs.
fn plain(message: &Message, now: Timestamp) -> Value {
    let mut body = json!({ "version": 1, "text": message.text(now) });
    if let (Some(body), Ok(Value::Object(parts))) =
        (body.as_object_mut(), serde_json::to_value(message))
    {
        body.extend(parts);
    }
    body
}

fn slack(message: &Message, now: Timestamp) -> Value {
    // Slack's own three characters; everything else, a bell at everybody included, needs them.
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let mut text = format!(
        "*{}*\n{}",
        escaped(&message.subject),
        escaped(&message.headline)
    );
    if let Some(cause) = &message.cause {
        text.push_str(&format!("\n> {}", escaped(cause)));
    }
    for hint in &message.hints {
        text.push_str(&format!("\n:arrow_right: {}", escaped(hint)));
    }
    let log = lines(message).join("\n").replace("```", "'''");
    if !log.is_empty() {
        text.push_str(&format!("\n```\n{}\n```", escaped(&cut(&log, TEXT))));
    }
    if let Some(late) = late(message, now) {
        text.push_str(&format!("\n_{late}_"));
    }
    json!({ "text": text })
}

fn discord(message: &Message, now: Timestamp) -> Value {
    let mut text = message.headline.clone();
    if let Some(cause) = &message.cause {
        text.push_str(&format!("\n> {cause}"));
    }
    for hint in &message.hints {
        text.push_str(&format!("\n**What to do:** {hint}"));
    }
    if let Some(late) = late(message, now) {
        text.push_str(&format!("\n*{late}*"));
    }
    let log = lines(message).join("\n").replace("```", "'''");
    let mut text = cut(&text, DISCORD_DESCRIPTION / 2);
    if !log.is_empty() {
        text.push_str(&format!(
            "\n```\n{}\n```",
            cut(&log, DISCORD_DESCRIPTION / 2)
        ));
    }
    let fields: Vec<Value> = message
        .facts
        .iter()
        .take(10)
        .map(|(name, value)| {
            json!({ "name": cut(name, 100), "value": cut(value, LINE), "inline": true })
        })
        .collect();
    json!({
        "embeds": [{
            "title": cut(&message.subject, DISCORD_TITLE),
            "description": text,
            "color": color(message),
            "timestamp": message.at.to_string(),
            "fields": fields,
        }],
        // A line of a log must not call everybody.
        "allowed_mentions": { "parse": [] },
    })
}

fn teams(message: &Message, now: Timestamp) -> Value {
    let block = |text: &str| json!({ "type": "TextBlock", "text": text, "wrap": true });
    let mut title = block(&message.subject);
    title["weight"] = "Bolder".into();
    title["size"] = "Medium".into();
    title["color"] = match message.event {
        Event::Resolved => "Good",
        Event::Test => "Accent",
        _ if message.severity >= Severity::High => "Attention",
        _ => "Warning",
    }
    .into();
    let mut body = vec![title, block(&message.headline)];
    body.extend(message.cause.as_deref().map(block));
    body.extend(
        message
            .hints
            .iter()
            .map(|hint| block(&format!("What to do: {hint}"))),
    );
    if !message.facts.is_empty() {
        let facts: Vec<Value> = message
            .facts
            .iter()
            .map(|(name, value)| json!({ "title": name, "value": cut(value, LINE) }))
            .collect();
        body.push(json!({ "type": "FactSet", "facts": facts }));
    }
    body.extend(lines(message).iter().map(|line| {
        let mut block = block(line);
        block["fontType"] = "Monospace".into();
        block["spacing"] = "None".into();
        block
    }));
    body.extend(late(message, now).as_deref().map(block));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })
}

fn connector(message: &Message, now: Timestamp) -> Value {
    let mut text = message.headline.clone();
    for part in message
        .cause
        .iter()
        .cloned()
        .chain(
            message
                .hints
                .iter()
                .map(|hint| format!("What to do: {hint}")),
        )
        .chain(late(message, now))
    {
        text.push_str(&format!("\n\n{part}"));
    }
    let facts: Vec<Value> = message
        .facts
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": cut(value, LINE) }))
        .collect();
    let mut sections = vec![json!({ "facts": facts })];
    let log = lines(message);
    if !log.is_empty() {
        // Four blanks make a line code.
        let log: Vec<String> = log.iter().map(|line| format!("    {line}")).collect();
        sections.push(json!({ "text": cut(&log.join("\n"), TEXT) }));
    }
    json!({
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": format!("{:06X}", color(message)),
        "summary": message.subject,
        "title": message.subject,
        "text": text,
        "sections": sections,
    })
}

fn ntfy(topic: &str, message: &Message, now: Timestamp) -> Value {
    let mut text = message.headline.clone();
    for part in message
        .cause
        .iter()
        .chain(&message.hints)
        .cloned()
        .chain(late(message, now))
    {
        text.push_str(&format!("\n\n{part}"));
    }
    let log = lines(message).join("\n");
    if !log.is_empty() {
        text.push_str(&format!("\n\n{log}"));
    }
    let (priority, tag) = match (message.event, message.severity) {
        (Event::Resolved, _) => (3, "white_check_mark"),
        (Event::Test, _) => (3, "test_tube"),
        (_, Severity::Critical) => (5, "rotating_light"),
        (_, Severity::High) => (4, "warning"),
        _ => (3, "information_source"),
    };
    json!({
        "topic": topic,
        "title": message.subject,
        "message": cut_bytes(&text, NTFY_BYTES),
        "priority": priority,
        "tags": [tag],
    })
}

fn color(message: &Message) -> u32 {
    match (message.event, message.severity) {
        (Event::Resolved, _) => 0x2E_A0_43,
        (Event::Test, _) => 0x00_78_D4,
        (_, Severity::Critical) => 0xB0_00_20,
        (_, Severity::High) => 0xE6_51_00,
        _ => 0xF9_A8_25,
    }
}

/// The end of the log.
fn lines(message: &Message) -> Vec<String> {
    let first = match message.event {
        // A summary's lines are the messages themselves: the first tell what began.
        Event::Summary => 0,
        _ => message.log.len().saturating_sub(LINES),
    };
    message.log[first..]
        .iter()
        .take(LINES)
        .map(|Line { at, text, .. }| match at {
            Some(at) => cut(&format!("{} {text}", time_of_day(*at)), LINE),
            None => cut(text, LINE),
        })
        .collect()
}

fn late(message: &Message, now: Timestamp) -> Option<String> {
    message
        .late(now)
        .map(|waited| format!("Written {waited} ago; it could not be sent before."))
}

fn cut_bytes(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let mut message = Message::test("db1", "shop", Timestamp::UNIX_EPOCH);
        message.severity = Severity::Critical;
        message.event = Event::Failed;
        message.cause = Some("<@everyone> & \"quotes\" ```".to_owned());
        message.log = (0..200)
            .map(|n| Line {
                at: None,
                priority: 6,
                text: format!("{n} {}", "ö".repeat(500)),
            })
            .collect();
        message
    }

    fn body(kind: WebhookKind, url: &str) -> (Url, Value) {
        let url = Url::parse(url).unwrap();
        let payload = of(kind, &url, &message(), Timestamp::UNIX_EPOCH);
        (payload.url, payload.body)
    }

    #[test]
    fn nobody_is_called_by_a_line_of_a_log() {
        let (_, slack) = body(WebhookKind::Slack, "https://hooks.slack.com/services/x");
        let text = slack["text"].as_str().unwrap();
        assert!(text.contains("&lt;@everyone&gt; &amp;"), "{text}");
        let (_, discord) = body(WebhookKind::Discord, "https://discord.com/api/webhooks/1/x");
        assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
    }

    #[test]
    fn no_limit_of_a_service_is_passed() {
        let (_, slack) = body(WebhookKind::Slack, "https://x/y");
        assert!(slack["text"].as_str().unwrap().chars().count() < 4000);
        let (_, discord) = body(WebhookKind::Discord, "https://x/y");
        assert!(discord.to_string().chars().count() < 6000);
        let (_, teams) = body(WebhookKind::Teams, "https://x/y");
        assert!(teams.to_string().len() < 28 << 10);
        let (_, ntfy) = body(WebhookKind::Ntfy, "https://x/y");
        assert!(ntfy["message"].as_str().unwrap().len() <= 4096);
    }

    #[test]
    fn ntfy_is_published_to_the_root() {
        let (url, body) = body(WebhookKind::Ntfy, "https://ntfy.example.org/sub/my-topic");
        assert_eq!(url.as_str(), "https://ntfy.example.org/sub");
        assert_eq!(body["topic"], "my-topic");
        assert_eq!(body["priority"], 5);
    }
}
