//! Proxies that serve UDP ASSOCIATE, and clients of it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use i2p_name::VirtualOptions;
use i2p_sam::{BackOff, Bridge, DatagramStyle, SessionOptions};
use i2p_tunnel::{
    Account, AddressPool, DatagramOptions, DatagramPolicy, DatagramPool, Filtering, Isolate, Limits,
    Outproxies, OutproxyDefinition, PoolOptions, Route, Routes, Routing, SamDialler, Service, SessionPolicy,
    SessionPool,
};
use sam_testkit::{Dialect, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{Proxy, binary, domain, start_service_at};

/// Generous: tests wait this long only if something is broken.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct UdpOptions {
    pub(crate) rules: DatagramPolicy,
    pub(crate) style: DatagramStyle,
    pub(crate) isolate: Isolate,
    pub(crate) max_sessions: usize,
    pub(crate) account: Arc<Account>,
    pub(crate) routes: Vec<Route>,
    pub(crate) outproxies: Vec<OutproxyDefinition>,
    pub(crate) addresses: VirtualOptions,
    pub(crate) filtering: Filtering,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            rules: DatagramPolicy::default(),
            style: DatagramStyle::Datagram,
            isolate: Isolate::default(),
            max_sessions: 8,
            account: Arc::default(),
            routes: Vec::new(),
            outproxies: Vec::new(),
            addresses: VirtualOptions::default(),
            filtering: Filtering::default(),
        }
    }
}

/// A bridge with a host that echoes.
pub(crate) async fn bridge(dialect: Dialect) -> TestBridge {
    let bridge = TestBridge::start_as(dialect).await;
    bridge.host("echo.i2p", Endpoint::Echo);
    bridge
}

/// A proxy on this bridge.
pub(crate) async fn proxy(bridge: &TestBridge, options: UdpOptions) -> Proxy {
    proxy_with(&bridge.address(), &bridge.udp_address(), options).await
}

impl UdpOptions {
    pub(crate) fn pool(&self) -> DatagramPool {
        DatagramPool::new(self.datagrams())
    }

    pub(crate) fn datagrams(&self) -> DatagramOptions {
        let max_sessions = NonZeroUsize::new(self.max_sessions).unwrap();
        DatagramOptions { style: self.style, max_sessions, ..DatagramOptions::default() }
    }
}

/// Starts a proxy on the bridge at these addresses.
pub(crate) async fn proxy_with(sam: &str, sam_udp: &str, udp: UdpOptions) -> Proxy {
    let pool = udp.pool();
    proxy_of(sam, sam_udp, udp, pool).await
}

/// Starts a proxy with this pool of sessions for datagrams.
pub(crate) async fn proxy_of(sam: &str, sam_udp: &str, udp: UdpOptions, datagrams: DatagramPool) -> Proxy {
    proxy_on("127.0.0.1:0", sam, sam_udp, udp, datagrams).await
}

/// Starts a proxy that listens on this address. Clients connect to its port on 127.0.0.1.
pub(crate) async fn proxy_at(listen: &str, bridge: &TestBridge) -> Proxy {
    let udp = UdpOptions::default();
    let pool = udp.pool();
    let mut proxy = proxy_on(listen, &bridge.address(), &bridge.udp_address(), udp, pool).await;
    proxy.address.set_ip(Ipv4Addr::LOCALHOST.into());
    proxy
}

async fn proxy_on(listen: &str, sam: &str, sam_udp: &str, udp: UdpOptions, datagrams: DatagramPool) -> Proxy {
    let back_off = BackOff { first: Duration::from_millis(10), ..BackOff::default() };
    let session = SessionOptions::default().lend(true);
    let sam = Bridge::new(sam).with_udp_address(sam_udp.parse().unwrap());
    let pool = SessionPool::new(sam, PoolOptions { session, back_off, ..PoolOptions::default() });
    pool.first_ready().await.unwrap();
    let dialler = SamDialler::new(pool.clone()).with_datagrams(datagrams);
    let outproxies = Outproxies::new(udp.outproxies).unwrap();
    let routing = Routing::new(Arc::new(Routes::new(udp.routes)), outproxies).unwrap();
    let addresses = AddressPool::new(udp.addresses).unwrap();
    let limits = Limits { linger: Duration::from_millis(200), ..Limits::default() };
    let service = Service::new("test", dialler, addresses)
        .with_limits(limits)
        .with_account(udp.account)
        .with_filtering(udp.filtering)
        .with_routing(routing)
        .with_sessions(SessionPolicy { isolate: udp.isolate, ..SessionPolicy::default() })
        .with_datagrams(udp.rules);
    start_service_at(listen, service, pool).await
}

/// A client with an open UDP association.
pub(crate) struct Client {
    pub(crate) control: TcpStream,
    pub(crate) socket: UdpSocket,
    pub(crate) relay: SocketAddr,
}

impl Client {
    pub(crate) async fn open(proxy: &Proxy) -> Self {
        Self::associate(proxy, b"user", &binary(Ipv4Addr::UNSPECIFIED.into()), 0).await.unwrap()
    }

    /// Opens an association with this user name and this address and port in the request. Returns the reply code if it is
    /// refused.
    pub(crate) async fn associate(proxy: &Proxy, user: &[u8], address: &[u8], port: u16) -> Result<Self, u8> {
        let mut control = proxy.connect().await;
        let credentials = [&[1, u8::try_from(user.len()).unwrap()], user, &[1, b'x']].concat();
        let request = [&[5, 3, 0], address, &port.to_be_bytes()].concat();
        control.write_all(&[&[5, 1, 2][..], &credentials, &request].concat()).await.unwrap();
        let mut reply = [0; 14];
        control.read_exact(&mut reply).await.unwrap();
        let [5, 2, 1, 0, 5, code, 0, 1, a, b, c, d, high, low] = reply else { panic!("{reply:?}") };
        if code != 0 {
            return Err(code);
        }
        let relay = SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])));
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Ok(Self { control, socket, relay })
    }

    pub(crate) async fn send(&self, fragment: u8, target: &[u8], port: u16, data: &[u8]) {
        let datagram = [&[0, 0, fragment], target, &port.to_be_bytes(), data].concat();
        assert_eq!(self.socket.send_to(&datagram, self.relay).await.unwrap(), datagram.len());
    }

    /// Receives a datagram whose header, from ATYP to the port, has this length. Returns the header and the data.
    pub(crate) async fn receive(&self, header: usize) -> (Vec<u8>, Vec<u8>) {
        let mut buffer = vec![0; 65_535];
        let (length, from) = timeout(TIMEOUT, self.socket.recv_from(&mut buffer)).await.unwrap().unwrap();
        assert_eq!((from, &buffer[..3]), (self.relay, &[0; 3][..]));
        (buffer[3..3 + header].to_vec(), buffer[3 + header..length].to_vec())
    }

    /// Sends a datagram and waits for its echo, which must come from the same name and port.
    pub(crate) async fn echo(&self, data: &[u8]) {
        self.send(0, &domain("echo.i2p"), 7, data).await;
        let header = [&domain("echo.i2p")[..], &[0, 7]].concat();
        assert_eq!(self.receive(header.len()).await, (header, data.to_vec()));
    }
}
