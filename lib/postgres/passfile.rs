//! libpq's password file: `host:port:database:user:password`, one a line.
//!
//! libpq passes over a file that others may read, with no more than a line on stderr; the failure
//! that follows ("no password supplied") then sends people to the wrong place. So the reason is
//! kept and told with the refusal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a password file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Password {
    /// This.
    Found(String),
    /// Nothing that fits.
    Unknown,
    /// It can't be used, for this reason.
    Unusable(String),
}

/// Looks up the password for `wanted`: host, port, database and user.
pub(super) fn look_up(path: &Path, must_be_private: bool, wanted: [&str; 4]) -> Password {
    let Ok(metadata) = fs::metadata(path) else {
        return Password::Unknown;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if must_be_private && metadata.is_file() && mode & 0o077 != 0 {
        return Password::Unusable(format!(
            "The password file '{0}' was passed over because its mode is {mode:04o}: chmod 0600 '{0}'.",
            path.display()
        ));
    }
    match fs::read_to_string(path) {
        Ok(text) => text
            .lines()
            .find_map(|line| password_for(line, wanted))
            .map_or(Password::Unknown, Password::Found),
        Err(cause) => Password::Unusable(format!(
            "The password file '{}' can't be read: {cause}.",
            path.display()
        )),
    }
}

/// The password on this line, if it is meant for `wanted`.
fn password_for(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for value in wanted {
        let (field, after) = split_field(rest)?;
        if field != "*" && unescaped(field) != value {
            return None;
        }
        rest = after;
    }
    let (password, _) = split_field(rest).unwrap_or((rest, ""));
    Some(unescaped(password))
}

/// Splits at the first colon that no backslash stands before.
fn split_field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let at = text.bytes().position(|byte| {
        let ends = byte == b':' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((&text[..at], &text[at + 1..]))
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.extend(if char == '\\' {
            chars.next()
        } else {
            Some(char)
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_wins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        let text = "#h:1:d:u:comment\nh:2:d:u:wrong port\nh:1:d\\:1:u:p\\:a\\\\ss\n*:*:*:u:any\n";
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let of = |wanted| look_up(&path, true, wanted);
        assert_eq!(
            of(["h", "1", "d:1", "u"]),
            Password::Found("p:a\\ss".into())
        );
        assert_eq!(of(["h", "1", "d", "u"]), Password::Found("any".into()));
        assert_eq!(of(["h", "1", "d", "v"]), Password::Unknown);
    }

    #[test]
    fn a_file_that_others_may_read_is_passed_over_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let wanted = ["h", "1", "d", "u"];
        assert!(
            matches!(look_up(&path, true, wanted), Password::Unusable(why) if why.contains("0640"))
        );
        assert_eq!(
            look_up(&path, false, wanted),
            Password::Found("secret".into())
        );
    }
}
