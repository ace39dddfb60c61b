//! The audit trail: every way of changing it is found and named, and nothing that happens to a writer
//! costs a line that was written, or a backup.

mod program;
mod tampering;
mod writers;

use sg::audit::{Action, Actor, Checked, Deed, Outcome, Trail, Witness, check};
use std::io::BufReader;
use std::path::Path;

/// A trail of `n` lines at `path`.
fn written(path: &Path, n: usize) -> Trail {
    let trail = Trail::at(path);
    let actor = Actor::this("test 1", Some("why \"not\"".to_owned()), None);
    for number in 0..n {
        let deed = Deed::new(Action::Backup, Outcome::Done).of("db", &format!("shop{number}"));
        trail.append(&actor, &[deed]).unwrap();
    }
    trail
}

fn checked(path: &Path, witnesses: &[Witness]) -> Checked {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    check(file, witnesses, |_, _| Ok(())).unwrap()
}

/// What the journal would have been told of the lines of `path`.
fn witnesses(path: &Path) -> Vec<Witness> {
    let mut all = Vec::new();
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    check(file, &[], |_, record| {
        let hash = record.hash.clone();
        all.push(Witness { n: record.n, hash });
        Ok(())
    })
    .unwrap();
    all
}
