//! Holds a restored database against what its manifest says besides the rows: the values of its
//! sequences, its large objects and its extensions, all noted down while it was dumped.

use super::difference::Difference;
use crate::error::Result;
use crate::manifest::content::Database;
use crate::postgres::{Session, sequences};
use std::collections::{BTreeMap, BTreeSet};

/// In what the database that `session` is connected to differs from `dumped`. The session has to
/// speak UTF-8.
///
/// # Errors
/// The server can't be asked.
pub(super) fn differences(session: &mut Session, dumped: &Database) -> Result<Vec<Difference>> {
    let mut differences = Vec::new();
    let found = sequences::read(session)?.values;
    let found: BTreeMap<_, _> = found
        .iter()
        .map(|sequence| ((sequence.schema.as_str(), sequence.name.as_str()), sequence))
        .collect();
    for sequence in &dumped.sequences {
        let name = (sequence.schema.as_str(), sequence.name.as_str());
        differences.extend(Difference::of_sequence(sequence, found.get(&name).copied()));
    }

    let objects: i64 = session.value(
        "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata",
        &[],
    )?;
    if objects.cast_unsigned() != dumped.large_objects {
        differences.push(Difference::LargeObjects {
            found: objects.cast_unsigned(),
            dumped: dumped.large_objects,
        });
    }

    let rows = session.query("SELECT extname::text FROM pg_catalog.pg_extension", &[])?;
    let present: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing = dumped
        .extensions
        .iter()
        .filter(|extension| !present.contains(&extension.name));
    differences.extend(missing.map(|extension| Difference::NoExtension(extension.name.clone())));
    Ok(differences)
}
