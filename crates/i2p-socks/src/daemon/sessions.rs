//! The session pools of all tunnels.

use std::{collections::HashMap, num::NonZeroUsize};

use i2p_sam::Bridge;
#[cfg(feature = "embedded")]
use i2p_sam::SessionOptions;
#[cfg(feature = "embedded")]
use i2p_tunnel::PoolOptions;
use i2p_tunnel::{DatagramOptions, DatagramPool, Outproxies, Resolver, Routing, SamDialler, SessionPool};

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
pub(crate) struct Sessions {
    bridge: Bridge,
    shared: SessionPool,
    dedicated: HashMap<String, DedicatedPool>,
    resolver: Resolver,
    routing: Routing,
    /// The settings that the pools were built from.
    inputs: PoolInputs,
}

/// The pool of one tunnel.
struct DedicatedPool {
    wants: DedicatedSessions,
    sessions: SessionPool,
    datagrams: Option<DatagramPool>,
}

impl DedicatedPool {
    async fn new(
        config: &Config,
        bridge: &Bridge,
        tunnel: &str,
        wants: DedicatedSessions,
    ) -> Result<Self, CommandError> {
        // One identity is one session.
        let max = if wants.persistent_key { NonZeroUsize::MIN } else { config.session.max_sessions() };
        let mut options = config.session.pool(max);
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
        let datagrams = wants.datagrams.map(|style| {
            DatagramPool::new(DatagramOptions {
                style,
                session: options.session.clone(),
                max_sessions: config.session.max_sessions(),
                idle_close: options.idle_close,
            })
        });
        if wants.persistent_key {
            let key = StoredIdentity::of(&config.state_dir()?, tunnel).load_or_generate(bridge).await?;
            options.session = options.session.private_key(key);
            options.warm_spares = 0;
        }
        Ok(Self { wants, sessions: SessionPool::new(bridge.clone(), options), datagrams })
    }

    /// The same pool, for the sessions after a reload.
    fn same(&self) -> Self {
        Self { wants: self.wants, sessions: self.sessions.clone(), datagrams: self.datagrams.clone() }
    }
}

/// The settings that pools are built from. A reload that does not change them keeps the pools.
#[derive(Clone, PartialEq, Default)]
struct PoolInputs {
    session: SessionConfig,
    /// The maximum of sessions in the shared pool, and whether a tunnel uses it.
    shared: Option<(NonZeroUsize, bool)>,
}

impl PoolInputs {
    fn of(config: &Config) -> Self {
        let tunnels = config.tunnels();
        let used = tunnels.iter().any(|tunnel| tunnel.dedicated_sessions().is_none());
        let max = config.shared_sessions().unwrap_or(NonZeroUsize::MIN);
        Self { session: config.session.clone(), shared: Some((max, used)) }
    }
}

impl Sessions {
    /// Loads or creates keys, and begins to build the first sessions.
    pub(crate) async fn open(
        config: &Config,
        bridge: &Bridge,
        resolver: Resolver,
    ) -> Result<Self, CommandError> {
        Self::build(config, bridge, resolver, None).await
    }

    /// The pools for a new configuration. Pools whose settings did not change are kept.
    ///
    /// # Errors
    /// Keys cannot be loaded or created.
    pub(crate) async fn reloaded(&self, config: &Config) -> Result<Self, CommandError> {
        Self::build(config, &self.bridge, self.resolver.clone(), Some(self)).await
    }

    async fn build(
        config: &Config,
        bridge: &Bridge,
        resolver: Resolver,
        before: Option<&Self>,
    ) -> Result<Self, CommandError> {
        let inputs = PoolInputs::of(config);
        let unchanged = before.filter(|before| before.inputs.session == inputs.session);
        let mut dedicated = HashMap::new();
        for tunnel in config.tunnels() {
            let Some(wants) = tunnel.dedicated_sessions() else { continue };
            let name = tunnel.name();
            let before = unchanged
                .and_then(|before| before.dedicated.get(name))
                .filter(|before| before.wants == wants);
            let pool = match before {
                Some(before) => before.same(),
                None => DedicatedPool::new(config, bridge, name, wants).await?,
            };
            dedicated.insert(name.to_owned(), pool);
        }
        let shared = match unchanged.filter(|before| before.inputs.shared == inputs.shared) {
            Some(before) => before.shared.clone(),
            None => shared_pool(config, bridge, &inputs),
        };
        let routing = routing::from_configuration(config, before.map(Self::outproxies))?;
        Ok(Self { bridge: bridge.clone(), shared, dedicated, resolver, routing, inputs })
    }

    /// One pool for all tunnels, with these session options.
    #[cfg(feature = "embedded")]
    pub(crate) fn shared_only(bridge: Bridge, session: SessionOptions) -> Self {
        let options = PoolOptions { session, idle_close: None, ..PoolOptions::default() };
        Self {
            shared: SessionPool::new(bridge.clone(), options),
            bridge,
            dedicated: HashMap::new(),
            resolver: Resolver::default(),
            routing: Routing::default(),
            inputs: PoolInputs::default(),
        }
    }

    /// The pool that tunnels share.
    #[cfg(feature = "embedded")]
    pub(crate) fn shared(&self) -> &SessionPool {
        &self.shared
    }

    /// The dialler of a tunnel into I2P.
    pub(crate) fn dialler(&self, tunnel: &TunnelConfig) -> Dialler {
        let own = self.dedicated.get(tunnel.name());
        let pool = own.map_or(&self.shared, |own| &own.sessions);
        let dialler = SamDialler::new(pool.clone()).with_resolver(self.resolver.clone());
        match own.and_then(|own| own.datagrams.clone()) {
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

    /// Uses new identities for all requests from now on, except for persistent ones.
    pub(crate) fn renew_identities(&self) {
        let own = self.dedicated.values().filter(|own| !own.wants.persistent_key).map(|own| &own.sessions);
        own.chain([&self.shared]).for_each(SessionPool::renew_all);
        self.routing.outproxies().renew();
    }

    /// Every pool that a tunnel uses.
    pub(crate) fn pools(&self) -> impl Iterator<Item = TunnelPool> {
        let used = self.inputs.shared.is_none_or(|(_, used)| used);
        let shared = used.then(|| TunnelPool { tunnel: None, pool: self.shared.clone(), datagrams: None });
        let own = self.dedicated.iter().map(|(tunnel, own)| TunnelPool {
            tunnel: Some(tunnel.clone()),
            pool: own.sessions.clone(),
            datagrams: own.datagrams.clone(),
        });
        shared.into_iter().chain(own)
    }

    /// Returns once every session that is built at the start is ready.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let own = self.dedicated.values().map(|own| own.sessions.clone());
        let pools: Vec<_> = own.chain([self.shared.clone()]).collect();
        async move {
            for pool in pools {
                pool.first_ready().await;
            }
        }
    }
}

fn shared_pool(config: &Config, bridge: &Bridge, inputs: &PoolInputs) -> SessionPool {
    let (max, used) = inputs.shared.unwrap_or((NonZeroUsize::MIN, true));
    let mut options = config.session.pool(max);
    if !used {
        options.delay_open = true;
        options.warm_spares = 0;
    }
    SessionPool::new(bridge.clone(), options)
}
