//! Sends what waits, each channel on its own: the oldest first, again after a pause while there is time,
//! and what can't be sent now stays for later.

use super::channel::{Accepted, Channel, ChannelKind, Channels, Fault, Then};
use super::message::Message;
use super::spool::{Item, Spool};
use crate::error::{Error, Kind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The first pause between two attempts; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(1);
/// A server that refuses so many messages in a row has something against all of them.
const MOST_REFUSED: usize = 3;
/// What hangs in spite of its deadline, in looking up a name say, is left behind after this.
const SLACK: Duration = Duration::from_secs(2);

/// A message that was accepted.
#[derive(Debug)]
pub struct Sent {
    /// By whom.
    pub channel: String,
    /// What it was.
    pub message: Message,
    /// What is worth knowing about it.
    pub remarks: Vec<String>,
}

/// What became of the messages.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Those that were accepted.
    pub sent: Vec<Sent>,
    /// Why others were not.
    pub failed: Vec<Error>,
    /// How many wait on.
    pub left: usize,
}

/// Makes the channels of an application, of none for what belongs to no application.
pub type Directory<'a> = dyn Fn(Option<&str>) -> Result<Channels> + Sync + 'a;

/// Where messages wait.
enum Queue<'a> {
    Spool(&'a Spool),
    Memory(Mutex<Vec<Item>>),
}

impl Queue<'_> {
    fn waiting(&self) -> Result<Vec<Item>> {
        match self {
            Self::Spool(spool) => spool.waiting(),
            Self::Memory(items) => Ok(items.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    fn sent(&self, item: &Item) -> Result<()> {
        match self {
            Self::Spool(spool) => spool.sent(item),
            Self::Memory(items) => {
                items
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .retain(|other| !same(other, item));
                Ok(())
            }
        }
    }
}

impl Queue<'_> {
    /// From now on `item` is for the addresses `only` alone.
    fn narrow(&self, item: &Item, only: Vec<String>) -> Result<()> {
        match self {
            Self::Spool(spool) => spool.narrow(item, only),
            Self::Memory(items) => {
                let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
                for known in items.iter_mut().filter(|known| same(known, item)) {
                    known.message.only.clone_from(&only);
                }
                Ok(())
            }
        }
    }
}

fn same(one: &Item, other: &Item) -> bool {
    one.channel == other.channel && one.message.id == other.message.id
}

/// Sends what waits in `spool`, for at most `budget`. If another process is sending, waits for it.
///
/// # Errors
/// The spool can't be read. What happens to single messages is in the [`Delivery`].
pub fn deliver(spool: &Spool, channels: &Directory<'_>, budget: Duration) -> Result<Delivery> {
    let deadline = Instant::now() + budget;
    let Some(_turn) = spool.lock_delivery(deadline)? else {
        let mut delivery = Delivery {
            left: spool.waiting()?.len(),
            ..Delivery::default()
        };
        if delivery.left > 0 {
            delivery.failed.push(Error::new(
                Kind::Unavailable,
                "another alert is still trying to send",
            ));
        }
        return Ok(delivery);
    };
    run(&Queue::Spool(spool), channels, deadline)
}

/// Sends `message` through each of `kinds` without a spool: for a test, and for when the disk that the
/// spool is on is what failed.
///
/// # Errors
/// None that a caller could not find in the [`Delivery`].
pub fn deliver_now(
    message: &Message,
    kinds: &[ChannelKind],
    channels: &Directory<'_>,
    budget: Duration,
) -> Result<Delivery> {
    let items = kinds.iter().map(|&channel| Item {
        path: None,
        channel,
        message: message.clone(),
    });
    let queue = Queue::Memory(Mutex::new(items.collect()));
    run(&queue, channels, Instant::now() + budget)
}

fn run(queue: &Queue<'_>, channels: &Directory<'_>, deadline: Instant) -> Result<Delivery> {
    let parts: Vec<Result<Delivery>> = thread::scope(|scope| {
        let threads: Vec<_> = ChannelKind::ALL
            .into_iter()
            .map(|kind| scope.spawn(move || Lane::new(queue, channels, kind, deadline).run()))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Error::new(Kind::Failed, "a channel broke down")))
            })
            .collect()
    });
    let mut delivery = Delivery::default();
    for part in parts {
        let part = part?;
        delivery.sent.extend(part.sent);
        delivery.failed.extend(part.failed);
    }
    delivery.left = queue.waiting()?.len();
    Ok(delivery)
}

