//! What becomes of a packet.

use std::net::SocketAddr;

use super::flow::FlowId;
use crate::packet::{self, Discard, Headers, Unreachable};

/// What to do with a frame. There is exactly one thing to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<'a> {
    /// Write the frame back to the device. It was rewritten in place.
    Forward,
    /// Write this frame in its place.
    Reply(Vec<u8>),
    /// Dial the target, then call [`Gate::open`](super::Gate::open) or [`Gate::refuse`](super::Gate::refuse) once.
    Dial {
        /// The flow that waits.
        flow: FlowId,
        /// The program's address and port.
        client: SocketAddr,
        /// What the program connects to.
        target: SocketAddr,
    },
    /// Hand out these datagrams.
    Datagrams(Datagrams<'a>),
    /// Do nothing.
    Drop(Dropped),
}

/// Why a packet is dropped in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// It was not understood.
    Malformed(Discard),
    /// Its sender or receiver is not one host: multicast, broadcast, unspecified or loopback.
    NotUnicast,
    /// It is an ICMP message that is not answered.
    Icmp,
    /// It is an RST of no connection.
    NoFlow,
    /// It repeats a SYN that is held or was answered with silence.
    Waiting,
    /// A limit is reached. The kernel repeats the SYN.
    Full,
}

/// Why a dial has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The target refuses: RST, `ECONNREFUSED`.
    #[error("the target refuses the connection")]
    Refused,
    /// The target is unknown or cannot be reached: `EHOSTUNREACH`.
    #[error("the target cannot be reached")]
    HostUnreachable,
    /// No network leads to the target: `ENETUNREACH`.
    #[error("no network leads to the target")]
    NetworkUnreachable,
    /// The target is not allowed: `EACCES` with IPv6, `EHOSTUNREACH` with IPv4, where Linux knows no better.
    #[error("the target is not allowed")]
    Denied,
    /// The target does not answer. No packet says so: the SYN stays unanswered until the kernel reports `ETIMEDOUT`, after the time
    /// that `link` sets.
    #[error("the target does not answer in time")]
    TimedOut,
}

/// Datagrams of one packet: one, or several of one size if the program sent them at once (`UDP_SEGMENT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagrams<'a> {
    /// The program's address and port.
    pub client: SocketAddr,
    /// Where they are sent to.
    pub target: SocketAddr,
    pub(super) payload: &'a [u8],
    pub(super) piece: usize,
    pub(super) packet: &'a [u8],
}

impl<'a> Datagrams<'a> {
    /// The data of each.
    pub fn payloads(&self) -> impl Iterator<Item = &'a [u8]> {
        // An empty datagram is one, too.
        let empty = self.payload.is_empty().then_some(self.payload);
        empty.into_iter().chain(self.payload.chunks(self.piece.max(1)))
    }

    /// The frame that tells the program that they cannot be delivered.
    #[must_use]
    pub fn unreachable(&self, why: Unreachable) -> Option<Vec<u8>> {
        let headers = Headers::parse(self.packet).ok()?;
        Some(packet::unreachable(&headers, self.packet, why))
    }
}
