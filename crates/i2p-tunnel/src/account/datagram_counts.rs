use std::fmt;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::families::{Active, Families, OfDirection, OfDropped, OfTunnel};

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// From the client, and not of the form of RFC 1928 section 7.
    Malformed,
    /// From somebody else than the client.
    NotTheClient,
    /// A fragment that is not put together.
    Fragment,
    /// Without any data: SAM has no such datagrams.
    Empty,
    /// Longer than SAM, or UDP, carries.
    TooLong,
    /// For no host at all, or for one outside I2P that no route leads to by an outproxy that carries datagrams.
    NotAllowed,
    /// For a name that nobody knows, or a destination that was not found.
    Unresolved,
    /// More than can wait for a lookup, or for an outproxy.
    QueueFull,
    /// While there was no session.
    NoSession,
    /// From I2P, and from nobody whom the client has sent anything to.
    Stranger,
    /// The client's socket, or the router's or outproxy's, did not take it.
    NotTaken,
    /// For a host outside I2P, while no outproxy of its route has a relay for us.
    OutproxyFailed,
    /// From an outproxy, and not a whole datagram of a host outside I2P.
    OutproxyReply,
}

impl DropReason {
    /// All of them, for tables and tests.
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

    /// What it is called where it is counted.
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

/// How many datagrams of a tunnel went which way, and how many were dropped for what. Clones are the same.
#[derive(Clone)]
pub struct DatagramCounts {
    associations: Gauge,
    to_peers: Way,
    to_clients: Way,
    /// In the order of [`DropReason::ALL`].
    dropped: [Counter; DropReason::ALL.len()],
}

/// Datagrams one way, and the bytes that they carried.
#[derive(Clone)]
struct Way {
    datagrams: Counter,
    bytes: Counter,
}

impl Way {
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
        let way = |direction| {
            let labels = OfDirection { tunnel: tunnel.to_owned(), direction };
            Way {
                datagrams: families.datagrams.get_or_create_owned(&labels),
                bytes: families.datagram_bytes.get_or_create_owned(&labels),
            }
        };
        let dropped = |why: DropReason| {
            let labels = OfDropped { tunnel: tunnel.to_owned(), reason: why.label() };
            families.datagrams_dropped.get_or_create_owned(&labels)
        };
        Self {
            associations: families
                .udp_associations_active
                .get_or_create_owned(&OfTunnel { tunnel: tunnel.to_owned() }),
            to_peers: way("to_peer"),
            to_clients: way("to_client"),
            dropped: DropReason::ALL.map(dropped),
        }
    }

    /// Clients that have UDP open now.
    #[must_use]
    pub fn associations(&self) -> u64 {
        u64::try_from(self.associations.get()).unwrap_or_default()
    }

    /// Datagrams that were given to the router or to an outproxy, and the bytes of payload in them.
    #[must_use]
    pub fn to_peers(&self) -> (u64, u64) {
        self.to_peers.get()
    }

    /// Datagrams that were sent to clients, and the bytes of payload in them.
    #[must_use]
    pub fn to_clients(&self) -> (u64, u64) {
        self.to_clients.get()
    }

    /// Datagrams that were dropped for this.
    #[must_use]
    pub fn dropped(&self, why: DropReason) -> u64 {
        self.counter(why).map_or(0, Counter::get)
    }

    /// A client has UDP open for as long as what this gives.
    pub(crate) fn association(&self) -> Active<'_> {
        Active::new(&self.associations)
    }

    pub(crate) fn count_to_peer(&self, payload: usize) {
        self.to_peers.count(payload);
    }

    pub(crate) fn count_to_client(&self, payload: usize) {
        self.to_clients.count(payload);
    }

    /// Counts it, and says so in the log when it is the first of its kind.
    pub(crate) fn count_dropped(&self, why: DropReason) {
        if self.counter(why).is_some_and(|counter| counter.inc() == 0) {
            tracing::info!("a datagram was dropped: {} (said once; all are counted)", why.label());
        }
    }

    fn counter(&self, why: DropReason) -> Option<&Counter> {
        self.dropped.get(why as usize)
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

    /// The counters are found by it.
    #[test]
    fn the_table_is_in_the_order_of_the_reasons() {
        for (index, why) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, index, "{why:?}");
        }
    }
}
