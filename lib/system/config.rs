//! The files of a configuration come back: single files, in directories that others share. So what is
//! there is copied away first, and each file is replaced by a rename; files that came later stay.

use crate::crash;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Monitor;
use crate::stream::Reader;
use crate::volume::{Select, UnpackOptions, unpack};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, FileTimes};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Files that are ready to take their places, and copies of those that have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    new: PathBuf,
    old: PathBuf,
    /// Paths from the root on.
    replaced: Vec<PathBuf>,
    created: Vec<PathBuf>,
}

/// Extracts `backup` below `directory`, and copies there what it will replace.
///
/// # Errors
/// The backup is damaged, something is in the way, or the disk fails.
pub fn prepare(
    backup: &Path,
    directory: &Path,
    jobs: usize,
    monitor: &dyn Monitor,
) -> Result<Prepared> {
    discard(directory)?;
    let mut prepared = Prepared {
        new: directory.join("config.new"),
        old: directory.join("config.before"),
        replaced: Vec::new(),
        created: Vec::new(),
    };
    for path in [&prepared.new, &prepared.old] {
        DirBuilder::new()
            .mode(0o700)
            .create(path)
            .context(|| format!("cannot make '{}'", path.display()))?;
    }
    let options = UnpackOptions {
        select: Select::default(),
        numeric_owner: false,
        jobs,
        floor: 0,
    };
    unpack(&Reader::open(backup)?, &prepared.new, &options, monitor)?;
    for entry in WalkDir::new(&prepared.new).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|cause| {
            Error::new(Kind::Io, "cannot read the configuration").with_source(cause)
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let inside = entry
            .path()
            .strip_prefix(&prepared.new)
            .unwrap_or(entry.path());
        let place = Path::new("/").join(inside);
        match fs::symlink_metadata(&place) {
            Ok(there) if there.is_dir() => {
                let message = format!("'{}' is a directory; it was a file", place.display());
                return Err(Error::new(Kind::CannotCreate, message));
            }
            Ok(_) => {
                crash::within();
                put(&place, &prepared.old.join(inside))?;
                prepared.replaced.push(inside.to_owned());
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                prepared.created.push(inside.to_owned());
            }
            Err(cause) => {
                return Err(cause).context(|| format!("cannot look at '{}'", place.display()));
            }
        }
    }
    let synced = File::open(directory).and_then(|file| Ok(nix::unistd::syncfs(&file)?));
    synced.context(|| format!("cannot sync '{}'", directory.display()))?;
    Ok(prepared)
}

/// Removes what a run left below `directory`.
///
/// # Errors
/// It can't be removed.
pub fn discard(directory: &Path) -> Result<()> {
    for name in ["config.new", "config.before"] {
        let path = directory.join(name);
        // It goes at once, so that half of it is never taken for the whole.
        let going = directory.join(format!("{name}.going"));
        remove(&going)?;
        match fs::rename(&path, &going) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            done => done.context(|| format!("cannot remove '{}'", path.display()))?,
        }
        remove(&going)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.context(|| format!("cannot remove '{}'", path.display())),
    }
}

impl Prepared {
    /// Puts the new files into their places.
    ///
    /// # Errors
    /// The disk fails.
    pub fn swap(&self) -> Result<()> {
        for path in self.replaced.iter().chain(&self.created) {
            crash::within();
            put(&self.new.join(path), &Path::new("/").join(path))?;
        }
        Ok(())
    }

    /// Puts the old ones back, and removes those that were not there.
    ///
    /// # Errors
    /// The disk fails.
    pub fn swap_back(&self) -> Result<()> {
        if !self.old.exists() {
            // They are removed only once they are back.
            return Ok(());
        }
        for path in &self.replaced {
            crash::within();
            put(&self.old.join(path), &Path::new("/").join(path))?;
        }
        for path in &self.created {
            let place = Path::new("/").join(path);
            match fs::remove_file(&place) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                done => done.context(|| format!("cannot remove '{}'", place.display()))?,
            }
        }
        Ok(())
    }
}

/// Copies a file or a link with all that belongs to it, and lets the copy take its place at once.
fn put(from: &Path, to: &Path) -> Result<()> {
    let failed = || format!("cannot write '{}'", to.display());
    let parent = to.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parent)
        .context(failed)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".sg-new");
    let new = parent.join(name);
    let _ = fs::remove_file(&new);
    let metadata = fs::symlink_metadata(from).context(failed)?;
    if metadata.is_symlink() {
        symlink(fs::read_link(from).context(failed)?, &new).context(failed)?;
    } else {
        copy(from, &new, &metadata).context(failed)?;
    }
    fs::rename(&new, to).context(failed)?;
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .context(failed)
}

fn copy(from: &Path, to: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    fs::copy(from, to)?;
    if geteuid().is_root() {
        chown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    }
    for name in xattr::list(from)? {
        if let Some(value) = xattr::get(from, &name)? {
            xattr::set(to, &name, &value)?;
        }
    }
    // After the owner, whose change takes some of it away.
    fs::set_permissions(to, metadata.permissions())?;
    let file = File::options().write(true).open(to)?;
    file.set_times(FileTimes::new().set_modified(metadata.modified()?))?;
    file.sync_all()
}