/// The messages of one kind of channel.
struct Lane<'a> {
    queue: &'a Queue<'a>,
    channels: &'a Directory<'a>,
    kind: ChannelKind,
    deadline: Instant,
    /// Each application's channel; none if nothing more is to be tried with it.
    ready: BTreeMap<Option<String>, Option<Arc<dyn Channel>>>,
    /// Messages that were refused in this run.
    refused: BTreeSet<String>,
    delivery: Delivery,
}

impl<'a> Lane<'a> {
    fn new(
        queue: &'a Queue<'a>,
        channels: &'a Directory<'a>,
        kind: ChannelKind,
        deadline: Instant,
    ) -> Self {
        Self {
            queue,
            channels,
            kind,
            deadline,
            ready: BTreeMap::new(),
            refused: BTreeSet::new(),
            delivery: Delivery::default(),
        }
    }

    /// Goes on until nothing is left that can be tried; messages that come meanwhile are sent as well.
    fn run(mut self) -> Result<Delivery> {
        while let Some((item, channel)) = self.next()? {
            match self.send(&item.message, &channel) {
                Ok(accepted) => {
                    if accepted.later.is_empty() {
                        self.queue.sent(&item)?;
                    } else {
                        // Some have it, some are to have it the next time.
                        self.refused.insert(item.message.id.clone());
                        self.queue.narrow(&item, accepted.later)?;
                    }
                    self.delivery.sent.push(Sent {
                        channel: channel.name(),
                        message: item.message,
                        remarks: accepted.remarks,
                    });
                }
                Err(fault) => {
                    self.refused.insert(item.message.id);
                    if fault.then != Then::Skip || self.refused.len() >= MOST_REFUSED {
                        self.ready.insert(item.message.app, None);
                    }
                    self.delivery.failed.push(fault.error);
                }
            }
        }
        Ok(self.delivery)
    }

    /// The oldest message that can be tried, and how.
    fn next(&mut self) -> Result<Option<(Item, Arc<dyn Channel>)>> {
        for item in self.queue.waiting()? {
            if item.channel != self.kind || self.refused.contains(&item.message.id) {
                continue;
            }
            if !self.ready.contains_key(&item.message.app) {
                let channel = self.prepare(item.message.app.as_deref());
                self.ready.insert(item.message.app.clone(), channel);
            }
            if let Some(Some(channel)) = self.ready.get(&item.message.app) {
                let channel = Arc::clone(channel);
                return Ok(Some((item, channel)));
            }
        }
        Ok(None)
    }

    /// The channel for `app`. One that nobody wants any more leaves its messages where they are, for
    /// the time when somebody does.
    fn prepare(&mut self, app: Option<&str>) -> Option<Arc<dyn Channel>> {
        let configured = (self.channels)(app).map(|mut channels| channels.take(self.kind));
        match configured {
            Ok(None) => None,
            Ok(Some(Ok(channel))) => Some(channel),
            Ok(Some(Err(error))) | Err(error) => {
                self.delivery.failed.push(error);
                None
            }
        }
    }

    /// Sends one message, again after a pause as long as there is time for it.
    fn send(&self, message: &Message, channel: &Arc<dyn Channel>) -> Result<Accepted, Fault> {
        let mut pause = PAUSE;
        loop {
            let fault = match attempt(message, channel, self.deadline) {
                Ok(remarks) => return Ok(remarks),
                Err(fault) => fault,
            };
            let Then::Retry(wait) = fault.then else {
                return Err(fault);
            };
            let wait = wait.unwrap_or(pause).max(PAUSE);
            if Instant::now() + wait >= self.deadline {
                return Err(fault);
            }
            thread::sleep(wait);
            pause *= 2;
        }
    }
}

