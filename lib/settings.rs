//! What is set for each application, as its units get it: `sg.conf`, and over it `APP.conf`.
//!
//! The form is that of systemd's `EnvironmentFile=`, and it is read as systemd reads it, character by
//! character (`parse_env_file` in its sources): who quotes a path there must not get another one here.

use crate::error::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The file with what holds for all applications.
const GENERAL: &str = "sg.conf";

/// What the files say, by the variables' names.
pub type Variables = BTreeMap<String, String>;

/// What is set for one application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Variables);

impl Settings {
    /// The settings of `app`, by the files in `directory`; without an application those of all. What is
    /// in `environment` outweighs `sg.conf`, as the environment of a unit would, but not `APP.conf`.
    ///
    /// # Errors
    /// A file is there and can't be read.
    pub fn read(directory: &Path, app: Option<&str>, environment: &Variables) -> Result<Self> {
        let mut variables = read(&directory.join(GENERAL))?;
        variables.extend(environment.clone());
        let is_file_name =
            |app: &&str| !app.is_empty() && !app.contains('/') && !app.starts_with('.');
        if let Some(app) = app.filter(is_file_name) {
            variables.extend(read(&directory.join(format!("{app}.conf")))?);
        }
        Ok(Self(variables))
    }

    /// Everything that is set, also what is set to nothing.
    pub fn variables(&self) -> &Variables {
        &self.0
    }

    /// The value of a variable; an empty one counts for nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// Whether a switch is on: by anything but these.
    pub fn is_on(&self, name: &str) -> bool {
        let off = ["n", "no", "f", "false", "off", "0"];
        let value = self.get(name).map(str::to_lowercase);
        value.is_some_and(|value| !off.contains(&value.as_str()))
    }
}

/// The applications that have settings in `directory`, sorted; none if there is no such directory.
///
/// # Errors
/// It can't be read.
pub fn applications(directory: &Path) -> Result<Vec<String>> {
    let what = || format!("cannot read '{}'", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.context(what)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry.context(what)?.file_name();
        let name = file.to_str().filter(|name| *name != GENERAL);
        let app = name.and_then(|name| name.strip_suffix(".conf"));
        names.extend(app.filter(|app| !app.starts_with('.')).map(str::to_owned));
    }
    names.retain(|name| !name.is_empty());
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<Variables> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Variables::new()),
        Err(cause) => Err(cause).context(|| format!("cannot read '{}'", path.display())),
    }
}

/// Where in a file the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Key,
    /// After the `=`, and after a closing quote: blanks don't count here.
    ValueStart,
    Value,
    ValueEscape,
    Single,
    Double,
    DoubleEscape,
    Comment,
    CommentEscape,
}

/// Reads what systemd calls an `EnvironmentFile=`. What is no assignment is passed over.
pub fn parse(text: &str) -> Variables {
    let mut found = Variables::new();
    let (mut key, mut value) = (String::new(), String::new());
    // The value's length without the blanks at its end, which only quotes or a backslash keep.
    let mut kept = 0;
    let mut at = At::LineStart;
    for c in text.chars() {
        let is_end = c == '\n' || c == '\r';
        let is_blank = is_end || c == ' ' || c == '\t';
        at = match at {
            At::LineStart if c == '#' || c == ';' => At::Comment,
            At::LineStart if is_blank => At::LineStart,
            At::LineStart => {
                key.clear();
                key.push(c);
                At::Key
            }
            At::Key if is_end => At::LineStart,
            At::Key if c == '=' => {
                value.clear();
                kept = 0;
                At::ValueStart
            }
            At::Key => {
                key.push(c);
                At::Key
            }
            At::ValueStart | At::Value if is_end => {
                value.truncate(kept);
                add(&mut found, &key, &value);
                At::LineStart
            }
            At::ValueStart if c == '\'' => At::Single,
            At::ValueStart if c == '"' => At::Double,
            At::ValueStart if is_blank => At::ValueStart,
            At::ValueStart | At::Value if c == '\\' => At::ValueEscape,
            At::ValueStart | At::Value => {
                value.push(c);
                if !is_blank {
                    kept = value.len();
                }
                At::Value
            }
            At::ValueEscape => {
                if !is_end {
                    value.push(c);
                    kept = value.len();
                }
                At::Value
            }
            At::Single if c == '\'' => At::ValueStart,
            At::Double if c == '"' => At::ValueStart,
            At::Double if c == '\\' => At::DoubleEscape,
            At::Single | At::Double => {
                value.push(c);
                kept = value.len();
                at
            }
            At::DoubleEscape => {
                if !"\"\\`$\n".contains(c) {
                    value.push('\\');
                }
                if c != '\n' {
                    value.push(c);
                }
                kept = value.len();
                At::Double
            }
            At::Comment if c == '\\' => At::CommentEscape,
            At::Comment if is_end => At::LineStart,
            At::Comment | At::CommentEscape => At::Comment,
        };
    }
    if !matches!(
        at,
        At::LineStart | At::Key | At::Comment | At::CommentEscape
    ) {
        value.truncate(kept);
        add(&mut found, &key, &value);
    }
    found
}

