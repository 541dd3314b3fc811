//! The pools of sessions that the tunnels of the configuration need.

use std::{collections::HashMap, fs, num::NonZeroUsize, path::Path};

#[cfg(feature = "embedded")]
use i2p_sam::SessionOptions;
use i2p_sam::{Bridge, KeyFile};
use i2p_tunnel::{PoolOptions, Resolver, SamDialler, SessionPool};

use crate::{
    config::{Config, KeyMode, TunnelConfig},
    exit::Failure,
};

/// Below the state directory: one file for each tunnel with keys of its own.
const KEYS: &str = "keys";

/// Pools of sessions: one for all tunnels whose keys are made anew, and one for each whose keys are kept.
pub(crate) struct Sessions {
    shared: SessionPool,
    kept: HashMap<String, SessionPool>,
    resolver: Resolver,
}

impl Sessions {
    /// Loads or makes keys, and begins to build the first sessions.
    pub(crate) async fn open(config: &Config, bridge: &Bridge, resolver: Resolver) -> Result<Self, Failure> {
        let mut kept = HashMap::new();
        let tunnels = config.tunnels();
        for tunnel in tunnels.iter().filter(|tunnel| tunnel.key == KeyMode::Persistent) {
            let file = key_file(&config.state_dir()?, tunnel.name())?;
            let key = file.load_or_generate(bridge).await.map_err(Failure::run_time)?;
            let options = config.session.pool(NonZeroUsize::MIN);
            let session = options.session.private_key(key);
            let pool = SessionPool::new(bridge.clone(), PoolOptions { session, warm_spares: 0, ..options });
            kept.insert(tunnel.name().to_owned(), pool);
        }
        let max = config.shared_sessions().unwrap_or(NonZeroUsize::MIN);
        let mut options = config.session.pool(max);
        if kept.len() == tunnels.len() {
            // Nobody would use it.
            options.delay_open = true;
            options.warm_spares = 0;
        }
        Ok(Self { shared: SessionPool::new(bridge.clone(), options), kept, resolver })
    }

    /// One pool for all tunnels, of sessions like this.
    #[cfg(feature = "embedded")]
    pub(crate) fn like(bridge: Bridge, session: SessionOptions) -> Self {
        let options = PoolOptions { session, idle_close: None, ..PoolOptions::default() };
        Self {
            shared: SessionPool::new(bridge, options),
            kept: HashMap::new(),
            resolver: Resolver::default(),
        }
    }

    /// What dials for this tunnel.
    pub(crate) fn dialler(&self, tunnel: &TunnelConfig) -> SamDialler {
        let pool = self.kept.get(tunnel.name()).unwrap_or(&self.shared);
        SamDialler::new(pool.clone(), tunnel.tunnel()).with_resolver(self.resolver.clone())
    }

    /// The pool of all tunnels without keys of their own.
    pub(crate) fn shared(&self) -> &SessionPool {
        &self.shared
    }

    /// Comes back when every session that is built at the start is ready.
    pub(crate) async fn ready(&self) {
        for pool in self.kept.values().chain([&self.shared]) {
            pool.first_ready().await;
        }
    }
}

fn key_file(state_dir: &Path, tunnel: &str) -> Result<KeyFile, Failure> {
    let directory = state_dir.join(KEYS);
    create_for_us_alone(&directory).map_err(|error| {
        Failure::run_time(format_args!(
            "cannot make the directory {} for the keys of tunnel {tunnel}: {error}. Say with --state-dir DIR where they can \
             be kept.",
            directory.display()
        ))
    })?;
    Ok(KeyFile::new(directory.join(format!("{tunnel}.dat"))))
}

fn create_for_us_alone(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
