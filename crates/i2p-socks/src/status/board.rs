//! How the proxy does, for pages, commands and metrics.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use i2p_tunnel::{Metrics, metrics::Snapshot};
use tokio::sync::watch;

use super::{
    collect,
    condition::{Condition, PoolCondition},
    current::{Current, OwnedPool},
    report::Report,
    router::RouterAnswers,
};
use crate::{pac::ProxyAutoConfig, place::Place};

/// What the proxy is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There was no session yet.
    Starting,
    /// Clients are served.
    Running,
    /// It was told to end.
    Stopping,
}

/// What there is to know of a running proxy. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    stage: watch::Sender<Stage>,
    metrics: Metrics,
    router: RouterAnswers,
    current: Mutex<Current>,
}

impl Board {
    /// Of a proxy that starts now.
    pub(crate) fn new(places: Vec<Place>, proxy_auto_config: ProxyAutoConfig) -> Self {
        let current = Current { places, proxy_auto_config, ..Current::default() };
        Self(Arc::new(Inner {
            started: Instant::now(),
            stage: watch::channel(Stage::Starting).0,
            metrics: Metrics::new(),
            router: RouterAnswers::default(),
            current: Mutex::new(current),
        }))
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// From now on it is at this.
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.0.stage.send_replace(stage);
    }

    fn stage(&self) -> Stage {
        *self.0.stage.borrow()
    }

    /// From now on this is what there is.
    pub(crate) fn set_current(&self, current: Current) {
        *self.current() = current;
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out whether the router answers, where nothing else tells and it was not asked a moment ago. Before anything is said.
    pub(crate) async fn look(&self) {
        let bridge = self.current().bridge.clone();
        match bridge.filter(|_| self.sessions_condition().needs_router()) {
            Some(bridge) => self.0.router.ask(&bridge).await,
            None => self.0.router.need_not_be_asked(),
        }
    }

    /// How it does, by what [`Board::look`] has found.
    fn condition(&self) -> Condition {
        let condition = self.sessions_condition();
        if condition.needs_router() && !self.0.router.answers() { Condition::NoRouter } else { condition }
    }

    /// The same, as if the router answered.
    fn sessions_condition(&self) -> Condition {
        match self.stage() {
            Stage::Starting => Condition::Starting,
            Stage::Stopping => Condition::Stopping,
            Stage::Running => Condition::of_pools(self.current().pools.iter().map(OwnedPool::condition)),
        }
    }

    /// Whether a client that comes now is served.
    pub(crate) fn is_ready(&self) -> bool {
        self.condition().is_ready()
    }

    /// In a line, for the service manager.
    pub(crate) fn line(&self) -> String {
        self.condition().line(self.current().places.len())
    }

    /// What says to browsers where they find a tunnel, and for which hosts; none, if they can use no tunnel.
    pub(crate) fn proxy_auto_config(&self) -> Option<String> {
        let current = self.current();
        let on_tcp = |place: &Place| place.address.tcp().map(|address| (place.tunnel.clone(), address));
        let listeners: Vec<_> = current.places.iter().filter_map(on_tcp).collect();
        current.proxy_auto_config.file(&listeners)
    }

    /// Everything, for people and programs.
    pub(crate) fn report(&self) -> Report {
        let current = self.current().clone();
        collect::report(self.metrics(), self.condition(), self.0.started.elapsed(), &current)
    }

    /// What is counted, as Prometheus reads it.
    pub(crate) fn encode_metrics(&self) -> String {
        let current = self.current().clone();
        self.0.metrics.encode(&Snapshot {
            ready: self.is_ready(),
            sessions: current.pools.iter().flat_map(|owned| owned.pool.sessions()).collect(),
            max_sessions: current.max_sessions,
            virtual_addresses: current.addresses.map_or(0, |addresses| addresses.in_use()),
            outproxies: current.outproxies.status(),
        })
    }
}

impl OwnedPool {
    fn condition(&self) -> PoolCondition {
        PoolCondition::of(&self.pool.sessions())
    }
}
