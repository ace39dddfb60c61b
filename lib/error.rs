//! What went wrong, in the three parts that the person who reads it needs: the thing, the reason,
//! and what to do.
//!
//! One type serves the whole library, because what a program does about a failure depends on its
//! [`Kind`] alone: it chooses the exit status, and nothing else in the code branches on it. The
//! words are lower case and without a full stop, as they end up behind `sg-verify: `; the hint is
//! a whole sentence.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// A library result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of failure that a caller can act upon; each is one exit status of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Something failed that no other kind describes.
    Failed,
    /// The caller asked for something that makes no sense.
    Usage,
    /// The data read is damaged, cut off, or not what it claims to be.
    Damaged,
    /// A server does not answer or hung up.
    Unavailable,
    /// The output can't be created.
    CannotCreate,
    /// Reading or writing failed on the way.
    Io,
    /// Somebody else is at it; the same call may work later.
    Locked,
    /// A right is missing.
    Permission,
    /// The configuration or the environment is wrong.
    Config,
}

/// A failure: the thing and the reason in one line, the cause behind it, and what to do about it.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<Cow<'static, str>>,
}

impl Error {
    /// A failure of `kind`; `message` names the thing and the reason in lower case.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            kind,
            message: message.into(),
            source: None,
            hint: None,
        }))
    }

    /// Damaged data; the most frequent kind in what reads backups.
    pub fn damaged(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Damaged, message)
    }

    /// What a look ahead has found in the way, all of it at once; nothing, if it is empty.
    ///
    /// # Errors
    /// `problems` holds one or more.
    pub fn if_any(problems: &[String]) -> Result<()> {
        let message = match problems {
            [] => return Ok(()),
            [one] => one.clone(),
            all => format!("{} things stand in the way: {}", all.len(), all.join("; ")),
        };
        Err(Self::new(Kind::Config, message))
    }

    /// An I/O failure with its cause; the kind follows from the cause, and so does the hint where
    /// the cause has an evident cure.
    pub fn io(message: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        // A library error that travelled through an `io::Read` or `io::Write` keeps what it knows.
        let source = match source.downcast::<Error>() {
            Ok(own) => return own,
            Err(source) => source,
        };
        let (kind, hint) = match source.kind() {
            io::ErrorKind::PermissionDenied => (Kind::Permission, None),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => (Kind::Damaged, None),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                Kind::Io,
                Some(
                    "Free some space (sg-prune --dry-run shows what may go) or choose another directory.",
                ),
            ),
            io::ErrorKind::BrokenPipe => (
                Kind::Io,
                Some("The program that reads this output ended early; look there for the cause."),
            ),
            _ => (Kind::Io, None),
        };
        let error = Self::new(kind, message).with_source(source);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// The same failure with the cause behind it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same failure with what to do about it, a whole sentence.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    /// The thing and the reason; the causes behind it are told by `source`, as a chain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

impl From<Error> for io::Error {
    /// For the inside of `io::Read` and `io::Write`; [`Error::io`] takes it out again whole.
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

/// Names the thing that an I/O call was about.
pub trait Context<T> {
    /// Turns the failure into an [`Error`] with `what` as its message, e.g. "cannot open 'x'".
    ///
    /// # Errors
    /// The failure itself, named.
    fn context<M: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> M) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context<M: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|source| Error::io(what(), source))
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context<M: Into<Cow<'static, str>>>(self, what: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|errno| Error::io(what(), errno.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_error_survives_the_way_through_io() {
        let inner = Error::damaged("member 3 is cut off").with_hint("Use another backup.");
        let outer = Error::io("cannot read 'x'", io::Error::from(inner));
        assert_eq!(outer.kind(), Kind::Damaged);
        assert_eq!(outer.to_string(), "member 3 is cut off");
        assert_eq!(outer.hint(), Some("Use another backup."));
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = Error::io("cannot write 'x'", io::ErrorKind::StorageFull.into());
        assert_eq!(error.kind(), Kind::Io);
        assert!(error.hint().is_some_and(|hint| hint.contains("space")));
    }
}
