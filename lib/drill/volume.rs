//! A volume's drill: extracted into an empty directory, each file read back and held against the
//! digest that was taken when it was archived, the whole counted against the manifest.

use super::Drill;
use super::database::open;
use super::findings::{Findings, Muted};
use super::report::{Restored, SourceReport};
use crate::error::Result;
use crate::manifest::{Content, Manifest};
use crate::monitor::{Collector, Note, Severity};
use crate::volume::{Select, UnpackFacts, UnpackOptions, unpack};
use nix::unistd::geteuid;
use std::path::Path;
use std::time::Instant;

/// Where the tree goes in the scratch directory.
const FILES: &str = "files";

impl Drill<'_> {
    /// Restores the tree in the archive at `path`.
    pub(super) fn volume(
        &self,
        path: &Path,
        manifest: Option<&Manifest>,
        report: &mut SourceReport,
        findings: &mut Findings,
    ) -> Result<()> {
        let reader = open(path)?;
        let options = UnpackOptions {
            select: Select::default(),
            numeric_owner: true,
            jobs: self.options.jobs,
            floor: self.limit.floor(),
        };
        let into = self.scratch.directory(FILES)?;
        let muted = Muted(self.monitor);
        let collector = Collector::new(&muted);
        let begun = Instant::now();
        let unpacked = unpack(&reader, &into, &options, &collector);
        // Extracting compares on its way: each file is read back as soon as it is written.
        report.step("restore and compare", begun.elapsed());
        let specials = match manifest.map(|manifest| &manifest.content) {
            Some(Content::Volume(volume)) => volume.special,
            _ => 0,
        };
        judge(collector.notes(), specials, findings);
        let facts = unpacked?;
        if let Some(Content::Volume(volume)) = manifest.map(|manifest| &manifest.content) {
            let back = facts.files + facts.hardlinks + facts.left;
            let recorded = volume.files + volume.hardlinks;
            if back < recorded {
                findings.differs(
                    "files-missing",
                    path.display().to_string(),
                    format!("{back} files came back, {recorded} were archived"),
                );
            }
        }
        uncompared(&facts, path, findings);
        report.restored = Some(Restored::Volume {
            files: facts.files,
            directories: facts.directories,
            symlinks: facts.symlinks,
            hardlinks: facts.hardlinks,
            special: facts.specials,
            bytes: facts.bytes,
            compared: facts.compared,
        });
        self.scratch.empty(FILES)
    }
}

/// A file that nothing could be compared with is no proof.
fn uncompared(facts: &UnpackFacts, path: &Path, findings: &mut Findings) {
    if facts.indexed && facts.compared < facts.files {
        findings.about(
            Severity::High,
            "not-compared",
            path.display().to_string(),
            format!(
                "{} of {} files have no digest to be compared with",
                facts.files - facts.compared,
                facts.files
            ),
        );
    }
}

/// What extracting noticed. Without root, owners and devices can't be restored, which is no fault of
/// the backup: their record in the archive has been checked, and that is told once.
fn judge(notes: Vec<Note>, specials: u64, findings: &mut Findings) {
    let root = geteuid().is_root();
    let (mut attributes, mut devices) = (0u64, 0u64);
    for note in notes {
        match note.code.as_str() {
            "attribute-lost" if !root => attributes += 1,
            "not-restored" if !root && devices < specials => devices += 1,
            _ if note.is_finding() => {
                findings.about(note.severity, &note.code, note.subject, note.message);
            }
            _ => {}
        }
    }
    for (count, what) in [(attributes, "attributes"), (devices, "device files")] {
        if count > 0 {
            findings.add(
                Severity::Info,
                "needs-root",
                format!("{count} {what} can be restored by root alone, and were not tried"),
            );
        }
    }
}
