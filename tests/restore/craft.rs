//! Dumps in our layout, made of what pg_dump writes: so a restore is tried on exactly the layout that
//! is agreed on, whatever the dumping program does.

use crate::support::postgres::Cluster;
use sg::postgres::digest::Digest;
use sg::postgres::script::{Element, Lexer, summary};
use sg::stream::{Compression, Compressor, Item, Part, Pending, Piece, Writer};
use std::path::{Path, PathBuf};

/// Writes the dump of `database` to `path`, its rows cut into pieces of about `cut` bytes.
pub(crate) fn dump(cluster: &Cluster, database: &str, path: &Path, cut: usize) -> PathBuf {
    dump_with(cluster, database, path, cut, |_| {})
}

/// The same with each digest changed by `change`.
pub(crate) fn dump_with(
    cluster: &Cluster,
    database: &str,
    path: &Path,
    cut: usize,
    change: fn(&mut Digest),
) -> PathBuf {
    let section = |name: &str| cluster.pg_dump(database, &[&format!("--section={name}")]);
    let mut parts = Parts {
        change,
        compressor: Compressor::new("gzip:1".parse::<Compression>().unwrap()).unwrap(),
        writer: Writer::new(
            std::fs::File::create(path).unwrap(),
            "gzip:1".parse().unwrap(),
        )
        .unwrap(),
    };
    parts.sql(Part::PreData, &section("pre-data"));
    let (mut sequences, mut objects) = (Vec::new(), Vec::new());
    let data = section("data");
    let mut lexer = Lexer::new(data.as_slice());
    let mut statement = Vec::new();
    let mut rows = Vec::new();
    while let Some(element) = lexer.next().unwrap() {
        match element {
            Element::Copy(text) => statement = text.to_vec(),
            Element::Rows(text) => rows.extend_from_slice(text),
            Element::RowsEnd => parts.rows(&statement, &std::mem::take(&mut rows), cut),
            Element::Statement(text) => {
                let text = [text, b"\n"].concat();
                let seen = String::from_utf8_lossy(&text);
                if seen.contains("setval") {
                    sequences.extend_from_slice(&text);
                } else if !seen.starts_with("SET ") && !seen.contains("set_config") {
                    objects.extend_from_slice(&text);
                }
            }
            _ => {}
        }
    }
    if !objects.is_empty() {
        parts.sql(Part::LargeObjects, &objects);
    }
    if !sequences.is_empty() {
        parts.sql(Part::Sequences, &sequences);
    }
    parts.sql(Part::PostData, &section("post-data"));
    parts.sql(Part::Trailer, b"-- PostgreSQL database dump complete\n");
    parts.writer.finish().unwrap();
    path.to_owned()
}

struct Parts {
    change: fn(&mut Digest),
    compressor: Compressor,
    writer: Writer<std::fs::File>,
}

impl Parts {
    fn put(&mut self, content: Vec<u8>, item: Item) {
        let record = Pending {
            item,
            skip: 0,
            length: content.len() as u64,
            opened: false,
        };
        let piece = Piece {
            content,
            records: vec![record],
            opens: false,
        };
        let packed = self.compressor.pack(piece).unwrap();
        self.writer.append(packed).unwrap();
    }

    fn sql(&mut self, part: Part, text: &[u8]) {
        // The last line of a section is not the last of the whole.
        let text = String::from_utf8_lossy(text)
            .replace("-- PostgreSQL database dump complete", "--")
            .into_bytes();
        let text = if part == Part::Trailer {
            b"-- PostgreSQL database dump complete\n".to_vec()
        } else {
            text
        };
        self.put(text, Item::Sql(part));
    }

    fn rows(&mut self, statement: &[u8], rows: &[u8], cut: usize) {
        let relation = summary(statement).relation.unwrap();
        let mut rest = rows;
        loop {
            let mut end = cut.min(rest.len());
            while end < rest.len() && rest[end - 1] != b'\n' {
                end += 1;
            }
            let (these, later) = rest.split_at(end);
            let mut digest = Digest::default();
            digest.add_rows(these);
            (self.change)(&mut digest);
            let item = Item::Rows {
                schema: relation.schema.clone(),
                table: relation.name.clone(),
                rows: digest.rows,
                digest: digest.sum,
            };
            self.put([statement, b"\n", these, b"\\.\n\n"].concat(), item);
            rest = later;
            if rest.is_empty() {
                return;
            }
        }
    }
}
