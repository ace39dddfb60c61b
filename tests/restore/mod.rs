//! A dump comes back: whole, compared, swapped; or everything stays as it was.

pub(crate) mod craft;
pub(crate) mod database;
mod failures;
mod foreign;
mod journey;
mod part;
mod program;
