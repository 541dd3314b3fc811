//! A client that disconnects while its request is dialled frees its connection for the next client.

use std::time::Duration;

use i2p_tunnel::{Admission, Caps, Limits, Metrics, PerClient, metrics::Snapshot};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

use crate::common::{Proxy, domain, proxy_with_service, socks5_command, socks5_request};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(20);

struct Busy {
    proxy: Proxy,
    admission: Admission,
    metrics: Metrics,
}

/// A proxy with a cap on connections, for destinations that do not answer.
async fn busy(bridge: &TestBridge, connections: usize) -> Busy {
    let admission = Admission::new(Caps { connections, per_client: PerClient::Unlimited, ..Caps::default() });
    let metrics = Metrics::new();
    let limits = Limits { dial: LONG, linger: SECOND / 5, ..Limits::default() };
    let proxy = proxy_with_service(bridge, |service| {
        let service = service.with_limits(limits).with_account(metrics.account("main"));
        service.with_admission(admission.clone())
    })
    .await;
    Busy { proxy, admission, metrics }
}

impl Busy {
    async fn has_connections(&self, count: usize, limit: Duration) {
        let begin = Instant::now();
        while self.admission.connections() != count {
            assert!(begin.elapsed() < limit, "{} connections, not {count}", self.admission.connections());
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn abandoned(&self, protocol: &str, count: u32) {
        let text = self.metrics.encode(&Snapshot::default());
        let line = format!("protocol=\"{protocol}\",outcome=\"abandoned\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

/// For any kind of request, and even if early data of the client has not been read.
#[tokio::test]
async fn a_reset_ends_the_clients_request() {
    let bridge = TestBridge::start().await;
    let busy = busy(&bridge, 10).await;
    let unanswered = ["STREAM CONNECT", "NAMING LOOKUP NAME=unknown.i2p"];
    unanswered.iter().for_each(|command| bridge.on(command, [Act::Hang]));
    let waiting = || {
        let commands = bridge.commands();
        commands.iter().filter(|sent| unanswered.iter().any(|command| sent.starts_with(command))).count()
    };
    let socks5 = socks5_request("known.i2p", 80);
    let ahead = [&socks5[..], &[7; 5_000]].concat();
    let http = b"CONNECT known.i2p:80 HTTP/1.1\r\n\r\n".to_vec();
    let resolve = socks5_command(0xf0, &domain("unknown.i2p"), 0);
    for (done, request) in [socks5, ahead, http, resolve].into_iter().enumerate() {
        let mut client = busy.proxy.connect().await;
        client.write_all(&request).await.unwrap();
        let begin = Instant::now();
        while waiting() == done {
            assert!(begin.elapsed() < LONG, "the router is asked");
            sleep(Duration::from_millis(10)).await;
        }
        busy.has_connections(1, LONG).await;
        client.set_zero_linger().unwrap();
        drop(client);
        busy.has_connections(0, SECOND).await;
    }
    busy.abandoned("socks5", 3);
    busy.abandoned("http-connect", 1);
}

#[tokio::test]
async fn a_client_that_only_finished_sending_is_served() {
    let bridge = TestBridge::start().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let busy = busy(&bridge, 1).await;
    bridge.on("STREAM CONNECT", Act::late(SECOND));
    let mut client = busy.proxy.connect().await;
    client.write_all(&[&socks5_request("echo.i2p", 80)[..], b"ping"].concat()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = [0; 16];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[3], &answer[12..]), (0, &b"ping"[..]));
    busy.abandoned("socks5", 0);
}

#[tokio::test]
async fn after_a_storm_of_complete_requests_the_next_client_is_served_within_a_second() {
    let bridge = TestBridge::start().await;
    let busy = busy(&bridge, 50).await;
    bridge.on("STREAM CONNECT", [Act::Hang]);
    let mut storm = Vec::new();
    for _ in 0..200 {
        let mut client = busy.proxy.connect().await;
        let _ = client.write_all(&socks5_request("known.i2p", 80)).await;
        storm.push(client);
    }
    busy.has_connections(50, LONG).await;
    storm.iter().for_each(|client| client.set_zero_linger().unwrap());
    drop(storm);
    let begin = Instant::now();
    busy.has_connections(0, SECOND).await;
    bridge.on("STREAM CONNECT", [Act::Behave]);
    assert_eq!(busy.proxy.socks5("known.i2p", 80).await.1, 0);
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}
