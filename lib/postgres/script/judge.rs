//! Judges a dump that carries no index of ours before anything is touched: that it is whole, and
//! that it asks for nothing but SQL.
//!
//! A `pg_dump | gzip` that died leaves a file that gunzip and psql take without a word; and psql
//! runs what stands behind a backslash, a shell escape too. The one pair of commands that pg_dump
//! itself writes (`\restrict KEY`, `\unrestrict KEY`) is allowed, in that form only.

use super::lexer::{Element, Lexer, refuse_other_formats};
use crate::error::{Context, Error, Result};
use crate::postgres::digest::Digest;
use std::io::Read;

/// What was found in a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many statements, those for COPY included.
    pub statements: u64,
    /// The tables with rows, in their order; one that comes in several stretches, several times.
    pub tables: Vec<CopiedTable>,
    /// Whether it goes on in other databases (`\\connect`), as those of `pg_dump --create` and
    /// `pg_dumpall` do. Such a script is whole, but can't be put where one would have it.
    pub connects: bool,
}

/// Rows of one table in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// The statement that takes the rows.
    pub statement: String,
    /// How many rows, and their digest.
    pub digest: Digest,
    /// Length of the rows in bytes.
    pub bytes: u64,
}

/// Lets the pair of psql commands that pg_dump writes pass, and nothing else.
#[derive(Debug, Default)]
pub struct Guard {
    key: Option<Vec<u8>>,
}

impl Guard {
    /// Looks at one element.
    ///
    /// # Errors
    /// It is a command of psql's own other than `\restrict KEY` and its counterpart.
    pub fn check(&mut self, element: &Element<'_>) -> Result<()> {
        let Element::Command { text, alone, line } = *element else {
            return Ok(());
        };
        if alone && self.pass(text) {
            return Ok(());
        }
        let start = String::from_utf8_lossy(&text[..text.len().min(40)]);
        Err(Error::damaged(format!(
            "line {line} of the dump is a command for psql, not SQL: {start:?}"
        ))
        .with_hint("pg_dump writes no such line; find out who did before you trust it."))
    }

    fn pass(&mut self, command: &[u8]) -> bool {
        let command = command.strip_suffix(b"\r").unwrap_or(command);
        let is_key = |key: &[u8]| !key.is_empty() && key.iter().all(u8::is_ascii_alphanumeric);
        if let Some(key) = command.strip_prefix(b"\\restrict ")
            && self.key.is_none()
            && is_key(key)
        {
            self.key = Some(key.to_vec());
            return true;
        }
        if let Some(key) = command.strip_prefix(b"\\unrestrict ")
            && self.key.as_deref() == Some(key)
        {
            self.key = None;
            return true;
        }
        false
    }
}

/// Whether it is the command by which pg_dump --create and pg_dumpall change to another database.
fn goes_elsewhere(element: &Element<'_>) -> bool {
    matches!(element, Element::Command { text, alone: true, .. }
        if text.strip_prefix(b"\\connect ").is_some_and(|name| !name.contains(&b'\\')))
}

/// Reads `script` to its end and judges it.
///
/// # Errors
/// It was cut off, holds commands for psql, is of another format, or can't be read.
pub fn judge(script: impl Read) -> Result<Verdict> {
    judge_with(script, |_| {})
}

/// The same, with each statement shown to `see`.
///
/// # Errors
/// As [`judge`].
pub fn judge_with(mut script: impl Read, mut see: impl FnMut(&[u8])) -> Result<Verdict> {
    let mut start = Vec::new();
    (&mut script)
        .take(16)
        .read_to_end(&mut start)
        .context(|| "cannot read the dump")?;
    refuse_other_formats(&start)?;
    let mut lexer = Lexer::new(start.chain(script));
    let mut guard = Guard::default();
    let mut verdict = Verdict::default();
    let mut complete = false;
    while let Some(element) = lexer.next()? {
        if goes_elsewhere(&element) {
            verdict.connects = true;
            complete = false;
            continue;
        }
        guard.check(&element)?;
        match element {
            Element::Comment(text) => {
                complete |= matches!(
                    text.strip_prefix(b"-- PostgreSQL database "),
                    Some(b"dump complete" | b"cluster dump complete")
                );
            }
            Element::Statement(text) => {
                see(text);
                verdict.statements += 1;
                complete = false;
            }
            Element::Copy(text) => {
                verdict.statements += 1;
                complete = false;
                verdict.tables.push(CopiedTable {
                    statement: String::from_utf8_lossy(text).into_owned(),
                    digest: Digest::default(),
                    bytes: 0,
                });
            }
            Element::Rows(text) => {
                if let Some(table) = verdict.tables.last_mut() {
                    table.digest.add_rows(text);
                    table.bytes += text.len() as u64;
                }
            }
            Element::RowsEnd | Element::Command { .. } => {}
        }
    }
    if !complete {
        return Err(Error::damaged(
            "the dump was cut off: it does not end with pg_dump's last line",
        )
        .with_hint("Use another backup: this one holds only a part, or is no dump of pg_dump's."));
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict Ab1\nSET x = 1;\n\
        COPY public.t (a) FROM stdin;\n1\n2\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n\
        \\unrestrict Ab1\n";

    #[test]
    fn a_whole_dump_passes_and_is_counted() {
        let verdict = judge(WHOLE.as_bytes()).unwrap();
        assert_eq!(verdict.statements, 2);
        assert_eq!(verdict.tables[0].digest.rows, 2);
        assert!(!verdict.connects);
    }

    #[test]
    fn a_dump_cut_anywhere_is_refused() {
        let end = WHOLE.find(" complete\n").unwrap() + " complete".len();
        for length in 0..end {
            assert!(judge(&WHOLE.as_bytes()[..length]).is_err(), "{length}");
        }
        assert!(judge(&WHOLE.as_bytes()[..end]).is_ok());
    }

    #[test]
    fn commands_for_psql_are_refused() {
        for command in [
            "\\! touch /tmp/x",
            "\\connect other \\! id",
            "\\copy t from /etc/passwd",
            "\\i x",
            "\\o |sh",
            "\\restrict Ab2",
            "\\unrestrict `id`",
            "\\unrestrict Ab1; \\! id",
            "\\unrestrict Ab2",
            "SELECT 1 \\g |sh",
            "SELECT 1 \\gexec",
        ] {
            let text = WHOLE.replace("SET x = 1;", command);
            let error = judge(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("line 6 "), "{command}: {error}");
        }
        // What only looks like one is data.
        let text = WHOLE.replace("SET x = 1;", "COMMENT ON TABLE t IS '\n\\! id\n';");
        assert!(judge(text.as_bytes()).is_ok());
        let text = WHOLE.replace("1\n2", "\\\\! id\n\\N");
        assert!(judge(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_dump_that_creates_its_database_is_whole_and_known_as_such() {
        let text = WHOLE.replace("SET x = 1;", "CREATE DATABASE a;\n\\connect a\nSET x = 1;");
        assert!(judge(text.as_bytes()).unwrap().connects);
        // Cut off behind the first database of several.
        let end = WHOLE.find("\n\\unrestrict").unwrap();
        let text = format!("{}\\connect b\n", &WHOLE[..end]);
        assert!(judge(text.as_bytes()).is_err());
    }

    #[test]
    fn other_formats_are_named() {
        let error = judge(b"PGDMP\x01\x0e".as_slice()).unwrap_err();
        assert!(error.hint().unwrap().contains("pg_restore"));
    }
}
