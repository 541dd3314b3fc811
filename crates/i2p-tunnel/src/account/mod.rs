//! Counts what happens to a tunnel's clients, each event once and where it happens, and logs failures at a bounded rate.
//!
//! Imports `client`, `failure`, `limits` and `log_throttle`. Nothing here knows how a connection is served.

mod datagram_counts;
mod durations;
mod failure_log;
mod families;
mod filter_counts;

use std::{fmt, time::Duration};

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use stream_filters::{Cut, Event, Protocol, leak::Leak};

pub use self::{
    datagram_counts::{DatagramCounts, DropReason},
    failure_log::RecentFailure,
    filter_counts::SeenLeak,
};
use self::{
    durations::Durations,
    failure_log::FailureLog,
    families::{DirectionLabels, HandshakeLabels, LimitLabels, RequestLabels},
    filter_counts::FilterCounts,
};
pub(crate) use self::{
    failure_log::RefusedCredentials,
    families::{
        ActiveGuard, BuildLabels, Families, OutproxyLabels, OutproxyOutcomeLabels, ReloadLabels,
        SessionLabels, TunnelLabels,
    },
};
use crate::{client::ClientProtocol, failure::Failure, limits::Limit};

/// Label of requests that succeeded.
const SUCCEEDED: &str = "succeeded";

/// Label of requests whose client disconnected before the reply.
const ABANDONED: &str = "abandoned";

/// The protocols of clients, each with its own counters.
const PROTOCOLS: [ClientProtocol; 7] = [
    ClientProtocol::Socks4,
    ClientProtocol::Socks4a,
    ClientProtocol::Socks5,
    ClientProtocol::HttpConnect,
    ClientProtocol::Http,
    ClientProtocol::Transparent,
    ClientProtocol::Dns,
];

fn protocol_label(protocol: ClientProtocol) -> &'static str {
    match protocol {
        ClientProtocol::Socks4 => "socks4",
        ClientProtocol::Socks4a => "socks4a",
        ClientProtocol::Socks5 => "socks5",
        ClientProtocol::HttpConnect => "http-connect",
        ClientProtocol::Http => "http",
        ClientProtocol::Transparent => "transparent",
        ClientProtocol::Dns => "dns",
    }
}

/// The label of [`HandshakeFailure::Unauthorized`].
const CREDENTIALS: &str = "credentials";

/// The label of [`RefusedCredentials::Unchecked`].
const UNCHECKED: &str = "credentials_unchecked";

/// Why a connection ended without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// [`Limits::handshake`](crate::Limits::handshake) was reached.
    TimedOut,
    /// The connection broke.
    Broken,
    /// The client violated the protocol.
    Refused,
    /// The tunnel requires credentials, and the client's were wrong, missing, or not checked.
    Unauthorized(RefusedCredentials),
    /// The client spoke HTTP without CONNECT and got a page.
    AnsweredHttp,
    /// The client spoke TLS and got an alert.
    AnsweredTls,
    /// The client spoke neither SOCKS nor HTTP nor TLS.
    NotSocks,
    /// The client connected to a transparent listener itself.
    NotRedirected,
}

impl HandshakeFailure {
    /// Every label that [`label`](Self::label) returns.
    const LABELS: [&str; 9] = [
        "timeout",
        "broken",
        "refused",
        CREDENTIALS,
        UNCHECKED,
        "http",
        "tls",
        "not_socks",
        "not_redirected",
    ];

    fn label(self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Unauthorized(RefusedCredentials::Unchecked) => UNCHECKED,
            Self::Unauthorized(_) => CREDENTIALS,
            Self::AnsweredHttp => "http",
            Self::AnsweredTls => "tls",
            Self::NotSocks => "not_socks",
            Self::NotRedirected => "not_redirected",
        }
    }
}

/// The counters of one tunnel. They are looked up once, so that connections take no lock to count.
pub struct Account {
    accepted: Counter,
    active: Gauge,
    panics: Counter,
    /// In the order of [`HandshakeFailure::LABELS`].
    handshakes_failed: [Counter; HandshakeFailure::LABELS.len()],
    /// In the order of [`Limit::ALL`].
    limits_reached: [Counter; Limit::ALL.len()],
    requests: Vec<RequestCounters>,
    handshake: Durations,
    dial: Durations,
    streams: Gauge,
    to_peer: Counter,
    to_client: Counter,
    datagrams: DatagramCounts,
    filters: FilterCounts,
    failures: FailureLog,
}

