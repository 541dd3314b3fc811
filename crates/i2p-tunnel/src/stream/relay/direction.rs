use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use prometheus_client::metrics::counter::Counter;

/// One way of a relay.
pub(super) struct Direction<'a> {
    pub(super) bytes: AtomicU64,
    pub(super) discarded: AtomicU64,
    /// Whether all has arrived, and its end.
    pub(super) heard_all: AtomicBool,
    /// Whether the receiving side has broken the connection.
    pub(super) reset: AtomicBool,
    /// Of the whole tunnel.
    pub(super) total: &'a Counter,
}

impl<'a> Direction<'a> {
    pub(super) fn new(total: &'a Counter) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            heard_all: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            total,
        }
    }

    /// Bytes that arrived.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes that show life: those that were thrown away too.
    pub(super) fn moved(&self) -> u64 {
        self.bytes() + self.discarded.load(Relaxed)
    }

    pub(super) fn add(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
        self.total.inc_by(count as u64);
    }
}

/// Which end of a direction failed.
pub(super) enum Broken {
    Source(io::Error),
    Sink(io::Error),
}
