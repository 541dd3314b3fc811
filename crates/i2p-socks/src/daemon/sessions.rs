//! The session pools of all tunnels.

use std::{collections::HashMap, num::NonZeroUsize, time::Duration};

use i2p_sam::Bridge;
#[cfg(feature = "embedded")]
use i2p_sam::SessionOptions;
use i2p_tunnel::{
    DatagramOptions, DatagramPool, Outproxies, PoolOptions, Resolver, Routing, SamDialler, SessionLimits,
    SessionPool,
};

use super::{identities::StoredIdentity, routing};
use crate::{
    command_error::CommandError,
    config::{
        Config,
        session::SessionConfig,
        tunnel::{DedicatedSessions, TunnelConfig},
    },
    status::active::TunnelPool,
};

/// The type of all diallers into I2P.
pub(crate) type Dialler = SamDialler;

/// The session pools: one that tunnels share, and one for each tunnel that needs sessions of its own.
///
/// A reload changes the settings of pools and keeps the pools, so that the sessions of all generations count towards one limit.
pub(crate) struct Sessions {
    bridge: Bridge,
    shared: SessionPool,
    dedicated: HashMap<String, DedicatedPool>,
    /// The pools of tunnels that need none any more. They close each session when its last stream ends. A tunnel that needs its
    /// pool again gets it back.
    retired: HashMap<String, DedicatedPool>,
    /// Changes that are not made yet.
    changes: Vec<PoolChange>,
    resolver: Resolver,
    routing: Routing,
    /// The settings that the pools were built from.
    inputs: PoolInputs,
}

/// The pool of one tunnel.
#[derive(Clone)]
struct DedicatedPool {
    wants: DedicatedSessions,
    sessions: SessionPool,
    /// Exists from the first time that the tunnel carries datagrams.
    datagrams: Option<DatagramPool>,
}

/// The settings of a tunnel's pool.
struct DedicatedOptions {
    wants: DedicatedSessions,
    sessions: PoolOptions,
    datagrams: Option<DatagramOptions>,
}

impl DedicatedOptions {
    /// Reads or creates the key of a persistent identity.
    async fn load(
        config: &Config,
        bridge: &Bridge,
        tunnel: &str,
        wants: DedicatedSessions,
    ) -> Result<Self, CommandError> {
        // One identity is one session.
        let max = if wants.persistent_key { NonZeroUsize::MIN } else { config.session.max_sessions() };
        let mut options = config.session.pool(max);
        options.whose = format!("for tunnel {tunnel}");
        if let Some(length) = wants.length {
            options.session = options.session.length(length);
        }
        if let Some(quantity) = wants.quantity {
            options.session = options.session.quantity(quantity);
        }
        if let Some(early_data) = wants.early_data {
            options.session = options.session.early_data(early_data);
        }
        options.session = options.session.lend(wants.datagrams.is_some()).publish(wants.incoming);
        let datagrams = wants.datagrams.map(|style| DatagramOptions {
            style,
            session: options.session.clone(),
            max_sessions: config.session.max_sessions(),
            idle_close: options.idle_close,
        });
        if wants.persistent_key {
            let key =
                StoredIdentity::of(&config.private_state_dir()?, tunnel).load_or_generate(bridge).await?;
            options.session = options.session.private_key(key);
            options.warm_spares = 0;
        }
        Ok(Self { wants, sessions: options, datagrams })
    }
}

impl DedicatedPool {
    fn new(bridge: &Bridge, options: &DedicatedOptions) -> Self {
        Self {
            wants: options.wants,
            sessions: SessionPool::new(bridge.clone(), options.sessions.clone()),
            datagrams: options.datagrams.clone().map(DatagramPool::new),
        }
    }

    /// The same pool with the settings that it gets later, from [`PoolChange::Dedicated`].
    fn with(&self, options: &DedicatedOptions) -> Self {
        let datagrams = self.datagrams.clone();
        Self {
            wants: options.wants,
            sessions: self.sessions.clone(),
            datagrams: datagrams.or_else(|| options.datagrams.clone().map(DatagramPool::new)),
        }
    }

    fn retire(&self) {
        self.sessions.retire();
        self.datagrams.iter().for_each(DatagramPool::retire);
    }
}

/// A change to a pool that exists. It waits until nothing can refuse the reload.
enum PoolChange {
    /// Changes the settings of the pool that tunnels share.
    Shared(PoolOptions),
    /// Changes the settings of a tunnel's pool.
    Dedicated(DedicatedPool, DedicatedOptions),
    /// Closes the sessions of a tunnel's pool once they are unused.
    Retire(DedicatedPool),
}

