//! Which entries of an archive are wanted.

use super::beneath::{as_path, clean};
use crate::error::{Error, Kind, Result};
use globset::{Candidate, Glob, GlobBuilder, GlobSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Patterns for what is wanted, and whether each found something.
#[derive(Clone, Debug, Default)]
pub struct Select(Vec<Arc<Wanted>>);

#[derive(Debug)]
struct Wanted {
    text: String,
    /// The pattern, and what is inside of what it matches. A set, since that looks for plain names without
    /// an expression: a large archive has a million paths.
    globs: GlobSet,
    found: AtomicBool,
}

impl Select {
    /// Wants what matches one of these patterns, and everything inside it; all if there are none.
    ///
    /// A pattern is held against the whole path, with or without `./` in front; `*` and `?` match
    /// within a name, `**` any number of names.
    ///
    /// # Errors
    /// One is no pattern.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let compile = |text: &String| {
            globs(text)
                .map(|globs| {
                    Arc::new(Wanted {
                        text: text.clone(),
                        globs,
                        found: AtomicBool::new(false),
                    })
                })
                .map_err(|cause| {
                    Error::new(Kind::Usage, format!("'{text}' is no pattern"))
                        .with_source(cause)
                        .with_hint("Use * and ? within a name, ** across directories.")
                })
        };
        Ok(Self(patterns.iter().map(compile).collect::<Result<_>>()?))
    }

    /// Whether everything is wanted.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the entry at `path` is wanted; remembers which patterns found something.
    pub fn wants(&self, path: &[u8]) -> bool {
        if self.is_all() {
            return true;
        }
        let Some(path) = clean(path) else {
            return false;
        };
        if path.is_empty() {
            return false;
        }
        let path = Candidate::new(as_path(&path));
        let mut wanted = false;
        for one in &self.0 {
            if one.globs.is_match_candidate(&path) {
                one.found.store(true, Ordering::Relaxed);
                wanted = true;
            }
        }
        wanted
    }

    /// Forgets what was found, since what was looked through is not to be believed.
    pub(super) fn forget(&self) {
        for one in &self.0 {
            one.found.store(false, Ordering::Relaxed);
        }
    }

    /// Makes sure that each pattern found something.
    ///
    /// # Errors
    /// One did not.
    pub fn all_found(&self) -> Result<()> {
        match self.0.iter().find(|one| !one.found.load(Ordering::Relaxed)) {
            None => Ok(()),
            Some(one) => Err(Error::new(
                Kind::Failed,
                format!("nothing in the archive matches '{}'", one.text),
            )
            .with_hint("sg-restore list shows what is inside.")),
        }
    }
}

fn globs(pattern: &str) -> std::result::Result<GlobSet, globset::Error> {
    let bare = pattern.trim_start_matches("./").trim_matches('/');
    let glob = |text: &str| -> std::result::Result<Glob, globset::Error> {
        GlobBuilder::new(text).literal_separator(true).build()
    };
    GlobSet::builder()
        .add(glob(bare)?)
        .add(glob(&format!("{bare}/**"))?)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_what_is_inside_too() {
        let select = Select::new(&["./a/*.txt".into(), "b".into(), "**/deep".into()]).unwrap();
        for path in ["./a/x.txt", "b/c/d", "./b", "x/y/deep/file", "deep"] {
            assert!(select.wants(path.as_bytes()), "{path}");
        }
        for path in [".", "./a", "./a/b/x.txt", "bb", "a/b", "../b"] {
            assert!(!select.wants(path.as_bytes()), "{path}");
        }
        select.all_found().unwrap();
        let error = Select::new(&["missing".into()])
            .unwrap()
            .all_found()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing in the archive matches 'missing'"
        );
    }
}
