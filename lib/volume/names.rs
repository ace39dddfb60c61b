//! The names of users and groups, each looked up once: a directory service may be behind them.

use nix::unistd::{Gid, Group, Uid, User};
use std::collections::HashMap;

/// Names and numbers of users and groups, as this host has them.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
    uids: HashMap<Vec<u8>, Option<u32>>,
    gids: HashMap<Vec<u8>, Option<u32>>,
}

impl Names {
    /// The name of a user; empty if there is none.
    pub(super) fn user(&mut self, uid: u32) -> &[u8] {
        self.users.entry(uid).or_insert_with(|| {
            let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            user.map_or_else(Vec::new, |user| user.name.into_bytes())
        })
    }

    /// The name of a group; empty if there is none.
    pub(super) fn group(&mut self, gid: u32) -> &[u8] {
        self.groups.entry(gid).or_insert_with(|| {
            let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
            group.map_or_else(Vec::new, |group| group.name.into_bytes())
        })
    }

    /// The number of the user called `name`, if there is one.
    pub(super) fn uid(&mut self, name: &[u8]) -> Option<u32> {
        lookup(&mut self.uids, name, |name| {
            Some(User::from_name(name).ok()??.uid.as_raw())
        })
    }

    /// The number of the group called `name`, if there is one.
    pub(super) fn gid(&mut self, name: &[u8]) -> Option<u32> {
        lookup(&mut self.gids, name, |name| {
            Some(Group::from_name(name).ok()??.gid.as_raw())
        })
    }
}

/// Archives name as many users as they like; the memory for that is bounded.
const KNOWN_MAX: usize = 10_000;

fn lookup(
    known: &mut HashMap<Vec<u8>, Option<u32>>,
    name: &[u8],
    ask: impl Fn(&str) -> Option<u32>,
) -> Option<u32> {
    if let Some(&id) = known.get(name) {
        return id;
    }
    let id = std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.is_empty())
        .and_then(ask);
    if known.len() < KNOWN_MAX {
        known.insert(name.to_vec(), id);
    }
    id
}
