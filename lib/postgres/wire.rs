//! The byte stream beneath a session: the socket, TLS where wanted, and a tap for rows.
//!
//! A dump moves millions of rows, each a message of its own, and tokio-postgres hands messages over
//! one by one, through two queues. The [`Tap`] sits beneath it, knows the bounds of messages (a tag
//! and a length, since 2003), and while rows are wanted keeps the `CopyData` messages back in its
//! own buffer, where the session reads them in place. Everything else passes through untouched, so
//! that login, errors and the end of a COPY remain the affair of tokio-postgres.

use super::conninfo::{Conninfo, Endpoint};
use super::peer;
use super::require_auth::Methods;
use super::tls::{self, Mode};
use socket2::{SockRef, TcpKeepalive};
use std::future::{Future, Ready, poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready as ready_or_wait};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

/// What the buffer holds unless one message needs more.
const BUFFER: usize = 256 * 1024;
const HEADER: usize = 5;
const COPY_DATA: u8 = b'd';
const AUTHENTICATION: u8 = b'R';

/// Anything that bytes travel over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Opens the socket at `endpoint`.
pub(super) async fn open(endpoint: &Endpoint, info: &Conninfo) -> io::Result<Box<dyn Stream>> {
    if let Some(path) = endpoint.socket() {
        let administrator = info.administrator(endpoint);
        let mut connecting = pin!(UnixStream::connect(&path));
        let connected = poll_fn(|context| {
            peer::acting(administrator.as_ref(), || connecting.as_mut().poll(context))
        });
        let stream = connected.await?;
        if let Some(name) = info.get("requirepeer") {
            let owner = nix::unistd::User::from_uid(stream.peer_cred()?.uid().into())?;
            if owner.is_none_or(|owner| owner.name != name) {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("the server is not run by '{name}', as requirepeer demands"),
                ));
            }
        }
        return Ok(Box::new(stream));
    }
    let host = endpoint.address.as_ref().unwrap_or(&endpoint.host);
    let stream = TcpStream::connect((host.as_str(), endpoint.port)).await?;
    stream.set_nodelay(true)?;
    watch(&stream, info)?;
    Ok(Box::new(stream))
}

/// Lets the kernel find out when the other end is gone without a word, as libpq does.
fn watch(stream: &TcpStream, info: &Conninfo) -> io::Result<()> {
    let number = |keyword: &str| -> io::Result<Option<u32>> {
        let wrong = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{keyword} is no number"),
            )
        };
        let given = info.get(keyword).map(str::trim);
        given
            .map(|text| text.parse().map_err(|_| wrong()))
            .transpose()
            // As libpq: none means the system's default.
            .map(|number| number.filter(|&number| number > 0))
    };
    let seconds = |keyword: &str| -> io::Result<Option<Duration>> {
        Ok(number(keyword)?.map(|seconds| Duration::from_secs(seconds.into())))
    };
    let socket = SockRef::from(stream);
    if info.get("keepalives").map(str::trim) != Some("0") {
        socket.set_keepalive(true)?;
        let mut keepalive = TcpKeepalive::new();
        if let Some(idle) = seconds("keepalives_idle")? {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = seconds("keepalives_interval")? {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = number("keepalives_count")? {
            keepalive = keepalive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keepalive)?;
    }
    if let Some(milliseconds) = number("tcp_user_timeout")? {
        socket.set_tcp_user_timeout(Some(Duration::from_millis(milliseconds.into())))?;
    }
    Ok(())
}

/// A stream, and how it is bound to its TLS session.
pub(super) struct Secured {
    pub(super) stream: Box<dyn Stream>,
    /// `None`: not encrypted.
    pub(super) binding: Option<ChannelBinding>,
}

/// Agrees with the server on TLS, as `mode` wants it.
pub(super) async fn secure(
    mut stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    info: &Conninfo,
    mode: Mode,
) -> crate::Result<Secured> {
    let plain = |stream| Secured {
        stream,
        binding: None,
    };
    if matches!(mode, Mode::Disable | Mode::Allow) || endpoint.socket().is_some() {
        return Ok(plain(stream));
    }
    let failed = |cause| crate::Error::io(format!("no TLS with {endpoint}"), cause);
    if info.get("sslnegotiation") != Some("direct") {
        let mut answer = [0];
        stream
            .write_all(&[0, 0, 0, 8, 4, 210, 22, 47]) // SSLRequest
            .await
            .map_err(failed)?;
        stream.read_exact(&mut answer).await.map_err(failed)?;
        if answer != *b"S" {
            return if mode == Mode::Prefer {
                Ok(plain(stream))
            } else {
                Err(crate::Error::new(
                    crate::Kind::Unavailable,
                    format!("the server at {endpoint} has no TLS, but sslmode demands it"),
                ))
            };
        }
    }
    let configuration = tls::configuration(info, mode)?;
    let mut maker = tokio_postgres_rustls::MakeRustlsConnect::new(configuration);
    let connector =
        <_ as MakeTlsConnect<Box<dyn Stream>>>::make_tls_connect(&mut maker, &endpoint.host);
    let connecting = match connector {
        Ok(connector) => connector.connect(stream),
        Err(never) => match never {},
    };
    let stream = connecting.await.map_err(|cause| {
        crate::Error::new(crate::Kind::Permission, format!("no TLS with {endpoint}: {cause}"))
            .with_hint("Check PGSSLMODE and PGSSLROOTCERT; verify-full wants the server's name as a subject alternative name in its certificate.")
    })?;
    let binding = stream.channel_binding();
    Ok(Secured {
        stream: Box::new(stream),
        binding: Some(binding),
    })
}

/// Lets tokio-postgres believe that it set up the TLS which is there already.
pub(super) struct AlreadySecure(pub(super) ChannelBinding);

impl TlsConnect<Tap> for AlreadySecure {
    type Stream = SecureTap;
    type Error = io::Error;
    type Future = Ready<io::Result<SecureTap>>;

    fn connect(self, tap: Tap) -> Self::Future {
        ready(Ok(SecureTap {
            tap,
            binding: Mutex::new(Some(self.0)),
        }))
    }
}

/// A tap over TLS, which knows the channel binding for SCRAM.
pub(super) struct SecureTap {
    tap: Tap,
    binding: Mutex<Option<ChannelBinding>>,
}

impl TlsStream for SecureTap {
    fn channel_binding(&self) -> ChannelBinding {
        let mut binding = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
        binding.take().unwrap_or_else(ChannelBinding::none)
    }
}

/// The stream as tokio-postgres sees it.
pub(super) struct Tap {
    stream: Box<dyn Stream>,
    buffer: Rows,
    /// How the server may ask who we are; `None`: as it likes.
    methods: Option<Methods>,
}

/// The tap's buffer, shared with the session.
#[derive(Clone, Default)]
pub(super) struct Rows(Arc<Mutex<Buffer>>);

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// So much of the present message has still to pass through.
    passing: usize,
    /// Whether `CopyData` is kept back.
    keeping: bool,
}

