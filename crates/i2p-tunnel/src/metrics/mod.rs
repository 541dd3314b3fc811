//! What is counted, for Prometheus. Labels are names of tunnels and outproxies, which the configuration gives, and words of
//! this program: nothing that a client says becomes one.

mod durations;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use i2p_sam::SessionState;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tokio::runtime::Handle;

pub(crate) use self::durations::Durations;
use crate::{Account, OutproxyStatus, SessionStatus};

/// Before all names.
const PREFIX: &str = "i2p_socks";

/// All that is counted. Clones are the same.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    families: Families,
    accounts: Mutex<HashMap<Arc<str>, Arc<Account>>>,
    /// Locked while what is so now is put in and read.
    encoding: Mutex<()>,
}

/// What is so at one moment, and not counted as it happens.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// Whether a client that comes is served.
    pub ready: bool,
    /// The sessions of all pools.
    pub sessions: Vec<SessionStatus>,
    /// How many there may be.
    pub max_sessions: usize,
    /// Virtual addresses that mean something.
    pub virtual_addresses: usize,
    /// How each outproxy has done.
    pub outproxies: Vec<OutproxyStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfTunnel {
    pub(crate) tunnel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfRequest {
    pub(crate) tunnel: String,
    pub(crate) protocol: &'static str,
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfHandshake {
    pub(crate) tunnel: String,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfLimit {
    pub(crate) tunnel: String,
    pub(crate) limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfDirection {
    pub(crate) tunnel: String,
    pub(crate) direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfDropped {
    pub(crate) tunnel: String,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSession {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutproxy {
    outproxy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outproxy: String,
    outcome: &'static str,
}

/// Each metric, by what it is told apart by. Names and meanings: `docs/metrics.md`.
#[derive(Default)]
pub(crate) struct Families {
    pub(crate) connections: Family<OfTunnel, Counter>,
    pub(crate) connections_active: Family<OfTunnel, Gauge>,
    pub(crate) handshakes_failed: Family<OfHandshake, Counter>,
    pub(crate) limits_reached: Family<OfLimit, Counter>,
    pub(crate) requests: Family<OfRequest, Counter>,
    pub(crate) handshake: Family<OfTunnel, Durations>,
    pub(crate) dial: Family<OfTunnel, Durations>,
    pub(crate) streams_active: Family<OfTunnel, Gauge>,
    pub(crate) relayed: Family<OfDirection, Counter>,
    pub(crate) udp_associations_active: Family<OfTunnel, Gauge>,
    pub(crate) datagrams: Family<OfDirection, Counter>,
    pub(crate) datagram_bytes: Family<OfDirection, Counter>,
    pub(crate) datagrams_dropped: Family<OfDropped, Counter>,
    ready: Gauge,
    sessions: Family<OfSession, Gauge>,
    session_leases: Gauge,
    sessions_max: Gauge,
    virtual_addresses: Gauge,
    outproxy_available: Family<OfOutproxy, Gauge>,
    outproxy_requests: Family<OfOutcome, Counter>,
    tasks: Gauge,
}

/// The states of a session, as they are called where they are counted and shown.
const SESSION_STATES: [&str; 3] = ["building", "ready", "waiting"];

/// What the state of a session is called: `building`, `ready` or `waiting`.
#[must_use]
pub fn state_word(state: &SessionState) -> &'static str {
    match state {
        SessionState::Ready(session) if session.is_alive() => "ready",
        SessionState::Waiting { .. } => "waiting",
        _ => "building",
    }
}

impl Families {
    fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections that were accepted", self.connections.clone());
        registry.register(
            "connections_active",
            "Connections that are open now",
            self.connections_active.clone(),
        );
        registry.register(
            "handshakes_failed",
            "Connections that ended without a request",
            self.handshakes_failed.clone(),
        );
        registry.register(
            "limits_reached",
            "How often a limit was reached, by limit",
            self.limits_reached.clone(),
        );
        registry.register(
            "requests",
            "Requests, by protocol and by what came of them",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "handshake_duration",
            "From accepting a connection to its request",
            Unit::Seconds,
            self.handshake.clone(),
        );
        registry.register_with_unit(
            "dial_duration",
            "From a request to its open stream or its failure",
            Unit::Seconds,
            self.dial.clone(),
        );
        registry.register("streams_active", "Streams that are relayed now", self.streams_active.clone());
        registry.register_with_unit(
            "relayed",
            "Payload that arrived, by direction",
            Unit::Bytes,
            self.relayed.clone(),
        );
        registry.register(
            "udp_associations_active",
            "Clients that have UDP open now",
            self.udp_associations_active.clone(),
        );
        registry.register("datagrams", "Datagrams that were passed on, by direction", self.datagrams.clone());
        registry.register_with_unit(
            "datagram",
            "Payload of datagrams that were passed on, by direction",
            Unit::Bytes,
            self.datagram_bytes.clone(),
        );
        registry.register(
            "datagrams_dropped",
            "Datagrams that were dropped, by reason",
            self.datagrams_dropped.clone(),
        );
        registry.register("ready", "1: a client that comes is served; 0: it would wait", self.ready.clone());
        registry.register("sessions", "I2P sessions by state", self.sessions.clone());
        registry.register(
            "session_leases",
            "Requests and streams that use an I2P session now",
            self.session_leases.clone(),
        );
        registry.register("sessions_max", "I2P sessions that there may be", self.sessions_max.clone());
        registry.register(
            "virtual_addresses",
            "Virtual addresses that stand for a name",
            self.virtual_addresses.clone(),
        );
        registry.register(
            "outproxy_available",
            "1: used; 0: set aside after failures",
            self.outproxy_available.clone(),
        );
        registry.register(
            "outproxy_requests",
            "Requests that outproxies were asked for, by what came of them",
            self.outproxy_requests.clone(),
        );
        registry.register("tasks", "Tasks of this program that have not ended", self.tasks.clone());
    }

    fn set(&self, moment: &Moment) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.ready.set(i64::from(moment.ready));
        for state in SESSION_STATES {
            let now = moment.sessions.iter().filter(|session| state_word(&session.state) == state);
            self.sessions.get_or_create(&OfSession { state }).set(count(now.count()));
        }
        self.session_leases.set(count(moment.sessions.iter().map(|session| session.leases).sum()));
        self.sessions_max.set(count(moment.max_sessions));
        self.virtual_addresses.set(count(moment.virtual_addresses));
        // Those of a configuration that is no longer in force are gone.
        self.outproxy_available.clear();
        self.outproxy_requests.clear();
        for status in &moment.outproxies {
            let outproxy = status.name.to_string();
            for (outcome, count) in status.outcomes() {
                let labels = OfOutcome { outproxy: outproxy.clone(), outcome };
                self.outproxy_requests.get_or_create(&labels).inner().store(count, Ordering::Relaxed);
            }
            let available = i64::from(status.ejected_for.is_none());
            self.outproxy_available.get_or_create(&OfOutproxy { outproxy }).set(available);
        }
        // Outside of a runtime there are none.
        let tasks = Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks());
        self.tasks.set(count(tasks));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let families = Families::default();
        families.register(&mut registry);
        Self {
            shared: Arc::new(Shared {
                registry,
                families,
                accounts: Mutex::default(),
                encoding: Mutex::default(),
            }),
        }
    }
}

impl Metrics {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The account of the tunnel of this name: the same each time, so that what is counted outlives a change of the
    /// configuration.
    #[must_use]
    pub fn account(&self, tunnel: &str) -> Arc<Account> {
        let mut accounts = self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        match accounts.get(tunnel) {
            Some(account) => Arc::clone(account),
            None => {
                let account = Arc::new(Account::new(&self.shared.families, tunnel));
                accounts.insert(tunnel.into(), Arc::clone(&account));
                account
            }
        }
    }

    /// Everything, in the text format of Prometheus (OpenMetrics 1.0), together with what is so now.
    #[must_use]
    pub fn encode(&self, moment: &Moment) -> String {
        let _one_at_a_time = self.shared.encoding.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.families.set(moment);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.shared.registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
