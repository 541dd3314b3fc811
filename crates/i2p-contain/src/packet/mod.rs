//! Packets as the TUN device reads and writes them: parsed, rewritten and made, without I/O.
//!
//! Whatever bytes arrive, nothing here panics or reads past their end. A packet that is not understood in full is discarded with a
//! [`Discard`] that says why; nothing is forwarded on a guess:
//!
//! * **Fragments** are discarded. The device takes the largest IP packet whole, so the kernel makes no fragments of TCP segments or
//!   of datagrams that anybody could deliver.
//! * **Options of IPv4 and extension headers of IPv6** are discarded. No common program sends them, and a source route among them
//!   would name another receiver than the header does.
//! * **Lengths** have to agree exactly with the number of bytes that were read.
//!
//! Checksums of received packets are not verified: they come from the kernel of the same machine, and the kernel verifies what is
//! given back to it.

mod build;
mod checksum;
mod headers;
mod rewrite;
mod virtio;

pub use self::{
    build::{TooLong, Unreachable, datagram, reset, unreachable},
    checksum::Sum,
    headers::{Discard, Headers, TcpFlags, TcpHeader, Transport, UdpHeader},
    rewrite::rewrite_tcp,
    virtio::{VIRTIO_HEADER_BYTES, VirtioHeader},
};

/// The largest frame of the device: the virtio header and the largest IP packet.
pub const MAX_FRAME_BYTES: usize = VIRTIO_HEADER_BYTES + 65_535;

#[cfg(test)]
mod tests;
