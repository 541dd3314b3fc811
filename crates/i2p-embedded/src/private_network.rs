use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use emissary_core::{
    BandwidthConfig, Config, Ntcp2Config, SamConfig, TransitConfig,
    router::{Router, RouterBuilder},
};

use crate::{
    Error, HostTable,
    host_names::RouterView,
    runtime::Runtime,
    thread::{RouterThread, compiled_here},
};

/// With two routers no tunnel finds a hop.
const MIN_ROUTERS: usize = 3;

/// Private networks get IDs from here on. I2P itself has 2, and other people's test networks use small numbers too.
const FIRST_NETWORK_ID: u8 = 16;

/// An I2P network of its own: several routers in this process, on 127.0.0.1, connected to nothing else.
///
/// For demonstrations and tests. The routers have new keys each time, store nothing, and carry each other's traffic. There
/// is no anonymity: all hops are in one process. Dropping the value ends all routers.
///
/// The network needs time: the first session takes up to 20 s, and streams can be refused until the routers know the
/// destinations. Retry within a limit.
#[derive(Debug)]
pub struct PrivateNetwork {
    network_id: u8,
    sam_addresses: Vec<SocketAddr>,
    sam_udp_addresses: Vec<SocketAddr>,
    router_infos: Vec<Vec<u8>>,
    _thread: RouterThread,
}

/// Settings of a [`PrivateNetwork`], from [`PrivateNetwork::builder`].
#[derive(Debug, Clone)]
#[must_use = "a network runs only after start()"]
pub struct PrivateNetworkBuilder {
    routers: usize,
    floodfills: usize,
    sam_bridges: usize,
    host_names: HostTable,
}

impl PrivateNetwork {
    /// Starts with the default settings: 4 routers, 2 of them floodfills and 2 with a SAM bridge.
    pub fn builder() -> PrivateNetworkBuilder {
        PrivateNetworkBuilder { routers: 4, floodfills: 2, sam_bridges: 2, host_names: HostTable::new() }
    }

    /// Returns the address of SAM bridge number `index`, counted from 0, if there is one.
    #[must_use]
    pub fn sam_address(&self, index: usize) -> Option<SocketAddr> {
        self.sam_addresses.get(index).copied()
    }

    /// Returns the addresses of all SAM bridges, on 127.0.0.1. Each belongs to another router.
    #[must_use]
    pub fn sam_addresses(&self) -> &[SocketAddr] {
        &self.sam_addresses
    }

    /// Returns the UDP addresses where the bridges receive datagrams, in the order of [`PrivateNetwork::sam_addresses`].
    #[must_use]
    pub fn sam_udp_addresses(&self) -> &[SocketAddr] {
        &self.sam_udp_addresses
    }

    /// Returns the network ID. Routers of different IDs do not connect to each other. I2P itself has 2.
    #[must_use]
    pub fn network_id(&self) -> u8 {
        self.network_id
    }

    /// Returns the signed descriptions of all routers (RouterInfo in the I2P specification), with which another router can join.
    #[must_use]
    pub fn router_infos(&self) -> &[Vec<u8>] {
        &self.router_infos
    }
}

impl PrivateNetworkBuilder {
    /// Sets the number of routers, at least 3. Networks of 4 to 12 have been tried. Each router takes about 2 MiB.
    pub fn routers(mut self, routers: usize) -> Self {
        self.routers = routers;
        self
    }

    /// Sets how many of them, counted from the first, keep the network's database (floodfills). At least 1.
    pub fn floodfills(mut self, floodfills: usize) -> Self {
        self.floodfills = floodfills;
        self
    }

    /// Sets how many of them, counted from the last, have a SAM bridge, on a free port of 127.0.0.1.
    pub fn sam_bridges(mut self, sam_bridges: usize) -> Self {
        self.sam_bridges = sam_bridges;
        self
    }

    /// Sets the host names that all its routers know.
    pub fn host_names(mut self, host_names: HostTable) -> Self {
        self.host_names = host_names;
        self
    }

    /// Starts the routers. Before they can be used they still have to connect and to build tunnels; see [`PrivateNetwork`].
    ///
    /// # Errors
    ///
    /// [`Error::NetworkShape`] for numbers that cannot work, [`Error::System`] if the system gives no thread or no random bytes,
    /// [`Error::Router`] if a router finds no free port.
    pub fn start(self) -> impl Future<Output = Result<PrivateNetwork, Error>> + Send {
        compiled_here(self.start_on_thread())
    }

