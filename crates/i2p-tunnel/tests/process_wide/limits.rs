//! Every time limit ends what exceeds it, is counted and is named in the log.

use std::time::Duration;

use i2p_name::VirtualOptions;
use i2p_sam::{Bridge, SessionOptions};
use i2p_tunnel::{
    Account, AddressPool, Limit, Limits, Metrics, PoolOptions, SamDialler, Service, SessionPolicy,
    SessionPool, metrics::Snapshot,
};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    alone,
    common::{binary, domain, proxy_with_service, socks5_command, socks5_request, start_service, udp},
    log::{self, Lines},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

/// The log at the default level, and the metrics.
#[derive(Default)]
struct Observed {
    lines: Lines,
    metrics: Metrics,
}

impl Observed {
    /// Waits until a limit was reached `times` times. Checks that it was logged, at most as often, unless it is reached in everyday use.
    async fn has(&self, limit: Limit, times: u32) {
        let wanted = format!("limits_reached_total{{tunnel=\"main\",limit=\"{}\"}} {times}\n", limit.label());
        let begin = Instant::now();
        loop {
            let text = self.metrics.encode(&Snapshot::default());
            if text.contains(&wanted) {
                break;
            }
            assert!(begin.elapsed() < LONG, "{wanted} is not in\n{text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let everyday = matches!(limit, Limit::Handshake | Limit::HalfClose | Limit::Linger);
        let said = self.lines.text().matches(limit.log()).count();
        let expected = if everyday { 0..=0 } else { 1..=times as usize };
        assert!(expected.contains(&said), "{limit:?} in\n{}", self.lines.text());
    }

    fn account(&self) -> std::sync::Arc<Account> {
        self.metrics.account("main")
    }
}

/// Tests one limit at a time; all others are long.
#[tokio::test]
async fn each_limit_applies_by_itself_and_is_named() {
    alone();
    let observed = Observed { lines: log::keep(LevelFilter::INFO), ..Observed::default() };
    let long = Limits { handshake: LONG, dial: LONG, half_close: LONG, linger: LONG, ..Limits::default() };
    let bridge = TestBridge::start().await;
    bridge.host("sink.i2p", Endpoint::Sink);
    let proxy = async |limits| {
        proxy_with_service(&bridge, |service| service.with_limits(limits).with_account(observed.account()))
            .await
    };

    let silent = proxy(Limits { handshake: SHORT, ..long }).await;
    assert!(silent.exchange(b"").await.is_empty());
    observed.has(Limit::Handshake, 1).await;

    let idle = proxy(Limits { idle: Some(SHORT), ..long }).await;
    let (mut client, code) = idle.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);
    let begin = Instant::now();
    while begin.elapsed() < SHORT * 3 {
        client.write_all(b"x").await.unwrap();
        client.read_u8().await.expect("a stream that is not idle continues");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert_eq!(timeout(LONG / 2, client.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
    observed.has(Limit::Idle, 1).await;

    let half_close = proxy(Limits { half_close: SHORT, ..long }).await;
    let (mut client, _) = half_close.socks5("sink.i2p", 80).await;
    client.shutdown().await.unwrap();
    // The far end keeps reading and sends nothing: the router does not pass our end on.
    assert_eq!(timeout(LONG / 2, client.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
    observed.has(Limit::HalfClose, 1).await;

    let linger = proxy(Limits { linger: SHORT, ..long }).await;
    let mut client = linger.connect().await;
    client.write_all(&socks5_request("unknown.i2p", 80)).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    observed.has(Limit::Linger, 1).await;

    bridge.on("STREAM CONNECT", [Act::Hang]);
    let dial = proxy(Limits { dial: SHORT, ..long }).await;
    assert_eq!(dial.socks5("known.i2p", 80).await.1, 6);
    observed.has(Limit::Dial, 1).await;

    // Lookups are limited too.
    bridge.on("NAMING LOOKUP NAME=slow.i2p", [Act::Hang]);
    let answer = dial.exchange(&socks5_command(0xf0, &domain("slow.i2p"), 0)).await;
    assert_eq!(answer[3], 6);
    observed.has(Limit::Dial, 2).await;
    bind_and_udp(&observed).await;
}

/// BIND waits for a session, and then for a peer; UDP for a session.
async fn bind_and_udp(observed: &Observed) {
    let bridge = TestBridge::start().await;
    let limits = Limits { dial: SHORT, bind: SHORT, ..Limits::default() };
    let sam = Bridge::new(bridge.address()).with_udp_address(bridge.udp_address().parse().unwrap());
    let session = SessionOptions::default().publish(true).lend(true);
    let pool = SessionPool::new(sam, PoolOptions { session, ..PoolOptions::default() });
    pool.first_ready().await.unwrap();
    let rules = SessionPolicy { incoming: true, ..SessionPolicy::default() };
    let dialler = SamDialler::new(pool.clone()).with_datagrams(udp::UdpOptions::default().pool());
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("main", dialler, addresses)
        .with_limits(limits)
        .with_account(observed.account())
        .with_sessions(rules);
    let proxy = start_service(service, pool).await;
    let bind = socks5_command(2, &binary([0, 0, 0, 0].into()), 0);
    proxy.exchange(&bind).await;
    observed.has(Limit::Bind, 1).await;
    bridge.on("STREAM ACCEPT", [Act::Hang]);
    assert_eq!(proxy.exchange(&bind).await[3], 6);
    observed.has(Limit::Dial, 3).await;
    bridge.on("SESSION ADD", [Act::Hang]);
    bridge.on("SESSION CREATE", [Act::Hang]);
    assert_eq!(proxy.exchange(&socks5_command(3, &binary([0, 0, 0, 0].into()), 0)).await[3], 6);
    observed.has(Limit::Dial, 4).await;
}

/// The tests above and `caps.rs` check what is counted under each label.
#[test]
fn labels_are_configuration_keys_and_log_lines_name_them() {
    for limit in Limit::ALL {
        let key = match limit {
            // Not a matter of the configuration alone.
            Limit::Accepting => continue,
            // A part of another limit.
            Limit::Waiting => "connections".to_owned(),
            _ => limit.label().replace('_', "-"),
        };
        assert!(limit.log().contains(&format!("[limits] {key}")), "{key}");
    }
}