/// The requests of one protocol, by outcome.
struct RequestCounters {
    protocol: ClientProtocol,
    succeeded: Counter,
    abandoned: Counter,
    failed: Vec<(Failure, Counter)>,
}

impl Account {
    pub(crate) fn new(families: &Families, tunnel: &str) -> Self {
        let of_tunnel = TunnelLabels { tunnel: tunnel.to_owned() };
        let handshake_failed = |reason| {
            let labels = HandshakeLabels { tunnel: tunnel.to_owned(), reason };
            families.handshakes_failed.get_or_create_owned(&labels)
        };
        let limit = |limit: Limit| {
            let labels = LimitLabels { tunnel: tunnel.to_owned(), limit: limit.label() };
            families.limits_reached.get_or_create_owned(&labels)
        };
        let direction = |direction| {
            families.relayed.get_or_create_owned(&DirectionLabels { tunnel: tunnel.to_owned(), direction })
        };
        let counters = |protocol: ClientProtocol| {
            let counter = |outcome| {
                let labels =
                    RequestLabels { tunnel: tunnel.to_owned(), protocol: protocol_label(protocol), outcome };
                families.requests.get_or_create_owned(&labels)
            };
            let failed = Failure::ALL.into_iter().map(|failure| (failure, counter(failure.row().label)));
            RequestCounters {
                protocol,
                succeeded: counter(SUCCEEDED),
                abandoned: counter(ABANDONED),
                failed: failed.collect(),
            }
        };
        Self {
            accepted: families.connections.get_or_create_owned(&of_tunnel),
            active: families.connections_active.get_or_create_owned(&of_tunnel),
            panics: families.connection_panics.get_or_create_owned(&of_tunnel),
            handshakes_failed: HandshakeFailure::LABELS.map(handshake_failed),
            limits_reached: Limit::ALL.map(limit),
            requests: PROTOCOLS.into_iter().map(counters).collect(),
            handshake: families.handshake.get_or_create_owned(&of_tunnel),
            dial: families.dial.get_or_create_owned(&of_tunnel),
            streams: families.streams_active.get_or_create_owned(&of_tunnel),
            to_peer: direction("to_peer"),
            to_client: direction("to_client"),
            datagrams: DatagramCounts::new(families, tunnel),
            filters: FilterCounts::new(families, tunnel),
            failures: FailureLog::default(),
        }
    }

    /// Counts an accepted connection. It counts as open until the guard is dropped.
    pub(crate) fn connection(&self) -> ActiveGuard {
        self.accepted.inc();
        ActiveGuard::new(&self.active)
    }

    /// Records a connection that panicked: counts it, and logs it at a bounded rate.
    pub(crate) fn panicked(&self) {
        self.panics.inc();
        self.failures.log_panic();
    }

    /// Records a handshake that ended with a request.
    pub(crate) fn handshake_done(&self, took: Duration) {
        self.handshake.observe(took);
    }

    /// Records a handshake that ended without a request.
    pub(crate) fn handshake_failed(&self, failure: HandshakeFailure) {
        match failure {
            HandshakeFailure::Unauthorized(how) => self.failures.log_unauthorized(how),
            HandshakeFailure::AnsweredTls => self.failures.log_tls(),
            HandshakeFailure::NotRedirected => self.failures.log_not_redirected(),
            _ => {}
        }
        if let Some(counter) = self.handshakes_failed_for(failure.label()) {
            counter.inc();
        }
    }

    fn handshakes_failed_for(&self, label: &str) -> Option<&Counter> {
        let mut all = HandshakeFailure::LABELS.iter().zip(&self.handshakes_failed);
        all.find(|(of, _)| **of == label).map(|(_, counter)| counter)
    }

    /// Records a limit that a connection reached: counts it, and logs it at a bounded rate.
    pub(crate) fn limit(&self, limit: Limit) {
        if let Some((_, counter)) = Limit::ALL.iter().zip(&self.limits_reached).find(|(of, _)| **of == limit)
        {
            counter.inc();
        }
        self.failures.log_limit(limit);
    }

    /// Records how long dialling took, whether it succeeded or failed.
    pub(crate) fn dialled(&self, took: Duration) {
        self.dial.observe(took);
    }

