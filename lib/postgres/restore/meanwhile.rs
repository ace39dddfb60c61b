//! What idle hands do: while one connection builds the last index or checks a foreign key, the others
//! read back what is already there and compare it.

use super::compare::{Comparison, Reading};
use super::work::{Board, Next};
use crate::error::Result;

/// A board, and a comparison for those whom it lets wait.
pub(super) struct Meanwhile<'a, B> {
    board: B,
    comparison: &'a Comparison<'a>,
    reading: usize,
}

/// What is handed out.
pub(super) enum Either<W> {
    /// The board's own work.
    Work(W),
    /// A part of the comparison.
    Reading(Reading),
}

impl<'a, B: Board> Meanwhile<'a, B> {
    /// The work of `board`, and beside it as much of `comparison` as there is time for.
    pub(super) fn new(board: B, comparison: &'a Comparison<'a>) -> Self {
        Self {
            board,
            comparison,
            reading: 0,
        }
    }
}

impl<B: Board> Board for Meanwhile<'_, B> {
    type Work = Either<B::Work>;

    fn next(&mut self, running: usize) -> Result<Next<Self::Work>> {
        Ok(match self.board.next(running - self.reading)? {
            Next::Do(work) => Next::Do(Either::Work(work)),
            Next::Done => Next::Done,
            Next::Wait if self.board.rows_are_in() => match self.comparison.next() {
                Next::Do(reading) => {
                    self.reading += 1;
                    Next::Do(Either::Reading(reading))
                }
                Next::Wait | Next::Done => Next::Wait,
            },
            Next::Wait => Next::Wait,
        })
    }

    fn done(&mut self, work: &Self::Work) -> Result<()> {
        match work {
            Either::Work(work) => self.board.done(work),
            Either::Reading(_) => {
                self.reading -= 1;
                Ok(())
            }
        }
    }

    fn rows_are_in(&self) -> bool {
        self.board.rows_are_in()
    }
}
