//! An entry's headers as bytes: what a ustar header can say in one, and before it what it can't.
//!
//! A tree of small files is mostly headers, so they say nothing twice and nothing that varies without
//! need: a PAX header exists only for what ustar lacks (fractions of seconds, attributes, lists, big
//! numbers, holes), and its own name, mode and time are always the same. Long names go into GNU tar's
//! `L` and `K` records rather than PAX ones: these hold any bytes and not just UTF-8, and busybox
//! reads them too.

use super::entry::{BLOCK, Entry, padding};
use super::pax;
use crate::error::{Error, Kind, Result};
use crate::stream::EntryKind;
use tar::{EntryType, Header};

/// The most that 11 octal digits hold.
const OCTAL_11: u64 = (1 << 33) - 1;
/// The most that 7 octal digits hold.
const OCTAL_7: u64 = (1 << 21) - 1;

const NAME: usize = 100;
const PREFIX: usize = 155;
const OWNER: usize = 31;

/// Appends the headers of `entry`, and its map if it has holes.
///
/// # Errors
/// A number is beyond what the format holds.
pub(super) fn write(entry: &Entry, out: &mut Vec<u8>) -> Result<()> {
    let mut records = records(entry);
    let mut path = entry.path.clone();
    if entry.kind == EntryKind::Directory {
        path.push(b'/');
    }
    if entry.sparse.is_some() {
        path = beside(&entry.path);
    }
    let mut header = Header::new_ustar();
    if !set_path(&mut header, &path) {
        extension(EntryType::GNULongName, &terminated(&path), out)?;
    }
    if !set_name(&mut header.as_old_mut().linkname, &entry.link) {
        extension(EntryType::GNULongLink, &terminated(&entry.link), out)?;
    }
    if !set_owner(&mut header, entry, &mut records) {
        return Err(Error::new(
            Kind::Failed,
            "the tar crate gave no ustar header",
        ));
    }
    if !records.is_empty() {
        extension(EntryType::XHeader, &records, out)?;
    }
    header.set_entry_type(match entry.kind {
        EntryKind::File => EntryType::Regular,
        EntryKind::Directory => EntryType::Directory,
        EntryKind::Symlink => EntryType::Symlink,
        EntryKind::Hardlink => EntryType::Link,
        EntryKind::Fifo => EntryType::Fifo,
        EntryKind::CharDevice => EntryType::Char,
        EntryKind::BlockDevice => EntryType::Block,
    });
    header.set_mode(entry.mode);
    header.set_uid(entry.uid);
    header.set_gid(entry.gid);
    header.set_size(entry.stored());
    header.set_mtime(entry.mtime.seconds.max(0).unsigned_abs());
    if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
        header
            .set_device_major(entry.device.0)
            .and_then(|()| header.set_device_minor(entry.device.1))
            .map_err(|cause| Error::io("a device has impossible numbers", cause))?;
    }
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    if let Some(map) = &entry.sparse {
        out.extend_from_slice(&map.text(entry.size));
    }
    Ok(())
}

/// The PAX records for what a ustar header can't say.
fn records(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::new();
    let seconds = entry.mtime.seconds;
    if entry.mtime.nanoseconds != 0 || seconds < 0 || seconds.unsigned_abs() > OCTAL_11 {
        pax::push(&mut out, b"mtime", pax::time_text(entry.mtime).as_bytes());
    }
    for (key, id) in [(b"uid", entry.uid), (b"gid", entry.gid)] {
        if id > OCTAL_7 {
            pax::push(&mut out, key, id.to_string().as_bytes());
        }
    }
    if entry.stored() > OCTAL_11 {
        pax::push(&mut out, b"size", entry.stored().to_string().as_bytes());
    }
    for (key, list) in [
        (&b"SCHILY.acl.access"[..], &entry.access),
        (b"SCHILY.acl.default", &entry.default),
    ] {
        if let Some(text) = list {
            pax::push(&mut out, key, text);
        }
    }
    for (name, value) in &entry.xattrs {
        let key = [b"SCHILY.xattr.", pax::escape(name).as_slice()].concat();
        pax::push(&mut out, &key, value);
    }
    if entry.sparse.is_some() {
        pax::push(&mut out, b"GNU.sparse.major", b"1");
        pax::push(&mut out, b"GNU.sparse.minor", b"0");
        pax::push(&mut out, b"GNU.sparse.name", &entry.path);
        pax::push(
            &mut out,
            b"GNU.sparse.realsize",
            entry.size.to_string().as_bytes(),
        );
    }
    out
}

/// Where a tool puts a file with holes that does not know them: beside its place, as GNU tar has it.
fn beside(path: &[u8]) -> Vec<u8> {
    let base = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    [&path[..base], b"GNUSparseFile.0/", &path[base..]].concat()
}

fn terminated(path: &[u8]) -> Vec<u8> {
    [path, b"\0"].concat()
}

/// A header without a file, and its content.
fn extension(kind: EntryType, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut header = Header::new_ustar();
    let name: &[u8] = if kind == EntryType::XHeader {
        b"././@PaxHeader"
    } else {
        b"././@LongLink"
    };
    set_name(&mut header.as_old_mut().name, name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(content);
    out.resize(out.len() + padding(content.len() as u64), 0);
    debug_assert_eq!(out.len() % BLOCK, 0);
    Ok(())
}

/// Puts `name` into a field, cut if need be; tells whether it fitted.
fn set_name(field: &mut [u8], name: &[u8]) -> bool {
    let length = name.len().min(field.len());
    field[..length].copy_from_slice(&name[..length]);
    length == name.len()
}

/// Puts a path into name and prefix; tells whether it fitted.
fn set_path(header: &mut Header, path: &[u8]) -> bool {
    if set_name(&mut header.as_old_mut().name, path) {
        return true;
    }
    // The name must not be empty, nor the prefix; the slash between them is not written. The last
    // byte does not count as a cut: it may be a directory's slash.
    let from = path.len().saturating_sub(NAME + 1).max(1);
    let to = (path.len() - 1).min(PREFIX + 1);
    let cut = (from..to).find(|&at| path[at] == b'/');
    if let (Some(cut), Some(ustar)) = (cut, header.as_ustar_mut()) {
        ustar.name.fill(0);
        set_name(&mut ustar.name, &path[cut + 1..]);
        return set_name(&mut ustar.prefix, &path[..cut]);
    }
    false
}

/// Puts the owners' names into their fields, or into `records` if they are too long.
fn set_owner(header: &mut Header, entry: &Entry, records: &mut Vec<u8>) -> bool {
    let Some(ustar) = header.as_ustar_mut() else {
        return false;
    };
    let fields = [
        (&mut ustar.uname, &entry.user, b"uname"),
        (&mut ustar.gname, &entry.group, b"gname"),
    ];
    for (field, name, key) in fields {
        if name.len() > OWNER {
            pax::push(records, key, name);
        } else {
            set_name(field, name);
        }
    }
    true
}
