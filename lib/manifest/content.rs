//! What is inside a backup, as recorded while it was made: for a database from within the very
//! snapshot that was dumped, so that a restored one can be held against it row for row.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The content of one backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Content {
    /// A PostgreSQL database.
    Database(Box<Database>),
    /// Roles and tablespaces of a PostgreSQL server.
    Globals(Globals),
    /// Directory trees.
    Volume(Volume),
}

/// A dumped database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub database: String,
    /// The server's version, e.g. `15.18`.
    pub server_version: String,
    /// The version of the pg_dump that wrote the schema.
    pub client_version: String,
    /// When the snapshot was taken, by the server's clock.
    pub snapshot_time: String,
    /// The position in the write-ahead log at the snapshot; `None` on a standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_lsn: Option<String>,
    /// `pg_database_size` in bytes.
    pub size_bytes: u64,
    /// What is needed to create its twin.
    pub properties: Properties,
    /// The tables with data, sorted by schema and name.
    pub tables: Vec<Table>,
    /// The sequences.
    pub sequences: Vec<Sequence>,
    /// How many large objects there are.
    pub large_objects: u64,
    /// The extensions.
    pub extensions: Vec<Extension>,
    /// The roles that owners and grants name.
    pub roles: Vec<String>,
}

/// What belongs to the database itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Properties {
    /// Its owner.
    pub owner: String,
    /// Its encoding, e.g. `UTF8`.
    pub encoding: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// LC_COLLATE.
    pub collate: String,
    /// LC_CTYPE.
    pub ctype: String,
    /// The locale of a provider other than libc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// ICU's further rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    /// The version of the collation that the data is sorted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation_version: Option<String>,
    /// Its tablespace.
    pub tablespace: String,
    /// Connections allowed; -1: no limit.
    pub connection_limit: i32,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Its rights, in the server's notation; `None`: the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Vec<String>>,
    /// `ALTER DATABASE … SET`, as `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
}

/// One table's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The columns dumped, in order.
    pub columns: Vec<String>,
    /// The condition on the rows dumped: of an extension's configuration table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// How many rows.
    pub rows: u64,
    /// Their digest (see `postgres::digest`), 32 hexadecimal digits.
    pub digest: String,
    /// Length of their COPY text in bytes.
    pub bytes: u64,
}

/// One sequence's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its last value.
    pub value: i64,
    /// Whether that was given out already.
    pub called: bool,
}

/// One extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Roles and tablespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Globals {
    /// The server's version.
    pub server_version: String,
    /// The roles.
    pub roles: Vec<String>,
    /// The tablespaces.
    pub tablespaces: Vec<String>,
    /// Whether password hashes came along.
    pub passwords: bool,
}

/// Archived trees.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// The paths that were archived, as given.
    pub roots: Vec<String>,
    /// What was left out on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hardlinks: u64,
    /// Pipes and devices.
    pub special: u64,
    /// Length of all regular files in bytes, holes included.
    pub file_bytes: u64,
    /// Files that changed while they were read.
    pub changed: u64,
    /// Entries that vanished, could not be read, or have no place in an archive.
    pub skipped: u64,
    /// Files of a configuration that hold secrets, and so are not inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
}

/// A file that is not in the archive since it holds secrets: enough to know what to put back by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Where it was.
    pub path: PathBuf,
    /// The names that it gives values to; none if it is not of that form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Its permissions, octal: `0640`.
    pub mode: String,
    /// The user and the group that it belonged to, by name where they have one.
    pub owner: String,
}