/// The settings that pools are built from. A reload that does not change them keeps the pools.
#[derive(Clone, PartialEq, Default)]
struct PoolInputs {
    session: SessionConfig,
    /// The maximum of sessions in the shared pool, and whether a tunnel uses it.
    shared: Option<(NonZeroUsize, bool)>,
    /// Whether a tunnel has sessions of its own, so that the log says which pool is the shared one.
    has_dedicated: bool,
}

impl PoolInputs {
    fn of(config: &Config) -> Self {
        let tunnels = config.tunnels();
        let used = tunnels.iter().any(|tunnel| tunnel.dedicated_sessions().is_none());
        let max = config.shared_sessions().unwrap_or(NonZeroUsize::MIN);
        let has_dedicated = tunnels.iter().any(|tunnel| tunnel.dedicated_sessions().is_some());
        Self { session: config.session.clone(), shared: Some((max, used)), has_dedicated }
    }

    /// The settings of the pool that tunnels share.
    fn shared_options(&self, config: &Config) -> PoolOptions {
        let (max, used) = self.shared.unwrap_or((NonZeroUsize::MIN, true));
        let mut options = config.session.pool(max);
        if self.has_dedicated {
            options.whose = "for tunnels without sessions of their own".to_owned();
        }
        if !used {
            options.delay_open = true;
            options.warm_spares = 0;
        }
        options
    }
}

impl Sessions {
    /// Loads or creates keys, and begins to build the first sessions.
    pub(crate) async fn open(
        config: &Config,
        bridge: &Bridge,
        resolver: Resolver,
    ) -> Result<Self, CommandError> {
        let inputs = PoolInputs::of(config);
        let mut dedicated = HashMap::new();
        for tunnel in config.tunnels() {
            let Some(wants) = tunnel.dedicated_sessions() else { continue };
            let options = DedicatedOptions::load(config, bridge, tunnel.name(), wants).await?;
            dedicated.insert(tunnel.name().to_owned(), DedicatedPool::new(bridge, &options));
        }
        Ok(Self {
            bridge: bridge.clone(),
            shared: SessionPool::new(bridge.clone(), inputs.shared_options(config)),
            dedicated,
            retired: HashMap::new(),
            changes: Vec::new(),
            resolver,
            routing: routing::from_configuration(config, None)?,
            inputs,
        })
    }

    /// The pools for a new configuration. Pools that exist already change only when [`apply_changes`](Self::apply_changes) is called.
    ///
    /// # Errors
    /// Keys cannot be loaded or created.
    pub(crate) async fn reloaded(&self, config: &Config) -> Result<Self, CommandError> {
        let inputs = PoolInputs::of(config);
        let same_session = self.inputs.session == inputs.session;
        let mut changes = Vec::new();
        if self.inputs != inputs {
            changes.push(PoolChange::Shared(inputs.shared_options(config)));
        }
        let (mut dedicated, mut retired) = (HashMap::new(), self.retired.clone());
        for tunnel in config.tunnels() {
            let Some(wants) = tunnel.dedicated_sessions() else { continue };
            let name = tunnel.name();
            let before = self.dedicated.get(name);
            if let Some(unchanged) = before.filter(|before| same_session && before.wants == wants) {
                dedicated.insert(name.to_owned(), unchanged.clone());
                continue;
            }
            let options = DedicatedOptions::load(config, &self.bridge, name, wants).await?;
            let pool = match before.or(retired.get(name)) {
                None => DedicatedPool::new(&self.bridge, &options),
                Some(before) => {
                    let pool = before.with(&options);
                    changes.push(PoolChange::Dedicated(pool.clone(), options));
                    pool
                }
            };
            retired.remove(name);
            dedicated.insert(name.to_owned(), pool);
        }
        for (name, gone) in self.dedicated.iter().filter(|(name, _)| !dedicated.contains_key(*name)) {
            changes.push(PoolChange::Retire(gone.clone()));
            retired.insert(name.clone(), gone.clone());
        }
        Ok(Self {
            bridge: self.bridge.clone(),
            shared: self.shared.clone(),
            dedicated,
            retired,
            changes,
            resolver: self.resolver.clone(),
            routing: routing::from_configuration(config, Some(self.outproxies()))?,
            inputs,
        })
    }

