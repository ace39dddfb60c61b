//! Splits dump SQL, as it streams by, into what psql would make of it: statements, rows for COPY,
//! comments, and psql's own commands.
//!
//! Memory holds one statement, or one block of rows; the text may have any length. Nothing is
//! believed about who wrote it: a dump comes from a disk that others may write to.

use super::seen::Seen;
use super::token::{Token, only_blanks, token};
use crate::error::{Context, Error, Kind, Result};
use std::io::{ErrorKind, Read};
use std::ops::Range;

/// How much is read at a time, in bytes.
const READ: usize = 256 * 1024;
/// The longest statement or row that is believed, in bytes: more than a server takes.
const LONGEST: usize = (1 << 30) + (1 << 20);

/// A piece of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// A comment between statements, `-- …` without the line end, or `/* … */`.
    Comment(&'a [u8]),
    /// A statement with its semicolon.
    Statement(&'a [u8]),
    /// `COPY … FROM stdin;`, whose rows follow.
    Copy(&'a [u8]),
    /// Rows, each with its line end.
    Rows(&'a [u8]),
    /// The rows' end, `\.`.
    RowsEnd,
    /// A command of psql's own, from its backslash to the end of the line.
    Command {
        /// Its text.
        text: &'a [u8],
        /// Whether it stands outside of any statement.
        alone: bool,
        /// Its line, counted from 1.
        line: u64,
    },
}

/// The same, as a place in the buffer.
#[derive(Clone, Copy)]
enum Found {
    Comment,
    Statement,
    Copy,
    Rows,
    RowsEnd,
    Command { alone: bool },
}

/// Where in the text the lexer stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Outside of rows.
    Sql,
    /// Behind the semicolon of `COPY … FROM stdin;`.
    CopyLine,
    /// Among rows.
    Rows,
}

/// Reads a script element by element.
pub struct Lexer<R> {
    input: R,
    buffer: Vec<u8>,
    filled: usize,
    ended: bool,
    /// What was handed out last, or comes next, begins here.
    start: usize,
    /// Looked at so far.
    at: usize,
    /// Place of the buffer's first byte in the text.
    offset: u64,
    /// Lines before `start`.
    lines: u64,
    mode: Mode,
    conforming: bool,
    statement: Seen,
}

impl<R: Read> Lexer<R> {
    /// Reads the script that `input` yields.
    pub fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            filled: 0,
            ended: false,
            start: 0,
            at: 0,
            offset: 0,
            lines: 0,
            mode: Mode::Sql,
            conforming: true,
            statement: Seen::default(),
        }
    }

    /// Where what was handed out last begins: its line, counted from 1, and its byte, from 0.
    pub fn place(&self) -> (u64, u64) {
        (self.lines + 1, self.offset + self.start as u64)
    }

    /// The next element; `None` at the end of a text that ends between two statements.
    ///
    /// # Errors
    /// The text ends inside of something, is no text, or can't be read.
    #[allow(clippy::should_implement_trait)] // An element borrows from the lexer.
    pub fn next(&mut self) -> Result<Option<Element<'_>>> {
        let Some((found, range)) = self.find()? else {
            return Ok(None);
        };
        let before = &self.buffer[self.start..range.start.max(self.start)];
        let line = self.lines + 1 + memchr::memchr_iter(b'\n', before).count() as u64;
        let text = &self.buffer[range];
        Ok(Some(match found {
            Found::Comment => Element::Comment(text),
            Found::Statement => Element::Statement(text),
            Found::Copy => Element::Copy(text),
            Found::Rows => Element::Rows(text),
            Found::RowsEnd => Element::RowsEnd,
            Found::Command { alone } => Element::Command { text, alone, line },
        }))
    }

    fn find(&mut self) -> Result<Option<(Found, Range<usize>)>> {
        self.pass(self.at);
        match self.mode {
            Mode::CopyLine => {
                self.copy_line()?;
                self.rows().map(Some)
            }
            Mode::Rows => self.rows().map(Some),
            Mode::Sql => self.sql(),
        }
    }

    /// Lets go of everything before `to`.
    fn pass(&mut self, to: usize) {
        self.lines += memchr::memchr_iter(b'\n', &self.buffer[self.start..to]).count() as u64;
        self.start = to;
    }

    /// Reads more; `false` at the end of the text.
    fn more(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.offset += self.start as u64;
            self.filled -= self.start;
            self.at -= self.start;
            self.start = 0;
        }
        // What is looked at again and again while it grows must grow by doubling.
        let room = READ.max(self.filled);
        if self.filled > LONGEST {
            return Err(self.cut("something goes on for more than 1 GiB"));
        }
        if self.buffer.len() < self.filled + room {
            self.buffer.resize(self.filled + room, 0);
        }
        let target = self.filled + room;
        while self.filled < target {
            match self.input.read(&mut self.buffer[self.filled..target]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context(|| "cannot read the dump"),
            }
        }
        Ok(true)
    }

    fn cut(&self, what: &str) -> Error {
        let (line, byte) = self.place();
        Error::damaged(format!("{what}, which begins at line {line} (byte {byte})"))
    }

    fn sql(&mut self) -> Result<Option<(Found, Range<usize>)>> {
        loop {
            if self.at == self.filled {
                if self.more()? {
                    continue;
                }
                if self.statement.begun {
                    return Err(self
                        .cut("the dump ends inside a statement")
                        .with_hint("The dump was cut off; use another backup."));
                }
                return Ok(None);
            }
            let text = &self.buffer[self.at..self.filled];
            let found = token(text, self.conforming);
            let touches_end = matches!(found, Token::Open(_)) || found.length() == text.len();
            // An escaped literal may go on behind blanks and comments.
            let escaped = matches!(found, Token::Text(_))
                && (matches!(text[0], b'e' | b'E') || !self.conforming)
                && only_blanks(&text[found.length()..]);
            // A dash or a slash may begin a comment.
            if (touches_end || escaped) && !self.ended && self.more()? {
                continue;
            }
            if let Some(element) = self.take(found)? {
                return Ok(Some(element));
            }
        }
    }

    /// Takes one token into the statement at hand; yields what it completes.
    fn take(&mut self, found: Token) -> Result<Option<(Found, Range<usize>)>> {
        let from = self.at;
        self.at += found.length();
        let begun = self.statement.begun;
        match found {
            Token::Open(what) => {
                return Err(self
                    .cut(&format!("the dump ends inside {what} of a statement"))
                    .with_hint("The dump was cut off; use another backup."));
            }
            Token::Space(_) if !begun => self.pass(self.at),
            Token::LineComment(_) | Token::BlockComment(_) if !begun => {
                return Ok(Some((Found::Comment, from..self.at)));
            }
            Token::Symbol(b'\\') => return self.command(from).map(Some),
            Token::Symbol(0) => {
                return Err(self.cut("there is a zero byte in a statement"));
            }
            Token::Symbol(0xef) if self.offset + from as u64 == 0 => {}
            Token::Symbol(b';') if self.statement.parens == 0 && self.statement.blocks == 0 => {
                let done = std::mem::take(&mut self.statement);
                let range = self.start..self.at;
                if !begun {
                    self.pass(self.at);
                    return Ok(None);
                }
                if done.is_followed_by_rows() {
                    self.mode = Mode::CopyLine;
                    return Ok(Some((Found::Copy, range)));
                }
                self.settings(range.clone(), done.words);
                return Ok(Some((Found::Statement, range)));
            }
            Token::Symbol(b'(') => {
                self.statement.begun = true;
                self.statement.parens += 1;
            }
            Token::Symbol(b')') => {
                self.statement.begun = true;
                self.statement.parens = self.statement.parens.saturating_sub(1);
            }
            Token::Word(_) => {
                let word = &self.buffer[from..self.at];
                if !begun && word.starts_with(b"\xef\xbb\xbf") && self.offset + from as u64 == 0 {
                    // A byte order mark, which editors leave; psql passes over it, too.
                    self.at = from + 3;
                    self.pass(self.at);
                    return Ok(None);
                }
                self.statement.begun = true;
                self.statement.word(word);
            }
            Token::Space(_) | Token::LineComment(_) | Token::BlockComment(_) => {}
            _ => self.statement.begun = true,
        }
        Ok(None)
    }

    /// A psql command from `from` to the end of its line.
    fn command(&mut self, from: usize) -> Result<(Found, Range<usize>)> {
        let alone = !self.statement.begun;
        let mut from = from;
        loop {
            if let Some(n) = memchr::memchr(b'\n', &self.buffer[from..self.filled]) {
                self.at = from + n;
                break;
            }
            let kept = from - self.start;
            if !self.more()? {
                self.at = self.filled;
                break;
            }
            from = self.start + kept;
        }
        Ok((Found::Command { alone }, from..self.at))
    }

    /// Notes what a statement does to the way literals are written.
    fn settings(&mut self, range: Range<usize>, words: usize) {
        if words > 5 || range.len() > 200 {
            return;
        }
        let text = self.buffer[range].to_ascii_lowercase();
        let text = String::from_utf8_lossy(&text);
        if let Some((_, value)) = text.split_once("standard_conforming_strings") {
            let value = value.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            self.conforming = !matches!(
                value.trim_start_matches("to").trim_matches([' ', '\'']),
                "off" | "false" | "no" | "0"
            );
        }
    }

    /// What lies between `COPY … FROM stdin;` and the end of its line has to be nothing.
    fn copy_line(&mut self) -> Result<()> {
        loop {
            let text = &self.buffer[self.at..self.filled];
            if let Some(n) = memchr::memchr(b'\n', text) {
                if !text[..n].iter().all(u8::is_ascii_whitespace) {
                    return Err(self.cut("something follows COPY … FROM stdin on its line"));
                }
                self.at += n + 1;
                self.pass(self.at);
                self.mode = Mode::Rows;
                return Ok(());
            }
            if !self.more()? {
                return Err(self.cut("the dump ends behind COPY … FROM stdin"));
            }
        }
    }

    /// As many whole rows as there are in the buffer, or their end.
    fn rows(&mut self) -> Result<(Found, Range<usize>)> {
        loop {
            let text = &self.buffer[self.start..self.filled];
            let end = rows_end(text, self.ended);
            if let Some((0, length)) = end {
                self.at = self.start + length;
                self.mode = Mode::Sql;
                return Ok((Found::RowsEnd, self.start..self.at));
            }
            let length = match end {
                Some((before, _)) => before,
                // The last line may be the end that has not arrived whole.
                None => memchr::memrchr(b'\n', text).map_or(0, |n| n + 1),
            };
            if length > 0 {
                self.at = self.start + length;
                return Ok((Found::Rows, self.start..self.at));
            }
            self.at = self.start;
            if !self.more()? {
                return Err(self
                    .cut("the dump ends among the rows of a table: the last row")
                    .with_hint("The dump was cut off; use another backup."));
            }
            self.at = self.start;
        }
    }
}

