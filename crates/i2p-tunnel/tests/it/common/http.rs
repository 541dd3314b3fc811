//! A proxy that serves plain HTTP, and what its clients do.

use std::time::Duration;

use i2p_name::VirtualOptions;
use i2p_sam::Bridge;
use i2p_tunnel::{
    AccessPolicy, AddressPool, Limits, PoolOptions, Protocols, SamDialler, Service, SessionPool,
};
use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Proxy, proxy_with_service, start_service};

/// Access for all protocols.
pub(crate) fn all_protocols() -> AccessPolicy {
    AccessPolicy { protocols: Protocols::default(), ..AccessPolicy::default() }
}

/// Starts a proxy that serves plain HTTP.
pub(crate) async fn http_proxy(bridge: &TestBridge) -> Proxy {
    http_proxy_with(bridge, Duration::from_secs(120)).await
}

/// Starts a proxy that serves plain HTTP, with this limit for dialling.
pub(crate) async fn http_proxy_with(bridge: &TestBridge, dial: Duration) -> Proxy {
    let limit = Duration::from_millis(300);
    let limits = Limits { dial, half_close: limit, linger: limit, ..Limits::default() };
    proxy_with_service(bridge, |service| service.with_access(all_protocols()).with_limits(limits)).await
}

/// Starts a proxy that serves plain HTTP with this many sessions at most.
pub(crate) async fn http_proxy_of(bridge: &TestBridge, max_sessions: usize) -> Proxy {
    let max_sessions = max_sessions.try_into().unwrap();
    let pool = SessionPool::new(
        Bridge::new(bridge.address()),
        PoolOptions { max_sessions, ..PoolOptions::default() },
    );
    pool.first_ready().await.unwrap();
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("test", SamDialler::new(pool.clone()), addresses).with_access(all_protocols());
    start_service(service, pool).await
}

/// Reads exactly the head of an answer.
pub(crate) async fn head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Sends a request and reads an answer whose length it gives.
pub(crate) async fn ask(client: &mut TcpStream, request: &str) -> (String, String) {
    client.write_all(request.as_bytes()).await.unwrap();
    let head = head(client).await;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    client.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}