    async fn start_on_thread(self) -> Result<PrivateNetwork, Error> {
        let Self { routers, floodfills, sam_bridges, .. } = self;
        if routers < MIN_ROUTERS || floodfills == 0 || floodfills > routers || sam_bridges > routers {
            return Err(Error::NetworkShape { routers, floodfills, sam_bridges });
        }
        let thread = RouterThread::start()?;
        let (network_id, bridges, router_infos) = thread.run(self.start_routers()).await?;
        let (sam_addresses, sam_udp_addresses) = bridges.into_iter().unzip();
        Ok(PrivateNetwork { network_id, sam_addresses, sam_udp_addresses, router_infos, _thread: thread })
    }

    /// Returns the network ID, the TCP and UDP address of each bridge, and the router infos.
    async fn start_routers(self) -> Result<(u8, Vec<(SocketAddr, SocketAddr)>, Vec<Vec<u8>>), Error> {
        let [byte] = random()?;
        let network_id = FIRST_NETWORK_ID + byte % (u8::MAX - FIRST_NETWORK_ID);
        let (mut bridges, mut router_infos) = (Vec::new(), Vec::new());
        for index in 0..self.routers {
            let floodfill = index < self.floodfills;
            let with_sam = index >= self.routers - self.sam_bridges;
            let config = config(network_id, floodfill, with_sam, router_infos.clone())?;
            let (router, _events, info) = RouterBuilder::<Runtime>::new(config)
                .with_address_book(Arc::new(RouterView(Arc::new(self.host_names.clone()))))
                .build()
                .await
                .map_err(|error| Error::Router { problem: error.to_string() })?;
            if with_sam {
                bridges.push((sam_address(&router)?, sam_udp_address(&router)?));
            }
            router_infos.push(info);
            tokio::spawn(router);
        }
        Ok((network_id, bridges, router_infos))
    }
}

fn config(network_id: u8, floodfill: bool, with_sam: bool, known: Vec<Vec<u8>>) -> Result<Config, Error> {
    Ok(Config {
        net_id: Some(network_id),
        // Routers on 127.0.0.1 may be dialled, and hops of one tunnel may be of the same /16.
        allow_local: true,
        insecure_tunnels: true,
        floodfill,
        caps: Some(if floodfill { "XfR".into() } else { "XR".into() }),
        ntcp2: Some(Ntcp2Config {
            ipv4: true,
            ipv4_host: Some(Ipv4Addr::LOCALHOST),
            ipv6: false,
            ipv6_host: None,
            iv: random()?,
            key: random()?,
            port: 0,
            publish: true,
            ml_kem: None,
            disable_pq: false,
        }),
        routers: known,
        bandwidth: Some(BANDWIDTH),
        samv3_config: with_sam.then(sam_config),
        // emissary resets the byte counters of transit tunnels at this interval (1 s by default), and ends a tunnel whose
        // counter is 0 at the age of 120 s, even if it is in use. An hour is longer than any tunnel lives.
        refresh_interval: Some(3600),
        transit: Some(TransitConfig { max_tunnels: Some(5000) }),
        ..Config::default()
    })
}

/// Bytes per second, high enough never to be a limit. With emissary's default of 1 MB/s, of which a router takes a tenth for its
/// own traffic, 10 MB take 99 s.
pub(crate) const BANDWIDTH: BandwidthConfig = BandwidthConfig { bandwidth: 100_000_000, share_ratio: 0.9 };

/// Configures a SAM bridge on free ports, for this machine only.
pub(crate) fn sam_config() -> SamConfig {
    SamConfig { tcp_port: 0, udp_port: 0, host: Ipv4Addr::LOCALHOST.to_string() }
}

pub(crate) fn sam_address(router: &Router<Runtime>) -> Result<SocketAddr, Error> {
    let missing = || Error::Router { problem: "its SAM bridge has no address".into() };
    router.protocol_address_info().sam_tcp.ok_or_else(missing)
}

pub(crate) fn sam_udp_address(router: &Router<Runtime>) -> Result<SocketAddr, Error> {
    let missing = || Error::Router { problem: "its SAM bridge takes no datagrams".into() };
    router.protocol_address_info().sam_udp.ok_or_else(missing)
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::System(error.into()))?;
    Ok(bytes)
}
