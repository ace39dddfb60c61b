//! The drills on record: reports in a directory, of which only what a status needs is read.

use crate::error::{Context, Result};
use crate::monitor::{Note, Severity};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The newest format of a report that is understood.
const FORMAT: u32 = 1;

/// What came out of a drill; what is worse compares as greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All came back as it was recorded.
    Proven,
    /// Something needs a look.
    Findings,
    /// It could not be tried.
    NotRun,
    /// What came back is not what was backed up.
    Damaged,
}

impl Outcome {
    /// A stable word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Findings => "findings",
            Self::NotRun => "not-run",
            Self::Damaged => "damaged",
        }
    }

    /// The same for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Findings => "with findings",
            Self::NotRun => "not run",
            Self::Damaged => "damaged",
        }
    }
}

/// One drill, as far as it concerns one application.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    /// When it was begun.
    pub at: Timestamp,
    /// What came out.
    pub outcome: Outcome,
    /// How long a recovery takes, in seconds, as measured.
    pub recovery: Option<f64>,
    /// How much would have been lost, in seconds, as measured.
    pub loss: Option<f64>,
    /// How many backups were restored.
    pub backups: usize,
    /// Whether it was the exercise of a whole system.
    pub full: bool,
    /// What was found.
    pub findings: Vec<Note>,
}

/// The drills of each application, oldest first.
type ByApp = BTreeMap<Option<String>, Vec<Drill>>;

/// A report, as it is written down.
#[derive(Deserialize)]
struct Written {
    format: u32,
    #[serde(default)]
    app: Option<String>,
    #[serde(default)]
    full: bool,
    started: Timestamp,
    verdict: Outcome,
    #[serde(default)]
    rto: Measured,
    #[serde(default)]
    rpo: Measured,
    #[serde(default)]
    sources: Vec<WrittenSource>,
    #[serde(default)]
    findings: Vec<Note>,
}

#[derive(Default, Deserialize)]
struct Measured {
    #[serde(default)]
    seconds: Option<f64>,
}

#[derive(Deserialize)]
struct WrittenSource {
    #[serde(default)]
    app: Option<String>,
    verdict: Outcome,
    #[serde(default)]
    findings: Vec<Note>,
}

/// The drills of each application, oldest first, and what could not be read. A drill of several
/// applications counts for each; only of one alone is it known how long its recovery takes.
///
/// # Errors
/// The directory is there and can't be read.
pub(super) fn read(directory: &Path) -> Result<(ByApp, Vec<Note>)> {
    let mut drills = ByApp::new();
    let mut faults = Vec::new();
    let what = || format!("cannot read '{}'", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok((drills, faults)),
        read => read.context(what)?,
    };
    for entry in entries {
        let path = entry.context(what)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match read_one(&path) {
            Ok(report) => report.into_drills(&mut drills),
            Err(reason) => faults.push(Note::new(
                Severity::Low,
                "drill-unreadable",
                path.display().to_string(),
                reason,
            )),
        }
    }
    for drills in drills.values_mut() {
        drills.sort_by_key(|drill| drill.at);
    }
    Ok((drills, faults))
}

fn read_one(path: &Path) -> Result<Written, String> {
    let bytes = fs::read(path).map_err(|cause| format!("can't be read: {cause}"))?;
    let report: Written = serde_json::from_slice(&bytes)
        .map_err(|cause| format!("is no report of a drill: {cause}"))?;
    if report.format > FORMAT {
        return Err(format!("is of the unknown version {}", report.format));
    }
    Ok(report)
}

impl Written {
    fn into_drills(self, drills: &mut ByApp) {
        let whole = Drill {
            at: self.started,
            outcome: self.verdict,
            recovery: self.rto.seconds,
            loss: self.rpo.seconds,
            backups: self.sources.len(),
            full: self.full,
            findings: self.findings,
        };
        let mut apps: Vec<Option<String>> = vec![self.app.clone()];
        if self.app.is_none() {
            apps.extend(self.sources.iter().map(|source| source.app.clone()));
            apps.sort();
            apps.dedup();
        }
        let alone = apps.iter().filter(|app| app.is_some()).count() <= 1;
        for app in apps {
            let own = |source: &&WrittenSource| self.app.is_some() || source.app == app;
            let mut drill = Drill {
                backups: self.sources.iter().filter(own).count(),
                ..whole.clone()
            };
            if self.app.is_none() && drill.backups == 0 {
                continue;
            }
            for source in self.sources.iter().filter(own) {
                drill.findings.extend(source.findings.iter().cloned());
            }
            if !alone {
                let worst = self.sources.iter().filter(own);
                drill.outcome = worst
                    .map(|source| source.verdict)
                    .max()
                    .unwrap_or(whole.outcome);
                drill.recovery = None;
                drill.loss = None;
            }
            drills.entry(app).or_default().push(drill);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_counts_for_each_of_its_applications() {
        let directory = tempfile::tempdir().unwrap();
        let source = |app: &str, verdict: &str| {
            format!(
                r#"{{"kind":"db","name":"x","app":"{app}","verdict":"{verdict}","findings":[]}}"#
            )
        };
        let report = |app: &str, at: &str, sources: &[String]| {
            format!(
                r#"{{"format":1,"app":{app},"started":"{at}","verdict":"damaged","rto":{{"seconds":12.5,
                    "target":60,"met":true}},"sources":[{}],"findings":[]}}"#,
                sources.join(",")
            )
        };
        let both = [source("shop", "proven"), source("press", "damaged")];
        for (file, text) in [
            (
                "1.json",
                report("\"shop\"", "2026-11-02T04:30:00Z", &both[..1]),
            ),
            ("2.json", report("null", "2026-10-01T04:30:00Z", &both)),
            (
                "3.json",
                "{\"format\": 9, \"started\": \"2026-10-01T04:30:00Z\", \"verdict\": \"proven\"}"
                    .to_owned(),
            ),
            ("4.json", "half a".to_owned()),
            ("4.txt", "for people".to_owned()),
        ] {
            fs::write(directory.path().join(file), text).unwrap();
        }
        let (drills, faults) = read(directory.path()).unwrap();
        assert_eq!(faults.len(), 2, "{faults:?}");
        let shop = &drills[&Some("shop".to_owned())];
        let told: Vec<_> = shop
            .iter()
            .map(|drill| (drill.outcome, drill.recovery))
            .collect();
        assert_eq!(
            told,
            [(Outcome::Proven, None), (Outcome::Damaged, Some(12.5))]
        );
        assert_eq!(
            drills[&Some("press".to_owned())][0].outcome,
            Outcome::Damaged
        );
        assert_eq!(drills.len(), 2);
        assert!(read(&directory.path().join("none")).unwrap().0.is_empty());
    }
}
