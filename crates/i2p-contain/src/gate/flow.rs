//! One flow.

use std::{net::SocketAddr, time::Instant};

use super::{expiries::Expiry, verdict::Refusal};
use crate::packet::TcpFlags;

/// The number of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub(super) u32);

/// Both ends of a connection, as the program sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) client: SocketAddr,
    pub(super) target: SocketAddr,
}

/// Who sends a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Program,
    Listener,
}

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) pair: Pair,
    /// The number of the program's SYN, which tells a repeated SYN from that of a new connection.
    pub(super) sequence: u32,
    pub(super) phase: Phase,
    /// When the flow is forgotten.
    pub(super) expires: Option<Expiry>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The target is being dialled, and this is the frame of the SYN.
    Dialling { syn: Vec<u8> },
    /// The dial has failed.
    Refused(Refusal),
    /// Segments pass.
    Open {
        progress: Progress,
        /// Until when the listener has to accept the stream; `None` once it has.
        accept_by: Option<Instant>,
    },
}

/// What has passed of the end of a connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    program_finished: bool,
    listener_finished: bool,
    reset_by: Option<Side>,
}

impl Progress {
    /// Takes note of a segment.
    pub(super) fn saw(&mut self, side: Side, flags: TcpFlags) {
        if flags.has(TcpFlags::RST) {
            self.reset_by = Some(side);
        } else if self.reset_by == Some(side) {
            // Who has reset a connection sends nothing else. That RST was not meant for this connection, and its receiver
            // ignores it.
            self.reset_by = None;
        }
        if flags.has(TcpFlags::FIN) {
            match side {
                Side::Program => self.program_finished = true,
                Side::Listener => self.listener_finished = true,
            }
        }
    }

    /// Checks whether the connection has ended, so that only late packets can follow.
    pub(super) fn has_ended(self) -> bool {
        self.reset_by.is_some() || self.program_finished && self.listener_finished
    }
}

impl Flow {
    /// Checks whether segments pass.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }
}
