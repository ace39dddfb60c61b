//! Owner, mode, attributes and times back onto a file, in the order in which they don't undo each
//! other: chown drops set-user-id and capabilities, chmod changes what an access control list says.
//!
//! What can't be set is noted and never ends the work. Without root's rights owners are left as they
//! are, as tar does, and so is set-user-id on what then belongs to somebody else.

use super::acl;
use super::entry::{Entry, Time};
use super::extract::as_proc_path;
use super::findings::Findings;
use super::names::Names;
use crate::error::Result;
use crate::monitor::Severity;
use crate::stream::EntryKind;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use xattr::FileExt;

/// What sets attributes.
pub(super) struct Attributes<'a> {
    pub(super) numeric_owner: bool,
    pub(super) findings: &'a Findings<'a>,
    pub(super) names: &'a mut Names,
}

impl Attributes<'_> {
    /// Sets those of an open file or directory.
    pub(super) fn of_file(&mut self, file: &File, entry: &Entry) {
        let owned = self.owner(entry, |uid, gid| fchown(file, Some(uid), Some(gid)));
        self.check(entry, "mode", fchmod(file, mode(entry, owned)));
        self.extended(entry, |name, value| file.set_xattr(name, value));
        let mtime = time(entry.mtime);
        self.check(entry, "time", futimens(file, &TimeSpec::UTIME_OMIT, &mtime));
    }

    /// Sets those of what has the name `name` in `parent` and can't be opened: a link, pipe, device.
    pub(super) fn of_name(&mut self, parent: &OwnedFd, name: &Path, entry: &Entry) {
        let owned = self.owner(entry, |uid, gid| {
            fchownat(
                parent,
                name,
                Some(uid),
                Some(gid),
                AtFlags::AT_SYMLINK_NOFOLLOW,
            )
        });
        if entry.kind != EntryKind::Symlink {
            let flags = FchmodatFlags::FollowSymlink;
            self.check(
                entry,
                "mode",
                fchmodat(parent, name, mode(entry, owned), flags),
            );
        }
        let path = as_proc_path(parent, name);
        self.extended(entry, |name, value| xattr::set(&path, name, value));
        let flags = UtimensatFlags::NoFollowSymlink;
        let set = utimensat(
            parent,
            name,
            &TimeSpec::UTIME_OMIT,
            &time(entry.mtime),
            flags,
        );
        self.check(entry, "time", set);
    }

    /// Sets the owner; tells whether the file belongs to whom it should now.
    fn owner(&mut self, entry: &Entry, set: impl FnOnce(Uid, Gid) -> nix::Result<()>) -> bool {
        let number = |named: Option<u32>, id: u64| match named {
            Some(id) => Ok(id),
            None => u32::try_from(id).map_err(|_| nix::errno::Errno::EINVAL),
        };
        let (user, group) = if self.numeric_owner {
            (None, None)
        } else {
            (self.names.uid(&entry.user), self.names.gid(&entry.group))
        };
        let ids = number(user, entry.uid).and_then(|uid| Ok((uid, number(group, entry.gid)?)));
        let own = (Uid::effective().as_raw(), Gid::effective().as_raw());
        if own.0 != 0 {
            return ids == Ok(own);
        }
        let result = ids.and_then(|(uid, gid)| set(Uid::from_raw(uid), Gid::from_raw(gid)));
        self.check(entry, "owner", result);
        result.is_ok()
    }

    fn extended(&mut self, entry: &Entry, set: impl Fn(&OsStr, &[u8]) -> io::Result<()>) {
        for (name, value) in &entry.xattrs {
            let name = OsStr::from_bytes(name);
            if let Err(cause) = set(name, value) {
                self.lost(entry, &format!("attribute {}", name.display()), &cause);
            }
        }
        for (name, text) in [(acl::ACCESS, &entry.access), (acl::DEFAULT, &entry.default)] {
            let Some(text) = text else { continue };
            let value: Result<Vec<u8>> = acl::from_text(text, self.numeric_owner, self.names);
            let result = match value {
                Ok(value) => set(OsStr::new(name), &value),
                Err(error) => Err(error.into()),
            };
            if let Err(cause) = result {
                self.lost(entry, "access control list", &cause);
            }
        }
    }

    fn check(&self, entry: &Entry, what: &str, result: nix::Result<()>) {
        if let Err(errno) = result {
            self.lost(entry, what, &errno.into());
        }
    }

    fn lost(&self, entry: &Entry, what: &str, cause: &io::Error) {
        self.findings.add(
            Severity::Medium,
            "attribute-lost",
            entry.path.escape_ascii().to_string(),
            format!("its {what} cannot be set: {cause}"),
        );
    }
}

/// The mode to set: without set-user-id where the owner could not be set.
fn mode(entry: &Entry, owned: bool) -> Mode {
    let lasting = if owned || entry.kind == EntryKind::Directory {
        0o7777
    } else {
        0o1777
    };
    Mode::from_bits_truncate(entry.mode & lasting)
}

fn time(time: Time) -> TimeSpec {
    TimeSpec::new(time.seconds, time.nanoseconds.into())
}
