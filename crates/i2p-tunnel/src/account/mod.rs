//! What a tunnel's clients came to: each thing is counted once, where it happens.
//!
//! Imports client, failure and limits. Nothing here knows how a connection is served.

mod datagram_counts;
mod durations;
mod failure_log;
mod families;

use std::{fmt, time::Duration};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

pub(crate) use self::families::{Families, OfOutcome, OfOutproxy, OfSession};
pub use self::{
    datagram_counts::{DatagramCounts, DropReason},
    failure_log::RecentFailure,
};
use self::{
    durations::Durations,
    failure_log::FailureLog,
    families::{Active, OfDirection, OfHandshake, OfLimit, OfRequest, OfTunnel},
};
use crate::{client::ClientProtocol, failure::Failure, limits::Limit};

/// What a request that did not fail is called.
const SUCCEEDED: &str = "succeeded";

/// What a request is called whose client was lost before it could be answered.
const ABANDONED: &str = "abandoned";

/// What clients speak.
const SPOKEN: [ClientProtocol; 4] =
    [ClientProtocol::Socks4, ClientProtocol::Socks4a, ClientProtocol::Socks5, ClientProtocol::HttpConnect];

fn label(protocol: ClientProtocol) -> &'static str {
    match protocol {
        ClientProtocol::Socks4 => "socks4",
        ClientProtocol::Socks4a => "socks4a",
        ClientProtocol::Socks5 => "socks5",
        ClientProtocol::HttpConnect => "http-connect",
    }
}

/// Why a connection ended without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// A limit was reached.
    TimedOut,
    /// The connection broke.
    Broken,
    /// What the client sent was refused.
    Refused,
    /// The client is no user of the tunnel.
    Unauthorized,
    /// The client spoke HTTP, and was answered in it.
    AnsweredHttp,
    /// The client spoke neither SOCKS nor HTTP.
    NotSocks,
}

impl HandshakeFailure {
    /// In the order of declaration: counters are found by it.
    const ALL: [Self; 6] =
        [Self::TimedOut, Self::Broken, Self::Refused, Self::Unauthorized, Self::AnsweredHttp, Self::NotSocks];

    fn label(self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Unauthorized => "credentials",
            Self::AnsweredHttp => "http",
            Self::NotSocks => "not_socks",
        }
    }
}

/// The account of one tunnel. Its counters are found beforehand: a connection takes no lock for them.
pub struct Account {
    accepted: Counter,
    active: Gauge,
    /// In the order of [`HandshakeFailure::ALL`].
    handshakes_failed: [Counter; HandshakeFailure::ALL.len()],
    /// In the order of [`Limit::ALL`].
    limits_reached: [Counter; Limit::ALL.len()],
    requests: Vec<Outcomes>,
    handshake: Durations,
    dial: Durations,
    streams: Gauge,
    to_peer: Counter,
    to_client: Counter,
    datagrams: DatagramCounts,
    failures: FailureLog,
}

/// The requests of one protocol.
struct Outcomes {
    spoken: ClientProtocol,
    succeeded: Counter,
    abandoned: Counter,
    failed: Vec<(Failure, Counter)>,
}

impl Account {
    pub(crate) fn new(families: &Families, tunnel: &str) -> Self {
        let of_tunnel = OfTunnel { tunnel: tunnel.to_owned() };
        let handshake_failed = |failure: HandshakeFailure| {
            let labels = OfHandshake { tunnel: tunnel.to_owned(), reason: failure.label() };
            families.handshakes_failed.get_or_create_owned(&labels)
        };
        let limit = |limit: Limit| {
            let labels = OfLimit { tunnel: tunnel.to_owned(), limit: limit.label() };
            families.limits_reached.get_or_create_owned(&labels)
        };
        let direction = |direction| {
            families.relayed.get_or_create_owned(&OfDirection { tunnel: tunnel.to_owned(), direction })
        };
        let outcomes = |spoken: ClientProtocol| {
            let counter = |outcome| {
                let labels = OfRequest { tunnel: tunnel.to_owned(), protocol: label(spoken), outcome };
                families.requests.get_or_create_owned(&labels)
            };
            let failed = Failure::ALL.into_iter().map(|failure| (failure, counter(failure.row().label)));
            Outcomes {
                spoken,
                succeeded: counter(SUCCEEDED),
                abandoned: counter(ABANDONED),
                failed: failed.collect(),
            }
        };
        Self {
            accepted: families.connections.get_or_create_owned(&of_tunnel),
            active: families.connections_active.get_or_create_owned(&of_tunnel),
            handshakes_failed: HandshakeFailure::ALL.map(handshake_failed),
            limits_reached: Limit::ALL.map(limit),
            requests: SPOKEN.into_iter().map(outcomes).collect(),
            handshake: families.handshake.get_or_create_owned(&of_tunnel),
            dial: families.dial.get_or_create_owned(&of_tunnel),
            streams: families.streams_active.get_or_create_owned(&of_tunnel),
            to_peer: direction("to_peer"),
            to_client: direction("to_client"),
            datagrams: DatagramCounts::new(families, tunnel),
            failures: FailureLog::default(),
        }
    }

