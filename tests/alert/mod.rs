//! What arrives, at real servers, when units fail: by each way, late, once, and without secrets.

mod findings;
mod full;
mod host;

mod incidents;
mod mail;
mod ping;
mod secrets;
mod webhook;
mod week;
