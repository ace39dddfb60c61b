//! The rows: read by several connections at once, compressed where they are read.
//!
//! Each thread owns a connection and a compressor, takes one chunk of a table after the other and
//! makes pieces of about 1 MiB, each one whole `COPY` statement, so that any of them can be restored
//! by itself and in any order. Rows are counted and hashed as they pass.

use super::digest::Digest;
use super::snapshot::Ticket;
use super::tables::{Chunk, Table};
use crate::error::{Error, Kind, Result};
use crate::stream::{Compression, Compressor, Item, MEMBER_MAX, Packed, Pending, Piece};
use crossbeam_channel::Sender;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What ends the rows of a COPY.
const END: &[u8] = b"\\.\n\n";

/// A piece, and what it adds to its table.
pub(super) struct Batch {
    pub(super) packed: Packed,
    pub(super) table: usize,
    pub(super) digest: Digest,
    /// Length of the rows in bytes.
    pub(super) bytes: u64,
}

/// The work of all threads.
pub(super) struct Work<'a> {
    pub(super) ticket: &'a Ticket,
    pub(super) tables: &'a [Table],
    pub(super) plan: &'a [Chunk],
    /// The next chunk to do.
    pub(super) next: AtomicUsize,
    pub(super) compression: Compression,
    /// The encoding of the dump.
    pub(super) encoding: &'a str,
}

impl Work<'_> {
    /// What one thread does: takes chunks until none is left. A failure is sent like a result.
    pub(super) fn run(&self, sender: &Sender<Result<Batch>>) {
        if let Err(error) = self.chunks(sender) {
            // Where nobody listens any more, another failure came first.
            let _ = sender.send(Err(error));
        }
    }

    fn chunks(&self, sender: &Sender<Result<Batch>>) -> Result<()> {
        let mut session = None;
        let mut compressor = Compressor::new(self.compression)?;
        while let Some(chunk) = self.plan.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let table = &self.tables[chunk.table];
            let mut builder = Builder {
                table,
                at: chunk.table,
                content: Vec::new(),
                digest: Digest::default(),
                bytes: 0,
                compressor: &mut compressor,
                sender,
            };
            builder.begin(0);
            if !table.is_empty() {
                let session = match &mut session {
                    Some(session) => session,
                    none => none.insert(self.ticket.join()?),
                };
                session.copy_out(&table.copy(chunk, self.encoding), |row| builder.row(row))?;
            }
            // A table without rows still has its place; a chunk without rows needs none.
            if builder.digest.rows > 0 || chunk.pages.is_none_or(|(from, _)| from == 0) {
                builder.end()?;
            }
        }
        // Whoever can end the transaction has been inside it all the time.
        session.map_or(Ok(()), |mut session| session.batch("COMMIT"))
    }
}

/// Makes pieces out of rows.
struct Builder<'a> {
    table: &'a Table,
    at: usize,
    content: Vec<u8>,
    digest: Digest,
    bytes: u64,
    compressor: &'a mut Compressor,
    sender: &'a Sender<Result<Batch>>,
}

impl Builder<'_> {
    fn begin(&mut self, row: usize) {
        let header = &self.table.header;
        self.content = Vec::with_capacity(MEMBER_MAX.max(header.len() + row + END.len()));
        self.content.extend_from_slice(header);
        self.digest = Digest::default();
        self.bytes = 0;
    }

    fn row(&mut self, row: &[u8]) -> Result<()> {
        if self.content.len() + row.len() + END.len() > MEMBER_MAX {
            if self.digest.rows > 0 {
                self.end()?;
            }
            self.begin(row.len());
        }
        self.digest.add_row(row.strip_suffix(b"\n").unwrap_or(row));
        self.bytes += row.len() as u64;
        self.content.extend_from_slice(row);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.content.extend_from_slice(END);
        let content = std::mem::take(&mut self.content);
        let record = Pending {
            item: Item::Rows {
                schema: self.table.schema.clone(),
                table: self.table.name.clone(),
                rows: self.digest.rows,
                digest: self.digest.sum,
            },
            skip: 0,
            length: content.len() as u64,
            opened: false,
        };
        let packed = self.compressor.pack(Piece {
            content,
            records: vec![record],
            opens: false,
        })?;
        let batch = Batch {
            packed,
            table: self.at,
            digest: self.digest,
            bytes: self.bytes,
        };
        self.sender
            .send(Ok(batch))
            .map_err(|_| Error::new(Kind::Failed, "the writing end gave up"))
    }
}
