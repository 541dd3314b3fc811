//! The pools of sessions that the tunnels of the configuration need.

use std::{collections::HashMap, num::NonZeroUsize};

use i2p_sam::Bridge;
#[cfg(feature = "embedded")]
use i2p_sam::SessionOptions;
use i2p_tunnel::{Outproxies, PoolOptions, Resolver, RoutedDialler, SamDialler, SessionPool};

use crate::{
    config::{Config, KeyMode, SessionConfig, TunnelConfig},
    exit::Failure,
    keys::Kept,
    routing::Routing,
};

/// Pools of sessions: one for all tunnels whose keys are made anew, and one for each whose keys are kept.
pub(crate) struct Sessions {
    bridge: Bridge,
    shared: SessionPool,
    kept: HashMap<String, SessionPool>,
    resolver: Resolver,
    routing: Routing,
    /// What all of this was made by.
    made_by: MadeBy,
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
        let used = tunnels.iter().any(|tunnel| tunnel.key != KeyMode::Persistent);
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
        let mut kept = HashMap::new();
        for tunnel in config.tunnels().iter().filter(|tunnel| tunnel.key == KeyMode::Persistent) {
            let name = tunnel.name();
            let pool = match alike.and_then(|before| before.kept.get(name)) {
                Some(pool) => pool.clone(),
                None => kept_pool(config, bridge, name).await?,
            };
            kept.insert(name.to_owned(), pool);
        }
        let shared = match alike.filter(|before| before.made_by.shared == made_by.shared) {
            Some(before) => before.shared.clone(),
            None => shared_pool(config, bridge, &made_by),
        };
        let routing = Routing::of(config, before.map(|before| &before.routing))?;
        Ok(Self { bridge: bridge.clone(), shared, kept, resolver, routing, made_by })
    }

    /// One pool for all tunnels, of sessions like this.
    #[cfg(feature = "embedded")]
    pub(crate) fn like(bridge: Bridge, session: SessionOptions) -> Self {
        let options = PoolOptions { session, idle_close: None, ..PoolOptions::default() };
        Self {
            shared: SessionPool::new(bridge.clone(), options),
            bridge,
            kept: HashMap::new(),
            resolver: Resolver::default(),
            routing: Routing::default(),
            made_by: MadeBy::default(),
        }
    }

    /// What dials for this tunnel.
    pub(crate) fn dialler(&self, tunnel: &TunnelConfig) -> Result<RoutedDialler, Failure> {
        let pool = self.kept.get(tunnel.name()).unwrap_or(&self.shared);
        let sam = SamDialler::new(pool.clone(), tunnel.tunnel()).with_resolver(self.resolver.clone());
        self.routing.dialler(sam)
    }

    /// The ways out of I2P, the same for all tunnels.
    pub(crate) fn outproxies(&self) -> &Outproxies {
        self.routing.outproxies()
    }

    /// Other identities for all requests from now on, where keys are not kept.
    pub(crate) fn renew(&self) {
        self.shared.renew_all();
        self.routing.outproxies().renew();
    }

    /// Every pool that somebody uses, with the tunnel that has it for itself.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (Option<&str>, &SessionPool)> {
        let used = self.made_by.shared.is_none_or(|(_, used)| used);
        let kept = self.kept.iter().map(|(tunnel, pool)| (Some(tunnel.as_str()), pool));
        used.then_some((None, &self.shared)).into_iter().chain(kept)
    }

    /// Comes back when every session that is built at the start is ready.
    pub(crate) async fn ready(&self) {
        for pool in self.kept.values().chain([&self.shared]) {
            pool.first_ready().await;
        }
    }
}

async fn kept_pool(config: &Config, bridge: &Bridge, tunnel: &str) -> Result<SessionPool, Failure> {
    let key = Kept::of(&config.state_dir()?, tunnel).load_or_generate(bridge).await?;
    let options = config.session.pool(NonZeroUsize::MIN);
    let session = options.session.private_key(key);
    Ok(SessionPool::new(bridge.clone(), PoolOptions { session, warm_spares: 0, ..options }))
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
