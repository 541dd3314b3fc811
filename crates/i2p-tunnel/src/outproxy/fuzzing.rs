//! Properties of what outproxies send, for fuzz targets.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use i2p_name::Target;
use tokio::io::{AsyncRead, ReadBuf, join, sink};

use super::{fault::OutproxyFailure, http_connect, relay};
use crate::route::OutsideHost;

/// An HTTP outproxy's answer: where it ends, and whether it is an answer, does not depend on the pieces in which it arrives. What was
/// read behind it is returned.
///
/// # Panics
/// If the property does not hold.
pub fn http_answer(input: &[u8]) {
    let (whole, in_bytes) = (read_answer(input, usize::MAX), read_answer(input, 1));
    assert_eq!(whole.ok(), in_bytes.ok(), "depends on the pieces");
}

/// The length of the answer, which arrives in pieces of this size.
fn read_answer(input: &[u8], piece: usize) -> Result<usize, OutproxyFailure> {
    let Ok(target) = Target::parse(b"example.com") else { return Err(OutproxyFailure::Declined) };
    let Some(host) = OutsideHost::of(&target) else { return Err(OutproxyFailure::Declined) };
    let mut socket = join(Pieces { rest: input, piece }, sink());
    let answer = {
        let connected = pin!(http_connect::connect(&mut socket, (host, 80), None));
        connected.poll(&mut Context::from_waker(Waker::noop()))
    };
    // Reading and writing are always ready here.
    let Poll::Ready(answer) = answer else { return Err(OutproxyFailure::Declined) };
    let data = answer?;
    let (read, _) = input.split_at(input.len() - socket.reader().rest.len());
    assert!(read.ends_with(&data), "not the data behind the answer");
    Ok(read.len() - data.len())
}

/// Bytes that arrive in pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.rest.len().min(self.piece).min(buffer.remaining());
        let (now, later) = self.rest.split_at(length);
        buffer.put_slice(now);
        self.rest = later;
        Poll::Ready(Ok(()))
    }
}

/// A datagram from an outproxy's relay: its sender is outside I2P, its data is the end of the datagram, and a datagram to that sender is
/// read as one from it.
///
/// # Panics
/// If the property does not hold.
pub fn datagram(input: &[u8]) {
    let Some((sender, port, data)) = relay::decode_datagram(input) else { return };
    assert!(input.ends_with(data), "the data is not the end of the datagram");
    let host = OutsideHost::of(&sender);
    assert!(host.is_some(), "a sender in I2P");
    let Some(back) = host.and_then(|host| relay::encode_datagram(host, port, data)) else { return };
    assert_eq!(relay::decode_datagram(&back), Some((sender, port, data)), "the answer has another address");
}
