//! Which files there are, in a settled order: parents before children, the names of a directory
//! sorted by their bytes. The same tree gives the same order everywhere, so an archive differs from
//! the one before only where the tree does.

use super::beneath::Beneath;
use super::findings::Findings;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::Severity;
use globset::{GlobBuilder, GlobMatcher};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use walkdir::{DirEntry, WalkDir};

/// What is left out.
#[derive(Clone, Debug, Default)]
pub struct Exclude {
    /// Each with whether it is held against the path from the root on.
    patterns: Vec<(GlobMatcher, bool)>,
    /// Single files, by their real paths.
    paths: HashSet<PathBuf>,
}

impl Exclude {
    /// Leaves out what matches one of these patterns, and everything inside it.
    ///
    /// `*` and `?` match within a name, `**` any number of names. A pattern without a slash is held
    /// against each name, one with a slash against the path from the root on.
    ///
    /// # Errors
    /// One is no pattern.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let compile = |pattern: &String| {
            let text = pattern.trim_end_matches('/');
            let anchored = text.contains('/');
            GlobBuilder::new(text.trim_start_matches("./").trim_start_matches('/'))
                .literal_separator(true)
                .build()
                .map(|glob| (glob.compile_matcher(), anchored))
                .map_err(|cause| {
                    Error::new(Kind::Usage, format!("'{pattern}' is no pattern"))
                        .with_source(cause)
                        .with_hint("Use * and ? within a name, ** across directories.")
                })
        };
        Ok(Self {
            patterns: patterns.iter().map(compile).collect::<Result<_>>()?,
            paths: HashSet::new(),
        })
    }

    /// Leaves out these, too, wherever they are.
    pub fn paths(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        self.paths.extend(paths);
    }

    /// Whether the file at `path`, seen from its root, is left out.
    pub fn matches(&self, path: &Path) -> bool {
        self.patterns.iter().any(|(glob, anchored)| {
            if *anchored {
                glob.is_match(path)
            } else {
                path.file_name().is_some_and(|name| glob.is_match(name))
            }
        })
    }
}

/// A top-level directory or file that is archived.
#[derive(Debug)]
pub(super) struct Root {
    /// Where it is, links resolved.
    path: PathBuf,
    /// The directory, or the one that holds the file.
    pub(super) beneath: Beneath,
    /// Length of what stands before the paths inside, on the disk.
    outside: usize,
    /// What stands before them in the archive.
    prefix: Vec<u8>,
}

/// Something found on the walk.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) root: Arc<Root>,
    /// Where it is.
    pub(super) path: PathBuf,
    /// What the walk saw there.
    pub(super) metadata: Metadata,
}

impl Found {
    /// Its path within its root's directory.
    pub(super) fn inside(&self) -> &Path {
        self.root.inside(&self.path)
    }

    /// Its path in the archive, without the slash at a directory's end.
    pub(super) fn archived(&self) -> Vec<u8> {
        let inside = self.inside().as_os_str().as_bytes();
        match (inside, self.root.prefix.as_slice()) {
            (b"", b"./") => b".".to_vec(),
            (b"", prefix) => prefix[..prefix.len() - 1].to_vec(),
            (_, prefix) => [prefix, inside].concat(),
        }
    }
}

impl Root {
    /// What is left of `path`, which begins with that of the root's directory.
    fn inside<'a>(&self, path: &'a Path) -> &'a Path {
        let inside = path.as_os_str().as_bytes().get(self.outside..);
        Path::new(OsStr::from_bytes(inside.unwrap_or_default()))
    }
}

/// The roots at `paths`: a single directory gives entries as `tar -C PATH .` does (`./a`), several
/// give each its path without the slash in front, as `tar -C / srv/a srv/b` does; so does a single one
/// with `whole_paths`. A link to what is among the others is a link in the archive, too: so the one
/// that enables a unit comes along with the unit.
///
/// # Errors
/// One is missing or unreadable, or one lies within another.
pub(super) fn roots(paths: &[PathBuf], whole_paths: bool) -> Result<Vec<Arc<Root>>> {
    let single = paths.len() == 1 && !whole_paths;
    let mut roots = paths
        .iter()
        .map(|path| root(path, single))
        .collect::<Result<Vec<_>>>()?;
    for (at, path) in paths.iter().enumerate() {
        let mut others = roots[..at].iter().chain(&roots[at + 1..]);
        if path.is_symlink() && others.any(|other| roots[at].path.starts_with(&other.path)) {
            roots[at] = root_at(path, real_place(path)?, single)?;
        }
    }
    for (at, one) in roots.iter().enumerate() {
        let inner = roots[..at]
            .iter()
            .chain(&roots[at + 1..])
            .find(|other| one.path.starts_with(&other.path));
        if let Some(outer) = inner {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "'{}' lies within '{}'",
                    one.path.display(),
                    outer.path.display()
                ),
            )
            .with_hint("Name the outer directory alone."));
        }
    }
    if roots.is_empty() {
        return Err(Error::new(Kind::Usage, "there is nothing to archive"));
    }
    Ok(roots)
}

fn root(given: &Path, single: bool) -> Result<Arc<Root>> {
    let unreadable = || format!("cannot archive '{}'", given.display());
    root_at(given, given.canonicalize().context(unreadable)?, single)
}

/// Where a link itself is.
fn real_place(link: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(link);
    let place = absolute.and_then(|path| match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => Ok(directory.canonicalize()?.join(name)),
        _ => Ok(path),
    });
    place.context(|| format!("cannot archive '{}'", link.display()))
}

