//! Every limit of time cuts, is counted, and the log says which.

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
    common::{binary, domain, proxy_that, socks5_command, socks5_request, start_service, udp},
    log::{self, Lines},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

/// What is said by default, and what is counted.
#[derive(Default)]
struct Told {
    lines: Lines,
    metrics: Metrics,
}

impl Told {
    /// It was reached so often, and that is everyday life or was said once.
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
        assert_eq!(said, usize::from(!everyday), "{limit:?} in\n{}", self.lines.text());
    }

    fn account(&self) -> std::sync::Arc<Account> {
        self.metrics.account("main")
    }
}

/// One at a time, with all others long.
#[tokio::test]
async fn each_limit_cuts_by_itself_and_is_named() {
    alone();
    let told = Told { lines: log::keep(LevelFilter::INFO), ..Told::default() };
    let long = Limits { handshake: LONG, dial: LONG, half_close: LONG, linger: LONG, ..Limits::default() };
    let bridge = TestBridge::start().await;
    bridge.host("sink.i2p", Endpoint::Sink);
    let proxy = async |limits| {
        proxy_that(&bridge, |service| service.with_limits(limits).with_account(told.account())).await
    };

    let silent = proxy(Limits { handshake: SHORT, ..long }).await;
    assert!(silent.exchange(b"").await.is_empty());
    told.has(Limit::Handshake, 1).await;

    let idle = proxy(Limits { idle: Some(SHORT), ..long }).await;
    let (mut client, code) = idle.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);
    let begin = Instant::now();
    while begin.elapsed() < SHORT * 3 {
        client.write_all(b"x").await.unwrap();
        client.read_u8().await.expect("what is not idle goes on");
        tokio::time::sleep(SHORT / 10).await;
    }
    assert_eq!(timeout(LONG / 2, client.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
    told.has(Limit::Idle, 1).await;

    let half_close = proxy(Limits { half_close: SHORT, ..long }).await;
    let (mut client, _) = half_close.socks5("sink.i2p", 80).await;
    client.shutdown().await.unwrap();
    // The far end reads on and says nothing: the router does not pass our end on.
    assert_eq!(timeout(LONG / 2, client.read(&mut [0; 1])).await.unwrap().unwrap_or(0), 0);
    told.has(Limit::HalfClose, 1).await;

    let linger = proxy(Limits { linger: SHORT, ..long }).await;
    let mut client = linger.connect().await;
    client.write_all(&socks5_request("unknown.i2p", 80)).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    told.has(Limit::Linger, 1).await;

    bridge.on("STREAM CONNECT", [Act::Hang]);
    let dial = proxy(Limits { dial: SHORT, ..long }).await;
    assert_eq!(dial.socks5("known.i2p", 80).await.1, 6);
    told.has(Limit::Dial, 1).await;

    // No request is dialled elsewhere without a limit.
    bridge.on("NAMING LOOKUP NAME=slow.i2p", [Act::Hang]);
    let answer = dial.exchange(&socks5_command(0xf0, &domain("slow.i2p"), 0)).await;
    assert_eq!(answer[3], 6);
    told.has(Limit::Dial, 2).await;
    bind_and_udp(&told).await;
}

/// BIND waits for a session, and then for a peer; UDP for a session.
async fn bind_and_udp(told: &Told) {
    let bridge = TestBridge::start().await;
    let limits = Limits { dial: SHORT, bind: SHORT, ..Limits::default() };
    let sam = Bridge::new(bridge.address()).with_udp_address(bridge.udp_address().parse().unwrap());
    let session = SessionOptions::default().publish(true).lend(true);
    let pool = SessionPool::new(sam, PoolOptions { session, ..PoolOptions::default() });
    pool.first_ready().await.unwrap();
    let rules = SessionPolicy { incoming: true, ..SessionPolicy::default() };
    let dialler = SamDialler::new(pool.clone()).with_datagrams(udp::Udp::default().pool());
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("main", dialler, addresses)
        .with_limits(limits)
        .with_account(told.account())
        .with_sessions(rules);
    let proxy = start_service(service, pool).await;
    let bind = socks5_command(2, &binary([0, 0, 0, 0].into()), 0);
    proxy.exchange(&bind).await;
    told.has(Limit::Bind, 1).await;
    bridge.on("STREAM ACCEPT", [Act::Hang]);
    assert_eq!(proxy.exchange(&bind).await[3], 6);
    told.has(Limit::Dial, 3).await;
    bridge.on("SESSION ADD", [Act::Hang]);
    bridge.on("SESSION CREATE", [Act::Hang]);
    assert_eq!(proxy.exchange(&socks5_command(3, &binary([0, 0, 0, 0].into()), 0)).await[3], 6);
    told.has(Limit::Dial, 4).await;
}

/// What is counted under them is told by the tests above, and by `caps.rs`.
#[test]
fn labels_are_the_keys_of_the_configuration_and_the_words_name_them() {
    for limit in Limit::ALL {
        let key = limit.label().replace('_', "-");
        assert!(limit == Limit::Accepting || limit.log().contains(&format!("[limits] {key}")), "{key}");
    }
}
