//! Decides, with the spool's memory, what has to be told, and puts it where it can't be lost.

use super::channel::ChannelKind;
use super::failure::Failure;
use super::incident::{Incident, Recovery, Seen, Tell};
use super::message::Message;
use super::spool::{Guard, Spool};
use super::unit::{Step, Unit};
use crate::error::Result;
use crate::monitor::Severity;
use jiff::{SignedDuration, Timestamp};
use std::thread;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without knowing when a driver began: so far back a step's failure may be of the same run.
const SAME_RUN: SignedDuration = SignedDuration::from_hours(24);

/// What became of a failure.
#[derive(Debug)]
pub enum Raised {
    /// A message waits to be sent.
    Told(Box<Message>),
    /// People know already.
    Known {
        /// How often it failed by now.
        failures: u64,
        /// Since when.
        since: Timestamp,
    },
    /// It is a driver, and this step of the same run failed and is told.
    Covered(Unit),
}

/// Decides for one host.
#[derive(Clone, Debug)]
pub struct Raiser<'a> {
    /// The memory and the queue.
    pub spool: &'a Spool,
    /// The host's name.
    pub host: String,
    /// After how long the first reminder comes.
    pub repeat: SignedDuration,
    /// How long a driver's alert waits for that of the step that failed: both start at the same moment.
    pub grace: Duration,
    /// After how long, and from which severity on, others are told as well.
    pub escalation: Option<(SignedDuration, Severity)>,
    /// Exit statuses in words.
    pub statuses: Vec<(u8, &'static str)>,
}

