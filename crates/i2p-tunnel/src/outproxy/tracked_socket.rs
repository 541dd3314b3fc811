use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::protocol::OutproxyProtocol;
use crate::stream::Socket;

/// A socket to an outproxy that records whether anything was received, and whether anything was sent after that. An outproxy that
/// stays silent is at fault; if it is only slow after it was told the target, the target may be.
pub(super) struct TrackedSocket<'a> {
    socket: &'a mut Socket,
    sent: bool,
    received: bool,
    sent_after_receiving: bool,
}

impl<'a> TrackedSocket<'a> {
    pub(super) fn new(socket: &'a mut Socket) -> Self {
        Self { socket, sent: false, received: false, sent_after_receiving: false }
    }

    /// Whether anything was received.
    pub(super) fn has_received(&self) -> bool {
        self.received
    }

    /// Whether the outproxy may have been told the target: in the first message, or after it has answered.
    pub(super) fn may_have_told_target(&self, protocol: OutproxyProtocol) -> bool {
        if protocol.replies_before_connecting() { self.sent_after_receiving } else { self.sent }
    }
}

impl AsyncRead for TrackedSocket<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut *self.socket).poll_read(context, buffer);
        self.received |= buffer.filled().len() > before;
        result
    }
}

impl AsyncWrite for TrackedSocket<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.sent = true;
        self.sent_after_receiving |= self.received;
        Pin::new(&mut *self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_shutdown(context)
    }
}
