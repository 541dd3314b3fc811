//! What is counted, for Prometheus. Labels are names of tunnels and outproxies, which the configuration gives, and words of
//! this program: nothing that a client says becomes one.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use i2p_sam::SessionState;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::runtime::Handle;

use crate::{
    account::{Account, Families, OfOutcome, OfOutproxy, OfSession},
    outproxy::OutproxyStatus,
    sessions::SessionStatus,
};

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
pub struct Snapshot {
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

/// The states of a session, as they are called where they are counted and shown.
const SESSION_STATES: [&str; 3] = ["building", "ready", "waiting"];

/// What the state of a session is called: `building`, `ready` or `waiting`.
#[must_use]
pub fn session_state_label(state: &SessionState) -> &'static str {
    match state {
        SessionState::Ready(session) if session.is_alive() => "ready",
        SessionState::Waiting { .. } => "waiting",
        _ => "building",
    }
}

impl Families {
    fn set(&self, moment: &Snapshot) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.ready.set(i64::from(moment.ready));
        for state in SESSION_STATES {
            let now = moment.sessions.iter().filter(|session| session_state_label(&session.state) == state);
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
    pub fn encode(&self, moment: &Snapshot) -> String {
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
