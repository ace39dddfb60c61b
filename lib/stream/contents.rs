//! All content of a file or a stream in order: decompressed on all cores where the layout allows it,
//! and only called complete when the footer says so.

use super::member::{Decompressor, Member, Members};
use super::reader::Layout;
use super::{Codec, Footer, Role};
use crate::error::{Context, Error, Kind, Result};
use crate::parallel;
use crossbeam_channel::{Receiver, bounded};
use std::io::{self, BufReader, Read};
use std::thread::JoinHandle;

/// All content of a stream that can't be sought in, such as standard input; see
/// [`Reader::contents`](super::Reader::contents).
///
/// # Errors
/// The first bytes can't be read.
pub fn contents_of(mut input: impl Read + Send + 'static, jobs: usize) -> Result<ReadAhead> {
    let mut start = Vec::new();
    (&mut input)
        .take(32)
        .read_to_end(&mut start)
        .context(|| "cannot read the backup")?;
    let layout = Layout::detect(&start);
    read_ahead(io::Cursor::new(start).chain(input), layout, jobs)
}

pub(super) fn read_ahead(
    input: impl Read + Send + 'static,
    layout: Layout,
    jobs: usize,
) -> Result<ReadAhead> {
    const BLOCK: usize = 256 * 1024;
    let (sender, blocks) = bounded::<Result<Vec<u8>>>(4);
    let gone = || Error::new(Kind::Failed, "nobody reads any more");
    let send = sender.clone();
    let work = move || -> Result<()> {
        let mut input: Box<dyn Read> = match layout {
            Layout::Members(codec) => {
                return decompress(input, codec, jobs, |content| {
                    send.send(Ok(content)).map_err(|_| gone())
                });
            }
            Layout::Foreign(Codec::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Layout::Foreign(Codec::Zstd) => {
                Box::new(zstd::stream::read::Decoder::new(input).context(|| "cannot set up zstd")?)
            }
            Layout::Foreign(Codec::None) => Box::new(input),
        };
        loop {
            let mut block = Vec::with_capacity(BLOCK);
            (&mut input)
                .take(BLOCK as u64)
                .read_to_end(&mut block)
                .map_err(|cause| {
                    Error::damaged("the content does not decompress").with_source(cause)
                })?;
            if block.is_empty() {
                return Ok(());
            }
            send.send(Ok(block)).map_err(|_| gone())?;
        }
    };
    let thread = std::thread::Builder::new()
        .name("read-ahead".into())
        .spawn(move || {
            if let Err(error) = work() {
                // If nobody listens, nobody needs to know.
                let _ = sender.send(Err(error));
            }
        })
        .context(|| "cannot start a thread")?;
    Ok(ReadAhead {
        blocks: Some(blocks),
        block: io::Cursor::new(Vec::new()),
        thread: Some(thread),
    })
}

/// Decompresses the members of `input` on `jobs` threads, hands their content to `consume` in order,
/// and holds the whole against the footer.
fn decompress(
    input: impl Read + Send,
    codec: Codec,
    jobs: usize,
    mut consume: impl FnMut(Vec<u8>) -> Result<()>,
) -> Result<()> {
    let mut tally = Tally::default();
    parallel::ordered(
        jobs,
        |feed| {
            let input = BufReader::with_capacity(512 * 1024, input);
            for member in Members::new(input, codec, 0) {
                feed.send(member?)?;
            }
            Ok(())
        },
        || {
            let mut decompressor = Decompressor::new();
            move |member: Member| -> Result<(Role, Vec<u8>)> {
                let role = member.role()?;
                let content = match (&role, &mut decompressor) {
                    (Role::Content, Ok(decompressor)) => decompressor.content(&member)?,
                    (Role::Content, Err(_)) => {
                        return Err(Error::new(Kind::Failed, "cannot set up a decompressor"));
                    }
                    _ => Vec::new(),
                };
                Ok((role, content))
            }
        },
        |result| {
            let (role, content) = result?;
            tally.add(&role, content.len() as u64)?;
            if content.is_empty() {
                Ok(())
            } else {
                consume(content)
            }
        },
    )?;
    tally.finish()
}

/// Holds what came by against what the footer says must be there.
#[derive(Debug, Default)]
pub struct Tally {
    content: u64,
    members: u64,
    index: u64,
    footer: Option<Footer>,
}

impl Tally {
    /// Counts one member with `content` bytes of content.
    ///
    /// # Errors
    /// Members in an impossible order, or a damaged footer.
    pub fn add(&mut self, role: &Role, content: u64) -> Result<()> {
        if self.footer.is_some() {
            return Err(Error::damaged("something was appended behind the footer"));
        }
        match role {
            Role::Content if self.index > 0 => {
                return Err(Error::damaged("there is content behind the index"));
            }
            Role::Content => {
                self.content += content;
                self.members += 1;
            }
            Role::Index(slice) => self.index += slice.len() as u64,
            Role::Footer(payload) => self.footer = Some(Footer::decode(payload)?),
        }
        Ok(())
    }

    /// The footer, once all members have come by.
    ///
    /// # Errors
    /// There was none, so the file was cut off; or something is missing or too much.
    pub fn finish(self) -> Result<()> {
        let Some(footer) = self.footer else {
            return Err(Error::damaged(
                "the file was cut off: its footer is missing",
            ));
        };
        if (footer.content_bytes, footer.members, footer.index_bytes)
            != (self.content, self.members, self.index)
        {
            return Err(Error::damaged(format!(
                "the file has {} bytes of content where its footer says {}: members are missing or \
                 came from elsewhere",
                self.content, footer.content_bytes
            )));
        }
        Ok(())
    }
}

/// Content decompressed ahead of the reader, by other threads, which end at their next block once
/// this is dropped.
pub struct ReadAhead {
    blocks: Option<Receiver<Result<Vec<u8>>>>,
    block: io::Cursor<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.block.position() == self.block.get_ref().len() as u64 {
            let Some(blocks) = &self.blocks else {
                return Ok(0);
            };
            match blocks.recv() {
                Ok(Ok(block)) => self.block = io::Cursor::new(block),
                Ok(Err(error)) => {
                    self.blocks = None;
                    return Err(error.into());
                }
                // All senders are gone. After a failure there was a message; a panic leaves none.
                Err(_) => {
                    self.blocks = None;
                    if self
                        .thread
                        .take()
                        .is_some_and(|thread| thread.join().is_err())
                    {
                        return Err(io::Error::other("a decompressing thread panicked"));
                    }
                }
            }
        }
        self.block.read(buffer)
    }
}
