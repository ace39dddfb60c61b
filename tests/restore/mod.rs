//! A dump comes back: whole, compared, swapped; or everything stays as it was.

pub(crate) mod craft;
pub(crate) mod database;
mod estimates;
mod failures;
mod foreign;
mod journey;
mod memory;
mod part;
mod program;
