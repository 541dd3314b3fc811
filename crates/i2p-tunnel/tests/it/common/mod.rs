//! A proxy on a bridge of the test kit, and clients that send raw bytes.

pub(crate) mod book;
pub(crate) mod exit;
pub(crate) mod http;
pub(crate) mod site;
pub(crate) mod udp;
pub(crate) mod upstream;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use i2p_name::VirtualOptions;
use i2p_sam::{BackOff, Bridge};
use i2p_tunnel::{
    AddressPool, DatagramCounts, Dial, Limits, Listeners, LocalClients, PoolOptions, SamDialler, Service,
    SessionLimits, SessionPolicy, SessionPool, serve,
};
use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) pool: SessionPool,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) datagram_counts: DatagramCounts,
}

/// Starts a proxy with limits short enough for tests to reach them.
pub(crate) async fn proxy(bridge: &TestBridge) -> Proxy {
    let limit = Duration::from_millis(300);
    proxy_with(bridge, Limits { handshake: limit, half_close: limit, linger: limit, ..Limits::default() })
        .await
}

/// Starts a proxy with these limits.
pub(crate) async fn proxy_with(bridge: &TestBridge, limits: Limits) -> Proxy {
    proxy_of(bridge, limits, PoolOptions::default(), SessionPolicy::default()).await
}

/// Starts a proxy with these limits and sessions, and waits for its first session unless it is delayed.
pub(crate) async fn proxy_of(
    bridge: &TestBridge,
    limits: Limits,
    options: PoolOptions,
    rules: SessionPolicy,
) -> Proxy {
    start(Bridge::new(bridge.address()), limits, options, rules, VirtualOptions::default()).await
}

/// Starts a proxy with these virtual addresses.
pub(crate) async fn proxy_with_addresses(bridge: &TestBridge, addresses: VirtualOptions) -> Proxy {
    let limit = Duration::from_millis(300);
    let limits = Limits { half_close: limit, linger: limit, ..Limits::default() };
    let bridge = Bridge::new(bridge.address());
    start(bridge, limits, PoolOptions::default(), SessionPolicy::default(), addresses).await
}

/// A proxy on this bridge, with these limits, sessions, routes and virtual addresses.
pub(crate) async fn start(
    bridge: Bridge,
    limits: Limits,
    options: PoolOptions,
    rules: SessionPolicy,
    addresses: VirtualOptions,
) -> Proxy {
    let back_off = BackOff { first: Duration::from_millis(10), ..options.back_off };
    let delay_open = options.delay_open;
    let pool = SessionPool::new(bridge, PoolOptions { back_off, ..options });
    if !delay_open {
        pool.first_ready().await.unwrap();
    }
    let waits = SessionLimits { router: Duration::from_millis(300), ..SessionLimits::default() };
    let dialler = SamDialler::new(pool.clone()).with_limits(waits);
    let addresses = AddressPool::new(addresses).unwrap();
    let service = Service::new("test", dialler, addresses).with_limits(limits).with_sessions(rules);
    start_service(service, pool).await
}

/// Starts a proxy whose service `change` adapts, with limits short enough for tests to reach them.
pub(crate) async fn proxy_with_service(
    bridge: &TestBridge,
    change: impl FnOnce(Service<SamDialler>) -> Service<SamDialler>,
) -> Proxy {
    let limit = Duration::from_millis(300);
    let limits = Limits { half_close: limit, linger: limit, ..Limits::default() };
    let pool = SessionPool::new(Bridge::new(bridge.address()), PoolOptions::default());
    pool.first_ready().await.unwrap();
    let dialler = SamDialler::new(pool.clone());
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("test", dialler, addresses).with_limits(limits);
    start_service(change(service), pool).await
}

/// Starts a proxy with this service, whose sessions come from `pool`.
pub(crate) async fn start_service<D: Dial>(service: Service<D>, pool: SessionPool) -> Proxy {
    start_service_at("127.0.0.1:0", service, pool).await
}

/// Like [`start_service`], listening on this address. Each address of loopback is a client of its own.
pub(crate) async fn start_service_at<D: Dial>(listen: &str, service: Service<D>, pool: SessionPool) -> Proxy {
    let listeners = Listeners::bind(&[listen.parse().unwrap()]).await.unwrap();
    let address = listeners.addresses().unwrap()[0].socket_address().unwrap();
    let stop = CancellationToken::new();
    let datagram_counts = service.account.datagrams().clone();
    let service = service.with_local_clients(LocalClients::ByAddress);
    let (_, service) = watch::channel(Arc::new(service));
    let serving = tokio::spawn(serve(listeners, service, stop.clone()));
    Proxy { address, pool, stop, serving, datagram_counts }
}

