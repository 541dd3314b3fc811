use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use prometheus_client::metrics::counter::Counter;

/// One direction of a relay.
pub(super) struct Direction<'a> {
    pub(super) bytes: AtomicU64,
    pub(super) discarded: AtomicU64,
    /// Whether all data and the end were delivered.
    pub(super) delivered_all: AtomicBool,
    /// Whether the receiving side has reset the connection.
    pub(super) reset: AtomicBool,
    /// Counts the bytes of the whole tunnel.
    pub(super) total: &'a Counter,
}

impl<'a> Direction<'a> {
    pub(super) fn new(total: &'a Counter) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            delivered_all: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            total,
        }
    }

    /// Bytes delivered.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// A number that changes whenever data moves. Discarded data counts too.
    pub(super) fn activity(&self) -> u64 {
        self.bytes() + self.discarded.load(Relaxed)
    }

    pub(super) fn add(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
        self.total.inc_by(count as u64);
    }
}

/// The side of a direction that failed.
pub(super) enum Broken {
    Source(io::Error),
    Sink(io::Error),
}
