//! Work shared out to connections: each takes what is ready, the weightiest first, until all is done
//! or one fails.

use crate::error::{Error, Kind, Result};
use crate::postgres::Session;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Something to do, found by looking at what is left.
pub(super) enum Next<T> {
    /// Do this.
    Do(T),
    /// Nothing is ready; what others do now may make something ready.
    Wait,
    /// Nothing is left.
    Done,
}

/// What hands out work. All calls are made one at a time.
pub(super) trait Board: Send {
    /// A piece of work.
    type Work: Send;

    /// The next piece of work; `running` others are being done.
    ///
    /// # Errors
    /// The work can't be found out.
    fn next(&mut self, running: usize) -> Result<Next<Self::Work>>;

    /// Notes that a piece of work is done.
    ///
    /// # Errors
    /// What follows from it can't be found out.
    fn done(&mut self, work: &Self::Work) -> Result<()>;

    /// Whether the rows of all tables are in, so that they may be read back.
    fn rows_are_in(&self) -> bool {
        true
    }
}

struct State<B> {
    board: B,
    running: usize,
    finished: usize,
    failure: Option<Error>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shares out the work of `board` to `sessions`, each used by a thread of its own.
///
/// When one fails, `give_up` is called once, on the calling thread: it should make the others end
/// soon, e.g. by terminating their backends.
///
/// # Errors
/// The first failure.
pub(super) fn share<B: Board>(
    sessions: &mut [Session],
    board: B,
    act: impl Fn(&mut Session, &B::Work) -> Result<()> + Sync,
    give_up: impl FnOnce(),
) -> Result<()> {
    let workers = sessions.len();
    let state = Mutex::new(State {
        board,
        running: 0,
        finished: 0,
        failure: None,
    });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for session in sessions {
            scope.spawn(|| {
                // A panic must not leave the others waiting.
                let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    work_through(session, &state, &changed, &act)
                }));
                let mut state = lock(&state);
                state.finished += 1;
                let result = worked.unwrap_or_else(|_| {
                    Err(Error::new(Kind::Failed, "a restoring thread panicked"))
                });
                if let Err(error) = result {
                    state.failure.get_or_insert(error);
                }
                changed.notify_all();
            });
        }
        let mut seen = lock(&state);
        while seen.finished < workers && seen.failure.is_none() {
            seen = changed.wait(seen).unwrap_or_else(PoisonError::into_inner);
        }
        let failed = seen.failure.is_some();
        drop(seen);
        if failed {
            give_up();
        }
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failure.map_or(Ok(()), Err)
}

fn work_through<B: Board>(
    session: &mut Session,
    state: &Mutex<State<B>>,
    changed: &Condvar,
    act: &impl Fn(&mut Session, &B::Work) -> Result<()>,
) -> Result<()> {
    let mut seen = lock(state);
    loop {
        if seen.failure.is_some() {
            return Ok(());
        }
        let running = seen.running;
        match seen.board.next(running)? {
            Next::Done => return Ok(()),
            Next::Wait => seen = changed.wait(seen).unwrap_or_else(PoisonError::into_inner),
            Next::Do(work) => {
                seen.running += 1;
                drop(seen);
                let result = act(session, &work);
                seen = lock(state);
                seen.running -= 1;
                result?;
                seen.board.done(&work)?;
                changed.notify_all();
            }
        }
    }
}
