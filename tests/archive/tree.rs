//! A tree with every kind of entry, and the comparison of two trees in everything that a file is.

use super::{is_root, run};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::time::TimeSpec;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

/// What two trees have to have in common.
#[derive(Clone, Copy)]
pub(super) struct Compared {
    /// Owners, devices, attributes that only root may set.
    pub(super) privileged: bool,
    /// Extended attributes and access control lists.
    pub(super) attributes: bool,
    /// Fractions of seconds.
    pub(super) nanoseconds: bool,
    /// Holes.
    pub(super) holes: bool,
    /// When directories changed.
    pub(super) directory_times: bool,
    /// What the top directory itself is.
    pub(super) top: bool,
}

impl Compared {
    /// Everything.
    pub(super) fn all() -> Self {
        Self {
            privileged: is_root(),
            attributes: true,
            nanoseconds: true,
            holes: true,
            directory_times: true,
            top: true,
        }
    }
}

/// Makes a directory `name` in `base` with everything that a tree may hold.
pub(super) fn make(base: &Path, name: &str) -> PathBuf {
    let root = base.join(name);
    let dir = |path: &str| fs::create_dir_all(root.join(path)).unwrap();
    let file = |path: &str, content: &[u8]| fs::write(root.join(path), content).unwrap();
    dir("empty");
    dir("deep/er/and/deeper");
    dir("Ünïcode/日本語");
    file("deep/er/and/deeper/file", b"deep");
    file("empty-file", b"");
    file("512", &[7; 512]);
    file("513", &[8; 513]);
    file(" leading and trailing ", b"x");
    file("new\nline\ttab\\backslash", b"x");
    file("-rf", b"x");
    file("*", b"x");
    fs::write(root.join(OsStr::from_bytes(b"not-\xff\xfe-utf8")), "x").unwrap();
    file("Ünïcode/日本語/ファイル", "内容".as_bytes());
    sizes(&root);
    long_names(&root);
    links(&root);
    sparse(&root);
    attributes(&root);
    run("mkfifo", &["pipe"], &root);
    modes(&root);
    if is_root() {
        privileged(&root);
    }
    times(&root);
    root
}

/// Files around the length from which they have members of their own, and some that don't compress.
fn sizes(root: &Path) {
    fs::create_dir(root.join("sizes")).unwrap();
    let mut dice = fastrand::Rng::with_seed(1);
    for length in [
        1usize << 20,
        (1 << 20) - 1,
        (1 << 20) + 1,
        3 << 20,
        (2 << 20) + 700,
        900_000,
    ] {
        let mut content = vec![0; length];
        dice.fill(&mut content);
        fs::write(root.join(format!("sizes/noise-{length}")), content).unwrap();
    }
    for n in 0..300 {
        let text = format!("line of file {n}\n").repeat(dice.usize(0..2000));
        fs::write(root.join(format!("sizes/text-{n}")), text).unwrap();
    }
}

fn long_names(root: &Path) {
    let long = "n".repeat(255);
    let directory = root
        .join("long")
        .join(&long)
        .join("d".repeat(100))
        .join("e".repeat(99));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(&long), "x").unwrap();
    for length in 80..=110 {
        fs::write(root.join("long").join("l".repeat(length)), "x").unwrap();
        fs::create_dir(root.join("long").join("m".repeat(length))).unwrap();
    }
    fs::write(directory.join(OsStr::from_bytes(&[0xff; 200])), "x").unwrap();
    symlink("t".repeat(300), root.join("long/symlink")).unwrap();
    fs::hard_link(
        directory.join(&long),
        root.join("long/hard-link-to-the-long-one"),
    )
    .unwrap();
}

