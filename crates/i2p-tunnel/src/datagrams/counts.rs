use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// From the client, and not of the form of RFC 1928 section 7.
    Malformed,
    /// From somebody else than the client.
    NotTheClient,
    /// A fragment that is not put together.
    Fragment,
    /// Without any data: SAM has no such datagrams.
    Empty,
    /// Longer than SAM carries.
    TooLong,
    /// For what is not I2P, or for no host at all.
    NotAllowed,
    /// For a name that nobody knows, or a destination that was not found.
    Unresolved,
    /// More than can wait for a lookup.
    QueueFull,
    /// While there was no session.
    NoSession,
    /// From I2P, and from nobody whom the client has sent anything to.
    Stranger,
    /// The client's socket, or the router's, did not take it.
    NotTaken,
}

impl Dropped {
    /// All of them, for tables and tests.
    pub const ALL: [Self; 11] = [
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
        }
    }
}

/// How many datagrams went which way, and how many were dropped for what.
#[derive(Debug, Default)]
pub struct DatagramCounts {
    to_peers: AtomicU64,
    to_clients: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

impl DatagramCounts {
    /// Datagrams that were given to the router.
    #[must_use]
    pub fn to_peers(&self) -> u64 {
        self.to_peers.load(Relaxed)
    }

    /// Datagrams that were sent to clients.
    #[must_use]
    pub fn to_clients(&self) -> u64 {
        self.to_clients.load(Relaxed)
    }

    /// Datagrams that were dropped for this.
    #[must_use]
    pub fn dropped(&self, why: Dropped) -> u64 {
        self.counter(why).map_or(0, |counter| counter.load(Relaxed))
    }

    pub(super) fn count_to_peer(&self) {
        self.to_peers.fetch_add(1, Relaxed);
    }

    pub(super) fn count_to_client(&self) {
        self.to_clients.fetch_add(1, Relaxed);
    }

    /// Counts it, and says whether it is the first of its kind.
    pub(super) fn count_dropped(&self, why: Dropped) -> bool {
        self.counter(why).is_some_and(|counter| counter.fetch_add(1, Relaxed) == 0)
    }

    fn counter(&self, why: Dropped) -> Option<&AtomicU64> {
        self.dropped.get(why as usize)
    }
}
