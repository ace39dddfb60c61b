//! A whole application comes back, as a transaction: everything is made beside its place and compared,
//! then all of it changes places, the application is started and asked whether it is well; and if it is
//! not, everything is put back.
//!
//! Each step is written down in a [`journal`] before and after it is done. So a run that is cut off
//! anywhere can be gone on with or taken back, and the old data is somewhere at every moment, under its
//! own name or under one that the journal knows.

pub mod alarm;
pub mod config;
pub mod health;
pub mod journal;
pub mod plan;
pub mod transaction;
pub mod units;

pub use journal::Journal;
pub use plan::{Item, Plan, Wanted};
pub use transaction::Transaction;
