//! How programs end: one list of exit statuses for all of them, from sysexits(3), so that
//! `systemctl status` names them.

use crate::error::Kind;
use std::process::ExitCode;

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// It failed, for a reason that no other status names.
    Failed = 1,
    /// The program was called wrongly.
    Usage = 2,
    /// It was done, but something was noticed that needs a look.
    Findings = 3,
    /// Data is damaged.
    Damaged = 65,
    /// A server is unreachable.
    Unavailable = 69,
    /// The output can't be created.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// Another run is at it; try later.
    Locked = 75,
    /// A right is missing.
    Permission = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl Exit {
    /// All of them, with what the man pages say.
    pub const TABLE: [(Self, &'static str); 11] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "wrong usage"),
        (Self::Findings, "done, with findings"),
        (Self::Damaged, "damaged data"),
        (Self::Unavailable, "a server is unreachable"),
        (Self::CannotCreate, "can't create the output"),
        (Self::Io, "reading or writing failed"),
        (Self::Locked, "locked by another run: try later"),
        (Self::Permission, "not permitted"),
        (Self::Config, "wrong configuration"),
    ];
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::Failed,
            Kind::Usage => Self::Usage,
            Kind::Damaged => Self::Damaged,
            Kind::Unavailable => Self::Unavailable,
            Kind::CannotCreate => Self::CannotCreate,
            Kind::Io => Self::Io,
            Kind::Locked => Self::Locked,
            Kind::Permission => Self::Permission,
            Kind::Config => Self::Config,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
