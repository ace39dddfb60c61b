//! Extracting: an archive in, a tree out, with what came back compared to what was archived.
//!
//! An archive of ours has an index, so its members are decompressed and its files written on all
//! cores. One without (another tool's, or one whose index is lost) is read in order. Both ways each
//! file is read back once it is written: with an index its hash must be the one that was taken while
//! the original was archived, without one it must be what the archive holds.

use super::archive::{Archive, End};
use super::beneath::{Beneath, clean};
use super::deferred::Deferred;
use super::entry::Entry;
use super::extract::{Hand, Outcome};
use super::findings::Findings;
use super::groups::Groups;
use super::indexed;
use super::select::Select;
use super::target::Target;
use crate::crash;
use crate::error::{Context, Error, Kind, Result};
use crate::monitor::{Monitor, Severity};
use crate::stream::{EntryKind, Reader};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

/// How to extract.
#[derive(Clone, Debug)]
pub struct UnpackOptions {
    /// Which entries; all if empty.
    pub select: Select,
    /// Whether owners go by number even where their name is known here.
    pub numeric_owner: bool,
    /// How many threads decompress and write.
    pub jobs: usize,
    /// How many bytes must stay free on the disk; with fewer the work ends.
    pub floor: u64,
}

/// What was extracted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnpackFacts {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hardlinks: u64,
    /// Named pipes and devices.
    pub specials: u64,
    /// Length of all files' content in bytes, holes included.
    pub bytes: u64,
    /// Files whose content as written has the hash that was taken when they were archived.
    pub compared: u64,
    /// Entries of the archive that are not there; a note each says why.
    pub left: u64,
    /// Attributes that could not be set; a note each says why.
    pub lost_attributes: u64,
    /// Whether the archive says what the top directory itself is.
    pub top: bool,
    /// Whether the archive's index was used.
    pub indexed: bool,
}

impl UnpackFacts {
    /// All entries that are there.
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.symlinks + self.hardlinks + self.specials
    }

    pub(super) fn count(&mut self, kind: EntryKind, size: u64) {
        match kind {
            EntryKind::File => self.files += 1,
            EntryKind::Directory => self.directories += 1,
            EntryKind::Symlink => self.symlinks += 1,
            EntryKind::Hardlink => self.hardlinks += 1,
            _ => self.specials += 1,
        }
        self.bytes += size;
    }
}

/// Extracts the archive into the directory `into`, which must be empty unless only some entries are
/// wanted.
///
/// # Errors
/// The archive is damaged, or the disk is full or broken. What can't be had of single entries is
/// noted and does not end the work.
pub fn unpack(
    reader: &Reader,
    into: &Path,
    options: &UnpackOptions,
    monitor: &dyn Monitor,
) -> Result<UnpackFacts> {
    let root = Beneath::new(into).context(|| format!("cannot open '{}'", into.display()))?;
    let findings = Findings::new(monitor);
    let mut index_lost = false;
    let groups = Groups::read(reader, &options.select).or_else(|error| {
        if error.kind() != Kind::Damaged {
            return Err(error);
        }
        index_lost = true;
        options.select.forget();
        findings.add(
            Severity::High,
            "no-index",
            reader.path().display().to_string(),
            format!("{error}; read in order instead, and not compared with what was archived"),
        );
        Ok(None)
    })?;
    let mut target = Target::new(root, options.numeric_owner, groups.is_none(), &findings);
    target.floor = options.floor;
    let mut facts = match &groups {
        Some(groups) => indexed::unpack(reader, groups, &target, options, monitor),
        None => in_order(reader, index_lost, &target, options, monitor),
    }?;
    target.open_implied()?;
    facts.lost_attributes = findings.count("attribute-lost");
    findings.summarize();
    Ok(facts)
}

/// All content in order. Of an archive whose index is lost no footer tells whether it is whole.
fn content(reader: &Reader, index_lost: bool, jobs: usize) -> Result<Box<dyn Read>> {
    Ok(if index_lost {
        Box::new(reader.content_without_index()?)
    } else {
        Box::new(reader.contents(jobs)?)
    })
}

