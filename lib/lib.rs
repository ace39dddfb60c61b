//! The library behind the programs of sg-toolkit.
//!
//! The story of one backup: a source is read ([`postgres`], [`volume`]), its bytes become a [`stream`]
//! of members with an index, which comes to rest in a [`store`] under the seal of a [`manifest`]. There
//! the [`catalog`] finds it, to [`verify`] it, to bring it back where it came from or, as a [`drill`],
//! where nobody minds, and one day to [`prune`] it, when no rule of [`retention`] keeps it any more.
//!
//! A module uses only what stands above it here. The library neither prints nor exits: it returns
//! errors ([`error`]) and tells of everything else through a [`monitor`]. Only [`program`], which the
//! programs alone use, talks to people.

// What everything stands on.
mod command;
mod crash;
pub mod error;
pub mod monitor;
pub mod parallel;
pub mod settings;
pub mod words;

pub mod application;

// The bytes of a backup, and where they rest.
pub mod stream;

pub mod store;

pub mod manifest;

// Who did what with them.
pub mod audit;

// What there is, and what of it stays.
pub mod catalog;

pub mod retention;

// Where they come from and go back to.
pub mod postgres;

pub mod volume;

// What is done with backups.
pub mod verify;

pub mod prune;

pub mod backup;
pub mod drill;

pub mod policy;

// Who hears of it.
pub mod alert;

// All of an application comes back.
pub mod system;

pub mod estimate;

// How it stands.
pub mod status;

// What the programs share.
pub mod program;

pub use error::{Context, Error, Kind, Result};
