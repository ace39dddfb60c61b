//! sg-alert: tells people that a unit failed, and that it is well again, and a dead man's switch that there
//! was a run at all.
//!
//! How it ends: 0 also when a server is down, for the message waits and the next alert or the flush
//! timer brings it; and when nobody wants alerts, for a unit that failed each time because of that would
//! only hide the one that matters. What somebody has to mend, a wrong password say, is a failure.

mod args;
mod channels;
mod conf;
mod memory;
mod ping;

use args::Args;
use conf::Settings;
use jiff::{SignedDuration, Timestamp};
use sg::alert::{
    self, Channels, Delivery, Failure, Message, Raised, Raiser, Signal, Spool, Tell, Unit, log,
    systemd,
};
use sg::monitor::{Monitor, Note, Severity};
use sg::program::args::LinesArgs;
use sg::program::output::{ClosedPipe, Lines};
use sg::program::{self, Console, Exit};
use sg::words::count;
use sg::{Error, Kind, Result};
use std::process::ExitCode;
use std::time::Duration;

const NAME: &str = "sg-alert";
/// Set in the spool once it was said that there are no channels.
const UNHEARD: &str = "no-channel";

pub(crate) fn main() -> ExitCode {
    let args: Args = program::parse();
    program::run(NAME, &args.talk, |console| {
        Work {
            args: &args,
            console,
        }
        .run()
    })
}

struct Work<'a> {
    args: &'a Args,
    console: &'a Console,
}

