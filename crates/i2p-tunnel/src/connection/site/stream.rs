use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::{
        TrySendError,
        http1::{self, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{request_body::RequestBody, unused::Home};
use crate::{
    filtering::OutgoingGuard,
    http_message::{MAX_BUFFER_BYTES, MAX_FIELDS},
    stream::{Hold, OpenStream},
};

/// A stream to a site that speaks HTTP. Dropping it ends the stream.
pub(crate) struct SiteStream {
    sender: SendRequest<RequestBody>,
    /// Moves the data. Returns the stream if the site goes on with another protocol.
    driver: AbortOnDropHandle<Option<OpenStream>>,
    /// Cancelled once the stream has ended.
    ended: CancellationToken,
    hold: Option<Box<dyn Hold>>,
    /// Whether a request has been answered on it before this one.
    is_reused: bool,
    /// Where it is kept between two requests; `None` if it is for one request.
    pub(crate) home: Option<Home>,
}

impl SiteStream {
    /// Begins to speak HTTP on a stream. The guard looks at what is sent.
    pub(crate) async fn over(mut stream: OpenStream, guard: Option<OutgoingGuard>) -> hyper::Result<Self> {
        let hold = stream.hold.take();
        let first_data = std::mem::take(&mut stream.first_data).into();
        let io = TokioIo::new(HttpIo { stream, first_data, guard: guard.map(GuardedWrites::new) });
        let (sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .max_headers(MAX_FIELDS)
            .max_buf_size(MAX_BUFFER_BYTES)
            .handshake(io)
            .await?;
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        let driver = tokio::spawn(async move {
            let _end = end;
            let parts = connection.without_shutdown().await.ok()?;
            Some(parts.io.into_inner().into_stream(&parts.read_buf))
        });
        let driver = AbortOnDropHandle::new(driver);
        Ok(Self { sender, driver, ended, hold, is_reused: false, home: None })
    }

    /// Sends a request. Returns the head of the answer, or why there is none together with a request that was not sent at all.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.sender.try_send_request(request).await
    }

    pub(crate) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether it can take another request now.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.ended.is_cancelled()
    }

    /// Cancelled once the stream has ended.
    pub(crate) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// What it holds, such as its session.
    pub(crate) fn hold(&self) -> &dyn Hold {
        self.hold.as_deref().unwrap_or(&())
    }

    /// Takes the stream after an answer with the status 101.
    pub(crate) async fn into_stream(self) -> Option<OpenStream> {
        let stream = self.driver.await.ok().flatten()?;
        Some(OpenStream { hold: self.hold, ..stream })
    }

    /// Keeps it for the next request once an answer is complete.
    pub(crate) fn finish(mut self) {
        self.is_reused = true;
        if let Some(home) = self.home.clone() {
            home.put(self);
        }
    }
}

/// A stream, and data that the site has sent before it was asked.
/// The guard ends with it: what stood at the end of the last request counts then.
struct HttpIo {
    stream: OpenStream,
    first_data: Bytes,
    guard: Option<GuardedWrites>,
}

/// A guard for writes that take a part of their bytes: the rest comes again in the next write.
struct GuardedWrites {
    guard: OutgoingGuard,
    /// How many bytes at the beginning of the next write the guard has seen.
    seen: usize,
    /// Whether something was written since the last flush.
    has_written: bool,
}

impl GuardedWrites {
    fn new(guard: OutgoingGuard) -> Self {
        Self { guard, seen: 0, has_written: false }
    }

    /// Returns whether the guard wants to see more.
    fn look(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let unseen = bytes.get(self.seen..).unwrap_or_default();
        self.seen = bytes.len();
        self.has_written = true;
        self.guard.look(unseen)
    }

    /// hyper flushes at the end of a request.
    fn flushed(&mut self) {
        if std::mem::take(&mut self.has_written) {
            self.guard.message_ended();
        }
    }
}

impl HttpIo {
    fn into_stream(self, read_ahead: &[u8]) -> OpenStream {
        let first_data = [read_ahead, &self.first_data].concat();
        OpenStream { first_data, ..self.stream }
    }
}

impl AsyncRead for HttpIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.first_data.is_empty() {
            let count = this.first_data.len().min(buffer.remaining());
            buffer.put_slice(this.first_data.get(..count).unwrap_or_default());
            this.first_data.advance(count);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for HttpIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(guard) = &mut this.guard
            && !guard.look(bytes)?
        {
            this.guard = None;
        }
        let written = ready!(Pin::new(&mut this.stream.socket).poll_write(context, bytes))?;
        if let Some(guard) = &mut this.guard {
            guard.seen = guard.seen.saturating_sub(written);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream.socket).poll_flush(context))?;
        this.guard.iter_mut().for_each(GuardedWrites::flushed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream.socket).poll_shutdown(context)
    }
}
