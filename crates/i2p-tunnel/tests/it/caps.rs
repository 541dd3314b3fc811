//! Caps on connections: clients over a cap are refused, and served again once there is room.

use std::time::Duration;

use i2p_tunnel::{Admission, Caps, Metrics, PerClient, metrics::Snapshot};
use sam_testkit::TestBridge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::common::{Proxy, proxy_with_service, socks5_request};

const TIMEOUT: Duration = Duration::from_secs(5);

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !done().await {
        assert!(begin.elapsed() < TIMEOUT, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn capped(bridge: &TestBridge, caps: Caps) -> (Proxy, Admission) {
    let admission = Admission::new(caps);
    let proxy = proxy_with_service(bridge, |service| service.with_admission(admission.clone())).await;
    (proxy, admission)
}

#[tokio::test]
async fn a_client_over_the_cap_is_refused_and_served_once_another_leaves() {
    let bridge = TestBridge::start().await;
    let every = [
        Caps { connections: 2, ..Caps::default() },
        Caps { per_client: PerClient::AtMost(2), ..Caps::default() },
        Caps { per_tunnel: Some(2), ..Caps::default() },
    ];
    for caps in every {
        let (proxy, admission) = capped(&bridge, caps).await;
        let first = proxy.socks5("known.i2p", 80).await;
        let second = proxy.socks5("known.i2p", 80).await;
        assert_eq!((first.1, second.1), (0, 0));
        assert_eq!(proxy.socks5("known.i2p", 80).await.1, 1, "{caps:?}");
        assert_eq!(proxy.socks4a("known.i2p", 80).await.1, 91, "{caps:?}");
        let answer = proxy.exchange(b"CONNECT known.i2p:80 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with(b"HTTP/1.1 503 "), "{caps:?}");
        drop(first);
        until("the connection is closed", async || admission.connections() == 1).await;
        assert_eq!(proxy.socks5("known.i2p", 80).await.1, 0, "{caps:?}");
    }
}

/// Silent connections over the cap occupy no room, however many there are.
#[tokio::test]
async fn a_storm_over_the_cap_is_closed_and_does_no_harm() {
    let bridge = TestBridge::start().await;
    let (admission, metrics) = (Admission::new(Caps { connections: 1, ..Caps::default() }), Metrics::new());
    let proxy = proxy_with_service(&bridge, |service| {
        service.with_admission(admission.clone()).with_account(metrics.account("main"))
    })
    .await;
    let (mut open, code) = proxy.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);
    let mut storm = Vec::new();
    for _ in 0..300 {
        storm.push(proxy.connect().await);
    }
    // All but those that wait for a refusal are closed at once.
    let mut closed = 0;
    for client in &mut storm {
        if let Ok(result) = timeout(Duration::from_millis(1), client.read(&mut [0; 1])).await {
            assert!(matches!(result, Ok(0) | Err(_)));
            closed += 1;
        }
    }
    assert!(closed >= 300 - 64, "{closed}");
    assert_eq!(admission.connections(), 1);
    // Refused or closed, each is counted.
    let counted = "limits_reached_total{tunnel=\"main\",limit=\"connections\"} 300\n";
    until("all are counted", async || metrics.encode(&Snapshot::default()).contains(counted)).await;
    open.write_all(b"still here").await.unwrap();
    let mut echo = [0; 10];
    timeout(TIMEOUT, open.read_exact(&mut echo)).await.unwrap().unwrap();
    drop((storm, open));
    until("it serves again", async || {
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(&socks5_request("known.i2p", 80)).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.is_ok() && answer[3] == 0
    })
    .await;
}
