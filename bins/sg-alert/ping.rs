//! The dead man's switch of an application's runs, and that of its drills.

use super::Work;
use super::channels;
use super::conf::Settings;
use jiff::Timestamp;
use sg::alert::{Failure, Message, Signal, Step, Tell, Unit, systemd};
use sg::program::Exit;
use sg::{Error, Kind, Result};
use std::thread;
use std::time::Duration;

/// That a run begins is told for so long: what it leads to matters more.
const BEGUN: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// `unit` begins.
    pub(super) fn begun(&self, unit: &Unit) -> Result<Exit> {
        let settings = self.settings(unit.app.as_deref())?;
        self.pinging(Signal::Begun, unit, &settings, String::new, || {
            Ok(Exit::Done)
        })
    }

    /// Does `work`, and meanwhile tells the switch of `unit`, if it has one. Neither waits for the other to
    /// begin, nor fails because of it.
    pub(super) fn pinging(
        &self,
        signal: Signal,
        unit: &Unit,
        settings: &Settings,
        words: impl FnOnce() -> String + Send,
        work: impl FnOnce() -> Result<Exit>,
    ) -> Result<Exit> {
        let Some(ping) = channels::ping(settings, unit.step).transpose() else {
            return work();
        };
        let budget = match signal {
            Signal::Begun => settings.args.timeout.min(BEGUN),
            Signal::Well | Signal::Failed => settings.args.timeout,
        };
        thread::scope(|scope| {
            let pinging = scope.spawn(|| {
                let ping = ping?;
                ping.send(signal, &words(), budget).map(|()| ping.name())
            });
            let done = work();
            let broke_down = |_| Err(Error::new(Kind::Failed, "the dead man's switch broke down"));
            let pinged = pinging.join().unwrap_or_else(broke_down);
            let exit = self.pinged(signal, unit, pinged);
            done.map(|done| if done == Exit::Done { exit } else { done })
        })
    }

    fn pinged(&self, signal: Signal, unit: &Unit, pinged: Result<String>) -> Exit {
        match pinged {
            Ok(name) => {
                let what = match signal {
                    Signal::Begun => "has begun",
                    Signal::Well => "ended well",
                    Signal::Failed => "failed",
                };
                let text = format!("{name}: was told that {} {what}", unit.name);
                self.console.say(&text, &super::fields(unit));
                Exit::Done
            }
            Err(error) => {
                self.console.failure(&error);
                // That it is out of reach will pass; all else has to be mended.
                match error.kind() {
                    Kind::Unavailable => Exit::Done,
                    kind => Exit::from(kind),
                }
            }
        }
    }

    /// What the switch is told of `failure`: of a run, what its step has to say that failed.
    pub(super) fn words(&self, failure: &Failure, settings: &Settings) -> String {
        let step = self.failed_step(failure, settings);
        let failure = step.as_ref().unwrap_or(failure);
        let message = Message::failed(failure, None, Tell::First, &super::statuses());
        format!("{}\n\n{}", message.subject, message.text(Timestamp::now()))
    }

    /// The step that made the run fail, as far as systemd still knows.
    fn failed_step(&self, driver: &Failure, settings: &Settings) -> Option<Failure> {
        let app = driver.unit.name.strip_prefix("sg-backup@")?;
        let begun = driver.started?.as_second();
        Step::DRIVEN.iter().find_map(|name| {
            let unit = Unit::parse(&format!("{name}@{app}")).ok()?;
            let run = systemd::last_run(&unit, |_| None);
            let in_it = run.ended.is_some_and(|ended| ended.as_second() >= begun);
            let failed = in_it && run.outcome.failed();
            failed.then(|| self.look(unit, settings))
        })
    }
}
