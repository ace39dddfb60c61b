//! Settings of one application, from where the command line and the environment don't reach.
//!
//! systemd starts every alert with the same environment, but each application may have addresses of its
//! own in `/etc/sg/APP.conf`. What stands there is put before the command line, and so wins over the
//! environment; what stands in `sg.conf` fills in what is set nowhere else.

use super::args::Args;
use clap::CommandFactory;
use sg::program;
use sg::{Context, Error, Kind, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Settings that mean "not here" when they are empty.
const MAY_BE_EMPTY: [&str; 5] = [
    "SG_ALERT_TO",
    "SG_ESCALATE_TO",
    "SG_SMTP_URL",
    "SG_SMTP_HOST",
    "SG_SENDMAIL",
];

/// Everything that is set for one application.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) args: Args,
    files: BTreeMap<String, String>,
}

impl Settings {
    /// The settings for `app`, or those for all, from the files in `directory` and everywhere else.
    ///
    /// # Errors
    /// A file is there and can't be read, or holds something that is no setting's value.
    pub(crate) fn load(directory: &Path, app: Option<&str>) -> Result<Self> {
        let general = read(&directory.join("sg.conf"))?;
        let own = match app.filter(|app| !app.contains('/') && !app.starts_with('.')) {
            Some(app) => read(&directory.join(format!("{app}.conf")))?,
            None => BTreeMap::new(),
        };
        let mut files: BTreeMap<String, String> = general
            .into_iter()
            .filter(|(name, _)| std::env::var_os(name).is_none())
            .collect();
        files.extend(own);
        let mut line = std::env::args_os();
        let mut whole: Vec<OsString> = line.next().into_iter().collect();
        for argument in Args::command().get_arguments() {
            let name = argument.get_env().and_then(|name| name.to_str());
            let value = name.and_then(|name| {
                files
                    .get(name)
                    .filter(|value| !value.is_empty() || MAY_BE_EMPTY.contains(&name))
            });
            if let (Some(long), Some(value), true) = (
                argument.get_long(),
                value,
                argument.get_action().takes_values(),
            ) {
                whole.push(format!("--{long}={value}").into());
            }
        }
        whole.extend(line);
        let args = program::parse_from::<Args>(whole).map_err(|cause| {
            let reason = cause.to_string();
            let reason = reason.lines().next().unwrap_or_default();
            Error::new(
                Kind::Config,
                format!(
                    "a setting is wrong: {}",
                    reason.trim_start_matches("error: ")
                ),
            )
            .with_hint(format!("Look into the files in '{}'.", directory.display()))
        })?;
        Ok(Self { args, files })
    }

    /// A setting that is no option since options are seen by everybody.
    pub(crate) fn hidden(&self, name: &str) -> Option<String> {
        self.files
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
            .filter(|value| !value.trim().is_empty())
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(cause) => Err(cause).context(|| format!("cannot read '{}'", path.display())),
    }
}

/// Reads what systemd calls an `EnvironmentFile=`, by systemd.exec(5).
fn parse(text: &str) -> BTreeMap<String, String> {
    let joined = text.replace("\\\n", "");
    joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim())))
        .collect()
}

/// Takes off quotes; within double ones a backslash guards the next character.
fn unquoted(value: &str) -> String {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(inner) = inner('\'') {
        return inner.to_owned();
    }
    let Some(inner) = inner('"') else {
        return value.to_owned();
    };
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_systemd_reads_it() {
        let found = parse(
            "# SG_A=no\n; SG_A=no\n\nSG_A = a b \nSG_B='c # d'\nSG_C=\"e \\\" f\"\nSG_D=g\\\nh\nSG_E=\nnonsense\n",
        );
        let found: Vec<_> = found
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("SG_A", "a b"),
                ("SG_B", "c # d"),
                ("SG_C", "e \" f"),
                ("SG_D", "gh"),
                ("SG_E", "")
            ]
        );
    }
}
