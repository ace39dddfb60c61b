//! Finds out what is known: reads stores, settings, drills and incidents, and asks systemd.

use super::drills;
use super::facts::{Application, Facts, Goals, Source, Store};
use super::timers;
use crate::alert::{Incident, Step, Unit, shelter};
use crate::application::volumes;
use crate::catalog::{Catalog, by_source};
use crate::error::{Error, Result};
use crate::manifest::host;
use crate::monitor::{Note, Severity};
use crate::parallel::default_jobs;
use crate::prune::candidates;
use crate::retention::{Rules, last_days, span};
use crate::settings::{Settings, Variables, applications};
use crate::store::Local;
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

/// Where backups are if nobody says otherwise.
const STORE: &str = "/var/backups/sg";

/// Clocks of two hosts differ by less.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where `sg.conf` and `APP.conf` are.
    pub settings: PathBuf,
    /// The store to look into, whatever the settings say.
    pub store: Option<PathBuf>,
    /// Where reports of drills are.
    pub drills: PathBuf,
    /// Where sg-alert remembers what failed.
    pub incidents: PathBuf,
    /// Variables that outweigh `sg.conf`.
    pub environment: Variables,
}

/// Finds out what is known of `app`, or of all applications, as of `now`, on whose clock days are
/// counted. With `explain` also when each backup goes.
///
/// # Errors
/// The settings or all of the stores can't be read. What else can't be read is told in the facts.
pub fn gather(places: &Places, app: Option<&str>, explain: bool, now: &Zoned) -> Result<Facts> {
    let mut facts = Facts {
        host: host(),
        ..Facts::default()
    };
    let names = applications(&places.settings)?;
    let read = |app: Option<&str>| Settings::read(&places.settings, app, &places.environment);
    let general = read(None)?;
    let mut settings: BTreeMap<Option<String>, Settings> = BTreeMap::new();
    for name in names {
        let own = read(Some(&name))?;
        settings.insert(Some(name), own);
    }

    let stores: BTreeSet<PathBuf> = match &places.store {
        Some(store) => BTreeSet::from([store.clone()]),
        None => settings.values().chain([&general]).map(store_of).collect(),
    };
    let mut sources = read_stores(stores, now.timestamp(), &mut facts)?;
    let (drills, faults) = drills::read(&places.drills)?;
    facts.faults.extend(faults);

    let is_meant = |name: &Option<String>| app.is_none() || name.as_deref() == app;
    let known: BTreeSet<Option<String>> = settings
        .keys()
        .chain(sources.keys())
        .filter(|name| is_meant(name))
        .cloned()
        .collect();
    let nobody_is_configured = settings.is_empty();
    for name in known {
        let own = settings.get(&name);
        let mut application = Application {
            configured: own.is_some(),
            goals: goals(own.unwrap_or(&general), &name, now, &mut facts.faults),
            sources: sources.remove(&name).unwrap_or_default(),
            drills: drills.get(&name).cloned().unwrap_or_default(),
            name,
            ..Application::default()
        };
        match own {
            Some(own) => want(&mut application, own),
            None => application
                .sources
                .iter_mut()
                .for_each(|source| source.wanted = nobody_is_configured),
        }
        facts.applications.push(application);
    }
    // Sorted, what belongs to nobody would come first.
    facts
        .applications
        .sort_by_key(|application| application.name.is_none());

    failures(places, &mut facts);
    look_into_newest(&mut facts.applications);
    if explain {
        foresee(&mut facts.applications, now);
    }
    Ok(facts)
}

fn store_of(settings: &Settings) -> PathBuf {
    settings.get("SG_DIRECTORY").unwrap_or(STORE).into()
}