impl Work<'_> {
    fn run(&self) -> Result<Exit> {
        if let Some(app) = &self.args.test {
            self.test(app)
        } else if let Some(unit) = &self.args.resolved {
            self.succeeded(Unit::parse(unit)?)
        } else if let Some(unit) = &self.args.begun {
            self.begun(&Unit::parse(unit)?)
        } else if let Some(unit) = &self.args.unit {
            let unit = Unit::parse(unit)?;
            let settings = self.settings(unit.app.as_deref())?;
            let failure = self.look(unit, &settings);
            if self.args.dry_run {
                return self.would_tell(&failure, &settings);
            }
            let words = || self.words(&failure, &settings);
            self.pinging(Signal::Failed, &failure.unit, &settings, words, || {
                self.failed(&failure, &settings)
            })
        } else {
            self.flush()
        }
    }

    /// What is known of the last run of `unit`.
    fn look(&self, unit: Unit, settings: &Settings) -> Failure {
        let run = systemd::last_run(&unit, |name| std::env::var(name).ok());
        let log = match log::of(&unit, &run, &channels::redactor(settings)) {
            Ok(log) => log,
            Err(error) => {
                self.console.failure(&error);
                log::Log::default()
            }
        };
        Failure::new(unit, host(), run, log, Timestamp::now())
    }

    fn would_tell(&self, failure: &Failure, settings: &Settings) -> Result<Exit> {
        let message = Message::failed(failure, None, Tell::First, &statuses());
        self.show(&message, &channels::channels(settings))
    }

    /// A unit failed, or noticed something.
    fn failed(&self, failure: &Failure, settings: &Settings) -> Result<Exit> {
        let kinds = channels::channels(settings).wanted();
        for name in channels::exposed(settings) {
            self.console.note(Note::new(
                Severity::Info,
                "secret-in-environment",
                name,
                "holds a secret where others may see it; give the unit a credential instead",
            ));
        }
        let told = self.remembering(|spool, trouble| {
            if kinds.is_empty() {
                return self.unheard(spool);
            }
            let failure = match trouble {
                Some(state) => &memory::with_trouble(failure, state),
                None => failure,
            };
            self.raise(spool, failure, settings, &kinds)?;
            self.deliver(spool)
        });
        told.or_else(|error| self.without_spool(failure, &kinds, error))
    }

    fn raise(
        &self,
        spool: &Spool,
        failure: &Failure,
        settings: &Settings,
        kinds: &[alert::ChannelKind],
    ) -> Result<()> {
        let name = &failure.unit.name;
        match self.raiser(spool, settings)?.failed(failure, kinds)? {
            Raised::Told(_) => {}
            Raised::Known { failures, since } => self.console.say(
                &format!(
                    "{name}: failed {} since {since}; people know, the next reminder is not due",
                    count(failures, "time")
                ),
                &fields(&failure.unit),
            ),
            Raised::Covered(step) => self.console.say(
                &format!("{name}: the alert of {} tells of it", step.name),
                &fields(&failure.unit),
            ),
        }
        spool.unmark(UNHEARD)
    }

    /// Neither the disk that should keep the alert nor anything else can: tell at once, and say so.
    fn without_spool(
        &self,
        failure: &Failure,
        kinds: &[alert::ChannelKind],
        error: Error,
    ) -> Result<Exit> {
        let message = Message::failed(failure, None, Tell::First, &statuses());
        let delivery = alert::deliver_now(
            &message,
            kinds,
            &|app| self.channels(app),
            self.args.timeout,
        )?;
        self.report(&delivery);
        Err(error)
    }

    /// A unit ended well, or did its work and noticed something.
    fn succeeded(&self, unit: Unit) -> Result<Exit> {
        let settings = self.settings(unit.app.as_deref())?;
        let ended = self.look(unit, &settings);
        self.pinging(Signal::Well, &ended.unit, &settings, String::new, || {
            let news = ended.is_finding() && ended.unit.step.has_news();
            if news && ended.severity >= settings.args.severity.into() {
                return self.failed(&ended, &settings);
            }
            let kinds = channels::channels(&settings).wanted();
            self.remembering(|spool, _| {
                let raiser = self.raiser(spool, &settings)?;
                raiser.resolved(&ended.unit, Timestamp::now(), &kinds)?;
                self.deliver(spool)
            })
        })
    }

    fn flush(&self) -> Result<Exit> {
        let settings = self.settings(None)?;
        self.remembering(|spool, _| {
            if self.args.dry_run {
                return self.would_flush(spool);
            }
            let raiser = self.raiser(spool, &settings)?;
            raiser.settle(Timestamp::now(), |app| {
                self.channels(app)
                    .map(|channels| channels.wanted())
                    .unwrap_or_default()
            })?;
            self.deliver(spool)
        })
    }

    fn would_flush(&self, spool: &Spool) -> Result<Exit> {
        for item in spool.waiting()? {
            let message = &item.message;
            self.print(&format!(
                "{} {} {}\n",
                item.channel, message.at, message.subject
            ))?;
        }
        Ok(Exit::Done)
    }

    fn test(&self, app: &str) -> Result<Exit> {
        let settings = self.settings(Some(app))?;
        let message = Message::test(&host(), app, Timestamp::now());
        let channels = channels::channels(&settings);
        let kinds = channels.wanted();
        if kinds.is_empty() {
            return Err(no_channel());
        }
        if self.args.dry_run {
            return self.show(&message, &channels);
        }
        let delivery = alert::deliver_now(
            &message,
            &kinds,
            &|app| self.channels(app),
            settings.args.timeout,
        )?;
        self.report(&delivery);
        Ok(delivery
            .failed
            .first()
            .map_or(Exit::Done, |error| Exit::from(error.kind())))
    }

    /// Nobody wants to hear of it: worth a word, once.
    fn unheard(&self, spool: &Spool) -> Result<Exit> {
        if spool.mark(UNHEARD)? {
            self.console.failure(&no_channel());
        }
        Ok(Exit::Done)
    }

    fn deliver(&self, spool: &Spool) -> Result<Exit> {
        let delivery = alert::deliver(spool, &|app| self.channels(app), self.args.timeout)?;
        self.report(&delivery);
        if delivery.left > 0 {
            self.console.say(
                &format!(
                    "{} left for the next alert, or sg-alert --flush",
                    count(delivery.left, "message")
                ),
                &[],
            );
        }
        // That a server is down will pass; all else has to be mended.
        Ok(delivery
            .failed
            .iter()
            .find(|error| error.kind() != Kind::Unavailable)
            .map_or(Exit::Done, |error| Exit::from(error.kind())))
    }

    fn report(&self, delivery: &Delivery) {
        for sent in &delivery.sent {
            let mut text = format!("{}: accepted: {}", sent.channel, sent.message.subject);
            for remark in &sent.remarks {
                text.push_str(&format!("\n{remark}"));
            }
            let fields = [
                ("SG_APP", sent.message.app.clone().unwrap_or_default()),
                ("SG_UNIT", sent.message.unit.clone().unwrap_or_default()),
                ("SG_SEVERITY", sent.message.severity.to_string()),
            ];
            self.console.say(&text, &fields);
        }
        for error in &delivery.failed {
            self.console.failure(error);
        }
    }

    fn show(&self, message: &Message, channels: &Channels) -> Result<Exit> {
        for name in channels::names(channels) {
            self.print(&format!("To: {name}\n"))?;
        }
        let text = message.text(Timestamp::now());
        self.print(&format!("Subject: {}\n\n{text}", message.subject))?;
        Ok(Exit::Done)
    }

    fn print(&self, text: &str) -> Result<bool> {
        Lines::new(&LinesArgs::default(), ClosedPipe::Ends).write(text.as_bytes())
    }

    /// The settings of `app`; if its own file can't be used, those for all: better told in the wrong
    /// place than not at all.
    fn settings(&self, app: Option<&str>) -> Result<Settings> {
        let directory = &self.args.settings.config_directory;
        match Settings::load(directory, app) {
            Err(error) if app.is_some() => {
                self.console.failure(&error);
                Settings::load(directory, None)
            }
            loaded => loaded,
        }
    }

    fn channels(&self, app: Option<&str>) -> Result<Channels> {
        self.settings(app)
            .map(|settings| channels::channels(&settings))
    }

    fn raiser<'s>(&self, spool: &'s Spool, settings: &Settings) -> Result<Raiser<'s>> {
        let args = &settings.args;
        let long = |name: &'static str, time: Duration| {
            SignedDuration::try_from(time).map_err(|cause| {
                Error::new(Kind::Config, format!("{name} is too long")).with_source(cause)
            })
        };
        let repeat = long("SG_ALERT_REPEAT", args.repeat)?;
        let after = long("SG_ESCALATE_AFTER", args.escalate_after)?;
        let beyond = args.escalate_to.as_ref().filter(|to| !to.trim().is_empty());
        let escalation = beyond.map(|_| (after, args.escalate_severity.into()));
        Ok(Raiser {
            spool,
            host: host(),
            repeat,
            grace: self.args.grace,
            escalation,
            statuses: statuses(),
        })
    }
}

fn no_channel() -> Error {
    Error::new(Kind::Config, "nobody is told of failures: there is no channel for alerts")
        .with_hint(
            "Set SG_ALERT_TO and SG_SMTP_URL in /etc/sg/sg.conf, or give sg-alert@.service the credential webhook-url; then try sg-alert --test APP.",
        )
}

fn fields(unit: &Unit) -> [(&'static str, String); 2] {
    [
        ("SG_APP", unit.app.clone().unwrap_or_default()),
        ("SG_UNIT", unit.name.clone()),
    ]
}

fn statuses() -> Vec<(u8, &'static str)> {
    Exit::TABLE
        .iter()
        .map(|(exit, words)| (*exit as u8, *words))
        .collect()
}

/// This host's name.
pub(crate) fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