    /// A connection was accepted; it is open for as long as what this gives.
    pub(crate) fn connection(&self) -> Active<'_> {
        self.accepted.inc();
        Active::new(&self.active)
    }

    /// A handshake ended in a request.
    pub(crate) fn handshake_done(&self, took: Duration) {
        self.handshake.observe(took);
    }

    /// A handshake ended without a request.
    pub(crate) fn handshake_failed(&self, failure: HandshakeFailure) {
        if failure == HandshakeFailure::Unauthorized {
            self.failures.stranger();
        }
        if let Some(counter) = self.handshakes_failed.get(failure as usize) {
            counter.inc();
        }
    }

    /// A connection has come to a limit: it is counted, and said now and then.
    pub(crate) fn limit(&self, limit: Limit) {
        if let Some((_, counter)) = Limit::ALL.iter().zip(&self.limits_reached).find(|(of, _)| **of == limit)
        {
            counter.inc();
        }
        self.failures.limit(limit);
    }

    /// A request was dialled, with whatever result.
    pub(crate) fn dialled(&self, took: Duration) {
        self.dial.observe(took);
    }

    /// A request did what it was to do.
    pub(crate) fn succeeded(&self, spoken: ClientProtocol) {
        if let Some(outcomes) = self.outcomes(spoken) {
            outcomes.succeeded.inc();
        }
    }

    /// A request's client was lost before it could be answered: nobody failed.
    pub(crate) fn abandoned(&self, spoken: ClientProtocol) {
        if let Some(outcomes) = self.outcomes(spoken) {
            outcomes.abandoned.inc();
        }
    }

    /// A request failed: it is counted, and said now and then.
    pub(crate) fn failed(&self, spoken: ClientProtocol, failure: Failure) {
        let outcomes = self.outcomes(spoken);
        let failed = outcomes.and_then(|outcomes| outcomes.failed.iter().find(|(of, _)| *of == failure));
        if let Some((_, counter)) = failed {
            counter.inc();
        }
        self.failures.note(failure);
    }

    fn outcomes(&self, spoken: ClientProtocol) -> Option<&Outcomes> {
        self.requests.iter().find(|outcomes| outcomes.spoken == spoken)
    }

    /// A stream is open for as long as what this gives.
    pub(crate) fn stream(&self) -> Active<'_> {
        Active::new(&self.streams)
    }

    /// Payload towards the far end.
    pub(crate) fn to_peer(&self) -> &Counter {
        &self.to_peer
    }

    /// Payload towards clients.
    pub(crate) fn to_client(&self) -> &Counter {
        &self.to_client
    }

    /// What became of datagrams.
    #[must_use]
    pub fn datagrams(&self) -> &DatagramCounts {
        &self.datagrams
    }

    /// The kinds of failures that there have been, the latest first.
    #[must_use]
    pub fn recent_failures(&self) -> Vec<RecentFailure> {
        self.failures.recent()
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        u64::try_from(self.active.get()).unwrap_or_default()
    }

    /// Streams that are relayed now.
    #[must_use]
    pub fn open_streams(&self) -> u64 {
        u64::try_from(self.streams.get()).unwrap_or_default()
    }

    /// Requests that did what they were to do, and those that failed.
    #[must_use]
    pub fn requests(&self) -> (u64, u64) {
        let succeeded = self.requests.iter().map(|outcomes| outcomes.succeeded.get()).sum();
        let failed = self.requests.iter().flat_map(|outcomes| &outcomes.failed);
        (succeeded, failed.map(|(_, counter)| counter.get()).sum())
    }

    /// Bytes of payload that arrived: at the far end, and at clients.
    #[must_use]
    pub fn relayed(&self) -> (u64, u64) {
        (self.to_peer.get(), self.to_client.get())
    }
}

/// An account that nobody reads: of a service that was given none.
impl Default for Account {
    fn default() -> Self {
        Self::new(&Families::default(), "")
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}
