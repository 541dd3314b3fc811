use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use emissary_core::{
    Config, Ntcp2Config, Profile,
    events::EventSubscriber,
    router::{Router, RouterBuilder},
};
use tokio::sync::watch;

use crate::{
    Error, HostNames, HostTable, PrivateNetwork,
    host_names::RouterView,
    known_routers::{PUBLIC_NETWORK, Source, known_routers},
    private_network::{BANDWIDTH, sam_address, sam_config, sam_udp_address},
    progress::{OnProgress, Progress, Stopped, bridge_gone, report, run},
    reseed::{KnownRouter, ServerFiles},
    runtime::Runtime,
    state_dir::{Keys, StateDir},
    storage::Storage,
    thread::{self, RouterThread, compiled_here},
};

/// An I2P router inside this process, with a SAM bridge on 127.0.0.1.
///
/// A client only: it carries no traffic of others and accepts no connections from other machines. It runs on a thread of its
/// own. Dropping the value ends it at once.
#[derive(Debug)]
pub struct EmbeddedRouter {
    sam_address: SocketAddr,
    sam_udp_address: SocketAddr,
    stopped: watch::Receiver<Option<Stopped>>,
    // Fields are dropped in this order: the router ends before another may use its directory.
    _thread: RouterThread,
    _state_dir: StateDir,
}

/// Settings of an [`EmbeddedRouter`], from [`EmbeddedRouter::builder`].
#[must_use = "a router runs only after start()"]
pub struct EmbeddedRouterBuilder {
    state_dir: PathBuf,
    host_names: Arc<dyn HostNames>,
    network_id: u8,
    source: Source,
    on_progress: OnProgress,
}

impl EmbeddedRouter {
    /// Starts with the default settings. The router keeps its keys, and what it learns about others, in `state_dir`.
    ///
    /// The directory is created if it is missing, gets the permissions 0700, and is locked while the router runs.
    pub fn builder(state_dir: impl Into<PathBuf>) -> EmbeddedRouterBuilder {
        EmbeddedRouterBuilder {
            state_dir: state_dir.into(),
            host_names: Arc::new(HostTable::new()),
            network_id: PUBLIC_NETWORK,
            source: Source::ReseedServers(ServerFiles::fetch_here()),
            on_progress: Arc::new(|_| {}),
        }
    }

    /// Returns the address of its SAM bridge (TCP, SAM 3.0 to 3.2), on a free port of 127.0.0.1. The bridge asks for no password.
    #[must_use]
    pub fn sam_address(&self) -> SocketAddr {
        self.sam_address
    }

    /// Returns the UDP address where its bridge receives datagrams, on a free port of 127.0.0.1 other than the TCP port.
    #[must_use]
    pub fn sam_udp_address(&self) -> SocketAddr {
        self.sam_udp_address
    }

    /// Waits until the router stops by itself, which should not happen, and returns the reason. Cancel safe.
    pub async fn stopped(&self) -> Stopped {
        let mut stopped = self.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.unwrap_or(Stopped::Router),
            // The task that watches the router has ended without a reason.
            Err(_) => Stopped::Router,
        }
    }
}

impl EmbeddedRouterBuilder {
    /// Sets what resolves host names for the router's SAM bridge, such as a [`HostTable`]. Without it, only addresses resolve.
    pub fn host_names(mut self, host_names: impl HostNames) -> Self {
        self.host_names = Arc::new(host_names);
        self
    }

    /// Sets a file with other routers, to be used instead of the reseed servers on the internet: a signed `.su3` file, or a
    /// directory that has `routerInfo-*.dat` files in it or in directories below it, such as another router's netDb. It is read
    /// only if too few routers are stored. Replaces [`join_network`](Self::join_network).
    pub fn reseed_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = Source::ReseedFile(path.into());
        self
    }

    /// Makes the router part of `network` instead of I2P, for tests. Replaces [`reseed_file`](Self::reseed_file).
    pub fn join_network(mut self, network: &PrivateNetwork) -> Self {
        self.source = Source::RouterInfos(network.router_infos().to_vec());
        self.network_id(network.network_id())
    }

    /// Sets the ID of the network. The default, 2, is I2P. Any other number is a private network, where routers may have local
    /// addresses of one range: nothing there is anonymous. It has no reseed servers, so give a
    /// [`reseed_file`](Self::reseed_file).
    pub fn network_id(mut self, network_id: u8) -> Self {
        self.network_id = network_id;
        self
    }

    /// Sets a function that is called at each step, also after the start, until the router is dropped. The router's thread calls
    /// it, so it must not block.
    pub fn on_progress(mut self, on_progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Arc::new(on_progress);
        self
    }

    /// Starts the router. The first start asks for other routers before. It takes well under a second with stored routers, and up
    /// to 90 s with a reseed. Dropping the future stops everything.
    ///
    /// # Errors
    ///
    /// [`Error::Reseed`] and [`Error::ReseedFile`] if no other router can be found; [`Error::StateDirectory`],
    /// [`Error::StateDirectoryOwner`], [`Error::StateDirectoryInUse`] and [`Error::DamagedState`] for the state
    /// directory; [`Error::System`] and [`Error::Router`] if the router does not start.
    pub fn start(self) -> impl Future<Output = Result<EmbeddedRouter, Error>> + Send {
        compiled_here(self.start_on_thread())
    }

    async fn start_on_thread(self) -> Result<EmbeddedRouter, Error> {
        let thread = RouterThread::start()?;
        let started = thread.run(self.start_router()).await?;
        let (stopped_tx, stopped) = watch::channel(None);
        let (sam_address, sam_udp_address) = (started.sam_address, started.sam_udp_address);
        thread.spawn(report(started.events, started.on_progress));
        thread.spawn(async move {
            let reason = run(started.router, bridge_gone(sam_address)).await;
            stopped_tx.send_replace(Some(reason));
        });
        Ok(EmbeddedRouter {
            sam_address,
            sam_udp_address,
            stopped,
            _thread: thread,
            _state_dir: started.state_dir,
        })
    }

    async fn start_router(self) -> Result<Started, Error> {
        let Self { state_dir, host_names, network_id, source, on_progress } = self;
        let path = state_dir.clone();
        let stored = thread::blocking(move || Opened::new(&path)?.read()).await;
        let stored = stored.map_err(|source| Error::StateDirectory { path: state_dir, source })??;
        start_router(stored, Settings { host_names, network_id, source, on_progress }).await
    }
}

