//! The reading end: a file and what its first and last bytes say of it, and any part of it by the
//! index.

use super::contents::{self, ReadAhead};
use super::index::IndexReader;
use super::member::{Decompressor, Members};
use super::{Codec, Footer, Place, Role, gzip, zstandard};
use crate::error::{Context, Error, Kind, Result};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In members of ours, of this codec.
    Members(Codec),
    /// Compressed by another tool, with this codec.
    Foreign(Codec),
}

impl Layout {
    /// How the content is compressed.
    pub fn codec(self) -> Codec {
        match self {
            Self::Members(codec) | Self::Foreign(codec) => codec,
        }
    }

    /// Tells the layout from the first bytes of a file; 32 are enough.
    pub fn detect(bytes: &[u8]) -> Self {
        if gzip::parse_header(bytes).is_some() {
            Self::Members(Codec::Gzip)
        } else if zstandard::parse_header(bytes).is_some() {
            Self::Members(Codec::Zstd)
        } else if gzip::is_gzip(bytes) {
            Self::Foreign(Codec::Gzip)
        } else if zstandard::is_zstd(bytes) {
            Self::Foreign(Codec::Zstd)
        } else {
            Self::Foreign(Codec::None)
        }
    }
}

/// An open backup file.
#[derive(Clone)]
pub struct Reader {
    file: Arc<File>,
    path: PathBuf,
    length: u64,
    layout: Layout,
}

impl Reader {
    /// Opens the file at `path` and looks at its first bytes. As long as it is open, pruning leaves
    /// it alone: it is under a shared lock.
    ///
    /// # Errors
    /// It can't be opened or read, or is no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).context(|| format!("cannot open '{}'", path.display()))?;
        // A file system without locks is no reason not to read.
        let _ = file.try_lock_shared();
        Self::from_file(file, path)
    }

    /// The same for a file that is open already; `path` is for messages.
    ///
    /// # Errors
    /// It can't be read, or is no regular file.
    pub fn from_file(file: File, path: &Path) -> Result<Self> {
        let unreadable = || format!("cannot read '{}'", path.display());
        let metadata = file.metadata().context(unreadable)?;
        if !metadata.is_file() {
            return Err(Error::new(
                Kind::Usage,
                format!("'{}' is no regular file", path.display()),
            ));
        }
        let mut start = [0; 32];
        let mut got = 0;
        while got < start.len() {
            match file
                .read_at(&mut start[got..], got as u64)
                .context(unreadable)?
            {
                0 => break,
                n => got += n,
            }
        }
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            length: metadata.len(),
            layout: Layout::detect(&start[..got]),
        })
    }

    /// Its layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file itself, e.g. to lock it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The footer; `None` for a file of another tool.
    ///
    /// # Errors
    /// The footer is missing or damaged: the file was cut off, or something was appended. The
    /// content may be whole all the same; scanning it tells.
    pub fn footer(&self) -> Result<Option<Footer>> {
        let (codec, length) = match self.layout {
            Layout::Members(Codec::Gzip) => (Codec::Gzip, Footer::GZIP_MEMBER),
            Layout::Members(Codec::Zstd) => (Codec::Zstd, Footer::ZSTD_MEMBER),
            _ => return Ok(None),
        };
        let lost = || {
            Error::damaged(format!(
                "'{}' has no footer at its end",
                self.path.display()
            ))
            .with_hint("The file was cut off or appended to; sg-verify tells what is left.")
        };
        let offset = self.length.checked_sub(length).ok_or_else(lost)?;
        let member = Members::new(self.at(offset), codec, offset)
            .next()
            .ok_or_else(lost)?
            .map_err(|cause| lost().with_source(cause))?;
        match member.role() {
            Ok(Role::Footer(payload)) => Footer::decode(&payload).map(Some),
            _ => Err(lost()),
        }
    }

    /// The records of the index; `None` for a file that has none because another tool made it.
    ///
    /// # Errors
    /// Footer or index are damaged; the iterator's items tell of damage found later.
    pub fn index(&self) -> Result<Option<IndexReader<impl Read + use<>>>> {
        let (Layout::Members(codec), Some(footer)) = (self.layout, self.footer()?) else {
            return Ok(None);
        };
        Ok(Some(IndexReader::new(Slices {
            members: Members::new(
                BufReader::with_capacity(256 * 1024, self.at(footer.index_offset)),
                codec,
                footer.index_offset,
            ),
            slice: io::Cursor::new(Vec::new()),
            ended: false,
        })))
    }

    /// The members from byte `offset` of the file on.
    ///
    /// Of a file of another tool, only uncompressed content can be had so, in blocks.
    pub fn members(&self, offset: u64) -> Members<impl Read + use<>> {
        Members::new(
            BufReader::with_capacity(512 * 1024, self.at(offset)),
            self.layout.codec(),
            offset,
        )
    }

    /// The bytes of the file as they lie, from `offset` on.
    pub fn at(&self, offset: u64) -> FileAt {
        FileAt {
            file: Arc::clone(&self.file),
            offset,
        }
    }

    /// The stretch of content at `place`.
    ///
    /// # Errors
    /// Reading tells of damage; setting up fails only if memory is short.
    pub fn content(&self, place: Place) -> Result<impl Read + Send + use<>> {
        let mut content = Contents {
            members: self.members(place.member),
            decompressor: Decompressor::new()?,
            content: Vec::new(),
            at: 0,
        };
        let mut skip = place.skip as usize;
        while skip > 0 {
            let step = skip.min(content.buffered()?.len());
            if step == 0 {
                return Err(Error::damaged(
                    "the index points behind the end of the content",
                ));
            }
            content.at += step;
            skip -= step;
        }
        Ok(content.take(place.length))
    }

    /// The content of a file of ours whose index or footer is lost or damaged, in order: all up to the
    /// first member that is none, or is no content. So its end does not mean that the content is
    /// whole; that has to be seen from the content itself.
    ///
    /// # Errors
    /// Setting up fails only if memory is short.
    pub fn content_without_index(&self) -> Result<impl Read + Send + use<>> {
        Ok(WithoutIndex {
            members: self.members(0),
            decompressor: Decompressor::new()?,
            content: io::Cursor::default(),
        })
    }

    /// All content in order, whatever made the file; decompressed on `jobs` threads where the layout
    /// allows it, else on one of its own.
    ///
    /// Its end means that the content is whole: a file that ends early is an error on the way.
    ///
    /// # Errors
    /// The codec can't be set up.
    pub fn contents(&self, jobs: usize) -> Result<ReadAhead> {
        contents::read_ahead(self.at(0), self.layout, jobs)
    }
}

