//! The status of the running proxy, for pages, commands and metrics.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use i2p_tunnel::{
    Metrics,
    metrics::{Format, Snapshot},
};
use tokio::sync::watch;

use super::{
    active::{ActiveParts, TunnelPool},
    collect,
    condition::{Condition, PoolCondition},
    reloads::ReloadHistory,
    report::StatusReport,
    router::RouterProbe,
};
use crate::{listener::Listener, pac::ProxyAutoConfig};

/// The stage in the life of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No session has been ready yet.
    Starting,
    /// Clients are served.
    Running {
        /// The tunnels of which no session has been ready yet.
        starting: Vec<String>,
    },
    /// It was told to stop.
    Stopping,
}

/// The status of the running proxy. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    stage: watch::Sender<Stage>,
    metrics: Metrics,
    router: RouterProbe,
    active: Mutex<ActiveParts>,
    reloads: ReloadHistory,
    /// Returns the number of panics in this process.
    panics: fn() -> u64,
}

impl Board {
    /// The status of a proxy that starts now. `panics` returns the number of panics in this process.
    pub(crate) fn new(
        listeners: Vec<Listener>,
        proxy_auto_config: ProxyAutoConfig,
        panics: fn() -> u64,
    ) -> Self {
        let active = ActiveParts { listeners, proxy_auto_config, ..ActiveParts::default() };
        let metrics = Metrics::new();
        metrics.describe_program(env!("CARGO_PKG_VERSION"), cfg!(all(feature = "embedded", unix)));
        Self(Arc::new(Inner {
            started: Instant::now(),
            stage: watch::channel(Stage::Starting).0,
            metrics,
            router: RouterProbe::default(),
            active: Mutex::new(active),
            reloads: ReloadHistory::default(),
            panics,
        }))
    }

