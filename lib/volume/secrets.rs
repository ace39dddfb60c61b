//! Which files of a configuration hold secrets. They are left out of its archive as a whole, because a
//! file with holes in it restores to a broken one, and because a plain tar must never hold a secret that
//! nobody meant to put there; of each the manifest tells where it was, whose it was, and which names it
//! gave values to.
//!
//! A file holds secrets if
//! - it is closed to the world: its owner says so, whatever is inside;
//! - it is called like one: `.env`, `*.env`, `*.key`, `id_ed25519`, `.pgpass`, …;
//! - it has something in it that looks like one: a private key, a password in a URL, a value for a name
//!   like `DB_PASSWORD` or `api_key` that is not merely a reference to one (`${DB_PASSWORD}`, a path).
//!
//! Not so a closed file that gives values to nothing but settings of this toolkit and of PostgreSQL's
//! clients, unless one of these looks like a secret: `/etc/sg/*.conf` come along.

use super::findings::Findings;
use super::names::Names;
use super::walk::{self, Exclude, Found};
use crate::error::{Context, Result};
use crate::manifest::content::Withheld;
use crate::monitor::{Monitor, Note, Severity, Silent};
use regex_lite::Regex;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// So much of a file is looked at; what is longer is no configuration, and its end might hold anything.
const LOOK: u64 = 4 << 20;

/// How files of secrets are called.
const CALLED: &str = r"(?x) ^(?:
    .*\.(?:key|p12|pfx|jks|keystore|keytab|kdbx|gpg|age|pgpass|cred)
  | id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)? | ssh_host_.*_key
  | \.pgpass | \.netrc | \.my\.cnf | \.htpasswd | \.git-credentials | shadow-? | gshadow-?
  | .*(?:password|passwd|secret|credential)s?(?:\.(?:txt|json|ya?ml|toml|ini|conf))?
)$";

/// Names of secrets; what ends so names where one is instead.
const NAMES: &str = r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api_?key|access_?key|private_?key|secret_?key|encryption_?key|credential|webhook_?url|dsn)";
const ELSEWHERE: &str = r"(?i)(?:_file|_path|_dir|_name|_user|_expiry|_ttl|_length|_id|_url_file)$|^(?:load|import)credential";

static CALLED_SO: LazyLock<Regex> = LazyLock::new(|| compiled(CALLED));
static IS_ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| compiled(ELSEWHERE));
static PRIVATE_KEY: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----"));
/// scheme://user:password@host
static IN_URL: LazyLock<Regex> =
    LazyLock::new(|| compiled(r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:'"]*:([^\s'"@]+)@"#));
/// `NAME=value`, `name: value`, `"name": "value"`, `Environment=NAME=value`, `- NAME=value`.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!(
        r#"(?im)(?:^|[\s"',;=\[{{(-])([a-z0-9_.-]*{NAMES}[a-z0-9_-]*)["']?[ \t]*[:=][ \t]*([^\r\n]*)"#
    ))
});
static ASSIGNMENT: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*="));

#[allow(
    clippy::expect_used,
    reason = "the patterns are constant, and each is tried by a test"
)]
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// The files below `roots` that hold secrets, each also told to `monitor`.
///
/// # Errors
/// A root is missing, or one lies within another.
pub fn withhold(
    roots: &[PathBuf],
    exclude: &Exclude,
    one_file_system: bool,
    monitor: &dyn Monitor,
) -> Result<Vec<Withheld>> {
    let roots = walk::roots(roots, true)?;
    let mut names = Names::default();
    let mut withheld = Vec::new();
    // What can't be read the archive will tell of.
    let findings = Findings::new(&Silent);
    walk::walk(&roots, exclude, one_file_system, &findings, |found| {
        if let Some(secret) = look(&found)? {
            let message = match secret.as_slice() {
                [] => "holds a secret and is not archived; put it where it can be found again"
                    .to_owned(),
                names => format!(
                    "holds secrets and is not archived, but for their names: {}",
                    names.join(", ")
                ),
            };
            let subject = found.path.display().to_string();
            monitor.note(Note::new(Severity::Info, "withheld", subject, message));
            withheld.push(Withheld {
                mode: format!("{:04o}", found.metadata.mode() & 0o7777),
                owner: owner(&found, &mut names),
                path: found.path,
                names: secret,
            });
        }
        Ok(())
    })?;
    Ok(withheld)
}