fn in_order(
    reader: &Reader,
    index_lost: bool,
    target: &Target<'_>,
    options: &UnpackOptions,
    monitor: &dyn Monitor,
) -> Result<UnpackFacts> {
    monitor.stage("extracting", None);
    let mut archive = Archive::new(content(reader, index_lost, options.jobs)?);
    let mut hand = Hand::new(target);
    let mut waiting = Waiting::new();
    let mut facts = UnpackFacts::default();
    while let Some(entry) = archive.next_entry()? {
        if !options.select.wants(&entry.path) {
            continue;
        }
        let head = archive.head().to_vec();
        let outcome = hand.extract(&entry, &head, &mut archive.content(), None)?;
        waiting.settle(&entry, outcome, &mut facts)?;
        monitor.advance(archive.end_of_entry() - archive.start());
    }
    if archive.end() == Some(End::Bare) {
        if index_lost {
            // Nothing else would tell that the content is whole.
            return Err(
                Error::damaged("the archive was cut off, or is damaged between two files")
                    .with_hint("sg-verify tells what is left; use another backup."),
            );
        }
        target.findings.add(
            Severity::Medium,
            "no-end-mark",
            reader.path().display().to_string(),
            "the archive has no mark of its end; it may have been cut off between two files",
        );
    }
    drain(archive.into_inner(), reader, target.findings)?;
    options.select.all_found()?;
    let mut orphans = waiting.orphans(&options.select)?;
    if !orphans.is_empty() {
        let mut archive = Archive::new(content(reader, index_lost, options.jobs)?);
        while let Some(entry) = archive.next_entry()? {
            let Some(links) = orphans.of(&entry) else {
                continue;
            };
            let head = archive.head().to_vec();
            let content = &mut archive.content();
            waiting.adopt(links, entry, &mut facts, |entry| {
                hand.extract(entry, &head, content, None)
            })?;
        }
    }
    waiting.finish(&mut hand, &mut facts)?;
    Ok(facts)
}

/// Reads to the very end: only that proves that nothing is cut off or damaged.
fn drain(mut rest: impl Read, reader: &Reader, findings: &Findings<'_>) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut more = false;
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => more |= buffer[..got].iter().any(|&byte| byte != 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("cannot read the archive", error)),
        }
    }
    if more {
        findings.add(
            Severity::Medium,
            "more-behind-end",
            reader.path().display().to_string(),
            "there is something behind the mark of the archive's end, which was not extracted",
        );
    }
    Ok(())
}

/// Further names of files that are not wanted themselves, by the files' paths.
#[derive(Default)]
pub(super) struct Orphans(BTreeMap<Vec<u8>, Vec<Entry>>);

impl Orphans {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The wanted further names of `entry`.
    pub(super) fn of(&mut self, entry: &Entry) -> Option<Vec<Entry>> {
        self.0.remove(&clean(&entry.path)?)
    }

    /// Whether there are further names of what has this path in the archive.
    pub(super) fn have(&self, path: &[u8]) -> bool {
        clean(path).is_some_and(|path| self.0.contains_key(&path))
    }
}

/// What is only complete when everything else is there.
pub(super) struct Waiting {
    directories: Deferred,
    links: Deferred,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            directories: Deferred::new(),
            links: Deferred::new(),
        }
    }

    /// Takes note of what came of an entry.
    pub(super) fn settle(
        &mut self,
        entry: &Entry,
        outcome: Outcome,
        facts: &mut UnpackFacts,
    ) -> Result<()> {
        crash::within();
        match outcome {
            Outcome::Left => facts.left += 1,
            Outcome::Deferred if entry.kind == EntryKind::Hardlink => self.links.push(entry)?,
            Outcome::Deferred => {
                self.directories.push(entry)?;
                facts.top |= clean(&entry.path).is_some_and(|path| path.is_empty());
                facts.count(entry.kind, entry.size);
            }
            Outcome::Done => facts.count(entry.kind, entry.size),
        }
        Ok(())
    }

    /// Takes out the further names of files that are not wanted themselves: their content has to be
    /// fetched.
    pub(super) fn orphans(&mut self, select: &Select) -> Result<Orphans> {
        let mut orphans = Orphans::default();
        if select.is_all() {
            return Ok(orphans);
        }
        std::mem::replace(&mut self.links, Deferred::new()).forward(|link| {
            match clean(&link.link) {
                Some(first) if !select.wants(&first) => {
                    orphans.0.entry(first).or_default().push(link.clone());
                    Ok(())
                }
                _ => self.links.push(link),
            }
        })?;
        Ok(orphans)
    }

    /// Lets `extract` put the file `entry` in the place of the first of `links`; the others become
    /// further names of that.
    pub(super) fn adopt(
        &mut self,
        links: Vec<Entry>,
        mut entry: Entry,
        facts: &mut UnpackFacts,
        extract: impl FnOnce(&Entry) -> Result<Outcome>,
    ) -> Result<()> {
        let mut links = links.into_iter();
        let Some(first) = links.next() else {
            return Ok(());
        };
        entry.path = first.path;
        let outcome = extract(&entry)?;
        self.settle(&entry, outcome, facts)?;
        for mut link in links {
            link.link.clone_from(&entry.path);
            self.links.push(&link)?;
        }
        Ok(())
    }

    /// Makes the further names, then completes the directories.
    pub(super) fn finish(self, hand: &mut Hand<'_>, facts: &mut UnpackFacts) -> Result<()> {
        self.links.forward(|entry| {
            match hand.late_link(entry)? {
                Outcome::Left => facts.left += 1,
                _ => facts.count(entry.kind, entry.size),
            }
            Ok(())
        })?;
        self.directories
            .backward(|entry| hand.complete_directory(entry))
    }
}
