//! Work done by several threads, its results taken in the order in which it was given out.
//!
//! This is how a stream is compressed and decompressed on all cores and still comes out in order,
//! in bounded memory: at most `4 × jobs` pieces of work are under way or waiting to be taken.

use crate::error::{Error, Kind, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::thread;

/// How many threads to use where the user did not say: one for each processor.
pub fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Gives out work; handed to the producer of [`ordered`].
pub struct Feed<T, R> {
    work: Sender<(T, Sender<R>)>,
    results: Sender<Receiver<R>>,
}

impl<T, R> Feed<T, R> {
    /// Gives out one piece of work; waits while too much is under way.
    ///
    /// # Errors
    /// The consumer gave up; its own failure is what [`ordered`] returns, so this one needs no
    /// words of its own.
    pub fn send(&self, item: T) -> Result<()> {
        let (result, slot) = bounded(1);
        self.results
            .send(slot)
            .map_err(|_| Error::new(Kind::Failed, "the receiving end gave up"))?;
        self.work
            .send((item, result))
            .map_err(|_| Error::new(Kind::Failed, "the worker threads ended early"))
    }
}

/// Runs `produce` on a thread of its own and lets `jobs` threads turn each item that it sends into
/// a result; hands the results to `consume`, on the calling thread, in the order of the items.
///
/// `worker` is called once in each thread and returns what turns an item into a result, so a thread
/// can keep a compressor or a buffer of its own.
///
/// # Errors
/// The first failure of `consume`, else that of `produce`.
///
/// # Panics
/// When a worker panics, once all threads have ended.
pub fn ordered<T, R, W, F>(
    jobs: usize,
    produce: impl FnOnce(&Feed<T, R>) -> Result<()> + Send,
    worker: W,
    mut consume: impl FnMut(R) -> Result<()>,
) -> Result<()>
where
    T: Send,
    R: Send,
    W: Fn() -> F + Sync,
    F: FnMut(T) -> R,
{
    let jobs = jobs.max(1);
    thread::scope(|scope| {
        let (work, queue) = bounded::<(T, Sender<R>)>(2 * jobs);
        let (results, slots) = bounded::<Receiver<R>>(4 * jobs);
        for _ in 0..jobs {
            let queue = queue.clone();
            let worker = &worker;
            scope.spawn(move || {
                let mut work_on = worker();
                for (item, result) in queue {
                    // The consumer may be gone; then so is the need for the result.
                    let _ = result.send(work_on(item));
                }
            });
        }
        drop(queue);
        let producer = scope.spawn(move || produce(&Feed { work, results }));

        let mut consumed = Ok(());
        for slot in &slots {
            consumed = match slot.recv() {
                Ok(result) => consume(result),
                Err(_) => Err(Error::new(Kind::Failed, "a worker thread panicked")),
            };
            if consumed.is_err() {
                break;
            }
        }
        drop(slots);
        let produced = producer
            .join()
            .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "the producing thread panicked")));
        consumed.and(produced)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        let mut seen = Vec::new();
        ordered(
            4,
            |feed| (0..1000u64).try_for_each(|n| feed.send(n)),
            || |n: u64| n * n,
            |square| {
                seen.push(square);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(seen, (0..1000u64).map(|n| n * n).collect::<Vec<_>>());
    }

    #[test]
    fn the_consumers_failure_ends_the_work_and_is_the_one_reported() {
        let error = ordered(
            2,
            |feed| (0..).try_for_each(|n: u64| feed.send(n)),
            || |n: u64| n,
            |n| {
                if n < 10 {
                    Ok(())
                } else {
                    Err(Error::damaged("ten is too much"))
                }
            },
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "ten is too much");
    }

    #[test]
    fn the_producers_failure_is_reported_after_what_it_sent() {
        let mut seen = 0;
        let error = ordered(
            2,
            |feed| {
                feed.send(1u64)?;
                Err(Error::damaged("the source broke"))
            },
            || |n: u64| n,
            |n| {
                seen += n;
                Ok(())
            },
        )
        .unwrap_err();
        assert_eq!((seen, error.to_string().as_str()), (1, "the source broke"));
    }
}