    /// The metrics.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Sets the stage.
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.0.stage.send_replace(stage);
    }

    fn stage(&self) -> Stage {
        self.0.stage.borrow().clone()
    }

    /// Whether no session has been ready yet.
    pub(crate) fn is_starting(&self) -> bool {
        self.stage() == Stage::Starting
    }

    /// Replaces the running parts, after the start or a reload.
    pub(crate) fn set_active(&self, active: ActiveParts) {
        *self.active() = active;
    }

    /// Counts a reload whose configuration is in effect now.
    pub(crate) fn reload_applied(&self) {
        self.0.reloads.applied();
    }

    /// Counts a reload that was refused. `why` names nothing of the configuration.
    pub(crate) fn reload_refused(&self, why: &str) {
        self.0.reloads.refused(why);
    }

    fn active(&self) -> MutexGuard<'_, ActiveParts> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the router whether it answers, if no session shows it and the last answer is too old. Call it before reading the status.
    pub(crate) async fn check_router(&self) {
        let bridge = self.active().bridge.clone();
        match bridge.filter(|bridge| bridge.is_decided() && self.depends_on_router()) {
            Some(bridge) => self.0.router.check(&bridge).await,
            None => self.0.router.forget(),
        }
    }

    /// Whether clients of some tunnel depend on a router of which no session shows how it is.
    fn depends_on_router(&self) -> bool {
        let active = self.active().clone();
        let conditions: Vec<_> = active.pools.iter().map(TunnelPool::condition).collect();
        let lacks_session = |condition: &PoolCondition| *condition == PoolCondition::NoSession;
        let all_lack_sessions = !conditions.is_empty() && conditions.iter().all(lacks_session);
        // It was reached when these were tried last.
        let was_reached = all_lack_sessions && active.bridge_failure().is_none();
        match self.stage() {
            Stage::Starting => true,
            Stage::Running { .. } => !conditions.contains(&PoolCondition::Ready) && !was_reached,
            Stage::Stopping => false,
        }
    }

    /// Whether no router answers: the proxy still looks for one or starts it, or it did not answer [`Board::check_router`].
    fn lacks_router(&self, active: &ActiveParts) -> bool {
        let undecided = active.bridge.as_ref().is_some_and(|bridge| !bridge.is_decided());
        undecided || !self.0.router.is_answering()
    }

    /// The condition, with the result of [`Board::check_router`].
    fn condition(&self) -> Condition {
        let active = self.active().clone();
        let tunnels = self.tunnel_conditions(&active).into_iter().map(|(_, condition)| condition);
        Condition::of_tunnels(tunnels).unwrap_or_else(|| self.condition_of(None, &active))
    }

    /// The tunnels and their conditions, with the result of [`Board::check_router`].
    fn tunnel_conditions(&self, active: &ActiveParts) -> Vec<(String, Condition)> {
        let condition = |name: &str| self.condition_of(Some(name), active);
        active.tunnels().into_iter().map(|name| (name.to_owned(), condition(name))).collect()
    }

    /// The condition of a tunnel, or of a proxy that has none yet.
    fn condition_of(&self, tunnel: Option<&str>, active: &ActiveParts) -> Condition {
        let pool =
            tunnel.and_then(|name| active.pool_of(name)).map_or(PoolCondition::Idle, TunnelPool::condition);
        let condition = match self.stage() {
            Stage::Starting => Condition::Starting,
            Stage::Running { starting } if starting.iter().any(|name| Some(name.as_str()) == tunnel) => {
                Condition::Starting
            }
            Stage::Running { .. } => Condition::of_pool(pool),
            Stage::Stopping => Condition::Stopping,
        };
        match condition.needs_router() && self.lacks_router(active) {
            true => Condition::NoRouter,
            false => condition,
        }
    }

    /// Whether new clients of a tunnel are served.
    pub(crate) fn is_ready(&self) -> bool {
        self.condition().is_ready()
    }

    /// The condition as a line, for the service manager. Names the tunnels whose clients are not served, if others are.
    pub(crate) fn summary(&self) -> String {
        let active = self.active().clone();
        let condition = self.condition();
        let line = condition.summary(active.listeners.len());
        let waiting = self.tunnel_conditions(&active).into_iter().filter(|(_, tunnel)| !tunnel.is_ready());
        let waiting: Vec<_> = waiting.map(|(name, _)| name).collect();
        match (condition.is_ready(), waiting.as_slice()) {
            (false, _) | (true, []) => line,
            (true, [tunnel]) => format!("{line}; tunnel {tunnel} has no I2P session"),
            (true, tunnels) => format!("{line}; tunnels {} have no I2P session", tunnels.join(", ")),
        }
    }

    /// The file `proxy.pac`; `None` if browsers can use no tunnel.
    pub(crate) fn proxy_auto_config(&self) -> Option<String> {
        let active = self.active();
        active.proxy_auto_config.file(&active.listeners)
    }

    /// The full report, for people and programs.
    pub(crate) fn report(&self) -> StatusReport {
        let active = self.active().clone();
        let tunnels = self.tunnel_conditions(&active);
        let uptime = self.0.started.elapsed();
        let report = collect::report(self.metrics(), (self.condition(), tunnels), uptime, &active);
        let router_failure = match &active.own_router {
            None => self.0.router.last_failure().or_else(|| active.bridge_failure()),
            // The line about it says what it lacks.
            Some(_) => None,
        };
        StatusReport {
            refused_reload: self.0.reloads.last_refused().map(collect::refused_reload),
            router_failure: router_failure.as_deref().map(collect::router_failure),
            ..report
        }
    }

    /// The metrics as text.
    pub(crate) fn encode_metrics(&self, format: Format) -> String {
        let active = self.active().clone();
        let snapshot = Snapshot {
            ready: self.is_ready(),
            tunnels: self
                .tunnel_conditions(&active)
                .into_iter()
                .map(|(name, condition)| (name, condition.is_ready()))
                .collect(),
            address_book_fails: active.address_book.as_ref().is_some_and(|book| book.read().is_some()),
            sessions: active.pools.iter().flat_map(|owned| owned.pool.sessions()).collect(),
            max_sessions: active.max_sessions,
            virtual_addresses: active.addresses.map_or(0, |addresses| addresses.in_use()),
            outproxies: active.outproxies.status(),
            router_deaths: active.own_router.map_or(0, |router| router.read().deaths),
            panics: (self.0.panics)(),
            reloads: self.0.reloads.counts(),
        };
        self.0.metrics.encode_as(format, &snapshot)
    }
}

impl TunnelPool {
    fn condition(&self) -> PoolCondition {
        PoolCondition::of(&self.pool.sessions())
    }
}
