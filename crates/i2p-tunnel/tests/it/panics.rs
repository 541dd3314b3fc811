//! A panic in one connection ends that connection, is counted, and gives back what the connection held. A panic in a task that all
//! connections need ends nothing for good.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use i2p_name::{I2pName, VirtualOptions};
use i2p_sam::Bridge;
use i2p_tunnel::{
    AddressPool, Admission, Caps, DatagramOptions, DatagramPool, Dial, Failure, IsolationKey, Limits,
    Metrics, OpenStream, PoolOptions, SamDialler, Service, SessionPolicy, SessionPool, metrics::Snapshot,
};
use sam_testkit::{Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
    subscriber::{DefaultGuard, set_default},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry,
};

use crate::common::{
    Proxy, proxy_of, proxy_with_service, socks5_request, start_service,
    udp::{self, Client, UdpOptions},
};

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

/// A log that panics, so that the task panics which writes to it.
pub(crate) struct PanickingLog {
    /// The name of a span, or how the message of an event begins.
    at: &'static str,
    /// How often it still panics.
    times: AtomicUsize,
}

impl PanickingLog {
    /// The log of this thread until the result is dropped.
    pub(crate) fn start(at: &'static str, times: usize) -> DefaultGuard {
        set_default(registry().with(Self { at, times: times.into() }))
    }

    fn write(&self, text: &str) {
        if text.starts_with(self.at) {
            let left = self.times.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            assert!(left.is_err(), "a bug");
        }
    }
}

impl<S: Subscriber> Layer<S> for PanickingLog {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.write(span.metadata().name());
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Message(self));
    }
}

struct Message<'a>(&'a PanickingLog);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.write(&format!("{value:?}"));
        }
    }
}

#[tokio::test]
async fn clients_are_accepted_again_after_the_task_that_accepts_them_has_panicked() {
    let bridge = TestBridge::start().await;
    let admission = Admission::default();
    let proxy = proxy_with_service(&bridge, |service| service.with_admission(admission.clone())).await;
    let (mut bystander, code) = proxy.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);

    let _log = PanickingLog::start("connection", 2);
    for _ in 0..2 {
        let mut client = proxy.connect().await;
        let read = timeout(Duration::from_secs(10), client.read(&mut [0])).await;
        assert_eq!(read.expect("nobody accepts").unwrap_or(0), 0, "it was not accepted");
    }
    let (_client, code) = timeout(Duration::from_secs(10), proxy.socks5("known.i2p", 80)).await.unwrap();
    assert_eq!(code, 0);
    assert_eq!(admission.connections(), 2, "the places of those that were lost are free");
    bystander.write_all(b"x").await.unwrap();
    assert_eq!(bystander.read_u8().await.unwrap(), b'x');
    proxy.stop.cancel();
    timeout(Duration::from_secs(10), proxy.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn unused_sessions_are_closed_even_after_the_task_that_closes_them_has_panicked() {
    let bridge = TestBridge::start().await;
    let idle_close = Some(Duration::from_millis(50));
    let options = PoolOptions { idle_close, delay_open: true, ..PoolOptions::default() };
    let proxy = proxy_of(&bridge, Limits::default(), options, SessionPolicy::default()).await;
    let _log = PanickingLog::start("closed idle I2P sessions", 2);
    for _ in 0..4 {
        let (client, code) = proxy.socks5("echo.i2p", 80).await;
        assert_eq!(code, 0);
        drop(client);
        let closed = async {
            while !proxy.pool.sessions().is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), closed).await.expect("nobody closes unused sessions");
    }
}

#[tokio::test]
async fn unused_sessions_for_datagrams_are_closed_even_after_the_task_that_closes_them_has_panicked() {
    let bridge = TestBridge::start().await;
    let udp = UdpOptions::default();
    let idle_close = Some(Duration::from_millis(50));
    let pool = DatagramPool::new(DatagramOptions { idle_close, ..udp.datagrams() });
    let proxy = udp::proxy_of(&bridge.address(), &bridge.udp_address(), udp, pool.clone()).await;
    let _log = PanickingLog::start("closed idle I2P sessions for datagrams", 2);
    for _ in 0..4 {
        drop(Client::open(&proxy).await);
        assert!(!pool.sessions().is_empty());
        let closed = async {
            while !pool.sessions().is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), closed).await.expect("nobody closes unused sessions");
    }
}