/// Where among rows the line `\.` begins, and how long it is.
fn rows_end(text: &[u8], ended: bool) -> Option<(usize, usize)> {
    let is_end = |at: usize| match &text[at..] {
        [b'\\', b'.', b'\n', ..] => Some(3),
        [b'\\', b'.', b'\r', b'\n', ..] => Some(4),
        [b'\\', b'.'] | [b'\\', b'.', b'\r'] if ended => Some(text.len() - at),
        _ => None,
    };
    if let Some(length) = is_end(0) {
        return Some((0, length));
    }
    memchr::memmem::find_iter(text, b"\n\\.")
        .find_map(|n| is_end(n + 1).map(|length| (n + 1, length)))
}

/// Reads a script to its end and yields the number of its elements; for the fuzzer, which tells
/// whether any text makes the lexer panic or run for ever.
///
/// # Errors
/// As [`Lexer::next`].
pub fn elements(text: &[u8]) -> Result<usize> {
    let mut lexer = Lexer::new(text);
    let mut count = 0;
    while lexer.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// A usage error for what is no SQL script at all.
///
/// # Errors
/// `start`, the first bytes of the content, belong to another format of pg_dump.
pub fn refuse_other_formats(start: &[u8]) -> Result<()> {
    let archive = if start.starts_with(b"PGDMP") {
        "custom"
    } else if start.starts_with(b"toc.dat\0") {
        "tar"
    } else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Usage,
        format!("this is a dump in pg_dump's {archive} format, not SQL"),
    )
    .with_hint("Restore it with pg_restore, which comes with PostgreSQL."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out a byte at a time, so that every token is met in parts.
    struct Dribble(std::io::Cursor<Vec<u8>>);

    impl Read for Dribble {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = buffer.len().min(1);
            self.0.read(&mut buffer[..n])
        }
    }

    fn split(text: &str) -> Result<Vec<String>> {
        let mut lexer = Lexer::new(text.as_bytes());
        let mut seen = Vec::new();
        while let Some(element) = lexer.next()? {
            seen.push(show(element));
        }
        Ok(seen)
    }

    fn show(element: Element<'_>) -> String {
        let text = |kind: &str, text: &[u8]| format!("{kind} {}", String::from_utf8_lossy(text));
        match element {
            Element::Comment(t) => text("comment", t),
            Element::Statement(t) => text("sql", t),
            Element::Copy(t) => text("copy", t),
            Element::Rows(t) => text("rows", t),
            Element::RowsEnd => "end".into(),
            Element::Command { text: t, alone, .. } => {
                text(if alone { "psql" } else { "inside" }, t)
            }
        }
    }

    #[test]
    fn a_dump_falls_into_its_parts() {
        let dump = "--\n-- Name: t; Type: TABLE; Schema: public; Owner: me\n--\n\n\
                    \\restrict abc\nSET x = 'a;b';\nCREATE TABLE t (a text DEFAULT ';');\n\n\
                    COPY public.t (a) FROM stdin;\n1\n\\\\.\nCOPY x FROM stdin;\n\\.\n\n\n\
                    CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true \
                    THEN 1 END; SELECT 2; END;\n";
        assert_eq!(
            split(dump).unwrap(),
            [
                "comment --",
                "comment -- Name: t; Type: TABLE; Schema: public; Owner: me",
                "comment --",
                "psql \\restrict abc",
                "sql SET x = 'a;b';",
                "sql CREATE TABLE t (a text DEFAULT ';');",
                "copy COPY public.t (a) FROM stdin;",
                "rows 1\n\\\\.\nCOPY x FROM stdin;\n",
                "end",
                "sql CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN \
                 true THEN 1 END; SELECT 2; END;",
            ]
        );
    }

    #[test]
    fn commands_of_psql_are_seen_wherever_they_stand() {
        assert_eq!(split("\\! rm x\n").unwrap(), ["psql \\! rm x"]);
        assert_eq!(split("SELECT 1 \\g x\n;").unwrap()[0], "inside \\g x");
        assert_eq!(split("SELECT '\\! x';").unwrap(), ["sql SELECT '\\! x';"]);
        let off = "SET standard_conforming_strings = off;SELECT '\\'; \\! x\n';";
        assert_eq!(split(off).unwrap().len(), 2);
        let on = "SET standard_conforming_strings = on;SELECT '\\'; \\! x\n';";
        assert!(split(on).is_err());
    }

    #[test]
    fn what_was_cut_off_is_an_error_that_names_the_place() {
        for (text, words) in [
            ("SELECT 1;\nSELECT", "inside a statement"),
            ("\n\nSELECT 'a", "a literal"),
            ("COPY t FROM stdin;\n1\n2", "among the rows"),
            ("COPY t FROM stdin;\n1\n", "among the rows"),
            ("COPY t FROM stdin;", "behind COPY"),
            ("COPY t FROM stdin; SELECT 1;\n\\.\n", "on its line"),
        ] {
            let error = split(text).unwrap_err();
            assert!(error.to_string().contains(words), "{text}: {error}");
            assert!(error.to_string().contains("line"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = elements(&text);
        }

        #[test]
        fn parts_that_arrive_late_make_no_difference(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "SELECT 1;", "'a'", "\n", "E'\\''", "$a$", "$$", "--", "/*", "*/", "\"x\"", "(", ")",
                "COPY t FROM stdin;\n", "\\.\n", "\\.", "1\t2\n", "\\! x\n", " ", "BEGIN", "END",
                "CREATE FUNCTION", "-", "/", "\r\n",
            ]), 0..30)
        ) {
            let text = parts.concat();
            let all = |mut lexer: Lexer<Box<dyn Read>>| {
                let mut seen = Vec::new();
                let mut rows = String::new();
                loop {
                    match lexer.next() {
                        Ok(Some(Element::Rows(t))) => rows += &String::from_utf8_lossy(t),
                        Ok(Some(element)) => {
                            seen.push(std::mem::take(&mut rows));
                            seen.push(show(element));
                        }
                        Ok(None) => return (seen, None),
                        Err(error) => return (seen, Some(error.to_string())),
                    }
                }
            };
            let bytes = || std::io::Cursor::new(text.clone().into_bytes());
            let whole = all(Lexer::new(Box::new(bytes())));
            let dribbled = all(Lexer::new(Box::new(Dribble(bytes()))));
            prop_assert_eq!(whole.0, dribbled.0);
        }
    }
}