/// The sources of each application in all stores.
fn read_stores(
    stores: BTreeSet<PathBuf>,
    now: Timestamp,
    facts: &mut Facts,
) -> Result<BTreeMap<Option<String>, Vec<Source>>> {
    let mut sources: BTreeMap<Option<String>, Vec<Source>> = BTreeMap::new();
    let mut failure = None;
    for directory in stores {
        let catalog = match Catalog::read(&Local::open(&directory)) {
            Ok(catalog) => catalog,
            Err(error) => {
                let subject = directory.display().to_string();
                let message = "the store can't be read";
                facts.faults.push(Note::new(
                    Severity::Critical,
                    "store-unreadable",
                    subject,
                    message,
                ));
                failure = Some(error);
                continue;
            }
        };
        let space = nix::sys::statvfs::statvfs(&directory).ok();
        let mut store = Store {
            free: space.map(|space| space.blocks_available() * space.fragment_size()),
            capacity: space.map(|space| space.blocks() * space.fragment_size()),
            directory,
            ..Store::default()
        };
        let (groups, unsealed) = by_source(catalog.backups);
        store.unsealed = unsealed.len() as u64;
        for (source, backups) in groups {
            store.backups += backups.len() as u64;
            store.bytes += backups.iter().map(|backup| backup.bytes).sum::<u64>();
            let (future, backups) = backups
                .into_iter()
                .partition(|backup| backup.name.time.duration_since(now) > SKEW);
            sources.entry(source.app).or_default().push(Source {
                kind: source.kind,
                name: source.name,
                backups,
                future,
                ..Source::default()
            });
        }
        facts.stores.push(store);
    }
    match failure {
        Some(error) if facts.stores.is_empty() => Err(hinted(error)),
        _ => Ok(sources),
    }
}

fn hinted(error: Error) -> Error {
    match error.hint() {
        Some(_) => error,
        None => error.with_hint(
            "Run as root or sg-backup, to whom stores belong, or name another one with --directory.",
        ),
    }
}

/// What is wanted, by the settings; what they say wrongly is told.
fn goals(settings: &Settings, app: &Option<String>, now: &Zoned, faults: &mut Vec<Note>) -> Goals {
    let mut wrong = |name: &str, value: &str| {
        let subject = app.clone().unwrap_or_else(|| "sg.conf".to_owned());
        let message = format!("{name}={value} is not understood");
        let note = Note::new(Severity::Medium, "setting-wrong", subject, message);
        if !faults.contains(&note) {
            faults.push(note);
        }
    };
    let mut length = |name: &str| {
        let value = settings.get(name)?;
        let length = value.parse::<Span>().ok().and_then(|span| {
            let end = now.checked_add(span).ok()?;
            Some(end.timestamp().duration_since(now.timestamp()))
        });
        match length.filter(SignedDuration::is_positive) {
            None => {
                wrong(name, value);
                None
            }
            length => length,
        }
    };
    let rpo = length("SG_RPO");
    let limit = length("SG_MAX_AGE");
    let rto = length("SG_RTO");
    let mut count = |name: &str| {
        let value = settings.get(name)?;
        let count = value.parse().ok();
        if count.is_none() {
            wrong(name, value);
        }
        count
    };
    let mut rules = Rules::default();
    for (name, rule) in [
        ("SG_KEEP_LAST", &mut rules.last),
        ("SG_KEEP_HOURLY", &mut rules.hourly),
        ("SG_KEEP_DAILY", &mut rules.daily),
        ("SG_KEEP_WEEKLY", &mut rules.weekly),
        ("SG_KEEP_MONTHLY", &mut rules.monthly),
        ("SG_KEEP_YEARLY", &mut rules.yearly),
    ] {
        *rule = count(name).unwrap_or_default();
    }
    if let Some(value) = settings.get("SG_KEEP_WITHIN") {
        match span(value) {
            Ok(within) => rules.within = Some(within),
            Err(_) => wrong("SG_KEEP_WITHIN", value),
        }
    }
    Goals {
        rpo,
        // A nightly run may be late by a quarter of its interval; so may any other.
        limit: limit
            .or_else(|| Some(rpo? + rpo? / 4))
            .unwrap_or(Goals::LIMIT),
        rto,
        rules,
    }
}

/// Marks the sources that the settings ask for, and adds those of which there is nothing yet.
fn want(application: &mut Application, settings: &Settings) {
    let mut wanted: Vec<(String, String)> = Vec::new();
    let mut want = |kind: &str, name: &str| wanted.push((kind.to_owned(), name.to_owned()));
    for database in settings
        .get("SG_DATABASE")
        .unwrap_or_default()
        .split_whitespace()
    {
        want("db", database);
    }
    // What is written wrongly is told by the archive that fails for it.
    let listed = volumes(settings.get("SG_VOLUMES").unwrap_or_default());
    for volume in listed.unwrap_or_default() {
        want("volume", &volume.name);
    }
    if let (Some(_), Some(name)) = (settings.get("SG_PATH"), settings.get("SG_NAME")) {
        want(settings.get("SG_KIND").unwrap_or("volume"), name);
    }
    if let (Some(_), Some(app)) = (settings.get("SG_CONFIG_PATHS"), &application.name) {
        want("config", app);
    }
    if settings.is_on("SG_ALL") {
        want_all(application, "db");
    }
    // Globals are called after the cluster.
    if settings.is_on("SG_GLOBALS") && !want_all(application, "globals") {
        wanted.push(("globals".to_owned(), "main".to_owned()));
    }
    for (kind, name) in wanted {
        let mut known = application.sources.iter_mut();
        match known.find(|source| source.kind == kind && source.name == name) {
            Some(source) => source.wanted = true,
            None => application.sources.push(Source {
                kind,
                name,
                wanted: true,
                ..Source::default()
            }),
        }
    }
}