fn add(found: &mut Variables, key: &str, value: &str) {
    let key = key.trim_end_matches([' ', '\t']);
    let mut letters = key.chars();
    let is_name = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if is_name {
        found.insert(key.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_systemd_reads_it() {
        for (text, expected) in [
            ("SG_A=plain", "plain"),
            (" SG_A = a b  \n", "a b"),
            ("SG_A=\n", ""),
            ("SG_A=", ""),
            ("SG_A='c # d ' \n", "c # d "),
            ("SG_A=\"e \\\" f\"\n", "e \" f"),
            // In double quotes a backslash guards only what a shell would look at.
            (r#"SG_A="C:\dir \$HOME \\ \`""#, r"C:\dir $HOME \ `"),
            (r"SG_A='a\b'", r"a\b"),
            (r"SG_A=a\ b\\c", r"a b\c"),
            ("SG_A=g\\\nh\n", "gh"),
            ("SG_A=\"two\nlines\"\n", "two\nlines"),
            ("SG_A=\"on \\\nand on\"\n", "on and on"),
            // Quotes end, and what follows is more of the same value.
            ("SG_A=\"a\" 'b'c\n", "abc"),
            ("SG_A=it's\n", "it's"),
            ("SG_A=a # no comment\n", "a # no comment"),
            ("SG_A='a' \\ \n", "a "),
            ("SG_A=a=b\n", "a=b"),
            ("SG_A=1\nSG_A=2\r\n", "2"),
            ("SG_A='never closed", "never closed"),
            ("# SG_A=no\n; SG_A=no\nnonsense\nSG_A=yes", "yes"),
            // A comment's backslash takes the next line along, as systemd has it up to 253.
            ("SG_A=yes\n# a \\\nSG_A=no\n", "yes"),
        ] {
            let found = parse(text);
            assert_eq!(
                found.get("SG_A").map(String::as_str),
                Some(expected),
                "{text:?}"
            );
            assert_eq!(found.len(), 1, "{text:?}");
        }
        for text in [
            "",
            "nonsense",
            "1A=b",
            "export SG_A=b",
            "A B=c",
            "=x",
            "#A=b",
        ] {
            assert_eq!(parse(text), Variables::new(), "{text:?}");
        }
    }

    #[test]
    fn an_application_outweighs_what_holds_for_all() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(directory.path().join(file), text).unwrap();
        write(
            "sg.conf",
            "SG_RPO=24h\nSG_KEEP_MONTHLY=12\nSG_ALL=no\nSG_GLOBALS=yes\n",
        );
        write("shop.conf", "SG_RPO=4h\nSG_KEEP_MONTHLY=\n");
        write("press.conf", "");
        write(".hidden.conf", "");
        write("shop.pgpass", "");
        let at = directory.path();
        assert_eq!(applications(at).unwrap(), ["press", "shop"]);
        assert_eq!(
            applications(&at.join("none")).unwrap(),
            Vec::<String>::new()
        );
        let none = Variables::new();
        let shop = Settings::read(at, Some("shop"), &none).unwrap();
        assert_eq!(shop.get("SG_RPO"), Some("4h"));
        assert_eq!(shop.get("SG_KEEP_MONTHLY"), None);
        assert!(shop.is_on("SG_GLOBALS") && !shop.is_on("SG_ALL"));
        let environment = Variables::from([("SG_RPO".to_owned(), "8h".to_owned())]);
        for (app, rpo) in [
            (Some("shop"), "4h"),
            (Some("press"), "8h"),
            (None, "8h"),
            (Some("../shop"), "8h"),
        ] {
            let settings = Settings::read(at, app, &environment).unwrap();
            assert_eq!(settings.get("SG_RPO"), Some(rpo), "{app:?}");
        }
        assert_eq!(
            Settings::read(at, None, &none).unwrap().get("SG_RPO"),
            Some("24h")
        );
    }
}
