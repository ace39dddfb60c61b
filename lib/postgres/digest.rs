//! What a table's content comes down to: the number of its rows and an order-free sum over a hash
//! of each.
//!
//! A restored table has its rows in another physical order, and several connections read it at a
//! time, so the digest must not depend on order: it is the sum, modulo 2¹²⁸, of the XXH3-128 of each
//! row's COPY text (without the newline). Rows that occur twice count twice. It guards against
//! loss and damage, not against an adversary; the SHA-256 in the manifest is for that.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// Rows of a table, or of several stretches of it added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many rows.
    pub rows: u64,
    /// The sum of their hashes.
    pub sum: u128,
}

impl Digest {
    /// Adds one row: its COPY text without the newline.
    pub fn add_row(&mut self, row: &[u8]) {
        self.add_hash(xxh3_128(row));
    }

    /// Adds one row by the XXH3-128 of its text.
    pub fn add_hash(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    /// Adds all rows of COPY text, each ended by a newline.
    pub fn add_rows(&mut self, text: &[u8]) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text) {
            self.add_row(&text[start..end]);
            start = end + 1;
        }
    }
}

impl std::ops::AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_but_repetition_does() {
        let of = |text: &str| {
            let mut digest = Digest::default();
            digest.add_rows(text.as_bytes());
            digest
        };
        assert_eq!(of("1\ta\n2\tb\n"), of("2\tb\n1\ta\n"));
        assert_ne!(of("1\n1\n2\n"), of("1\n2\n2\n"));
        assert_eq!(of("\n\n").rows, 2);
    }
}