fn links(root: &Path) {
    symlink("empty-file", root.join("symlink")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    symlink("..", root.join("up")).unwrap();
    fs::create_dir(root.join("links")).unwrap();
    fs::hard_link(root.join("513"), root.join("links/a")).unwrap();
    fs::hard_link(root.join("513"), root.join("links/b")).unwrap();
    fs::hard_link(root.join("sizes/noise-3145728"), root.join("links/large")).unwrap();
    fs::hard_link(root.join("symlink"), root.join("links/symlink")).unwrap();
}

fn sparse(root: &Path) {
    fs::create_dir(root.join("sparse")).unwrap();
    let file = |name: &str| File::create(root.join("sparse").join(name)).unwrap();
    file("only-a-hole").set_len(5 << 20).unwrap();
    let mixed = file("mixed");
    mixed.set_len(40 << 20).unwrap();
    for at in [0, 3, 17, 39] {
        mixed
            .write_all_at(&[at as u8 + 1; 70_000], at << 20)
            .unwrap();
    }
    let at_the_end = file("data-at-the-end");
    at_the_end.write_all_at(b"end", (9 << 20) + 5).unwrap();
    let small = file("small");
    small.set_len(500_000).unwrap();
    small.write_all_at(b"middle", 250_000).unwrap();
    let many = file("many-extents");
    for n in 0..500 {
        many.write_all_at(&[n as u8 | 1; 4096], n * 65_536).unwrap();
    }
}

fn attributes(root: &Path) {
    fs::create_dir_all(root.join("attributes/directory")).unwrap();
    let path = |name: &str| root.join("attributes").join(name);
    for name in ["user", "binary", "acl"] {
        fs::write(path(name), name).unwrap();
    }
    xattr::set(path("user"), "user.note", b"value").unwrap();
    xattr::set(path("user"), "user.odd=na%me", b"").unwrap();
    xattr::set(path("binary"), "user.binary", b"\n12 path=evil\n\0\xff\n").unwrap();
    xattr::set(path("directory"), "user.directory", &[b'v'; 3000]).unwrap();
    run(
        "setfacl",
        &["-m", "u:nobody:rx,g:4000001:r,u:4000002:rwx", "acl"],
        &root.join("attributes"),
    );
    run(
        "setfacl",
        &["-m", "u:nobody:rwx,d:u:nobody:rwx,d:g::-", "directory"],
        &root.join("attributes"),
    );
}

fn modes(root: &Path) {
    fs::create_dir(root.join("modes")).unwrap();
    for mode in [0o4755, 0o2755, 0o6711, 0o000, 0o400, 0o777, 0o1644] {
        let path = root.join(format!("modes/file-{mode:o}"));
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    for mode in [0o1777, 0o2775, 0o500] {
        let path = root.join(format!("modes/directory-{mode:o}"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn privileged(root: &Path) {
    let devices = root.join("devices");
    fs::create_dir(&devices).unwrap();
    let mode = Mode::from_bits_truncate(0o640);
    mknod(&devices.join("char"), SFlag::S_IFCHR, mode, makedev(1, 3)).unwrap();
    mknod(
        &devices.join("block"),
        SFlag::S_IFBLK,
        mode,
        makedev(259, 70_000),
    )
    .unwrap();
    let owned = root.join("owned");
    fs::create_dir(&owned).unwrap();
    for (uid, gid) in [
        (1, 2),
        (65_534, 65_534),
        (2_097_152, 4_000_000_000),
        (12_345, 0),
    ] {
        let path = owned.join(format!("file-{uid}-{gid}"));
        fs::write(&path, "x").unwrap();
        lchown(&path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4750)).unwrap();
    }
    symlink("x", owned.join("symlink")).unwrap();
    lchown(owned.join("symlink"), Some(33), Some(44)).unwrap();
    lchown(owned, Some(1000), Some(1000)).unwrap();
    fs::write(root.join("attributes/capable"), "x").unwrap();
    run(
        "setcap",
        &["cap_net_bind_service,cap_sys_time=ep", "capable"],
        &root.join("attributes"),
    );
    xattr::set(root.join("attributes/user"), "trusted.secret", b"\x01").unwrap();
    xattr::set(root.join("symlink"), "trusted.on-a-link", b"\x02").unwrap();
}

/// Gives everything a time of its own, children before parents.
fn times(root: &Path) {
    let mut number = 0;
    for entry in walkdir::WalkDir::new(root)
        .contents_first(true)
        .sort_by_file_name()
    {
        let entry = entry.unwrap();
        number += 1;
        let seconds = match number % 50 {
            0 => -5_000_000,
            1 => 0,
            2 => 10_000_000_000,
            _ => 1_600_000_000 + i64::from(number),
        };
        let nanoseconds = if number % 7 == 0 {
            0
        } else {
            (i64::from(number) * 7_654_321) % 1_000_000_000
        };
        let time = TimeSpec::new(seconds, nanoseconds);
        nix::sys::stat::utimensat(
            nix::fcntl::AT_FDCWD,
            entry.path(),
            &time,
            &time,
            nix::sys::stat::UtimensatFlags::NoFollowSymlink,
        )
        .unwrap();
    }
}

/// What `compared` tells of each entry below `root`, by path.
fn facts(root: &Path, compared: Compared) -> BTreeMap<Vec<u8>, Vec<String>> {
    let mut inodes: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let path = entry
            .path()
            .strip_prefix(root)
            .unwrap()
            .as_os_str()
            .as_bytes()
            .to_vec();
        let mut facts = vec![format!(
            "type {:?} mode {:o}",
            metadata.file_type(),
            metadata.mode()
        )];
        if compared.directory_times || !metadata.is_dir() {
            facts.push(format!("mtime {}", metadata.mtime()));
        }
        if compared.nanoseconds {
            facts.push(format!("nanoseconds {}", metadata.mtime_nsec()));
        }
        if !metadata.is_dir() {
            facts.push(format!(
                "size {} links {}",
                metadata.len(),
                metadata.nlink()
            ));
            let first = inodes.entry(metadata.ino()).or_insert_with(|| path.clone());
            facts.push(format!("same as {}", first.escape_ascii()));
        }
        if compared.privileged {
            facts.push(format!("owner {}:{}", metadata.uid(), metadata.gid()));
            facts.push(format!("device {:x}", metadata.rdev()));
        }
        if metadata.is_symlink() {
            facts.push(format!("target {:?}", fs::read_link(entry.path()).unwrap()));
        }
        if metadata.is_file() {
            facts.push(format!(
                "content {}",
                blake3::hash(&fs::read(entry.path()).unwrap())
            ));
            if compared.holes {
                // A hole of a MiB is never filled; what is smaller depends on the file system.
                let full = metadata.blocks() * 512;
                facts.push(format!("has holes {}", full + (1 << 20) < metadata.len()));
            }
        }
        if compared.attributes {
            for name in xattr::list(entry.path()).unwrap() {
                let wanted = compared.privileged
                    || name.as_bytes().starts_with(b"user.")
                    || name.as_bytes().starts_with(b"system.");
                if wanted {
                    let value = xattr::get(entry.path(), &name).unwrap().unwrap();
                    facts.push(format!("attribute {name:?} {}", value.escape_ascii()));
                }
            }
        }
        facts.sort();
        all.insert(path, facts);
    }
    all
}

/// Fails unless both trees are the same in what `compared` says.
pub(super) fn assert_same(one: &Path, other: &Path, compared: Compared) {
    let (mut one, mut other) = (facts(one, compared), facts(other, compared));
    if !compared.top {
        one.remove(&Vec::new());
        other.remove(&Vec::new());
    }
    let mut differences = Vec::new();
    for path in one
        .keys()
        .chain(other.keys().filter(|path| !one.contains_key(*path)))
    {
        if one.get(path) != other.get(path) {
            differences.push(format!(
                "'{}':\n  {:?}\n  {:?}",
                path.escape_ascii(),
                one.get(path),
                other.get(path)
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
