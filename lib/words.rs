//! Numbers in sentences: every message that counts something says it in one way.

use indicatif::HumanCount;
use std::fmt::Display;

/// A number of things, e.g. `1 table`, `0 entries` or `3 backups`. `thing` is the singular of a word that
/// takes an s, or ies for its y.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    format!("{number} {}", noun(number == N::from(1), thing))
}

/// The same of a number that may be large, with its thousands apart, e.g. `200,000 rows`.
pub fn large_count(number: u64, thing: &str) -> String {
    format!("{} {}", HumanCount(number), noun(number == 1, thing))
}

fn noun(is_one: bool, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if is_one => thing.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, large_count};

    #[test]
    fn one_is_one_and_all_else_are_several() {
        assert_eq!(count(0, "table"), "0 tables");
        assert_eq!(count(1u64, "entry"), "1 entry");
        assert_eq!(count(2usize, "entry"), "2 entries");
        assert_eq!(count(1, "good backup"), "1 good backup");
        assert_eq!(large_count(1, "row"), "1 row");
        assert_eq!(large_count(200_000, "entry"), "200,000 entries");
    }
}
