//! Each line of a trail is changed, taken out, doubled, moved, forged and cut, one after the other: it is
//! found, and it is that line that is named.

use super::{checked, witnesses, written};
use crate::support::scratch;
use proptest::prelude::*;
use sg::audit::{Flaw, Witness, check};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const LINES: usize = 9;

struct Case {
    _directory: tempfile::TempDir,
    path: PathBuf,
    lines: Vec<String>,
    witnesses: Vec<Witness>,
}

fn case() -> Case {
    let directory = scratch();
    let path = directory.path().join("audit.jsonl");
    written(&path, LINES);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(str::to_owned).collect();
    let witnesses = witnesses(&path);
    assert_eq!(checked(&path, &witnesses).flaws, []);
    assert_eq!(checked(&path, &witnesses).witnessed, LINES as u64);
    Case {
        _directory: directory,
        path,
        lines,
        witnesses,
    }
}

/// The flaws of a trail of `lines`, without and with the journal's word.
fn flaws(case: &Case, lines: &[String]) -> (Vec<Flaw>, Vec<Flaw>) {
    write(&case.path, lines);
    (
        checked(&case.path, &[]).flaws,
        checked(&case.path, &case.witnesses).flaws,
    )
}

fn write(path: &Path, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(path, text).unwrap();
}

/// `line` with its hash made to fit, as somebody does who knows the format.
fn forged(line: &str) -> String {
    let (content, _) = line.rsplit_once(",\"hash\":").unwrap();
    let sum = Sha256::digest(format!("{content}}}"));
    let hash: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{content},\"hash\":\"{hash}\"}}")
}

#[test]
fn a_line_that_is_changed_is_named() {
    let case = case();
    for k in 0..LINES {
        let line = k as u64 + 1;
        for (from, to) in [
            ("\"done\"", "\"failed\""),
            ("\"test 1\"", "\"test 2\""),
            ("\"previous\":\"", "\"previous\":\"0"),
            (&format!("\"n\":{line},"), &format!("\"n\":{},", line + 7)),
            ("\"format\":1,", "\"format\":1, "),
        ] {
            let mut lines = case.lines.clone();
            lines[k] = lines[k].replacen(from, to, 1);
            assert_ne!(lines[k], case.lines[k], "{from}");
            let (alone, with_journal) = flaws(&case, &lines);
            assert_eq!(alone, [Flaw::Changed { line }], "{from}");
            assert_eq!(with_journal, alone, "{from}");
        }
        let mut lines = case.lines.clone();
        lines[k] = "{\"n\":1}".to_owned();
        assert_eq!(flaws(&case, &lines).0, [Flaw::Unreadable { line }]);
        let mut lines = case.lines.clone();
        lines[k] = String::new();
        assert_eq!(flaws(&case, &lines).0, [Flaw::Unreadable { line }]);
    }
}

#[test]
fn a_line_with_a_forged_hash_is_named() {
    let case = case();
    for k in 0..LINES {
        let line = k as u64 + 1;
        let mut lines = case.lines.clone();
        lines[k] = forged(&lines[k].replacen("\"done\"", "\"failed\"", 1));
        let (alone, with_journal) = flaws(&case, &lines);
        if k + 1 < LINES {
            assert_eq!(alone, [Flaw::Forged { line }]);
        } else {
            // Nothing in the file knows the last line; the journal does.
            assert_eq!(alone, []);
        }
        assert!(
            with_journal.contains(&Flaw::Rewritten { n: line }),
            "{with_journal:?}"
        );
    }
}

#[test]
fn a_line_that_is_taken_out_is_named() {
    let case = case();
    for k in 0..LINES {
        for count in 1..=LINES - k {
            let mut lines = case.lines.clone();
            lines.drain(k..k + count);
            let (alone, with_journal) = flaws(&case, &lines);
            let (from, to) = (k as u64 + 1, (k + count) as u64);
            if k + count < LINES {
                let line = from;
                assert_eq!(alone, [Flaw::Missing { line, from, to }]);
                assert_eq!(with_journal, alone);
            } else {
                assert_eq!(alone, []);
                assert_eq!(with_journal, [Flaw::Truncated { from, to }]);
            }
        }
    }
}

