//! The pools of sessions that the tunnels of the configuration need.

use std::{collections::HashMap, num::NonZeroUsize};

use i2p_sam::Bridge;
#[cfg(feature = "embedded")]
use i2p_sam::SessionOptions;
#[cfg(feature = "embedded")]
use i2p_tunnel::PoolOptions;
use i2p_tunnel::{DatagramOptions, DatagramPool, Outproxies, Resolver, Routing, SamDialler, SessionPool};

use super::{identities::Kept, routing};
use crate::{
    config::{
        Config,
        session::SessionConfig,
        tunnel::{OwnSessions, TunnelConfig},
    },
    failure::Failure,
    status::current::OwnedPool,
};

/// Pools of sessions: one for all tunnels that want nothing special, and one for each that does.
pub(crate) struct Sessions {
    bridge: Bridge,
    shared: SessionPool,
    own: HashMap<String, OwnPool>,
    resolver: Resolver,
    routing: Routing,
    /// What all of this was made by.
    made_by: MadeBy,
}

/// The pool of one tunnel.
struct OwnPool {
    wants: OwnSessions,
    sessions: SessionPool,
    datagrams: Option<DatagramPool>,
}

impl OwnPool {
    async fn new(
        config: &Config,
        bridge: &Bridge,
        tunnel: &str,
        wants: OwnSessions,
    ) -> Result<Self, Failure> {
        // A kept identity is one session.
        let max = if wants.kept { NonZeroUsize::MIN } else { config.session.max_sessions() };
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
        if wants.kept {
            let key = Kept::of(&config.state_dir()?, tunnel).load_or_generate(bridge).await?;
            options.session = options.session.private_key(key);
            options.warm_spares = 0;
        }
        Ok(Self { wants, sessions: SessionPool::new(bridge.clone(), options), datagrams })
    }

    fn same(&self) -> Self {
        Self { wants: self.wants, sessions: self.sessions.clone(), datagrams: self.datagrams.clone() }
    }
}

/// What decides what sessions are, and where names are looked up. As long as it is the same, they stay.
#[derive(Clone, PartialEq, Default)]
struct MadeBy {
    session: SessionConfig,
    /// The cap of the shared pool, and whether anybody uses it.
    shared: Option<(NonZeroUsize, bool)>,
}

impl MadeBy {
    fn of(config: &Config) -> Self {
        let tunnels = config.tunnels();
        let used = tunnels.iter().any(|tunnel| tunnel.own_sessions().is_none());
        let max = config.shared_sessions().unwrap_or(NonZeroUsize::MIN);
        Self { session: config.session.clone(), shared: Some((max, used)) }
    }
}

impl Sessions {
    /// Loads or makes keys, and begins to build the first sessions.
    pub(crate) async fn open(config: &Config, bridge: &Bridge, resolver: Resolver) -> Result<Self, Failure> {
        Self::make(config, bridge, resolver, None).await
    }

    /// What this configuration wants; what it wants as it was is the same.
    ///
    /// # Errors
    /// Keys cannot be loaded or made.
    pub(crate) async fn changed(&self, config: &Config) -> Result<Self, Failure> {
        Self::make(config, &self.bridge, self.resolver.clone(), Some(self)).await
    }

    async fn make(
        config: &Config,
        bridge: &Bridge,
        resolver: Resolver,
        before: Option<&Self>,
    ) -> Result<Self, Failure> {
        let made_by = MadeBy::of(config);
        let alike = before.filter(|before| before.made_by.session == made_by.session);
        let mut own = HashMap::new();
        for tunnel in config.tunnels() {
            let Some(wants) = tunnel.own_sessions() else { continue };
            let name = tunnel.name();
            let before = alike.and_then(|before| before.own.get(name)).filter(|before| before.wants == wants);
            let pool = match before {
                Some(before) => before.same(),
                None => OwnPool::new(config, bridge, name, wants).await?,
            };
            own.insert(name.to_owned(), pool);
        }
        let shared = match alike.filter(|before| before.made_by.shared == made_by.shared) {
            Some(before) => before.shared.clone(),
            None => shared_pool(config, bridge, &made_by),
        };
        let routing = routing::open(config, before.map(Self::outproxies))?;
        Ok(Self { bridge: bridge.clone(), shared, own, resolver, routing, made_by })
    }

    /// One pool for all tunnels, of sessions like this.
    #[cfg(feature = "embedded")]
    pub(crate) fn like(bridge: Bridge, session: SessionOptions) -> Self {
        let options = PoolOptions { session, idle_close: None, ..PoolOptions::default() };
        Self {
            shared: SessionPool::new(bridge.clone(), options),
            bridge,
            own: HashMap::new(),
            resolver: Resolver::default(),
            routing: Routing::default(),
            made_by: MadeBy::default(),
        }
    }

    /// The pool of all tunnels that want nothing special.
    #[cfg(feature = "embedded")]
    pub(crate) fn shared(&self) -> &SessionPool {
        &self.shared
    }

    /// What dials into I2P for this tunnel.
    pub(crate) fn dialler(&self, tunnel: &TunnelConfig) -> SamDialler {
        let own = self.own.get(tunnel.name());
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

    /// The ways out of I2P, the same for all tunnels.
    pub(crate) fn outproxies(&self) -> &Outproxies {
        self.routing.outproxies()
    }

    /// Other identities for all requests from now on, where keys are not kept.
    pub(crate) fn renew(&self) {
        let own = self.own.values().filter(|own| !own.wants.kept).map(|own| &own.sessions);
        own.chain([&self.shared]).for_each(SessionPool::renew_all);
        self.routing.outproxies().renew();
    }

    /// Every pool that somebody uses, with the tunnel that has it for itself.
    pub(crate) fn pools(&self) -> impl Iterator<Item = OwnedPool> {
        let used = self.made_by.shared.is_none_or(|(_, used)| used);
        let shared = used.then(|| OwnedPool { tunnel: None, pool: self.shared.clone(), datagrams: None });
        let own = self.own.iter().map(|(tunnel, own)| OwnedPool {
            tunnel: Some(tunnel.clone()),
            pool: own.sessions.clone(),
            datagrams: own.datagrams.clone(),
        });
        shared.into_iter().chain(own)
    }

    /// Comes back when every session that is built at the start is ready.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let own = self.own.values().map(|own| own.sessions.clone());
        let pools: Vec<_> = own.chain([self.shared.clone()]).collect();
        async move {
            for pool in pools {
                pool.first_ready().await;
            }
        }
    }
}

fn shared_pool(config: &Config, bridge: &Bridge, made_by: &MadeBy) -> SessionPool {
    let (max, used) = made_by.shared.unwrap_or((NonZeroUsize::MIN, true));
    let mut options = config.session.pool(max);
    if !used {
        options.delay_open = true;
        options.warm_spares = 0;
    }
    SessionPool::new(bridge.clone(), options)
}