/// Marks the sources of `kind` that the newest run did not pass over: what it did is there no more.
/// `false`: there are none.
fn want_all(application: &mut Application, kind: &str) -> bool {
    let limit = application.goals.limit;
    let last = |source: &Source| source.backups.last().map(|backup| backup.name.time);
    let of_kind = |source: &&mut Source| source.kind == kind;
    let mut sources: Vec<&mut Source> = application.sources.iter_mut().filter(of_kind).collect();
    let Some(newest) = sources.iter().filter_map(|source| last(source)).max() else {
        return false;
    };
    for source in &mut sources {
        source.wanted = last(source).is_some_and(|last| newest.duration_since(last) <= limit);
    }
    true
}

/// What failed lately, and what will run next.
fn failures(places: &Places, facts: &mut Facts) {
    let timers = timers::timers();
    facts.systemd = timers.is_some();
    for timer in timers.unwrap_or_default() {
        let Some(application) = owner(&timer.unit, &mut facts.applications) else {
            continue;
        };
        match timer.unit.step {
            Step::Driver => application.timer = Some(timer),
            Step::Drill => application.drill_timer = Some(timer),
            _ => {}
        }
    }
    let incidents = shelter::look(&places.incidents).unwrap_or_else(|error| {
        let subject = places.incidents.display().to_string();
        facts.faults.push(Note::new(
            Severity::Low,
            "incidents-unreadable",
            subject,
            error.to_string(),
        ));
        Vec::new()
    });
    let is_open = |incident: &Incident| !incident.closed;
    for incident in incidents.into_iter().filter(is_open) {
        if let Some(application) = owner(&incident.unit, &mut facts.applications) {
            application.incidents.push(incident);
        }
    }
    if facts.systemd {
        for unit in timers::failed() {
            if let Some(application) = owner(&unit, &mut facts.applications) {
                let is_about_it = |incident: &Incident| incident.unit.name == unit.name;
                if !application.incidents.iter().any(is_about_it) {
                    application.failed.push(unit.name);
                }
            }
        }
    }
}

fn owner<'a>(unit: &Unit, applications: &'a mut [Application]) -> Option<&'a mut Application> {
    let app = unit.app.as_ref()?;
    let mut applications = applications.iter_mut();
    applications.find(|application| application.name.as_ref() == Some(app))
}

/// Reads what was noticed while the newest backups were made.
fn look_into_newest(applications: &mut [Application]) {
    for source in applications
        .iter_mut()
        .flat_map(|application| &mut application.sources)
    {
        let newest = source
            .backups
            .iter()
            .rev()
            .find(|backup| backup.state.is_good());
        let manifest = newest.and_then(|backup| backup.manifest().ok());
        source.notes = manifest.map(|manifest| manifest.notes).unwrap_or_default();
        source.notes.retain(Note::is_finding);
    }
}

/// Computes when each backup goes, source by source on all processors: looking years ahead in steps of
/// hours takes its time.
fn foresee(applications: &mut [Application], now: &Zoned) {
    let work: Vec<(&Rules, &mut Source)> = applications
        .iter_mut()
        .filter(|application| !application.goals.rules.is_empty())
        .flat_map(|application| {
            let rules = &application.goals.rules;
            application
                .sources
                .iter_mut()
                .map(move |source| (rules, source))
        })
        .collect();
    let work = Mutex::new(work);
    let next = || work.lock().ok().and_then(|mut work| work.pop());
    std::thread::scope(|scope| {
        for _ in 0..default_jobs() {
            scope.spawn(|| {
                while let Some((rules, source)) = next() {
                    let candidates = candidates(&source.backups, now.timestamp());
                    source.goes = last_days(rules, &candidates, now.timestamp(), now.time_zone());
                }
            });
        }
    });
}
