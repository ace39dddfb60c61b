//! The documents are held against the programs: what a page or the README says is there, is there, and
//! what they tell to type works as typed.

mod examples;
mod host;
mod options;
mod page;
mod programs;
mod recovery;

#[path = "../../bins/commands.rs"]
mod commands;
