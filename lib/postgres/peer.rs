//! Root at a local socket.
//!
//! A server asks the kernel who is at the other end of its socket, and lets hardly anywhere root in: its
//! administrator is the user that it runs as. Root may become that user, and does so for the moment of
//! connecting, so that a restore needs no role made for it on a host where nothing is left.

use super::conninfo::Endpoint;
use nix::unistd::{Uid, User, geteuid};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The user that the server at `endpoint` runs as, if we are root and it is not.
pub(super) fn administrator(endpoint: &Endpoint) -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let owner = Uid::from_raw(fs::metadata(endpoint.socket()?).ok()?.uid());
    if owner.is_root() {
        return None;
    }
    User::from_uid(owner).ok().flatten()
}

/// Does `act` as `user`, as far as the kernel is asked by this thread. Where root may not become
/// somebody else, as itself.
pub(super) fn acting<T>(user: Option<&User>, act: impl FnOnce() -> T) -> T {
    let _back = user.and_then(Acting::begin);
    act()
}

/// Root again when dropped.
struct Acting;

impl Acting {
    fn begin(user: &User) -> Option<Self> {
        // Of this thread alone: the others go on reading the store, which is closed to that user.
        let uid = rustix::process::Uid::from_raw(user.uid.as_raw());
        rustix::thread::set_thread_res_uid(None, uid, None)
            .ok()
            .map(|()| Self)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        // It was root a moment ago and may be so again: that does not fail.
        let _ = rustix::thread::set_thread_res_uid(None, rustix::process::Uid::ROOT, None);
    }
}

/// Lets a program of the server's work as `user`, in a directory that everybody can enter.
pub(super) fn work_as(command: &mut Command, user: &User) {
    command
        .uid(user.uid.as_raw())
        .gid(user.gid.as_raw())
        .current_dir("/");
}
