//! The marker: a little file of `NAME=value` lines, which a shell can source, that says to which backups
//! a deployment can return. Written whole or not at all, and only when these are verified.

use super::Request;
use crate::catalog::Backup;
use crate::error::{Context, Error, Kind, Result};
use jiff::Timestamp;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The application.
    pub app: String,
    /// When the backup was begun.
    pub time: Timestamp,
    /// Where its backups are, in the order in which they come back.
    pub files: Vec<PathBuf>,
    /// The text.
    text: String,
}

impl Marker {
    /// The marker of what a request has made.
    pub fn new(request: &Request, store: &Path, backups: &[Backup]) -> Self {
        let app = request.application.name().to_owned();
        let time = request.since;
        let mut lines = vec![
            ("DEPLOYMENT_TIMESTAMP".to_owned(), time.to_string()),
            ("BACKUP_APP".to_owned(), app.clone()),
            ("BACKUP_DIR".to_owned(), store.display().to_string()),
        ];
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        for backup in backups {
            let number = numbers.entry(&backup.name.kind).or_default();
            *number += 1;
            let kind = backup.name.kind.to_ascii_uppercase().replace('-', "_");
            let end = match number {
                1 => String::new(),
                number => format!("_{number}"),
            };
            lines.push((
                format!("{kind}_BACKUP_FILE{end}"),
                backup.path.display().to_string(),
            ));
        }
        lines.push(("REASON".to_owned(), request.reason.clone()));
        if let Some(git) = &request.git {
            lines.push(("GIT_COMMIT".to_owned(), git.commit.clone()));
            lines.push(("GIT_BRANCH".to_owned(), git.branch.clone()));
        }
        let mut text = String::new();
        for (name, value) in lines {
            text.push_str(&format!("{name}={}\n", quoted(&value)));
        }
        Self {
            app,
            time,
            files: backups.iter().map(|backup| backup.path.clone()).collect(),
            text,
        }
    }

    /// Writes it, in place of an older one.
    ///
    /// # Errors
    /// The disk fails; the older one is as it was.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = || format!("cannot write the marker '{}'", path.display());
        let path = std::path::absolute(path).context(failed)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::Builder::new()
            .prefix(".marker-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)
            .context(failed)?;
        file.write_all(self.text.as_bytes()).context(failed)?;
        file.as_file().sync_all().context(failed)?;
        file.persist(&path)
            .map_err(|error| error.error)
            .context(failed)?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .context(failed)
    }

    /// Reads one.
    ///
    /// # Errors
    /// It can't be read, or is no marker.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .context(|| format!("cannot read the marker '{}'", path.display()))?;
        let wrong = |what: &str| {
            Error::new(
                Kind::Usage,
                format!("'{}' is no marker: {what}", path.display()),
            )
            .with_hint("sg-backup --marker writes one.")
        };
        let mut app = None;
        let mut time = None;
        let mut files = Vec::new();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value = plain(value.trim());
            let is_file = name
                .split_once("_BACKUP_FILE")
                .is_some_and(|(_, end)| end.is_empty() || end.starts_with('_'));
            match name.trim() {
                "BACKUP_APP" => app = Some(value),
                "DEPLOYMENT_TIMESTAMP" => time = value.parse().ok(),
                _ if is_file => files.push(PathBuf::from(value)),
                _ => {}
            }
        }
        if files.is_empty() {
            return Err(wrong("it names no backup"));
        }
        Ok(Self {
            app: app.ok_or_else(|| wrong("it does not name the application"))?,
            time: time.ok_or_else(|| wrong("it does not say of when it is"))?,
            files,
            text,
        })
    }
}

/// A value as a shell takes it.
fn quoted(value: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if value.chars().all(harmless) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// The value that [`quoted`] was given.
fn plain(text: &str) -> String {
    match text
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
    {
        Some(inner) => inner.replace(r"'\''", "'"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_shell_and_come_back() {
        for value in [
            "",
            "a b",
            "it's",
            "$HOME `id`; rm",
            "ü",
            "/srv/x-1.tar.gz",
            "'",
        ] {
            let text = quoted(value);
            assert_eq!(plain(&text), value);
            let said = std::process::Command::new("sh")
                .args(["-c", &format!("X={text}; printf %s \"$X\"")])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&said.stdout), value, "{text}");
        }
    }
}
