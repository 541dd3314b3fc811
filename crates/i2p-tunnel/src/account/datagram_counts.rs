use std::fmt;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::families::{ActiveGuard, DirectionLabels, DropLabels, Families, TunnelLabels};

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// From the client, and not in the format of RFC 1928 section 7.
    Malformed,
    /// Received on the client's relay port from another sender.
    NotTheClient,
    /// A fragment that is not reassembled.
    Fragment,
    /// To or from I2P, without data: SAM cannot carry such datagrams.
    Empty,
    /// Longer than SAM or UDP can carry.
    TooLong,
    /// To a malformed host, or to a host outside I2P for which no route has an outproxy that carries datagrams.
    NotAllowed,
    /// To a name that is in no address book, or to a destination that was not found.
    Unresolved,
    /// Too many were already waiting for a lookup or an outproxy.
    QueueFull,
    /// The I2P session was lost, or is not open yet.
    NoSession,
    /// From an I2P peer that the client has not sent any datagram to.
    Stranger,
    /// The socket to the client, the router or the outproxy did not accept it.
    NotTaken,
    /// To a host outside I2P, while no outproxy of its route provides a UDP relay.
    OutproxyFailed,
    /// From an outproxy, and malformed, a fragment, or in the name of an I2P host.
    OutproxyReply,
}

impl DropReason {
    /// All variants in the order of declaration, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::NotTheClient,
        Self::Fragment,
        Self::Empty,
        Self::TooLong,
        Self::NotAllowed,
        Self::Unresolved,
        Self::QueueFull,
        Self::NoSession,
        Self::Stranger,
        Self::NotTaken,
        Self::OutproxyFailed,
        Self::OutproxyReply,
    ];

    /// The label in metrics: lower-case letters and underscores.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotTheClient => "not_the_client",
            Self::Fragment => "fragment",
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::NotAllowed => "not_allowed",
            Self::Unresolved => "unresolved",
            Self::QueueFull => "queue_full",
            Self::NoSession => "no_session",
            Self::Stranger => "stranger",
            Self::NotTaken => "not_taken",
            Self::OutproxyFailed => "outproxy_failed",
            Self::OutproxyReply => "outproxy_reply",
        }
    }
}

/// The datagram counters of one tunnel: passed on by direction, dropped by reason. Clones share them.
#[derive(Clone)]
pub struct DatagramCounts {
    associations: Gauge,
    to_peers: DirectionCounters,
    to_clients: DirectionCounters,
    /// In the order of [`DropReason::ALL`].
    dropped: [Counter; DropReason::ALL.len()],
}

/// Datagrams in one direction, and their payload bytes.
#[derive(Clone)]
struct DirectionCounters {
    datagrams: Counter,
    bytes: Counter,
}

impl DirectionCounters {
    fn count(&self, payload: usize) {
        self.datagrams.inc();
        self.bytes.inc_by(payload as u64);
    }

    fn get(&self) -> (u64, u64) {
        (self.datagrams.get(), self.bytes.get())
    }
}

impl DatagramCounts {
    pub(crate) fn new(families: &Families, tunnel: &str) -> Self {
        let counters = |direction| {
            let labels = DirectionLabels { tunnel: tunnel.to_owned(), direction };
            DirectionCounters {
                datagrams: families.datagrams.get_or_create_owned(&labels),
                bytes: families.datagram_bytes.get_or_create_owned(&labels),
            }
        };
        let dropped = |reason: DropReason| {
            let labels = DropLabels { tunnel: tunnel.to_owned(), reason: reason.label() };
            families.datagrams_dropped.get_or_create_owned(&labels)
        };
        Self {
            associations: families
                .udp_associations_active
                .get_or_create_owned(&TunnelLabels { tunnel: tunnel.to_owned() }),
            to_peers: counters("to_peer"),
            to_clients: counters("to_client"),
            dropped: DropReason::ALL.map(dropped),
        }
    }

    /// The number of open UDP associations.
    #[must_use]
    pub fn associations(&self) -> u64 {
        u64::try_from(self.associations.get()).unwrap_or_default()
    }

    /// The number of datagrams passed to the router or to an outproxy, and their payload bytes.
    #[must_use]
    pub fn to_peers(&self) -> (u64, u64) {
        self.to_peers.get()
    }

    /// The number of datagrams sent to clients, and their payload bytes.
    #[must_use]
    pub fn to_clients(&self) -> (u64, u64) {
        self.to_clients.get()
    }

    /// The number of datagrams dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.counter(reason).map_or(0, Counter::get)
    }

    /// Counts an open UDP association until the guard is dropped.
    pub(crate) fn association(&self) -> ActiveGuard {
        ActiveGuard::new(&self.associations)
    }

    pub(crate) fn count_to_peer(&self, payload: usize) {
        self.to_peers.count(payload);
    }

    pub(crate) fn count_to_client(&self, payload: usize) {
        self.to_clients.count(payload);
    }

    /// Counts a dropped datagram, and logs the first for each reason.
    pub(crate) fn count_dropped(&self, reason: DropReason) {
        if self.counter(reason).is_some_and(|counter| counter.inc() == 0) {
            tracing::info!("a datagram was dropped: {} (logged once; all are counted)", reason.label());
        }
    }

    fn counter(&self, reason: DropReason) -> Option<&Counter> {
        self.dropped.get(reason as usize)
    }
}

impl fmt::Debug for DatagramCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramCounts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters are indexed by it.
    #[test]
    fn all_reasons_are_in_the_order_of_declaration() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
    }
}