/// The root that is given so and lies at `path`.
fn root_at(given: &Path, path: PathBuf, single: bool) -> Result<Arc<Root>> {
    let unreadable = || format!("cannot archive '{}'", given.display());
    let file = !path.symlink_metadata().context(unreadable)?.is_dir();
    let directory = if file {
        path.parent().unwrap_or(&path)
    } else {
        &path
    };
    let shown = match (single, file) {
        (true, _) => Path::new("."),
        (false, false) => path.as_path(),
        (false, true) => directory,
    };
    let mut prefix = Vec::new();
    for component in shown.components() {
        if let Component::Normal(name) = component {
            prefix.extend_from_slice(name.as_bytes());
            prefix.push(b'/');
        }
    }
    if prefix.is_empty() {
        prefix.extend_from_slice(b"./");
    }
    let slash = usize::from(directory != Path::new("/"));
    Ok(Arc::new(Root {
        beneath: Beneath::new(directory).context(unreadable)?,
        outside: directory.as_os_str().len() + slash,
        prefix,
        path,
    }))
}

/// Walks `roots` and hands over what it finds; what can't be read or is gone meanwhile is told to
/// `findings`.
///
/// # Errors
/// That of `found`.
pub(super) fn walk(
    roots: &[Arc<Root>],
    exclude: &Exclude,
    one_file_system: bool,
    findings: &Findings<'_>,
    mut found: impl FnMut(Found) -> Result<()>,
) -> Result<()> {
    for root in roots {
        let wanted = |entry: &DirEntry| {
            let matches = entry.depth() > 0 && exclude.matches(root.inside(entry.path()));
            !matches && !exclude.paths.contains(entry.path())
        };
        let entries = WalkDir::new(&root.path)
            .follow_root_links(false)
            .same_file_system(one_file_system)
            .sort_by(|one, other| one.file_name().cmp(other.file_name()))
            .into_iter()
            .filter_entry(wanted);
        for entry in entries {
            let entry = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
            match entry {
                Ok((metadata, entry)) => found(Found {
                    root: Arc::clone(root),
                    path: entry.into_path(),
                    metadata,
                })?,
                Err(error) => tell(findings, &error),
            }
        }
    }
    Ok(())
}

fn tell(findings: &Findings<'_>, error: &walkdir::Error) {
    let path = error.path().unwrap_or(Path::new(""));
    match error.io_error() {
        Some(cause) => findings.unreadable(path, cause),
        None => findings.add(
            Severity::High,
            "unreadable",
            path.display().to_string(),
            error.to_string(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Silent;
    use std::fs;

    fn names(paths: &[PathBuf], exclude: &[&str]) -> Vec<String> {
        let exclude: Vec<String> = exclude.iter().map(ToString::to_string).collect();
        let mut names = Vec::new();
        let findings = Findings::new(&Silent);
        walk(
            &roots(paths, false).unwrap(),
            &Exclude::new(&exclude).unwrap(),
            false,
            &findings,
            |found| {
                names.push(String::from_utf8(found.archived()).unwrap());
                Ok(())
            },
        )
        .unwrap();
        names
    }

    fn tree() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("a/b")).unwrap();
        for name in ["a/b/z.log", "a/b/y", "a-file", "a/c.log", "B"] {
            fs::write(scratch.path().join(name), "").unwrap();
        }
        scratch
    }

    #[test]
    fn the_order_is_that_of_bytes_parents_first() {
        let scratch = tree();
        assert_eq!(
            names(&[scratch.path().to_owned()], &[]),
            [
                ".",
                "./B",
                "./a",
                "./a/b",
                "./a/b/y",
                "./a/b/z.log",
                "./a/c.log",
                "./a-file"
            ]
        );
    }

    #[test]
    fn patterns_leave_out_what_they_name() {
        let scratch = tree();
        let names = |exclude| names(&[scratch.path().to_owned()], exclude);
        assert_eq!(
            names(&["*.log", "B"]),
            [".", "./a", "./a/b", "./a/b/y", "./a-file"]
        );
        assert_eq!(
            names(&["a/*.log", "./a/b/"]),
            [".", "./B", "./a", "./a-file"]
        );
        assert_eq!(names(&["/a/**"]), [".", "./B", "./a", "./a-file"]);
        assert_eq!(names(&["*"]), ["."]);
    }

    #[test]
    fn several_roots_keep_their_paths() {
        let scratch = tree();
        let base = scratch.path().canonicalize().unwrap();
        let prefix = base.to_str().unwrap().trim_start_matches('/').to_owned();
        assert_eq!(
            names(&[base.join("a/b"), base.join("B")], &[]),
            ["a/b", "a/b/y", "a/b/z.log", "B"].map(|name| format!("{prefix}/{name}"))
        );
        assert_eq!(names(&[base.join("B")], &[]), ["./B"]);
    }

    #[test]
    fn a_link_to_another_root_is_a_link() {
        let scratch = tree();
        let base = scratch.path().canonicalize().unwrap();
        let prefix = base.to_str().unwrap().trim_start_matches('/').to_owned();
        fs::create_dir(base.join("wants")).unwrap();
        let (file, link) = (base.join("B"), base.join("wants/B"));
        std::os::unix::fs::symlink("../B", &link).unwrap();
        for paths in [[file.clone(), link.clone()], [link.clone(), file]] {
            let mut found = names(&paths, &[]);
            found.sort();
            assert_eq!(
                found,
                ["B", "wants/B"].map(|name| format!("{prefix}/{name}"))
            );
        }
        // Alone it stands for what it leads to.
        assert_eq!(names(&[link], &[]), ["./B"]);
    }

    #[test]
    fn a_missing_root_fails_and_one_within_another_too() {
        let scratch = tree();
        let base = scratch.path();
        assert!(roots(&[base.join("missing")], false).is_err());
        assert!(roots(&[base.to_owned(), base.join("a")], false).is_err());
        assert!(roots(&[], false).is_err());
    }
}
