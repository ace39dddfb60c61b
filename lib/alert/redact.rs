//! Takes secrets out of text before it leaves the host.
//!
//! A journal holds what programs were careless enough to say: a DSN with its password, the statement
//! that set one, an environment. What goes into a mail or a chat stays there for ever, so a rule here
//! rather takes one word too many than leaves one.

use super::secret::Secret;
use regex_lite::Regex;
use std::sync::LazyLock;

const GONE: &str = "***";
/// A shorter secret would turn up by chance in every other line.
const SHORTEST: usize = 4;

/// Words that make a name the name of a secret.
const NAMES: &str = r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|signature)";
const QUOTED: &str = r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.|'')*'"#;

/// Patterns, and what stays of what they match.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (
            r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)".to_owned(),
            GONE,
        ),
        // scheme://user:password@host; a password may hold what belongs percent-encoded.
        (
            r#"([A-Za-z][A-Za-z0-9+.-]*://[^\s/@:'"]*):[^\s'"]*@"#.to_owned(),
            "$1:***@",
        ),
        // Webhooks: who knows the address may write there.
        (
            r#"(https?://(?:hooks\.slack(?:-gov)?\.com|(?:[a-z]+\.)?discord(?:app)?\.com/api|[^\s/'"]+\.webhook\.office\.com|[^\s/'"]+\.logic\.azure\.com(?::\d+)?|[^\s/'"]+\.api\.powerplatform\.com(?::\d+)?|ntfy\.sh)/)[^\s'"<>]+"#.to_owned(),
            "$1***",
        ),
        (
            r"(?i)((?:proxy-)?authorization['\x22]?\s*[:=]\s*)[^\r\n]+".to_owned(),
            "$1***",
        ),
        (r"(?i)(\bbearer\s+)[A-Za-z0-9+/=._~-]{8,}".to_owned(), "$1***"),
        (r"([?&](?:sig|key|auth|code)=)[^\s&'\x22]+".to_owned(), "$1***"),
        // NAME=value, "name": "value", name: value at the end of a line.
        (
            format!(r#"(?i)([a-z0-9_.-]*{NAMES}[a-z0-9_-]*["']?\s*=\s*)(?:{QUOTED}|[^\s,;&'"]+)"#),
            "$1***",
        ),
        (
            format!(r#"(?i)(["'][a-z0-9_.-]*{NAMES}[a-z0-9_-]*["']\s*:\s*)(?:{QUOTED}|[^\s,\}}]+)"#),
            "$1***",
        ),
        (format!(r"(?im)(\b{NAMES}\s*:\s*)\S+[ \t]*$"), "$1***"),
        // ALTER ROLE x PASSWORD 'y', --password y.
        (format!(r"(?i)(\bpassword\s+)(?:{QUOTED})"), "$1***"),
        (format!(r"(?i)(--[a-z-]*{NAMES}[a-z-]*\s+)[^\s-]\S*"), "$1***"),
    ]
    .into_iter()
    .map(|(pattern, stays)| (compiled(&pattern), stays))
    .collect()
});

#[allow(
    clippy::expect_used,
    reason = "the patterns are constant, and each is tried by a test"
)]
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Takes out what looks like a secret, and the secrets that are known.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    known: Vec<Secret>,
}

impl Redactor {
    /// Knows these secrets by heart.
    pub fn new(known: impl IntoIterator<Item = Secret>) -> Self {
        Self {
            known: known
                .into_iter()
                .filter(|secret| secret.expose().len() >= SHORTEST)
                .collect(),
        }
    }

    /// `text` without secrets.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.known {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), GONE);
            }
        }
        for (pattern, stays) in RULES.iter() {
            if pattern.is_match(&text) {
                text = pattern.replace_all(&text, *stays).into_owned();
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_gets_through() {
        let redactor = Redactor::new([Secret::new("hunter2 in a sentence")]);
        for line in [
            "connecting to postgres://sg:hunter2@db/shop",
            "connecting to postgresql://sg:p/hunter2@x@db:5432/shop?sslmode=require",
            "amqp://:hunter2@mq",
            "host=db user=sg password=hunter2 dbname=shop",
            r"host=db password='a \'hunter2' dbname=shop",
            "PGPASSWORD=hunter2 pg_dump shop",
            "env: SG_SMTP_PASSWORD=\"hunter2\"",
            "AWS_SECRET_ACCESS_KEY=hunter2/x+y",
            r#"{"user":"sg","password":"hunter2"}"#,
            r#"{'api_key': 'hunter2'}"#,
            "password: hunter2",
            "ALTER ROLE sg PASSWORD 'hunter2';",
            "curl -H 'Authorization: Bearer hunter2hunter2' x",
            "Authorization: Basic hunter2",
            "token bearer hunter2hunter2",
            "redis-cli --pass-file x --auth-token hunter2",
            "mysql --password hunter2",
            "POST https://hooks.slack.com/services/T0/B0/hunter2",
            "POST https://discord.com/api/webhooks/1/hunter2",
            "https://x.webhook.office.com/webhookb2/hunter2@x/IncomingWebhook/1",
            "https://prod-1.westeurope.logic.azure.com:443/workflows/1/triggers/manual?sig=hunter2",
            "https://ntfy.sh/hunter2-topic",
            "https://blob/x?sv=1&sig=hunter2&x=y",
            "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nhunter2 and then it was cut",
            "somebody said hunter2 in a sentence",
        ] {
            let clean = redactor.clean(line);
            assert!(!clean.contains("hunter2"), "{line} -> {clean}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let redactor = Redactor::new([Secret::new("x")]);
        for line in [
            "cannot connect to 'shop' on /run/postgresql: No such file or directory",
            "password authentication failed for user \"sg-backup\"",
            "cannot read the password file '/root/.pgpass': permission denied",
            "fe_sendauth: no password supplied",
            "https://example.org/path?x=1",
            "postgres://sg@db:5432/shop",
            "12:30:01 done: 3 tables",
        ] {
            assert_eq!(redactor.clean(line), line);
        }
    }

    #[test]
    fn what_stands_around_a_secret_stays() {
        let redactor = Redactor::default();
        assert_eq!(
            redactor.clean("cannot reach postgres://sg:pw@db/shop: refused"),
            "cannot reach postgres://sg:***@db/shop: refused"
        );
        assert_eq!(
            redactor.clean("host=a password=b port=1"),
            "host=a password=*** port=1"
        );
    }
}
