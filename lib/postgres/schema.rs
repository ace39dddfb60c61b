//! Everything but the rows: what pg_dump says the database consists of.
//!
//! One run of pg_dump in our snapshot writes an archive without rows; `pg_restore` then gives its
//! sections as SQL, so the catalogs are read once. The archive's list also tells which tables and
//! sequences pg_dump counts as the database's, which is what our own choice is held against.

use super::programs::{Program, Running};
use super::snapshot::Ticket;
use super::tables::Table;
use crate::error::{Context, Error, Kind, Result};
use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::NamedTempFile;

const TRAILER: &[u8] = b"--\n-- PostgreSQL database dump complete\n--\n";
/// What is held back of a section until its end is known: more than the trailer and its key.
const TAIL: usize = 512;
/// What is waited for before a section's beginning is judged: more than the comments and the key.
const HEAD: usize = 4096;

/// pg_dump at work on the schema.
pub(super) struct Dumping {
    child: Running,
    archive: NamedTempFile,
    program: Program,
}

/// The schema, as an archive in a temporary file.
pub(super) struct Schema {
    archive: NamedTempFile,
    restore: Program,
}

/// What the archive lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Tables, partitioned ones and foreign ones too.
    pub(super) tables: BTreeSet<u32>,
    /// Sequences.
    pub(super) sequences: BTreeSet<u32>,
}

impl Dumping {
    /// Starts pg_dump in the snapshot; `excluded` are patterns of tables whose rows are not wanted,
    /// which decide whether materialized views that depend on them are filled again.
    pub(super) fn start(ticket: &Ticket, program: &Program, excluded: &[String]) -> Result<Self> {
        let archive = NamedTempFile::new()
            .context(|| "cannot make a temporary file for the schema".to_owned())?;
        let mut command = pg_dump(ticket, program, excluded);
        command.args([
            "--format=custom",
            "--section=pre-data",
            "--section=post-data",
        ]);
        let output = archive
            .reopen()
            .context(|| "cannot open the temporary file for the schema".to_owned())?;
        command.stdin(Stdio::null()).stdout(output);
        Ok(Self {
            child: Running::start(&mut command)?,
            archive,
            program: program.clone(),
        })
    }

    /// Waits for it to end.
    pub(super) fn finish(self) -> Result<Schema> {
        self.child.finish()?;
        let restore = self.program.sibling("pg_restore")?;
        Ok(Schema {
            archive: self.archive,
            restore,
        })
    }
}

impl Schema {
    /// What pg_dump counts as the database's.
    pub(super) fn listed(&self) -> Result<Listed> {
        let mut command = self.command();
        let mut child = Running::start(command.arg("--list").stdout(Stdio::piped()))?;
        let mut text = Vec::new();
        if let Some(mut stdout) = child.stdout() {
            stdout
                .read_to_end(&mut text)
                .context(|| "cannot read pg_restore's list")?;
        }
        child.finish()?;
        Ok(parse_list(&text))
    }

    /// The SQL of a section, `pre-data` or `post-data`.
    pub(super) fn section(&self, name: &str) -> Result<Section> {
        let mut command = self.command();
        command.arg(format!("--section={name}")).arg("--file=-");
        Section::start(&mut command)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.restore.path);
        command.arg(self.archive.path()).stdin(Stdio::null());
        command
    }
}

/// The large objects, as pg_dump writes them.
pub(super) fn large_objects(ticket: &Ticket, program: &Program) -> Result<Section> {
    let mut command = pg_dump(ticket, program, &["*.*".to_owned()]);
    command.args(["--section=data", "--large-objects"]);
    if program.major < 17 {
        command = pg_dump(ticket, program, &["*.*".to_owned()]);
        command.args(["--section=data", "--blobs"]);
    }
    Section::start(command.stdin(Stdio::null()))
}

fn pg_dump(ticket: &Ticket, program: &Program, excluded: &[String]) -> Command {
    let mut command = program.command(ticket.info());
    command
        .arg("--no-password")
        .arg(format!("--snapshot={}", ticket.id()));
    for pattern in excluded {
        command.arg(format!("--exclude-table-data={pattern}"));
    }
    command
}

/// SQL that a child writes.
pub(super) struct Section(Running);

impl Section {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(Running::start(command.stdout(Stdio::piped()))?))
    }

    /// Hands the SQL to `put`, without the closing comment. The first section of a dump keeps its
    /// head, with the `\restrict` that newer releases write; its key is returned.
    pub(super) fn read(
        mut self,
        first: bool,
        mut put: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<String>> {
        let mut stdout = self
            .0
            .stdout()
            .ok_or_else(|| Error::new(Kind::Failed, "the child has no output"))?;
        let mut held = Vec::new();
        let mut head: Option<Option<String>> = None;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = stdout
                .read(&mut buffer)
                .context(|| "cannot read the schema")?;
            held.extend_from_slice(&buffer[..length]);
            if head.is_none() && (held.len() >= HEAD || length == 0) {
                head = Some(behead(&mut held, first));
            }
            if length == 0 {
                break;
            }
            if head.is_some() && held.len() > TAIL {
                let free = held.len() - TAIL;
                put(&held[..free])?;
                held.drain(..free);
            }
        }
        self.0.finish()?;
        let end = memchr::memmem::rfind(&held, TRAILER)
            .ok_or_else(|| Error::new(Kind::Failed, "the schema is cut off"))?;
        put(&held[..end])?;
        Ok(head.flatten())
    }
}

