//! Directory trees: into an archive and back, with everything that a file is.
//!
//! The archive is a PAX tar that GNU tar, bsdtar, Python and, but for what they never had, all others
//! read. Walking, reading headers and extracting are our own, as no crate keeps all that a file has or
//! is safe against archives that lie; the encoding of headers is the `tar` crate's.

mod acl;
mod archive;
mod attributes;
mod batch;
mod beneath;
mod deferred;
mod entry;
mod extract;
mod fields;
mod findings;
mod groups;
mod header;
mod indexed;
mod large;
mod list;
mod metadata;
mod names;
mod pack;
pub mod pax;
pub mod restore;
pub mod secrets;
mod select;
pub mod side;
mod sparse;
mod staging;
mod target;
mod tree_hash;
mod unpack;
mod walk;

pub use archive::{Archive, End};
pub(crate) use entry::BLOCK;
pub use entry::{Entry, Time};
pub use list::{Listed, list};
pub use pack::{PackFacts, PackOptions, pack};
pub use select::Select;
pub(crate) use staging::remove as remove_tree;
pub use unpack::{UnpackFacts, UnpackOptions, unpack};
pub use walk::Exclude;