/// Reads a shared file from a place of one's own.
pub struct FileAt {
    file: Arc<File>,
    offset: u64,
}

impl Read for FileAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buffer, self.offset)?;
        self.offset += got as u64;
        Ok(got)
    }
}

impl Seek for FileAt {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.offset = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

/// Members decompressed one after the other, by the reading thread.
struct Contents<R> {
    members: Members<R>,
    decompressor: Decompressor,
    content: Vec<u8>,
    at: usize,
}

impl<R: Read> Contents<R> {
    fn buffered(&mut self) -> Result<&[u8]> {
        while self.at == self.content.len() {
            match self.members.next().transpose()? {
                Some(member) if member.role()? == Role::Content => {
                    self.content = self.decompressor.content(&member)?;
                    self.at = 0;
                }
                _ => return Ok(&[]),
            }
        }
        Ok(&self.content[self.at..])
    }
}

impl<R: Read> Read for Contents<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = {
            let content = self.buffered()?;
            let length = content.len().min(buffer.len());
            buffer[..length].copy_from_slice(&content[..length]);
            length
        };
        self.at += length;
        Ok(length)
    }
}

/// The content of members in a row, up to the first that is none, or belongs to an index.
struct WithoutIndex<R> {
    members: Members<R>,
    decompressor: Decompressor,
    content: io::Cursor<Vec<u8>>,
}

impl<R: Read> Read for WithoutIndex<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.content.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            match self.members.next() {
                Some(Ok(member)) if matches!(member.role(), Ok(Role::Content)) => {
                    self.content = io::Cursor::new(self.decompressor.content(&member)?);
                }
                // Whether something is missing is judged by what came before.
                _ => return Ok(0),
            }
        }
    }
}

/// The bytes that the index members carry, in a row.
struct Slices<R> {
    members: Members<R>,
    slice: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl<R: Read> Read for Slices<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended && self.slice.position() == self.slice.get_ref().len() as u64 {
            let member = self.members.next().transpose()?;
            match member.map(|member| member.role()).transpose()? {
                Some(Role::Index(slice)) => self.slice = io::Cursor::new(slice),
                Some(Role::Footer(_)) | None => self.ended = true,
                Some(Role::Content) => {
                    return Err(Error::damaged("there is content among the index").into());
                }
            }
        }
        self.slice.read(buffer)
    }
}