impl Tap {
    pub(super) fn new(stream: Box<dyn Stream>, methods: Option<Methods>) -> (Self, Rows) {
        let buffer = Rows::default();
        let rows = buffer.clone();
        let tap = Self {
            stream,
            buffer,
            methods,
        };
        (tap, rows)
    }
}

impl Rows {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins or ends to keep rows back.
    pub(super) fn keep(&self, keeping: bool) {
        self.lock().keeping = keeping;
    }

    /// Hands every whole row in the buffer to `row`; whether there was any.
    pub(super) fn drain<E>(&self, mut row: impl FnMut(&[u8]) -> Result<(), E>) -> Result<bool, E> {
        let mut buffer = self.lock();
        let mut any = false;
        while let Some(length) = buffer.whole_row() {
            let start = buffer.start;
            row(&buffer.bytes[start + HEADER..start + length])?;
            buffer.start += length;
            any = true;
        }
        Ok(any)
    }
}

impl Buffer {
    /// The tag and the whole length of the message at the start, once they are there.
    fn message(&self) -> Option<(u8, usize)> {
        let header = self.bytes[self.start..self.end].first_chunk::<HEADER>()?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        Some((header[0], length as usize + 1))
    }

    /// What the message at the start, one about authentication, asks for, once that is there.
    fn request(&self) -> Option<u32> {
        let message = self.bytes[self.start..self.end].first_chunk::<{ HEADER + 4 }>()?;
        Some(u32::from_be_bytes([
            message[5], message[6], message[7], message[8],
        ]))
    }

    /// The length of the row at the start, if one is kept back there and whole.
    fn whole_row(&self) -> Option<usize> {
        let (tag, length) = self.message()?;
        let whole = tag == COPY_DATA && self.end - self.start >= length;
        (whole && self.keeping && self.passing == 0).then_some(length)
    }

    /// Makes room for more, and for a whole row.
    fn make_room(&mut self, row: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // One long row must not hold its memory for good.
            if self.bytes.len() > 4 * BUFFER && row <= BUFFER {
                self.bytes = Vec::new();
            }
        }
        let wanted = BUFFER.max(row);
        if self.bytes.len() < wanted {
            let mut bytes = vec![0; wanted];
            bytes[..self.end - self.start].copy_from_slice(&self.bytes[self.start..self.end]);
            (self.start, self.end) = (0, self.end - self.start);
            self.bytes = bytes;
        } else if self.start > 0
            && (self.bytes.len() - self.start < row || self.end == self.bytes.len())
        {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        let mut buffer = tap.buffer.lock();
        loop {
            let mut row = 0;
            if buffer.passing == 0 {
                match buffer.message() {
                    Some((COPY_DATA, length)) if buffer.keeping => {
                        if buffer.whole_row().is_some() {
                            // The session drains the buffer and polls again; nobody need wake it.
                            return Poll::Pending;
                        }
                        row = length;
                    }
                    Some((AUTHENTICATION, length)) => {
                        if let (Some(methods), Some(request)) = (&mut tap.methods, buffer.request())
                        {
                            methods.check(request)?;
                            buffer.passing = length;
                        } else if tap.methods.is_none() {
                            buffer.passing = length;
                        }
                    }
                    Some((_, length)) => buffer.passing = length,
                    None => {}
                }
            }
            let here = buffer.passing.min(buffer.end - buffer.start);
            if here > 0 {
                let length = here.min(out.remaining());
                let start = buffer.start;
                out.put_slice(&buffer.bytes[start..start + length]);
                buffer.start += length;
                buffer.passing -= length;
                return Poll::Ready(Ok(()));
            }
            buffer.make_room(row);
            let end = buffer.end;
            let mut spare = ReadBuf::new(&mut buffer.bytes[end..]);
            ready_or_wait!(Pin::new(&mut tap.stream).poll_read(context, &mut spare))?;
            let got = spare.filled().len();
            if got == 0 {
                return Poll::Ready(Ok(())); // the end of the stream
            }
            buffer.end += got;
        }
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            // The server hung up, and its last words wait to be read: they are the better error.
            Poll::Ready(Err(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => {
                Poll::Ready(Ok(bytes.len()))
            }
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for SecureTap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tap).poll_read(context, out)
    }
}

impl AsyncWrite for SecureTap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tap).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tap).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tap).poll_shutdown(context)
    }
}