fn owner(found: &Found, names: &mut Names) -> String {
    let shown = |name: &[u8], id: u32| match name {
        [] => id.to_string(),
        name => String::from_utf8_lossy(name).into_owned(),
    };
    let (uid, gid) = (found.metadata.uid(), found.metadata.gid());
    let user = shown(names.user(uid), uid);
    let group = shown(names.group(gid), gid);
    format!("{user}:{group}")
}

/// The names that a file of secrets gives values to; `None` if it is none.
fn look(found: &Found) -> Result<Option<Vec<String>>> {
    if !found.metadata.is_file() || found.metadata.len() == 0 {
        return Ok(None);
    }
    let Ok(file) = File::open(&found.path) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let unreadable = || format!("cannot read '{}'", found.path.display());
    file.take(LOOK + 1)
        .read_to_end(&mut bytes)
        .context(unreadable)?;
    let closed = found.metadata.mode() & 0o004 == 0;
    Ok(secrets(&found.path, closed, &bytes))
}

/// The same for a file that is called `path` and holds `bytes`.
fn secrets(path: &Path, closed: bool, bytes: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(bytes);
    let assigned = assigned(&text);
    let looks_so = bytes.len() as u64 > LOOK || shows_secret(&text);
    let ours = assigned
        .as_ref()
        .is_some_and(|names| names.iter().all(|name| is_ours(name)));
    let meant = is_called_so(path) || closed && !ours;
    (looks_so || meant).then(|| {
        assigned.unwrap_or_else(|| {
            // A file of another form: only what is evidently a secret's name.
            let mut names: Vec<String> = values(&text).map(|(name, _)| name.to_owned()).collect();
            names.sort();
            names.dedup();
            names
        })
    })
}

fn is_called_so(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    let example = ["example", "sample", "template", "dist"]
        .iter()
        .any(|word| name.split('.').any(|part| part == *word));
    let environment = name.split('.').any(|part| part == "env") && name.contains('.');
    environment && !example || CALLED_SO.is_match(&name)
}

/// Whether a name is one of this toolkit's settings, or of PostgreSQL's clients'.
fn is_ours(name: &str) -> bool {
    name.starts_with("SG_") || name.starts_with("PG") && name != "PGPASSWORD"
}

/// The names that a text gives values to, if that is all it does.
fn assigned(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for line in text.replace("\\\n", "").lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        names.push(ASSIGNMENT.captures(line)?.get(1)?.as_str().to_owned());
    }
    (!names.is_empty()).then_some(names)
}

/// Whether something in a text looks like a secret.
fn shows_secret(text: &str) -> bool {
    PRIVATE_KEY.is_match(text)
        || IN_URL
            .captures_iter(text)
            .filter_map(|found| found.get(1))
            .any(|password| is_value(password.as_str()))
        || values(text).any(|(_, value)| is_value(value))
}

/// The secrets' names in a text, with what stands behind each.
fn values(text: &str) -> impl Iterator<Item = (&str, &str)> {
    VALUE.captures_iter(text).filter_map(|found| {
        let name = found.get(1)?.as_str();
        let value = found.get(2)?.as_str();
        // A switch, and what the shipped settings say of it.
        let elsewhere = IS_ELSEWHERE.is_match(name) || name == "SG_CONFIG_SECRETS";
        (!elsewhere).then_some((name, value))
    })
}

