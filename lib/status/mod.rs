//! How it stands with the backups of a host: one look for people, one for each monitoring system.
//!
//! What is known is gathered first ([`gather()`]: the stores, the settings, drills, open incidents,
//! systemd's timers) into plain [`Facts`]; what to think of it is decided by a pure function of these
//! and a given time ([`judge()`]); how it is said is up to [`screen`], [`json`], [`check`],
//! [`prometheus`] and [`html`], which decide nothing.
//!
//! Whatever can't be found out is left out or becomes a problem of its own: a status that fails for
//! want of a detail would be missed on the very day that it is needed.

pub mod check;
mod drills;
mod facts;
mod gather;
pub mod html;
pub mod json;
mod judge;
pub mod prometheus;
mod report;
pub mod screen;
mod timers;
mod words;

pub use drills::{Drill, Outcome};
pub use facts::{Application, Facts, Goals, Source, Store};
pub use gather::{Places, gather};
pub use judge::judge;
pub use report::{Level, Problem, Report, Verdict};
pub use timers::Timer;

#[cfg(test)]
mod tests;
