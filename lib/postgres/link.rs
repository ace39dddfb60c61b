//! The socket's side of a session, and how a call waits for it.

use crate::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Connection};

/// Why a call came to nothing.
pub(super) enum Stop {
    Server(tokio_postgres::Error),
    /// The connection ended while the call waited; why is in [`Link::end`].
    Ended,
    Caller(Error),
}

/// The socket's side of a session.
pub(super) struct Link {
    pub(super) connection: Box<dyn Messages + Send>,
    pub(super) notices: Vec<DbError>,
    /// Why the connection ended.
    pub(super) end: Option<tokio_postgres::Error>,
}

impl Link {
    /// Moves what can be moved; ready when the connection has ended.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.connection.open() {
            match self.connection.poll_message(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    if self.notices.len() < 1000 {
                        self.notices.push(notice);
                    }
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => self.end = Some(error),
                Poll::Ready(None) => {}
            }
        }
        Poll::Ready(())
    }
}

/// A connection, whatever its stream.
pub(super) trait Messages {
    fn open(&self) -> bool;
    fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>>;
    fn parameter(&self, name: &str) -> Option<&str>;
}

/// A connection, which must not be polled again once it has ended.
pub(super) struct Fused<S, T>(Connection<S, T>, bool);

impl<S, T> Fused<S, T> {
    pub(super) fn new(connection: Connection<S, T>) -> Self {
        Self(connection, false)
    }
}

impl<S, T> Messages for Fused<S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    fn open(&self) -> bool {
        !self.1
    }

    fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>> {
        let message = self.0.poll_message(context);
        self.1 = matches!(message, Poll::Ready(None | Some(Err(_))));
        message
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.0.parameter(name)
    }
}

/// Runs `request` and the connection beneath it until the request is done.
pub(super) fn drive<T>(
    runtime: &Runtime,
    link: &mut Link,
    request: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Stop> {
    runtime.block_on(tokio::task::unconstrained(async {
        let answer = {
            let mut request = pin!(request);
            poll_fn(|context| {
                let ended = link.poll(context).is_ready();
                settle(request.as_mut().poll(context), ended)
            })
            .await
        };
        // A request leaves a farewell to its statement behind; sent with the next one, it would
        // swallow what the server says should it hang up in between.
        poll_fn(|context| Poll::Ready(link.poll(context).is_ready())).await;
        answer
    }))
}

/// What a call has come to. tokio-postgres leaves a call waiting for ever that it had not yet looked
/// at when the connection ended.
pub(super) fn settle<T>(
    answer: Poll<Result<T, tokio_postgres::Error>>,
    ended: bool,
) -> Poll<Result<T, Stop>> {
    match answer {
        Poll::Ready(answer) => Poll::Ready(answer.map_err(Stop::Server)),
        Poll::Pending if ended => Poll::Ready(Err(Stop::Ended)),
        Poll::Pending => Poll::Pending,
    }
}