    /// Records a request that succeeded.
    pub(crate) fn succeeded(&self, protocol: ClientProtocol) {
        if let Some(counters) = self.counters(protocol) {
            counters.succeeded.inc();
        }
    }

    /// Records a request whose client disconnected before the reply. It counts neither as success nor as failure.
    pub(crate) fn abandoned(&self, protocol: ClientProtocol) {
        if let Some(counters) = self.counters(protocol) {
            counters.abandoned.inc();
        }
    }

    /// Counts the failure of a request, and logs it.
    pub(crate) fn failed(&self, protocol: ClientProtocol, failure: Failure) {
        self.declined(protocol, failure);
        self.failures.log_failure(failure);
    }

    /// Counts a failure that says nothing of what the client wants, such as the names that every system asks for by itself.
    pub(crate) fn declined(&self, protocol: ClientProtocol, failure: Failure) {
        let counters = self.counters(protocol);
        let failed = counters.and_then(|counters| counters.failed.iter().find(|(of, _)| *of == failure));
        if let Some((_, counter)) = failed {
            counter.inc();
        }
    }

    fn counters(&self, protocol: ClientProtocol) -> Option<&RequestCounters> {
        self.requests.iter().find(|counters| counters.protocol == protocol)
    }

    /// Counts an open stream until the guard is dropped.
    pub(crate) fn stream(&self) -> ActiveGuard {
        ActiveGuard::new(&self.streams)
    }

    /// Counter of payload bytes passed on to the far end.
    pub(crate) fn to_peer(&self) -> &Counter {
        &self.to_peer
    }

    /// Counter of payload bytes passed on to clients.
    pub(crate) fn to_client(&self) -> &Counter {
        &self.to_client
    }

    /// Records what a filter removed or replaced.
    pub(crate) fn filtered(&self, protocol: Protocol, event: Event) {
        self.filters.filtered(protocol, event);
    }

    /// Records a stream that a filter ends.
    pub(crate) fn filter_cut(&self, protocol: Protocol, cut: Cut) {
        self.filters.filter_cut(protocol, cut);
    }

    /// Records that a client sends what identifies this machine, and whether its stream ends before that.
    pub(crate) fn leaked(&self, leak: Leak, is_cut: bool) {
        self.filters.leaked(leak, is_cut);
    }

    /// What clients have sent that identifies this machine, the latest first.
    #[must_use]
    pub fn leaks(&self) -> Vec<SeenLeak> {
        self.filters.leaks()
    }

    /// The datagram counters.
    #[must_use]
    pub fn datagrams(&self) -> &DatagramCounts {
        &self.datagrams
    }

    /// The kinds of failures that have occurred, the latest first.
    #[must_use]
    pub fn recent_failures(&self) -> Vec<RecentFailure> {
        self.failures.recent()
    }

    /// The number of open connections.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        u64::try_from(self.active.get()).unwrap_or_default()
    }

    /// The number of streams being relayed.
    #[must_use]
    pub fn open_streams(&self) -> u64 {
        u64::try_from(self.streams.get()).unwrap_or_default()
    }

    /// The numbers of requests that succeeded and that failed, since the start.
    #[must_use]
    pub fn requests(&self) -> (u64, u64) {
        let succeeded = self.requests.iter().map(|counters| counters.succeeded.get()).sum();
        let failed = self.requests.iter().flat_map(|counters| &counters.failed);
        (succeeded, failed.map(|(_, counter)| counter.get()).sum())
    }

    /// How often credentials were refused since the start, because they were wrong or missing.
    #[must_use]
    pub fn refused_credentials(&self) -> u64 {
        self.handshakes_failed_for(CREDENTIALS).map_or(0, Counter::get)
    }

    /// How often credentials were refused without a check since the start, because the client had too many others under check.
    #[must_use]
    pub fn unchecked_credentials(&self) -> u64 {
        self.handshakes_failed_for(UNCHECKED).map_or(0, Counter::get)
    }

    /// Payload bytes passed on to the far end and to clients, since the start.
    #[must_use]
    pub fn relayed(&self) -> (u64, u64) {
        (self.to_peer.get(), self.to_client.get())
    }
}

/// An account outside any [`Metrics`](crate::Metrics), for a [`Service`](crate::Service) without one.
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
