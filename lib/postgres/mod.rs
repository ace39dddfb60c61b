//! PostgreSQL: how to reach a server, and how a database is dumped and restored.

mod connection_string;
pub mod conninfo;
mod copy;
pub mod digest;
pub mod dump;
pub mod globals;
mod link;
mod login;
mod parts;
mod passfile;
mod patterns;
mod peer;
pub mod preflight;
pub mod programs;
mod properties;
mod require_auth;
pub mod restore;
mod schema;
pub mod script;
mod sequences;
mod service;
pub mod session;
mod snapshot;
pub mod statement;
mod tables;
mod tls;
mod wire;

pub use conninfo::Conninfo;
pub use session::Session;