    /// Makes the changes that [`reloaded`](Self::reloaded) has prepared.
    pub(crate) fn apply_changes(&mut self) {
        for change in self.changes.drain(..) {
            match change {
                PoolChange::Shared(options) => self.shared.reconfigure(options),
                PoolChange::Dedicated(pool, options) => {
                    pool.sessions.reconfigure(options.sessions);
                    match (pool.datagrams, options.datagrams) {
                        (Some(pool), Some(options)) => pool.reconfigure(options),
                        (Some(pool), None) => pool.retire(),
                        (None, _) => {}
                    }
                }
                PoolChange::Retire(pool) => pool.retire(),
            }
        }
    }

    /// Closes unused sessions at once, and each other session when its last stream ends.
    pub(crate) fn retire(&self) {
        self.shared.retire();
        self.dedicated.values().chain(self.retired.values()).for_each(DedicatedPool::retire);
    }

    /// One pool for all tunnels, with these session options.
    #[cfg(feature = "embedded")]
    pub(crate) fn shared_only(bridge: Bridge, session: SessionOptions, resolver: Resolver) -> Self {
        let options = PoolOptions { session, idle_close: None, ..PoolOptions::default() };
        Self {
            shared: SessionPool::new(bridge.clone(), options),
            bridge,
            dedicated: HashMap::new(),
            retired: HashMap::new(),
            changes: Vec::new(),
            resolver,
            routing: Routing::default(),
            inputs: PoolInputs::default(),
        }
    }

    /// The pool that tunnels share.
    #[cfg(feature = "embedded")]
    pub(crate) fn shared(&self) -> &SessionPool {
        &self.shared
    }

    /// The dialler of a tunnel into I2P. A request may take as long as `dial`.
    pub(crate) fn dialler(&self, tunnel: &TunnelConfig, dial: Duration) -> Dialler {
        let own = self.dedicated.get(tunnel.name());
        let pool = own.map_or(&self.shared, |own| &own.sessions);
        let limits = SessionLimits::within(dial);
        let dialler = SamDialler::new(pool.clone()).with_limits(limits).with_resolver(self.resolver.clone());
        match own.filter(|own| own.wants.datagrams.is_some()).and_then(|own| own.datagrams.clone()) {
            Some(datagrams) => dialler.with_datagrams(datagrams),
            None => dialler,
        }
    }

    /// The routes to hosts outside I2P, the same for all tunnels.
    pub(crate) fn routing(&self) -> &Routing {
        &self.routing
    }

    /// The router's SAM bridge.
    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// The outproxies, the same for all tunnels.
    pub(crate) fn outproxies(&self) -> &Outproxies {
        self.routing.outproxies()
    }

    /// Uses new identities for all requests from now on, except for persistent ones. With a username, only for requests of clients that
    /// send it. Returns how many identities had a session.
    pub(crate) fn renew_identities(&self, of: Option<&str>) -> usize {
        let own = self.dedicated.values().chain(self.retired.values());
        let transient = own.filter(|own| !own.wants.persistent_key).map(|own| &own.sessions);
        let pools = transient.chain([&self.shared]);
        if let Some(user) = of {
            self.routing.outproxies().renew_of(user.as_bytes());
            pools.map(|pool| pool.renew_of(user.as_bytes())).sum()
        } else {
            self.routing.outproxies().renew();
            pools.map(SessionPool::renew_all).sum()
        }
    }

    /// Every pool that a tunnel uses, and those that still have sessions of a tunnel that needs none any more.
    pub(crate) fn pools(&self) -> impl Iterator<Item = TunnelPool> {
        let used = self.inputs.shared.is_none_or(|(_, used)| used);
        let shared = used.then(|| TunnelPool { tunnel: None, pool: self.shared.clone(), datagrams: None });
        let own = self.dedicated.iter().map(|(tunnel, own)| TunnelPool {
            tunnel: Some(tunnel.clone()),
            pool: own.sessions.clone(),
            datagrams: own.datagrams.clone(),
        });
        let retired = self.retired.iter().filter(|(_, own)| !own.sessions.sessions().is_empty());
        let retired = retired.map(|(tunnel, own)| TunnelPool {
            tunnel: Some(tunnel.clone()),
            pool: own.sessions.clone(),
            datagrams: None,
        });
        shared.into_iter().chain(own).chain(retired)
    }

    /// Returns once a session of a tunnel is ready that is built at the start; at once if none is.
    pub(crate) fn first_ready(&self, tunnel: &str) -> impl Future<Output = ()> + Send + use<> {
        let pool = self.dedicated.get(tunnel).map_or(&self.shared, |own| &own.sessions).clone();
        async move {
            pool.first_ready().await;
        }
    }
}
