//! Where alerts are remembered while the disk that they belong on is full, read-only or broken: in memory,
//! until the host goes down or that disk is well again. Else each of them would be told anew at every turn, as
//! nobody could note down that it was told.

use super::incident::Incident;
use super::spool::Spool;
use crate::error::Result;
use std::path::{Path, PathBuf};

/// Where the units remember alerts.
pub const STATE: &str = "/var/lib/sg-alert";
/// Where they do while that can't be written.
const SHELTER: &str = "/run/sg-alert";

/// The shelter that belongs to the directory `state`, if that is the units' own.
pub fn shelter_of(state: &Path) -> Option<PathBuf> {
    (state == Path::new(STATE)).then(|| SHELTER.into())
}

/// Opens the spool in `state`, and takes over what is in its shelter.
///
/// # Errors
/// It can't be opened, or what is in the shelter can't be written there; then it is still in the shelter.
pub fn home(state: &Path, shelter: Option<&Path>) -> Result<Spool> {
    let home = Spool::open(state)?;
    if let Some(shelter) = shelter.filter(|shelter| Spool::is_at(shelter)) {
        Spool::open(shelter)?.move_to(&home)?;
    }
    Ok(home)
}

/// Opens the spool in the shelter. It knows what `state` does, as far as that can be read.
///
/// # Errors
/// It can't be opened or written.
pub fn sheltered(state: &Path, shelter: &Path) -> Result<Spool> {
    let spool = Spool::open(shelter)?;
    let guard = spool.lock()?;
    for incident in Spool::look(state).unwrap_or_default() {
        if spool.incident(&guard, &incident.unit)?.is_none() {
            spool.remember(&guard, &incident)?;
        }
    }
    drop(guard);
    Ok(spool)
}

/// All that is remembered in `state` and its shelter, for whoever only looks: what is in the shelter is newer.
///
/// # Errors
/// One of them is there and can't be read.
pub fn look(state: &Path) -> Result<Vec<Incident>> {
    let mut incidents = match shelter_of(state) {
        Some(shelter) => Spool::look(&shelter)?,
        None => Vec::new(),
    };
    for incident in Spool::look(state)? {
        if !incidents.iter().any(|newer| newer.unit == incident.unit) {
            incidents.push(incident);
        }
    }
    incidents.sort_by_key(|incident| incident.since);
    Ok(incidents)
}
