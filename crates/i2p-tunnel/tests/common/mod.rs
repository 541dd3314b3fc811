//! A proxy on a testkit bridge, and clients made of bytes.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{net::SocketAddr, time::Duration};

use i2p_sam::{BackOff, Bridge};
use i2p_tunnel::{Limits, Listeners, PoolOptions, SamDialler, SessionLimits, SessionPool, Tunnel, serve};
use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) pool: SessionPool,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

/// A proxy on a bridge, with limits short enough for tests to see them.
pub(crate) async fn proxy(bridge: &TestBridge) -> Proxy {
    let limit = Duration::from_millis(300);
    proxy_with(bridge, Limits { handshake: limit, half_close: limit, linger: limit, ..Limits::default() })
        .await
}

/// A proxy on a bridge, with these limits.
pub(crate) async fn proxy_with(bridge: &TestBridge, limits: Limits) -> Proxy {
    proxy_of(bridge, limits, PoolOptions::default(), Tunnel::default()).await
}

/// A proxy on a bridge, with these limits, sessions and rules. Its first session is there.
pub(crate) async fn proxy_of(
    bridge: &TestBridge,
    limits: Limits,
    options: PoolOptions,
    tunnel: Tunnel,
) -> Proxy {
    let back_off = BackOff { first: Duration::from_millis(10), ..BackOff::default() };
    let delay_open = options.delay_open;
    let pool = SessionPool::new(Bridge::new(bridge.address()), PoolOptions { back_off, ..options });
    if !delay_open {
        pool.first_ready().await.unwrap();
    }
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let address = listeners.addresses().unwrap()[0];
    let stop = CancellationToken::new();
    let waits = SessionLimits { router: Duration::from_millis(300), ..SessionLimits::default() };
    let dialler = SamDialler::new(pool.clone(), tunnel).with_limits(waits);
    let serving = tokio::spawn(serve(listeners, dialler, limits, stop.clone()));
    Proxy { address, pool, stop, serving }
}

impl Proxy {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and gives all that comes back until the proxy closes.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    }

    /// SOCKS5 CONNECT by name; gives the stream and the reply's code.
    pub(crate) async fn socks5(&self, host: &str, port: u16) -> (TcpStream, u8) {
        let mut client = self.connect().await;
        client.write_all(&socks5_request(host, port)).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..3], [5, 0, 5], "method selection and version");
        assert_eq!(answer[4..], [0, 1, 0, 0, 0, 0, 0, 0], "no address, of 10 bytes in all");
        (client, answer[3])
    }

    /// SOCKS4a CONNECT; gives the stream and the reply's code.
    pub(crate) async fn socks4a(&self, host: &str, port: u16) -> (TcpStream, u8) {
        let mut client = self.connect().await;
        client.write_all(&socks4a_request(host, port)).await.unwrap();
        let mut answer = [0; 8];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((answer[0], &answer[2..]), (0, &[0; 6][..]));
        (client, answer[1])
    }
}

/// Greeting and request in one go.
pub(crate) fn socks5_request(host: &str, port: u16) -> Vec<u8> {
    let length = u8::try_from(host.len()).unwrap();
    [&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &port.to_be_bytes()].concat()
}

pub(crate) fn socks4a_request(host: &str, port: u16) -> Vec<u8> {
    [&[4, 1], &port.to_be_bytes()[..], &[0, 0, 0, 1, 0], host.as_bytes(), &[0]].concat()
}

pub(crate) fn b32() -> String {
    format!("{}.b32.i2p", "a".repeat(52))
}
