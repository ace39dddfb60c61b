//! BLAKE3 of a long file from pieces hashed on several threads.
//!
//! BLAKE3 is a tree; a piece of 1 MiB that begins at a multiple of 1 MiB is a whole subtree of it. So
//! the pieces' hashes, merged in order, give the very hash that `b3sum` prints.

use crate::stream::MEMBER_MAX;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};

/// The length of a piece in bytes.
pub(super) const PIECE: u64 = MEMBER_MAX as u64;

/// What the pieces of one file give.
#[derive(Clone, Copy, Debug)]
pub(super) enum PieceHash {
    /// The hash of a file that is one piece.
    Whole(blake3::Hash),
    /// The hash of a subtree.
    Part(ChainingValue),
}

/// The hash of the piece that begins at `offset` of a file of `total` bytes.
pub(super) fn piece(content: &[u8], offset: u64, total: u64) -> PieceHash {
    if total <= PIECE {
        return PieceHash::Whole(blake3::hash(content));
    }
    let mut hasher = blake3::Hasher::new();
    PieceHash::Part(
        hasher
            .set_input_offset(offset)
            .update(content)
            .finalize_non_root(),
    )
}

/// Takes the pieces' hashes in order.
#[derive(Debug, Default)]
pub(super) struct Merger {
    whole: Option<blake3::Hash>,
    /// Subtrees of falling size, as the binary digits of `count` say.
    stack: Vec<ChainingValue>,
    count: u64,
}

impl Merger {
    pub(super) fn push(&mut self, piece: PieceHash) {
        match piece {
            PieceHash::Whole(hash) => self.whole = Some(hash),
            PieceHash::Part(value) => {
                // Merged only when more follows, as the last merge is another one.
                while self.stack.len() > self.count.count_ones() as usize {
                    self.merge();
                }
                self.stack.push(value);
                self.count += 1;
            }
        }
    }

    fn merge(&mut self) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack
                .push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }

    /// The hash of the whole; `None` if no piece came, or only the first of several.
    pub(super) fn finish(mut self) -> Option<blake3::Hash> {
        if self.whole.is_some() {
            return self.whole;
        }
        while self.stack.len() > 2 {
            self.merge();
        }
        match self.stack.as_slice() {
            [left, right] => Some(merge_subtrees_root(left, right, Mode::Hash)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_the_hash_of_the_whole() {
        let content: Vec<u8> = (0..9 * PIECE + 5).map(|n| ((n * n) >> 7) as u8).collect();
        for length in [
            0,
            1,
            PIECE,
            PIECE + 1,
            2 * PIECE,
            3 * PIECE - 1,
            4 * PIECE,
            7 * PIECE,
            9 * PIECE + 5,
        ] {
            let content = &content[..length as usize];
            let mut merger = Merger::default();
            let mut offset = 0;
            while offset < length.max(1) {
                let end = (offset + PIECE).min(length);
                merger.push(piece(
                    &content[offset as usize..end as usize],
                    offset,
                    length,
                ));
                offset += PIECE;
            }
            assert_eq!(merger.finish(), Some(blake3::hash(content)), "{length}");
        }
    }
}
