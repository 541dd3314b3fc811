//! Metrics for Prometheus. Labels are names of tunnels and outproxies from the configuration, and fixed words of this program.
//! Nothing that a client sends becomes a label.

mod format;
mod process;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use i2p_sam::SessionState;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::runtime::Handle;

pub use self::format::Format;
use self::process::Process;
use crate::{
    account::{
        Account, BuildLabels, Families, OutproxyLabels, OutproxyOutcomeLabels, ReloadLabels, SessionLabels,
        TunnelLabels,
    },
    outproxy::OutproxyStatus,
    sessions::SessionStatus,
};

/// Prefix of all metric names.
const PREFIX: &str = "i2p_socks";

/// All metrics of a process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    families: Families,
    process: Process,
    accounts: Mutex<HashMap<Arc<str>, Arc<Account>>>,
    /// Held while a snapshot is written into the gauges and encoded.
    encoding: Mutex<()>,
}

/// Values that are read at the moment of a query, not counted as they change.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Whether new clients are served.
    pub ready: bool,
    /// The tunnels, and whether each serves new clients.
    pub tunnels: Vec<(String, bool)>,
    /// The sessions of all pools.
    pub sessions: Vec<SessionStatus>,
    /// The limit of sessions.
    pub max_sessions: usize,
    /// The number of virtual addresses in use.
    pub virtual_addresses: usize,
    /// The state of each outproxy.
    pub outproxies: Vec<OutproxyStatus>,
    /// Whether the program runs without the address book that its configuration wants, or cannot change it.
    pub address_book_fails: bool,
    /// How often a router that the program runs itself has died.
    pub router_deaths: u64,
    /// How many panics there were in this process.
    pub panics: u64,
    /// How many reloads of the configuration there were.
    pub reloads: Reloads,
}

/// How many reloads of the configuration there were since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Those whose configuration is or was in effect.
    pub applied: u64,
    /// Those whose configuration was refused.
    pub refused: u64,
}

/// Every label that [`session_state_label`] returns.
const SESSION_STATE_LABELS: [&str; 3] = ["building", "ready", "waiting"];

/// The label of a session's state in metrics and status: `building`, `ready` or `waiting`.
#[must_use]
pub fn session_state_label(state: &SessionState) -> &'static str {
    match state {
        SessionState::Ready(session) if session.is_alive() => "ready",
        SessionState::Waiting { .. } | SessionState::Lost => "waiting",
        _ => "building",
    }
}

impl Families {
    /// Sets the gauges to the values of a snapshot.
    fn set(&self, snapshot: &Snapshot) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.ready.set(i64::from(snapshot.ready));
        // Tunnels that a reload has removed disappear.
        self.tunnel_ready.clear();
        for (tunnel, ready) in &snapshot.tunnels {
            let labels = TunnelLabels { tunnel: tunnel.clone() };
            self.tunnel_ready.get_or_create(&labels).set(i64::from(*ready));
        }
        for state in SESSION_STATE_LABELS {
            let now = snapshot.sessions.iter().filter(|session| session_state_label(&session.state) == state);
            self.sessions.get_or_create(&SessionLabels { state }).set(count(now.count()));
        }
        self.session_leases.set(count(snapshot.sessions.iter().map(|session| session.leases).sum()));
        self.sessions_max.set(count(snapshot.max_sessions));
        self.virtual_addresses.set(count(snapshot.virtual_addresses));
        self.address_book_fails.set(i64::from(snapshot.address_book_fails));
        self.panics.inner().store(snapshot.panics, Ordering::Relaxed);
        self.router_deaths.inner().store(snapshot.router_deaths, Ordering::Relaxed);
        let Reloads { applied, refused } = snapshot.reloads;
        for (result, count) in [("applied", applied), ("refused", refused)] {
            self.reloads.get_or_create(&ReloadLabels { result }).inner().store(count, Ordering::Relaxed);
        }
        // Outproxies that a reload has removed disappear.
        self.outproxy_available.clear();
        self.outproxy_requests.clear();
        for status in &snapshot.outproxies {
            let outproxy = status.name.to_string();
            for (outcome, count) in status.outcomes() {
                let labels = OutproxyOutcomeLabels { outproxy: outproxy.clone(), outcome };
                self.outproxy_requests.get_or_create(&labels).inner().store(count, Ordering::Relaxed);
            }
            let available = i64::from(status.ejected_for.is_none());
            self.outproxy_available.get_or_create(&OutproxyLabels { outproxy }).set(available);
        }
        // Outside a runtime there are no tasks.
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
                process: Process::starts_now(),
                accounts: Mutex::default(),
                encoding: Mutex::default(),
            }),
        }
    }
}

impl Metrics {
    /// Metrics in which nothing is counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the account of the tunnel of this name. It is the same each time, so that counters survive a reload of the
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

    /// Sets what `build_info` says of the program: its version, and whether a router is built in.
    pub fn describe_program(&self, version: &'static str, has_router: bool) {
        let labels = BuildLabels { version, embedded_router: if has_router { "yes" } else { "no" } };
        self.shared.families.build_info.get_or_create(&labels).set(1);
    }

    /// Encodes all metrics and the snapshot in the text format of Prometheus.
    #[must_use]
    pub fn encode(&self, snapshot: &Snapshot) -> String {
        self.encode_as(Format::Prometheus, snapshot)
    }

    /// Encodes all metrics and the snapshot in this format.
    #[must_use]
    pub fn encode_as(&self, format: Format, snapshot: &Snapshot) -> String {
        let _one_at_a_time = self.shared.encoding.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.families.set(snapshot);
        let mut text = String::new();
        // Writing to a string does not fail.
        for registry in [&self.shared.registry, self.shared.process.read()] {
            let _ = text::encode_registry(&mut text, registry);
        }
        format.of_open_metrics(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
