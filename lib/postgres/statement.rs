//! A piece of a dump that holds rows: one whole `COPY … FROM stdin;` statement, read as it comes, so
//! that a row of any length needs no more memory than a short one.

use super::digest::Digest;
use crate::error::{Error, Result};
use xxhash_rust::xxh3::Xxh3;

/// Ends the rows of a COPY statement.
pub const END_OF_ROWS: &[u8] = b"\\.";

/// The longest statement that is believed: a table has at most 1,600 columns with names of 63 bytes.
const HEADER_MAX: usize = 1 << 20;

/// Reads one statement and adds its rows up.
#[derive(Default)]
pub struct StatementReader {
    state: State,
    digest: Digest,
    row_bytes: u64,
    /// The present line as far as it came with earlier pushes: its hash, length and first bytes.
    hash: Xxh3,
    length: u64,
    start: [u8; 2],
    partial: Vec<u8>,
    /// The statement itself as far as it came in whole lines.
    header: Vec<u8>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Header,
    Rows,
    /// Behind `\.`, before the empty line.
    Ended,
    /// Behind the empty line.
    Complete,
}

impl StatementReader {
    /// Reads on.
    ///
    /// # Errors
    /// It is no COPY statement, or something follows it.
    pub fn push(&mut self, text: &[u8]) -> Result<()> {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', text) {
            let line = &text[from..end];
            if self.length == 0 {
                self.line(line)?;
            } else {
                self.part(line);
                self.end_of_long_line()?;
            }
            from = end + 1;
        }
        self.part(&text[from..]);
        Ok(())
    }

    /// The rows, and the length of their text in bytes (newlines included).
    ///
    /// # Errors
    /// The statement does not end.
    pub fn finish(self) -> Result<(Digest, u64)> {
        if self.state == State::Complete && self.length == 0 {
            Ok((self.digest, self.row_bytes))
        } else {
            Err(Error::damaged("a COPY statement does not end"))
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        match self.state {
            State::Header => self.header(line)?,
            State::Rows if line == END_OF_ROWS => self.state = State::Ended,
            State::Rows => {
                self.digest.add_row(line);
                self.row_bytes += line.len() as u64 + 1;
            }
            State::Ended if line.is_empty() => self.state = State::Complete,
            State::Ended | State::Complete => {
                return Err(Error::damaged("something follows a COPY statement"));
            }
        }
        Ok(())
    }

    /// Takes a line of the statement itself; a quoted name may go on in the next.
    fn header(&mut self, line: &[u8]) -> Result<()> {
        self.header.extend_from_slice(line);
        let quotes = memchr::memchr_iter(b'"', &self.header).count();
        if quotes % 2 == 1 && self.header.len() < HEADER_MAX {
            self.header.push(b'\n');
            return Ok(());
        }
        if !self.header.starts_with(b"COPY ") || !self.header.ends_with(b" FROM stdin;") {
            return Err(Error::damaged("rows without a COPY statement"));
        }
        self.header = Vec::new();
        self.state = State::Rows;
        Ok(())
    }

    fn part(&mut self, part: &[u8]) {
        if part.is_empty() {
            return;
        }
        if self.length == 0 {
            self.hash.reset();
            self.start = [part[0], part.get(1).copied().unwrap_or_default()];
        } else if self.length == 1 {
            self.start[1] = part[0];
        }
        if self.state == State::Header && self.partial.len() < HEADER_MAX {
            self.partial.extend_from_slice(part);
        }
        self.hash.update(part);
        self.length += part.len() as u64;
    }

    fn end_of_long_line(&mut self) -> Result<()> {
        let length = std::mem::take(&mut self.length);
        match self.state {
            State::Rows if length != 2 || self.start != *END_OF_ROWS => {
                self.digest.add_hash(self.hash.digest128());
                self.row_bytes += length + 1;
                Ok(())
            }
            State::Rows => self.line(END_OF_ROWS),
            State::Header => {
                let line = std::mem::take(&mut self.partial);
                self.header(&line)
            }
            State::Ended | State::Complete => self.line(b"?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENT: &[u8] = b"COPY public.t (a, b) FROM stdin;\n1\tx\n\\\\.\t\n\n2\ty\n\\.\n\n";

    #[test]
    fn it_does_not_matter_how_it_comes() {
        let mut expected = Digest::default();
        expected.add_rows(b"1\tx\n\\\\.\t\n\n2\ty\n");
        for step in 1..STATEMENT.len() {
            let mut reader = StatementReader::default();
            for part in STATEMENT.chunks(step) {
                reader.push(part).unwrap();
            }
            assert_eq!(
                reader.finish().unwrap(),
                (expected, 14),
                "in steps of {step}"
            );
        }
    }

    #[test]
    fn a_name_may_have_newlines_and_quotes() {
        let text =
            b"COPY \"odd\".\"new\nline \\. \"\" table\" (\"a\n\", b) FROM stdin;\n1\t2\n\\.\n\n";
        for step in 1..text.len() {
            let mut reader = StatementReader::default();
            for part in text.chunks(step) {
                reader.push(part).unwrap();
            }
            assert_eq!(reader.finish().unwrap().0.rows, 1, "in steps of {step}");
        }
    }

    #[test]
    fn a_statement_that_does_not_end_is_found_at_any_length() {
        for length in 0..STATEMENT.len() {
            let mut reader = StatementReader::default();
            let read = reader
                .push(&STATEMENT[..length])
                .and_then(|()| reader.finish());
            assert!(read.is_err(), "cut to {length}");
        }
    }

    #[test]
    fn what_follows_is_found() {
        for end in ["\n", "x", "COPY a FROM stdin;\n\\.\n\n"] {
            let mut reader = StatementReader::default();
            let text = [STATEMENT, end.as_bytes()].concat();
            let read = reader.push(&text).and_then(|()| reader.finish());
            assert!(read.is_err(), "{end:?}");
        }
    }
}
