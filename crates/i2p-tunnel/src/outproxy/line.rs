use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::stream::Socket;

/// A socket to an outproxy that remembers whether anything came from there: silence is the outproxy's fault, slowness after
/// that may be its target's.
pub(super) struct Line<'a> {
    socket: &'a mut Socket,
    heard: bool,
}

impl<'a> Line<'a> {
    pub(super) fn new(socket: &'a mut Socket) -> Self {
        Self { socket, heard: false }
    }

    /// Whether anything came.
    pub(super) fn heard(&self) -> bool {
        self.heard
    }
}

impl AsyncRead for Line<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut *self.socket).poll_read(context, buffer);
        self.heard |= buffer.filled().len() > before;
        result
    }
}

impl AsyncWrite for Line<'_> {
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
