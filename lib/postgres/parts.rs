//! The writing end of a dump: SQL goes in as it comes, pieces of one member each come out.

use crate::error::Result;
use crate::monitor::Monitor;
use crate::stream::{Compression, Compressor, Item, MEMBER_MAX, Part, Pending, Piece, Writer};
use std::io::Write;

/// The one end that everything goes through.
pub(super) struct Output<'a, W> {
    pub(super) writer: Writer<W>,
    compressor: Compressor,
    pub(super) monitor: &'a dyn Monitor,
}

impl<'a, W: Write> Output<'a, W> {
    pub(super) fn new(
        output: W,
        compression: Compression,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        Ok(Self {
            writer: Writer::new(output, compression)?,
            compressor: Compressor::new(compression)?,
            monitor,
        })
    }

    fn append(&mut self, piece: Piece) -> Result<()> {
        let packed = self.compressor.pack(piece)?;
        self.writer.append(packed)
    }

    /// Writes a part that is at hand.
    pub(super) fn sql(&mut self, part: Part, text: &[u8]) -> Result<()> {
        let mut writing = SqlPart::new(part);
        writing.put(text, self)?;
        writing.finish(self)
    }
}

/// A part that is SQL, cut into pieces of one member each.
pub(super) struct SqlPart {
    part: Part,
    content: Vec<u8>,
    written: u64,
}

impl SqlPart {
    pub(super) fn new(part: Part) -> Self {
        Self {
            part,
            content: Vec::new(),
            written: 0,
        }
    }

    /// Adds text.
    pub(super) fn put<W: Write>(&mut self, mut text: &[u8], out: &mut Output<'_, W>) -> Result<()> {
        while !text.is_empty() {
            if self.content.len() == MEMBER_MAX {
                self.flush(Vec::new(), out)?;
            }
            let length = text.len().min(MEMBER_MAX - self.content.len());
            self.content.extend_from_slice(&text[..length]);
            text = &text[length..];
        }
        Ok(())
    }

    /// Ends the part and enters it into the index.
    pub(super) fn finish<W: Write>(mut self, out: &mut Output<'_, W>) -> Result<()> {
        let record = Pending {
            item: Item::Sql(self.part),
            skip: 0,
            length: self.written + self.content.len() as u64,
            opened: true,
        };
        self.flush(vec![record], out)
    }

    fn flush<W: Write>(&mut self, records: Vec<Pending>, out: &mut Output<'_, W>) -> Result<()> {
        let content = std::mem::take(&mut self.content);
        let opens = self.written == 0;
        self.written += content.len() as u64;
        out.append(Piece {
            content,
            records,
            opens,
        })
    }
}