/// Finds the key of `\restrict` in the head of a section; takes the head off unless it is the first.
fn behead(text: &mut Vec<u8>, first: bool) -> Option<String> {
    let settings = memchr::memmem::find(text, b"\nSET ").map_or(text.len(), |at| at + 1);
    let mark: &[u8] = b"\n\\restrict ";
    let key = memchr::memmem::find(&text[..settings], mark).map(|at| {
        let line = &text[at + mark.len()..];
        let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
        String::from_utf8_lossy(&line[..end]).into_owned()
    });
    if !first {
        text.drain(..settings);
    }
    key
}

/// Lines like `215; 1259 16389 TABLE public t owner`: catalog, object, kind.
fn parse_list(text: &[u8]) -> Listed {
    let mut listed = Listed::default();
    for line in text.split(|&byte| byte == b'\n') {
        let mut words = line.split(|&byte| byte == b' ');
        let (_, catalog, oid) = (words.next(), words.next(), words.next());
        if catalog != Some(b"1259") {
            continue;
        }
        let oid = oid
            .and_then(|word| std::str::from_utf8(word).ok())
            .and_then(|word| word.parse().ok());
        match (oid, words.next(), words.next()) {
            // "TABLE DATA", "TABLE ATTACH" are other things than "TABLE".
            (Some(_), Some(b"TABLE"), Some(b"DATA" | b"ATTACH")) => {}
            (Some(oid), Some(b"TABLE"), _) => {
                listed.tables.insert(oid);
            }
            (Some(_), Some(b"SEQUENCE"), Some(b"SET" | b"OWNED")) => {}
            (Some(oid), Some(b"SEQUENCE"), _) => {
                listed.sequences.insert(oid);
            }
            _ => {}
        }
    }
    listed
}

/// Refuses when our choice of tables is not pg_dump's: `kinds` has all relations that pg_dump might
/// list, with their kind.
pub(super) fn compare(listed: &Listed, tables: &[Table], kinds: &HashMap<u32, i8>) -> Result<()> {
    let ordinary = |oid: &&u32| kinds.get(*oid) == Some(&b'r'.cast_signed());
    let theirs: BTreeSet<u32> = listed.tables.iter().filter(ordinary).copied().collect();
    let ours: BTreeSet<u32> = tables
        .iter()
        .filter(|table| table.listed)
        .map(|table| table.oid)
        .collect();
    if theirs == ours {
        return Ok(());
    }
    let names: Vec<String> = theirs
        .symmetric_difference(&ours)
        .map(|oid| {
            tables.iter().find(|table| table.oid == *oid).map_or_else(
                || format!("the table with oid {oid}"),
                |table| table.quoted.clone(),
            )
        })
        .collect();
    Err(Error::new(
        Kind::Failed,
        format!(
            "pg_dump and this program disagree on what to dump: {}",
            names.join(", ")
        ),
    )
    .with_hint(
        "This is a fault of sg-dump-db; please report it, with the definition of that table.",
    ))
}

impl Program {
    /// The program `name` of the same release, in the same directory.
    fn sibling(&self, name: &str) -> Result<Self> {
        let path = self.path.with_file_name(name);
        if Path::new(&path).is_file() {
            return Ok(Self {
                path,
                ..self.clone()
            });
        }
        Self::find(name, self.major)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_tells_tables_and_sequences() {
        let text = b"; Archive\n\
            215; 1259 16389 TABLE public t postgres\n\
            3301; 0 16389 TABLE DATA public t postgres\n\
            216; 1259 16400 SEQUENCE public s postgres\n\
            3302; 0 0 SEQUENCE OWNED BY public s postgres\n\
            217; 1259 16401 VIEW public v postgres\n\
            3303; 0 0 COMMENT public TABLE t postgres\n";
        let listed = parse_list(text);
        assert_eq!(listed.tables, BTreeSet::from([16389]));
        assert_eq!(listed.sequences, BTreeSet::from([16400]));
    }

    #[test]
    fn the_head_of_the_first_section_stays_and_its_key_is_known() {
        let head =
            b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET x = 0;\n\\restrict no\n";
        let mut first = head.to_vec();
        assert_eq!(behead(&mut first, true).as_deref(), Some("abc"));
        assert_eq!(first, head);
        let mut second = head.to_vec();
        assert_eq!(behead(&mut second, false).as_deref(), Some("abc"));
        assert_eq!(second, b"SET x = 0;\n\\restrict no\n");
        let mut old =
            b"--\n-- PostgreSQL database dump\n--\n\nSET x = 0;\n\\restrict no\n".to_vec();
        assert_eq!(behead(&mut old, true), None);
    }
}
