//! A panic in one connection ends that connection, is counted, and gives back what the connection held.

use i2p_name::{I2pName, VirtualOptions};
use i2p_sam::Bridge;
use i2p_tunnel::{
    AddressPool, Admission, Caps, Dial, Failure, IsolationKey, Metrics, OpenStream, PoolOptions, SamDialler,
    Service, SessionPool, metrics::Snapshot,
};
use sam_testkit::{Endpoint, TestBridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{Proxy, socks5_request, start_service};

/// Dials over SAM. For one name it panics while it holds an open stream, and so the lease of its session.
struct Panicking(SamDialler);

impl Dial for Panicking {
    type Datagrams = <SamDialler as Dial>::Datagrams;
    type Listening = <SamDialler as Dial>::Listening;

    async fn dial(&self, key: &IsolationKey, name: &I2pName, port: u16) -> Result<OpenStream, Failure> {
        let opened = self.0.dial(key, name, port).await?;
        assert!(name.to_string() != "panic.i2p", "secret content of the panic");
        Ok(opened)
    }

    async fn lookup(&self, key: &IsolationKey, name: &I2pName) -> Result<(), Failure> {
        self.0.lookup(key, name).await
    }
}

async fn start(bridge: &TestBridge, metrics: &Metrics, admission: Admission) -> Proxy {
    bridge.host("panic.i2p", Endpoint::Echo);
    let pool = SessionPool::new(Bridge::new(bridge.address()), PoolOptions::default());
    let dialler = Panicking(SamDialler::new(pool.clone()));
    let service = Service::new("main", dialler, AddressPool::new(VirtualOptions::default()).unwrap())
        .with_account(metrics.account("main"))
        .with_admission(admission);
    start_service(service, pool).await
}

#[tokio::test]
async fn a_panic_ends_its_connection_frees_its_place_and_its_session_and_is_counted() {
    let bridge = TestBridge::start().await;
    let metrics = Metrics::new();
    let admission = Admission::new(Caps { connections: 2, ..Caps::default() });
    let proxy = start(&bridge, &metrics, admission.clone()).await;
    let (mut bystander, code) = proxy.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);

    // More often than there are places.
    for _ in 0..4 {
        let mut client = proxy.connect().await;
        client.write_all(&socks5_request("panic.i2p", 80)).await.unwrap();
        let mut answer = Vec::new();
        // The socket closes. It may be reset, since the connection did not end in order.
        let _ = client.read_to_end(&mut answer).await;
        assert!(answer.len() <= 2, "no reply after the method: {answer:?}");
    }

    bystander.write_all(b"x").await.unwrap();
    assert_eq!(bystander.read_u8().await.unwrap(), b'x');
    assert_eq!(admission.connections(), 1);
    assert_eq!(proxy.pool.sessions().iter().map(|session| session.leases).sum::<usize>(), 1);
    let text = metrics.encode(&Snapshot::default());
    assert!(text.contains("i2p_socks_connection_panics_total{tunnel=\"main\"} 4\n"), "{text}");
    assert!(text.contains("i2p_socks_connections_active{tunnel=\"main\"} 1\n"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    let (_, code) = proxy.socks5("known.i2p", 80).await;
    assert_eq!(code, 0);
}
