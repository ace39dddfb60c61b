//! Passwords, tokens and webhook addresses: where they come from, and that they are never shown.

use crate::error::{Context, Error, Kind, Result};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Something that must not be seen; shows itself as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Guards `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for whom it is meant.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The credential `name` that systemd put into `directory`, if it is there. systemd guards it,
    /// partly by an ACL, which looks like a mode of 0440.
    ///
    /// # Errors
    /// It is there and can't be read.
    pub fn credential(directory: &Path, name: &str) -> Result<Option<Self>> {
        let path = directory.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self::new(text.trim_end_matches(['\r', '\n'])))),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(cause).context(|| format!("cannot read the credential '{name}'")),
        }
    }

    /// The first line of the file at `path`, which nobody else may read.
    ///
    /// # Errors
    /// It can't be read, or others can.
    pub fn file(path: &Path) -> Result<Self> {
        let what = || format!("cannot read '{}'", path.display());
        let mode = fs::metadata(path).context(what)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "'{}' holds a secret, and its mode is {mode:04o}",
                    path.display()
                ),
            )
            .with_hint(format!("chmod 0600 '{}'", path.display())));
        }
        let text = fs::read_to_string(path).context(what)?;
        Ok(Self::new(text.lines().next().unwrap_or_default()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        fs::write(&path, "pw\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(Secret::file(&path).unwrap_err().kind(), Kind::Config);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Secret::file(&path).unwrap().expose(), "pw");
        assert_eq!(format!("{:?}", Secret::new("pw")), "***");
    }

    #[test]
    fn a_credential_need_not_be_there() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Secret::credential(directory.path(), "x").unwrap().is_none());
        fs::write(directory.path().join("x"), "pw\n").unwrap();
        let secret = Secret::credential(directory.path(), "x").unwrap();
        assert_eq!(secret.unwrap().expose(), "pw");
    }
}
