use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use hyper::body::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::shared::Shared;
use crate::{
    http_message::{Event, Refusal, Requests},
    limits::Limits,
    stream::Socket,
};

/// Bytes per read. The buffer is on the stack.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long a connection may be without a request.
const MAX_PAUSE: Duration = Duration::from_secs(90);

/// What hyper reads in place of a head that is refused. The answer to it is the refusal.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\n\r\n";

/// A client's connection as hyper reads it: whole heads that are well-formed, and bodies that end where they say. Everything else ends it.
pub(super) struct CheckedStream {
    socket: Arc<Socket>,
    shared: Arc<Shared>,
    requests: Requests,
    /// What was read and not yet looked at.
    unread: BytesMut,
    /// What hyper is to read next.
    checked: Bytes,
    /// Interim answers that the client is being sent.
    interim: Bytes,
    /// Whether the client has been sent whole answers only.
    is_between_answers: bool,
    /// Nothing behind the last head is read: it was refused, or what follows may be another protocol.
    is_last: bool,
    pause: Option<Pause>,
    head_limit: Duration,
}

/// The wait for a head.
struct Pause {
    /// Whether the head has begun.
    begun: bool,
    end: Pin<Box<Sleep>>,
}

impl CheckedStream {
    /// `read` is what was read already. The first head has to be complete at the deadline.
    pub(super) fn new(
        socket: Arc<Socket>,
        shared: Arc<Shared>,
        read: &[u8],
        deadline: Instant,
        limits: Limits,
    ) -> Self {
        Self {
            socket,
            shared,
            requests: Requests::default(),
            unread: read.into(),
            checked: Bytes::new(),
            interim: Bytes::new(),
            is_between_answers: true,
            is_last: false,
            pause: Some(Pause { begun: true, end: Box::pin(sleep_until(deadline)) }),
            head_limit: limits.handshake,
        }
    }

    /// Takes what was read and not used, ahead of which hyper has read `by_hyper`.
    pub(super) fn into_unread(self, by_hyper: &[u8]) -> Vec<u8> {
        [by_hyper, &self.checked, &self.unread].concat()
    }

    /// Looks at what was read. Returns whether there is something for hyper, which is then in `checked`.
    fn check(&mut self, room: usize) -> io::Result<bool> {
        if self.unread.is_empty() {
            // An idle connection holds no buffer.
            self.unread = BytesMut::new();
            return Ok(false);
        }
        let is_body = self.requests.is_in_body();
        let window = if is_body { self.unread.len().min(room) } else { self.unread.len() };
        match self.requests.next(self.unread.get(..window).unwrap_or_default()) {
            Event::More => return Ok(false),
            Event::Body(count) => self.checked = self.unread.split_to(count).freeze(),
            Event::Head(length, mut head) => {
                self.unread.advance(length);
                self.pause = None;
                self.is_last = head.upgrades;
                self.checked = head.take_for_hyper().into();
                if !self.shared.begin(Ok(head)) {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
            Event::Refused(refusal) if is_body => {
                self.is_last = true;
                self.shared.refuse_body(refusal);
                return Err(io::ErrorKind::InvalidData.into());
            }
            Event::Refused(refusal) => self.refuse(refusal)?,
        }
        Ok(true)
    }

    fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        self.pause = None;
        self.is_last = true;
        self.checked = Bytes::from_static(REFUSED);
        match self.shared.begin(Err(refusal)) {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Sends the rest of an interim answer. Nothing else may be sent before its end.
    fn poll_send_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let count = ready!(self.socket.poll_write_shared(context, &self.interim))?;
            self.interim.advance(count);
            self.shared.moved();
        }
        Poll::Ready(Ok(()))
    }

    /// Returns once the wait for a head has taken too long.
    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let begun = !self.unread.is_empty();
        let pause = match &mut self.pause {
            Some(pause) if pause.begun || !begun => pause,
            slot => {
                let limit = if begun { self.head_limit } else { MAX_PAUSE };
                slot.insert(Pause { begun, end: Box::pin(sleep_until(Instant::now() + limit)) })
            }
        };
        pause.end.as_mut().poll(context)
    }
}

impl AsyncRead for CheckedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.checked.is_empty() {
                let count = this.checked.len().min(buffer.remaining());
                buffer.put_slice(&this.checked.split_to(count));
                return Poll::Ready(Ok(()));
            }
            let is_body = this.requests.is_in_body();
            if !is_body && (this.is_last || this.shared.is_in_flight(context)) {
                return Poll::Pending;
            }
            if this.check(buffer.remaining())? {
                continue;
            }
            if !is_body && this.poll_pause(context).is_ready() {
                if this.unread.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.refuse(Refusal::TooSlow)?;
                continue;
            }
            let mut chunk = [0; CHUNK_BYTES];
            let count = ready!(this.socket.poll_read_shared(context, &mut chunk))?;
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            this.shared.moved();
            this.unread.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }
}

impl AsyncWrite for CheckedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send_interim(context))?;
        if this.is_between_answers {
            this.interim = this.shared.take_interim().into();
            ready!(this.poll_send_interim(context))?;
        }
        let count = ready!(this.socket.poll_write_shared(context, bytes))?;
        this.is_between_answers = false;
        this.shared.moved();
        Poll::Ready(Ok(count))
    }

    /// hyper flushes once it has written all that it has, and goes on with the head of an answer or with a part of its body. While
    /// there is no answer, interim answers go in between.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_interim(context))?;
        this.interim = this.shared.take_early_interim(context).into();
        ready!(this.poll_send_interim(context))?;
        this.is_between_answers = !this.shared.is_answering();
        ready!(this.socket.poll_flush_shared(context))?;
        this.shared.rest();
        Poll::Ready(Ok(()))
    }

    /// The connection is closed where the client's socket is taken back.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