#[test]
fn a_line_that_is_put_in_is_named() {
    let case = case();
    for k in 0..LINES {
        let line = k as u64 + 2;
        // A copy.
        let mut lines = case.lines.clone();
        lines.insert(k + 1, lines[k].clone());
        assert_eq!(flaws(&case, &lines).0, [Flaw::Inserted { line }]);
        // One that follows as if it belonged there, with number and hashes right.
        if k + 1 < LINES {
            let mut lines = case.lines.clone();
            let false_line = forged(&lines[k + 1].replacen("\"shop", "\"evil", 1));
            lines.insert(k + 1, false_line);
            let (alone, with_journal) = flaws(&case, &lines);
            assert_eq!(alone, [Flaw::Inserted { line }]);
            assert!(with_journal.contains(&Flaw::Inserted { line }));
        }
        let mut lines = case.lines.clone();
        lines.insert(k + 1, "# a remark".to_owned());
        assert_eq!(flaws(&case, &lines).0, [Flaw::Unreadable { line }]);
    }
}

#[test]
fn lines_that_change_places_are_found() {
    let case = case();
    for k in 0..LINES {
        for other in k + 1..LINES {
            let mut lines = case.lines.clone();
            lines.swap(k, other);
            let (alone, with_journal) = flaws(&case, &lines);
            let from = k as u64 + 1;
            let first = Flaw::Missing {
                line: from,
                from,
                to: other as u64,
            };
            assert_eq!(alone.first(), Some(&first), "{k} {other}: {alone:?}");
            assert!(!with_journal.is_empty());
        }
    }
}

#[test]
fn a_trail_that_is_written_anew_is_not_what_the_journal_knows() {
    let case = case();
    fs::remove_file(&case.path).unwrap();
    written(&case.path, LINES + 3);
    let found = checked(&case.path, &case.witnesses);
    let all: Vec<Flaw> = (1..=LINES as u64).map(|n| Flaw::Rewritten { n }).collect();
    assert_eq!(found.flaws, all);
    fs::write(&case.path, "").unwrap();
    let to = LINES as u64;
    assert_eq!(
        checked(&case.path, &case.witnesses).flaws,
        [Flaw::Truncated { from: 1, to }]
    );
}

#[test]
fn writers_go_on_behind_what_was_changed_and_it_stays_found() {
    let case = case();
    let mut lines = case.lines.clone();
    lines[LINES - 1] = lines[LINES - 1].replacen("\"done\"", "\"failed\"", 1);
    write(&case.path, &lines);
    written(&case.path, 2);
    let line = LINES as u64;
    assert_eq!(checked(&case.path, &[]).flaws, [Flaw::Changed { line }]);

    lines[LINES - 1] = "rubbish".to_owned();
    write(&case.path, &lines);
    written(&case.path, 2);
    assert_eq!(checked(&case.path, &[]).flaws, [Flaw::Unreadable { line }]);
}

proptest! {
    /// Whatever bytes change in a trail, it does not pass: without the journal's word unless it is the end
    /// that is gone, with it always.
    #[test]
    fn no_byte_can_be_changed(at in any::<prop::sample::Index>(), byte: u8, cut: bool) {
        static TRAIL: OnceLock<(Vec<u8>, Vec<Witness>)> = OnceLock::new();
        let (whole, witnesses) = TRAIL.get_or_init(|| {
            let case = case();
            (fs::read(&case.path).unwrap(), case.witnesses)
        });
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        let at_last_newline = at + 1 == bytes.len();
        prop_assume!(cut || bytes[at] != byte);
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = byte;
        }
        let checked = |witnesses| check(&bytes[..], witnesses, |_, _| Ok(())).unwrap();
        let found = checked(witnesses);
        if cut && at_last_newline {
            // All of the content is there.
            prop_assert!(found.flaws.is_empty(), "{:?}", found.flaws);
        } else {
            prop_assert!(!found.flaws.is_empty(), "byte {at}");
        }
        if !cut {
            prop_assert!(!checked(&[]).flaws.is_empty(), "byte {at}, alone");
        }
    }
}
