//! Which entries of an archive are wanted.

use super::beneath::{as_path, clean};
use crate::error::{Error, Kind, Result};
use globset::{GlobBuilder, GlobMatcher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Patterns for what is wanted, and whether each found something.
#[derive(Clone, Debug, Default)]
pub struct Select(Vec<Arc<Wanted>>);

#[derive(Debug)]
struct Wanted {
    text: String,
    glob: GlobMatcher,
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
            let bare = text.trim_start_matches("./").trim_matches('/');
            GlobBuilder::new(bare)
                .literal_separator(true)
                .build()
                .map(|glob| {
                    let found = AtomicBool::new(false);
                    Arc::new(Wanted {
                        text: text.clone(),
                        glob: glob.compile_matcher(),
                        found,
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
        let mut wanted = false;
        for one in &self.0 {
            if as_path(&path)
                .ancestors()
                .any(|path| path != Path::new("") && one.glob.is_match(path))
            {
                one.found.store(true, Ordering::Relaxed);
                wanted = true;
            }
        }
        wanted
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
