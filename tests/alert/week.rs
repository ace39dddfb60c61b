//! A week with two outages and something that flaps, as one person lives through it: a mail server and a
//! webhook receive exactly these messages, at these times, and no other.
//!
//! The clock is played; all else is real: the memory on disk, the queue, both servers.

use super::host::Receiver;
use crate::support::{scratch, time};
use jiff::{SignedDuration, Timestamp};
use sg::alert::log::Log;
use sg::alert::systemd::Run;
use sg::alert::{
    Channel, ChannelKind, Channels, Failure, Mail, Outcome, Raiser, Route, Secret, Smtp, Spool,
    Unit, Webhook, deliver,
};
use sg::monitor::Severity;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What happens to a unit.
#[derive(Clone, Copy)]
enum Happens {
    Fails(&'static str, &'static str),
    EndsWell,
}
use Happens::{EndsWell, Fails};

/// 2026-11-16 is a Monday.
fn at(day: u32, clock: &str) -> Timestamp {
    time(&format!("2026-11-{day}T{clock}:00Z"))
}

/// The week as systemd would tell of it.
fn week() -> BTreeMap<Timestamp, Vec<(&'static str, Happens)>> {
    let mut week: BTreeMap<Timestamp, Vec<(&'static str, Happens)>> = BTreeMap::new();
    let mut add = |at, unit, happens| week.entry(at).or_default().push((unit, happens));
    let dump = "sg-dump-db@shop.service";
    let driver = "sg-backup@shop.service";
    for day in 16..=22 {
        // The server is down from Sunday evening until Wednesday noon.
        if day <= 18 {
            add(
                at(day, "03:31"),
                dump,
                Fails("69", "cannot connect to 'shop': refused"),
            );
            add(at(day, "03:31"), driver, Fails("1", "job failed"));
        } else if day == 21 {
            // A bit flips on Friday night.
            add(
                at(day, "03:40"),
                "sg-verify@shop.service",
                Fails("65", "member 3 is damaged"),
            );
            add(at(day, "03:40"), driver, Fails("1", "job failed"));
        } else {
            add(at(day, "03:45"), dump, EndsWell);
            add(at(day, "03:50"), driver, EndsWell);
        }
    }
    // The web's backups run each hour; on Friday its network comes and goes.
    let web = "sg-dump-db@web.service";
    for hour in 8..20 {
        let clock = format!("{hour:02}:10");
        if hour % 2 == 0 && hour < 18 {
            add(
                at(20, &clock),
                web,
                Fails("69", "cannot connect to 'web': no route"),
            );
            add(
                at(20, &clock),
                "sg-backup@web.service",
                Fails("1", "job failed"),
            );
        } else {
            add(at(20, &clock), "sg-backup@web.service", EndsWell);
        }
    }
    week
}

#[test]
fn a_week_is_these_messages_and_no_other() {
    let (smtp, hook) = (Receiver::smtp(&[]), Receiver::webhook(&[]));
    let state = scratch();
    let spool = Spool::open(state.path()).unwrap();
    let directory = |_: Option<&str>| {
        let server = Smtp::new("localhost".to_owned(), Some(smtp.port), None, None, None);
        let mail = Mail::new("sg@db1", "ops@example.org", Route::Smtp(server))?;
        let mail = mail.escalating_to("boss@example.org")?;
        let url = Secret::new(format!("http://localhost:{}/hook", hook.port));
        let webhook = Webhook::new(&url, None, None, None)?;
        Ok(Channels {
            mail: Some(Ok(Arc::new(mail) as Arc<dyn Channel>)),
            webhook: Some(Ok(Arc::new(webhook) as Arc<dyn Channel>)),
        })
    };
    let raiser = Raiser {
        spool: &spool,
        host: "db1".to_owned(),
        repeat: SignedDuration::from_hours(24),
        grace: Duration::ZERO,
        escalation: Some((SignedDuration::from_hours(48), Severity::High)),
        statuses: vec![(65, "damaged data"), (69, "a server is unreachable")],
    };
    let happens = week();
    let mut sent = Vec::new();
    let mut run = 0;
    let mut now = at(16, "00:00");
    while now < at(23, "12:00") {
        for (unit, what) in happens.get(&now).into_iter().flatten() {
            let unit = Unit::parse(unit).unwrap();
            match *what {
                Fails(status, cause) => {
                    run += 1;
                    let log = Log {
                        cause: Some(cause.to_owned()),
                        ..Log::default()
                    };
                    let run = Run {
                        outcome: Outcome::new("exit-code", "exited", status),
                        invocation: Some(format!("{run:032x}")),
                        started: Some(now - SignedDuration::from_mins(1)),
                        ended: Some(now),
                    };
                    let failure = Failure::new(unit, "db1".to_owned(), run, log, now);
                    raiser.failed(&failure, &ChannelKind::ALL).unwrap();
                }
                EndsWell => {
                    raiser.resolved(&unit, now, &ChannelKind::ALL).unwrap();
                }
            }
        }
        // The flush timer.
        if now.as_second() % 900 == 0 {
            let all = |_: Option<&str>| ChannelKind::ALL.to_vec();
            raiser.settle(now, all).unwrap();
        }
        if !spool.waiting().unwrap().is_empty() {
            let delivery = deliver(&spool, &directory, Duration::from_secs(60)).unwrap();
            assert!(delivery.failed.is_empty(), "{:?}", delivery.failed);
            sent.resize(smtp.got().len(), now);
        }
        now += SignedDuration::from_mins(1);
    }

    let got = smtp.got();
    let subjects = smtp.subjects();
    let told: Vec<String> = got
        .iter()
        .zip(&sent)
        .zip(&subjects)
        .map(|((mail, at), subject)| {
            let to: Vec<&str> = mail["to"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|to| to.as_str())
                .collect();
            let to: Vec<&str> = to.iter().filter_map(|to| to.split('@').next()).collect();
            format!("{} {} {subject}", at.strftime("%a %H:%M"), to.join("+"))
        })
        .collect();
    assert_eq!(told, EXPECTED, "\n{}", told.join("\n"));
    let hooked: Vec<String> = hook
        .got()
        .iter()
        .filter_map(|got| Some(got["body"]["subject"].as_str()?.to_owned()))
        .collect();
    // The webhook has the same, in the same order; its subjects are not folded.
    assert_eq!(hooked.len(), EXPECTED.len(), "{hooked:?}");
    for (hooked, expected) in hooked.iter().zip(EXPECTED) {
        let subject = expected.splitn(4, ' ').nth(3).unwrap();
        assert!(hooked.starts_with(subject), "{hooked} is not {subject}");
    }
}

/// When, to whom, and what: the first line of each subject.
const EXPECTED: [&str; 10] = [
    "Mon 03:31 ops [CRITICAL] shop: database dump failed on db1: cannot connect to",
    "Tue 03:31 ops [CRITICAL] shop: database dump still fails on db1: cannot connect",
    "Wed 03:45 ops+boss [ESCALATED] [CRITICAL] shop: database dump still fails on db1:",
    "Thu 03:45 ops+boss [OK] shop: well again after 3 d on db1",
    "Fri 08:10 ops [CRITICAL] web: database dump failed on db1: cannot connect to",
    "Fri 09:10 ops [OK] web: well again after 1 h on db1",
    "Fri 10:10 ops [CRITICAL] web: database dump failed again on db1: cannot connect",
    "Fri 23:15 ops [OK] web: well again after 9 h on db1",
    "Sat 03:40 ops [CRITICAL] shop: verification failed on db1: member 3 is damaged",
    "Sun 03:50 ops [OK] shop: well again after 1 d on db1",
];