impl Proxy {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes, and returns all bytes that the proxy sends until it closes.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    }

    /// Like [`exchange`](Self::exchange), and finishes sending. A far end in I2P does not see that: if it keeps waiting, the
    /// stream is cut.
    pub(crate) async fn exchange_and_finish(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        read_to_end_or_reset(&mut client).await.0
    }

    /// Sends SOCKS5 CONNECT with a name. Returns the stream and the reply code.
    pub(crate) async fn socks5(&self, host: &str, port: u16) -> (TcpStream, u8) {
        let mut client = self.connect().await;
        client.write_all(&socks5_request(host, port)).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..3], [5, 0, 5], "method selection and version");
        assert_eq!(answer[4..], [0, 1, 0, 0, 0, 0, 0, 0], "no address, of 10 bytes in all");
        (client, answer[3])
    }

    /// Sends SOCKS5 RESOLVE with a name. Returns the address, or the code of the refusal.
    pub(crate) async fn resolve(&self, host: &str) -> Result<IpAddr, u8> {
        let answer = self.exchange(&socks5_command(0xf0, &domain(host), 42)).await;
        address_in(&answer[2..])
    }

    /// Sends SOCKS5 RESOLVE_PTR. Returns the name, or the code of the refusal.
    pub(crate) async fn resolve_ptr(&self, address: IpAddr) -> Result<String, u8> {
        let answer = self.exchange(&socks5_command(0xf1, &binary(address), 42)).await;
        assert_eq!(answer[..3], [5, 0, 5]);
        match &answer[3..] {
            [0, 0, 3, length, rest @ ..] => {
                let (name, port) = rest.split_at(usize::from(*length));
                assert_eq!(port, [0, 0], "port 0, and nothing after it");
                Ok(String::from_utf8(name.to_vec()).unwrap())
            }
            [code, 0, 1, 0, 0, 0, 0, 0, 0] if *code != 0 => Err(*code),
            other => panic!("an unexpected reply: {other:?}"),
        }
    }

    /// Sends a handshake in one write, then data that the far end echoes. Returns the reply code.
    pub(crate) async fn echo(&self, handshake: &[u8]) -> u8 {
        let mut client = self.connect().await;
        client.write_all(handshake).await.unwrap();
        let mut reply = [0; 12];
        let (reply, code, granted) = match handshake[0] {
            5 => (&mut reply[..], 3, 0),
            _ => (&mut reply[..8], 1, 90),
        };
        client.read_exact(reply).await.unwrap();
        let code = reply[code];
        if code == granted {
            client.write_all(b"there and back").await.unwrap();
            let mut back = [0; 14];
            client.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"there and back");
        }
        code
    }

    /// Sends SOCKS4a CONNECT. Returns the stream and the reply code.
    pub(crate) async fn socks4a(&self, host: &str, port: u16) -> (TcpStream, u8) {
        let mut client = self.connect().await;
        client.write_all(&socks4a_request(host, port)).await.unwrap();
        let mut answer = [0; 8];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((answer[0], &answer[2..]), (0, &[0; 6][..]));
        (client, answer[1])
    }
}

/// The address in a SOCKS5 reply, or the code of the refusal.
pub(crate) fn address_in(reply: &[u8]) -> Result<IpAddr, u8> {
    match reply {
        [5, 0, 0, 1, v4 @ .., 0, 0] => Ok(<[u8; 4]>::try_from(v4).unwrap().into()),
        [5, 0, 0, 4, v6 @ .., 0, 0] => Ok(<[u8; 16]>::try_from(v6).unwrap().into()),
        [5, code, 0, 1, 0, 0, 0, 0, 0, 0] if *code != 0 => Err(*code),
        other => panic!("an unexpected reply: {other:?}"),
    }
}

/// Reads until the stream ends. Returns the data, and whether the stream was finished (`true`) or reset (`false`).
pub(crate) async fn read_to_end_or_reset(client: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut answer = Vec::new();
    match client.read_to_end(&mut answer).await {
        Ok(_) => (answer, true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (answer, false),
        Err(error) => panic!("{error}"),
    }
}

/// A greeting and a CONNECT request in one write.
pub(crate) fn socks5_request(host: &str, port: u16) -> Vec<u8> {
    let length = u8::try_from(host.len()).unwrap();
    [&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &port.to_be_bytes()].concat()
}

pub(crate) fn socks4a_request(host: &str, port: u16) -> Vec<u8> {
    [&[4, 1], &port.to_be_bytes()[..], &[0, 0, 0, 1, 0], host.as_bytes(), &[0]].concat()
}

/// A greeting and a request with any command. `address` begins with ATYP and excludes the port.
pub(crate) fn socks5_command(command: u8, address: &[u8], port: u16) -> Vec<u8> {
    [&[5, 1, 0, 5, command, 0], address, &port.to_be_bytes()].concat()
}

/// An address of type DOMAINNAME.
pub(crate) fn domain(text: &str) -> Vec<u8> {
    [&[3, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// An address of type IPv4 or IPv6.
pub(crate) fn binary(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => [&[1][..], &address.octets()].concat(),
        IpAddr::V6(address) => [&[4][..], &address.octets()].concat(),
    }
}

pub(crate) fn b32() -> String {
    format!("{}.b32.i2p", "a".repeat(52))
}
