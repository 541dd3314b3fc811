//! A connection that keeps its virtual address.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use i2p_contain::network::{OutsideStream, Socket};
use i2p_tunnel::AddressLease;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, with the lease of the virtual address that was dialled.
pub(super) struct Leased<S> {
    stream: S,
    _lease: Option<AddressLease>,
}

impl<S> Leased<S> {
    pub(super) fn new(stream: S, lease: Option<AddressLease>) -> Self {
        Self { stream, _lease: lease }
    }
}

impl<S: OutsideStream> OutsideStream for Leased<S> {
    fn abort(self) {
        self.stream.abort();
    }

    fn socket(&self) -> Option<Socket<'_>> {
        self.stream.socket()
    }
}

impl<S: OutsideStream> AsyncRead for Leased<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: OutsideStream> AsyncWrite for Leased<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