/// What a router needs besides its state directory.
pub(crate) struct Settings {
    pub(crate) host_names: Arc<dyn HostNames>,
    pub(crate) network_id: u8,
    pub(crate) source: Source,
    pub(crate) on_progress: OnProgress,
}

/// Starts a router on the runtime that this is called in.
pub(crate) async fn start_router(stored: Stored, settings: Settings) -> Result<Started, Error> {
    let Stored { opened, own_info, router_infos, profiles } = stored;
    let Opened { state_dir, storage, keys } = opened;
    let Settings { host_names, network_id, source, on_progress } = settings;
    let known = known_routers(router_infos, network_id, source, &storage, &state_dir, &on_progress).await?;

    let count = known.len();
    let config = Config { router_info: own_info, profiles, ..config(&keys, known, network_id) };
    let (router, events, info) = RouterBuilder::<Runtime>::new(config)
        .with_address_book(Arc::new(RouterView(host_names)))
        .with_storage(Arc::new(storage))
        .build()
        .await
        .map_err(|error| Error::Router { problem: error.to_string() })?;
    state_dir.keep_router_info(&info)?;
    let (sam_address, sam_udp_address) = (sam_address(&router)?, sam_udp_address(&router)?);
    on_progress(Progress::Started { known_routers: count });
    Ok(Started { state_dir, router, events, sam_address, sam_udp_address, on_progress })
}

/// A state directory, and the router's keys in it.
pub(crate) struct Opened {
    state_dir: StateDir,
    storage: Storage,
    keys: Keys,
}

impl Opened {
    /// Creates and checks the directory, and reads or makes the keys. Blocks.
    pub(crate) fn new(path: &Path) -> Result<Self, Error> {
        let state_dir = StateDir::open(path)?;
        let storage = Storage::open(state_dir.path());
        let storage = storage.map_err(|source| Error::StateDirectory { path: path.into(), source })?;
        Ok(Self { keys: state_dir.keys()?, state_dir, storage })
    }

    /// Reads the rest, which is what a router has stored of what strangers sent. Blocks.
    pub(crate) fn read(self) -> Result<Stored, Error> {
        Ok(Stored {
            own_info: self.state_dir.router_info()?,
            router_infos: self.storage.router_infos(),
            profiles: self.storage.profiles(),
            opened: self,
        })
    }

    /// The directory itself, with links followed.
    #[cfg(unix)]
    pub(crate) fn path(&self) -> &Path {
        self.state_dir.path()
    }
}

/// The contents of a state directory.
pub(crate) struct Stored {
    opened: Opened,
    own_info: Option<Vec<u8>>,
    router_infos: Vec<Vec<u8>>,
    profiles: Vec<(String, Profile)>,
}

/// A router that has its ports and is not polled yet.
pub(crate) struct Started {
    state_dir: StateDir,
    pub(crate) router: Router<Runtime>,
    pub(crate) events: EventSubscriber,
    sam_address: SocketAddr,
    sam_udp_address: SocketAddr,
    pub(crate) on_progress: OnProgress,
}

fn config(keys: &Keys, known: Vec<KnownRouter>, network_id: u8) -> Config {
    // Only the routers of a private network are on 127.0.0.1 and all in one /16.
    let private = network_id != PUBLIC_NETWORK;
    Config {
        net_id: Some(network_id),
        allow_local: private,
        insecure_tunnels: private,
        ntcp2: Some(Ntcp2Config {
            ipv4: true,
            ipv4_host: None,
            ipv6: false,
            ipv6_host: None,
            iv: keys.ntcp2_iv,
            key: keys.ntcp2,
            port: 0,
            publish: false,
            ml_kem: None,
            disable_pq: false,
        }),
        // SSU2 needs a UDP port that the whole internet can reach, and much code that parses what arrives there. Enough routers
        // speak NTCP2 for a client.
        ssu2: None,
        floodfill: false,
        transit: None,
        bandwidth: Some(BANDWIDTH),
        routers: known.into_iter().map(|router| router.info).collect(),
        signing_key: Some(keys.signing),
        static_key: Some(keys.identity),
        samv3_config: Some(sam_config()),
        // A short interval ends transit tunnels in use, but there are none here.
        refresh_interval: Some(1),
        ..Config::default()
    }
}