/// Whether this is a value, and not nothing, a reference to one, or a path to it.
fn is_value(text: &str) -> bool {
    let text = text.trim_start_matches(['"', '\'']).trim_end();
    let text = text.trim_end_matches([',', '"', '\'', ';']);
    let word = text.to_ascii_lowercase();
    let nothing = matches!(
        word.as_str(),
        "" | "null" | "~" | "none" | "yes" | "no" | "true" | "false" | "***" | "{" | "["
    );
    // ${NAME:-value} carries one.
    let reference = text.starts_with(['$', '%']) && !text.contains(":-") && !text.contains("-}");
    let elsewhere = text.starts_with('/') || text.starts_with("./") || text.contains(":/etc/");
    !(nothing || reference || elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, closed: bool, text: &str) -> Option<Vec<String>> {
        secrets(Path::new(path), closed, text.as_bytes())
    }

    #[test]
    fn secrets_are_left_out_wherever_they_are() {
        for (path, closed, text) in [
            ("/srv/shop/.env", false, "PORT=3000\n"),
            ("/srv/shop/.env.production", false, "PORT=3000\n"),
            ("/srv/shop/shop.env", false, "PORT=3000\n"),
            ("/etc/sg/webhook-url", true, "https://hooks.example.org/x\n"),
            ("/etc/sg/shop.pgpass", false, "*:*:*:*:x\n"),
            (
                "/etc/sg/sg.conf",
                true,
                "SG_SMTP_URL=smtp://u:hunter2@mail\n",
            ),
            ("/etc/sg/sg.conf", true, "SG_SMTP_PASSWORD=hunter2\n"),
            (
                "/etc/sg/sg.conf",
                true,
                "SG_ALERT_WEBHOOK_URL=https://x/y\n",
            ),
            ("/etc/sg/shop.conf", true, "PGPASSWORD=hunter2\n"),
            (
                "/etc/sg/shop.conf",
                true,
                "SG_DATABASE=shop\nSTRIPE=hunter2\n",
            ),
            (
                "/etc/ssl/shop.pem",
                false,
                "-----BEGIN RSA PRIVATE KEY-----\nx\n",
            ),
            ("/etc/ssl/shop.key", false, "x"),
            ("/root/.ssh/id_ed25519", false, "x"),
            (
                "/srv/compose.yaml",
                false,
                "environment:\n  POSTGRES_PASSWORD: hunter2\n",
            ),
            (
                "/srv/compose.yaml",
                false,
                "environment:\n  - POSTGRES_PASSWORD=hunter2\n",
            ),
            (
                "/srv/compose.yaml",
                false,
                "x: ${DB_PASSWORD:-1}\nDB_PASSWORD: ${DB_PASSWORD:-hunter2}\n",
            ),
            (
                "/etc/shop.service",
                false,
                "[Service]\nEnvironment=API_KEY=hunter2\n",
            ),
            (
                "/etc/shop.service",
                false,
                "[Service]\nEnvironment=\"A=b\" \"API_KEY=hunter2\"\n",
            ),
            (
                "/etc/shop.json",
                false,
                "{\"a\": 1, \"clientSecret\": \"hunter2\"}",
            ),
            ("/etc/shop.ini", false, "[db]\npassword = hunter2\n"),
            (
                "/etc/shop.toml",
                false,
                "url = 'postgres://shop:hunter2@db/shop'\n",
            ),
            (
                "/etc/shop.service",
                false,
                "[Service]\nSetCredential=token:hunter2\n",
            ),
        ] {
            assert!(found(path, closed, text).is_some(), "{path}: {text}");
        }
    }

    #[test]
    fn what_is_no_secret_comes_along() {
        for (path, closed, text) in [
            (
                "/etc/sg/sg.conf",
                true,
                include_str!("../../packaging/conf/sg.conf"),
            ),
            (
                "/etc/sg/shop.conf",
                true,
                include_str!("../../packaging/examples/app.conf"),
            ),
            ("/srv/shop/.env.example", false, "PORT=3000\nDB_PASSWORD=\n"),
            (
                "/etc/sg/shop.conf",
                true,
                "# mine\nSG_DATABASE=shop\nPGHOST=db\n",
            ),
            (
                "/etc/sg/sg.conf",
                true,
                "SG_SMTP_PASSWORD_FILE=/etc/sg/smtp\nSG_SMTP_URL=smtp://u@mail\n",
            ),
            (
                "/srv/compose.yaml",
                false,
                "environment:\n  POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}\n",
            ),
            (
                "/srv/compose.yaml",
                false,
                "environment:\n  - POSTGRES_PASSWORD\n",
            ),
            (
                "/etc/shop.service",
                false,
                "[Service]\nLoadCredential=token:/etc/shop/token\n",
            ),
            (
                "/etc/shop.service",
                false,
                "[Service]\nEnvironmentFile=/srv/shop/.env\nExecStart=/usr/bin/shop --port 1\n",
            ),
            (
                "/etc/ssl/shop.pem",
                false,
                "-----BEGIN CERTIFICATE-----\nx\n",
            ),
            ("/etc/environment", false, "PATH=/bin\n"),
            ("/etc/shop.ini", false, "password_file = secrets/db\n"),
        ] {
            assert_eq!(found(path, closed, text), None, "{path}: {text}");
        }
    }

    #[test]
    fn the_names_are_told_and_never_a_value() {
        let names = found(
            "/srv/.env",
            true,
            "# old: A=1\nexport DB_PASSWORD='hunter2'\nPORT=1\n",
        );
        assert_eq!(names.unwrap(), ["DB_PASSWORD", "PORT"]);
        let text = "db:\n  password: hunter2\n  host: x\n";
        assert_eq!(found("/srv/c.yaml", false, text).unwrap(), ["password"]);
        assert!(found("/srv/raw.key", true, "hunter2").unwrap().is_empty());
    }
}
