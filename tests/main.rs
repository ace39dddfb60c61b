//! The tests that need real files, real programs and a real PostgreSQL: one target, so that it is
//! linked once. A `mod` for each area; what they share is in `support`.
//!
//! - `alert`: who hears of a failure, at real mail and web servers: once, also late, and without secrets
//! - `archive`: a tree comes back the same, from our hands and from GNU tar's; hostile archives don't
//! - `audit`: who did what, in lines that nobody changes unseen
//! - `backup`: a deployment waits for a verified backup, and knows where it can return to
//! - `catalog`: sg-list, for people and for pipes
//! - `damage`: bits flip, files are cut, runs are killed: found, named, and nothing half-done
//! - `docs`: man pages, README and the programs say the same, and examples work as typed
//! - `drill`: sound backups are proven, every lie is caught by its name, nothing is left behind
//! - `dump`: a database that is dumped comes back the same; pg_dump and psql are the judges
//! - `formats`: the stream format, under our own and other tools' eyes, whole and damaged
//! - `policy`: what a store should look like in the morning, and each way in which it does not
//! - `prune`: what goes, what stays, and what is left alone
//! - `restore`: a dump comes back whole, compared and swapped, or everything stays as it was
//! - `status`: how it stands, said to people, browsers, Nagios and Prometheus, and never more than is known
//! - `system`: a whole application comes back, or all of it is as it was, wherever it is cut off
//! - `store`: what a directory of backups promises, also when the disk fails or the run is killed

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod alert;
mod archive;
mod audit;
mod backup;
mod catalog;
mod damage;
mod docs;
mod drill;
mod dump;
mod formats;
mod policy;
mod prune;
mod restore;
mod status;
mod store;
mod support;
mod system;