/// One attempt, in a thread of its own, which is left behind if it does not keep its deadline.
fn attempt(
    message: &Message,
    channel: &Arc<dyn Channel>,
    deadline: Instant,
) -> Result<Accepted, Fault> {
    let (sender, receiver) = mpsc::channel();
    let name = channel.name();
    let (message, channel) = (message.clone(), Arc::clone(channel));
    thread::spawn(move || sender.send(channel.send(&message, deadline)).ok());
    let left = deadline.saturating_duration_since(Instant::now()) + SLACK;
    receiver.recv_timeout(left).unwrap_or_else(|_| {
        Err(Fault {
            error: Error::new(Kind::Unavailable, format!("{name}: no end in time")),
            // It may yet succeed: a second attempt could make it two messages.
            then: Then::Stop,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers as it is told, one answer for each attempt.
    struct Scripted {
        script: Vec<Option<Then>>,
        attempts: AtomicUsize,
        accepted: Mutex<Vec<i64>>,
    }

    impl Channel for Scripted {
        fn name(&self) -> String {
            "script".to_owned()
        }

        fn send(&self, message: &Message, _: Instant) -> Result<Accepted, Fault> {
            let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
            match self.script.get(attempt).copied().flatten() {
                None => {
                    self.accepted.lock().unwrap().push(message.at.as_second());
                    Ok(Accepted::default())
                }
                Some(then) => Err(Fault {
                    error: Error::new(Kind::Unavailable, "no"),
                    then,
                }),
            }
        }
    }

    fn played(script: Vec<Option<Then>>, messages: i64) -> (Delivery, usize, Vec<i64>) {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        let guard = spool.lock().unwrap();
        for second in 0..messages {
            let at = Timestamp::from_second(second).unwrap();
            let message = Message::test("db1", "shop", at);
            spool.put(&guard, &message, &[ChannelKind::Mail]).unwrap();
        }
        drop(guard);
        let channel = Arc::new(Scripted {
            script,
            attempts: AtomicUsize::new(0),
            accepted: Mutex::default(),
        });
        let directory = |_: Option<&str>| {
            Ok(Channels {
                mail: Some(Ok(channel.clone() as Arc<dyn Channel>)),
                webhook: None,
            })
        };
        let delivery = deliver(&spool, &directory, Duration::from_millis(1500)).unwrap();
        let accepted = channel.accepted.lock().unwrap().clone();
        (delivery, channel.attempts.load(Ordering::SeqCst), accepted)
    }

    #[test]
    fn what_fails_for_a_moment_is_tried_again_in_order() {
        let (delivery, attempts, accepted) = played(vec![Some(Then::Retry(None))], 3);
        assert_eq!((attempts, accepted), (4, vec![0, 1, 2]));
        assert_eq!((delivery.sent.len(), delivery.left), (3, 0));
    }

    #[test]
    fn a_server_that_is_gone_is_not_asked_for_each_message() {
        let (delivery, attempts, _) = played(vec![Some(Then::Retry(None)); 9], 5);
        assert_eq!(attempts, 2);
        assert_eq!((delivery.failed.len(), delivery.left), (1, 5));
        let long = Some(Then::Retry(Some(Duration::from_secs(3600))));
        assert_eq!(played(vec![long; 9], 5).1, 1);
    }

    #[test]
    fn a_wrong_password_is_tried_once() {
        let (delivery, attempts, _) = played(vec![Some(Then::Stop); 9], 5);
        assert_eq!((attempts, delivery.left), (1, 5));
    }

    #[test]
    fn one_refused_message_does_not_keep_others_back() {
        let (delivery, _, accepted) = played(vec![None, Some(Then::Skip)], 4);
        assert_eq!(accepted, [0, 2, 3]);
        assert_eq!((delivery.failed.len(), delivery.left), (1, 1));
        let (_, attempts, _) = played(vec![Some(Then::Skip); 9], 9);
        assert_eq!(attempts, MOST_REFUSED);
    }
}