impl Raiser<'_> {
    /// Tells of `failure` by `channels`, if people don't know it yet.
    ///
    /// # Errors
    /// The spool can't be read or written; then nothing is kept, and the message should be sent at once.
    pub fn failed(&self, failure: &Failure, channels: &[ChannelKind]) -> Result<Raised> {
        if failure.unit.step == Step::Driver
            && let Some(step) = self.step_of(failure)?
        {
            return Ok(Raised::Covered(step));
        }
        let guard = self.spool.lock()?;
        let seen = Seen {
            cause: &failure.sameness,
            run: failure.invocation.as_deref(),
            severity: failure.severity,
            at: failure.ended,
        };
        let known = self
            .spool
            .incident(&guard, &failure.unit)?
            .filter(|known| !known.is_history(failure.ended, self.repeat));
        let (mut incident, tell) = match known {
            Some(mut known) => {
                let tell = known.fails(seen, self.repeat);
                (known, tell)
            }
            None => {
                let first = Message::failed(failure, None, Tell::First, &self.statuses);
                let unit = failure.unit.clone();
                (
                    Incident::open(unit, seen, self.repeat, first.id),
                    Tell::First,
                )
            }
        };
        incident.finding = failure.is_finding();
        if tell == Tell::Nothing {
            self.spool.remember(&guard, &incident)?;
            return Ok(Raised::Known {
                failures: incident.failures,
                since: incident.since,
            });
        }
        let mut message = Message::failed(failure, Some(&incident), tell, &self.statuses);
        if self.escalates(&incident, failure.ended) {
            message = message.escalate(incident.since, failure.ended);
            incident.escalated = true;
        }
        // They go on hearing of what they have heard of.
        message.escalated |= incident.escalated;
        incident.told = Some(Box::new(message.clone()));
        self.keep(&guard, &message, channels, &[&incident])?;
        Ok(Raised::Told(Box::new(message)))
    }

    /// Keeps `message`, and remembers that these `incidents` are told with it: both or neither. The message
    /// first: told twice, should the power fail in between, is better than not at all.
    fn keep(
        &self,
        guard: &Guard,
        message: &Message,
        channels: &[ChannelKind],
        incidents: &[&Incident],
    ) -> Result<()> {
        self.spool.put(guard, message, channels)?;
        incidents
            .iter()
            .try_for_each(|incident| self.spool.remember(guard, incident))
            .inspect_err(|_| self.spool.take_back(guard, message))
    }

    /// Whether it is time to tell others of `incident`.
    fn escalates(&self, incident: &Incident, now: Timestamp) -> bool {
        self.escalation.is_some_and(|(after, severity)| {
            !incident.escalated && incident.severity >= severity && incident.drags_on(now, after)
        })
    }

    /// The step whose failure made the driver fail, once its own alert has told of it.
    fn step_of(&self, driver: &Failure) -> Result<Option<Unit>> {
        let begun = driver
            .started
            .unwrap_or_else(|| driver.ended.checked_sub(SAME_RUN).unwrap_or(driver.ended));
        let deadline = Instant::now() + self.grace;
        loop {
            let guard = self.spool.lock()?;
            let step = self
                .spool
                .incidents(&guard)?
                .into_iter()
                .filter(|incident| incident.unit.app == driver.unit.app)
                // systemd counts whole seconds.
                .find(|incident| {
                    incident.unit.step.is_driven() && incident.last.as_second() >= begun.as_second()
                });
            drop(guard);
            if let Some(step) = step {
                return Ok(Some(step.unit));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// `unit` ended well: what is open about it is over. A driver speaks for its steps that failed; that
    /// nothing needs a look any more, a step says itself. Returns the message that says so, if anything was
    /// open.
    ///
    /// # Errors
    /// The spool can't be read or written.
    pub fn resolved(
        &self,
        unit: &Unit,
        now: Timestamp,
        channels: &[ChannelKind],
    ) -> Result<Option<Message>> {
        let guard = self.spool.lock()?;
        let mut over = Vec::new();
        for mut incident in self.spool.incidents(&guard)? {
            let about_it = incident.unit.name == unit.name
                || (unit.step == Step::Driver
                    && incident.unit.step.is_driven()
                    && !incident.finding
                    && incident.unit.app == unit.app);
            if about_it {
                match incident.recovers(now) {
                    Recovery::Over => over.push(incident),
                    Recovery::Settling => self.spool.remember(&guard, &incident)?,
                    Recovery::Nothing => {}
                }
            }
        }
        self.tell_over(&guard, &over, now, channels)
    }

    /// Tells of what was failing on and off and has kept still since, tells others of what nobody mends, and
    /// forgets what is long over.
    /// `channels` finds an application's channels.
    ///
    /// # Errors
    /// The spool can't be read or written.
    pub fn settle(
        &self,
        now: Timestamp,
        mut channels: impl FnMut(Option<&str>) -> Vec<ChannelKind>,
    ) -> Result<Vec<Message>> {
        let guard = self.spool.lock()?;
        let mut told = Vec::new();
        for mut incident in self.spool.incidents(&guard)? {
            if incident.settles(now, self.repeat) {
                let channels = channels(incident.unit.app.as_deref());
                told.extend(self.tell_over(&guard, &[incident], now, &channels)?);
            } else if incident.is_history(now, self.repeat) {
                self.spool.forget(&guard, &incident)?;
            } else if self.escalates(&incident, now)
                && let Some(last) = incident.told.clone()
            {
                let message = last.escalate(incident.since, now);
                let channels = channels(incident.unit.app.as_deref());
                incident.escalated = true;
                incident.told = Some(Box::new(message.clone()));
                self.keep(&guard, &message, &channels, &[&incident])?;
                told.push(message);
            }
        }
        Ok(told)
    }

    fn tell_over(
        &self,
        guard: &Guard,
        over: &[Incident],
        now: Timestamp,
        channels: &[ChannelKind],
    ) -> Result<Option<Message>> {
        let Some(message) = Message::resolved(&self.host, over, now) else {
            return Ok(None);
        };
        let over: Vec<&Incident> = over.iter().collect();
        self.keep(guard, &message, channels, &over)?;
        Ok(Some(message))
    }
}
