//! Numbers in sentences: every message that counts something says it in one way.

use std::fmt::Display;

/// A number of things, e.g. `1 table`, `0 entries` or `3 backups`. `thing` is the singular of a word that
/// takes an s, or ies for its y.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    if number == N::from(1) {
        return format!("{number} {thing}");
    }
    match thing.strip_suffix('y') {
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn one_is_one_and_all_else_are_several() {
        assert_eq!(count(0, "table"), "0 tables");
        assert_eq!(count(1u64, "entry"), "1 entry");
        assert_eq!(count(2usize, "entry"), "2 entries");
        assert_eq!(count(1, "good backup"), "1 good backup");
    }
}
