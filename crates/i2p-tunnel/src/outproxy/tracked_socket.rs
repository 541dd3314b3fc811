use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Socket;

/// A socket to an outproxy that records whether anything was received. An outproxy that stays silent is at fault; if it is only
/// slow afterwards, its target may be.
pub(super) struct TrackedSocket<'a> {
    socket: &'a mut Socket,
    received: bool,
}

impl<'a> TrackedSocket<'a> {
    pub(super) fn new(socket: &'a mut Socket) -> Self {
        Self { socket, received: false }
    }

    /// Whether anything was received.
    pub(super) fn has_received(&self) -> bool {
        self.received
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
        Pin::new(&mut *self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket).poll_shutdown(context)
    }
}
