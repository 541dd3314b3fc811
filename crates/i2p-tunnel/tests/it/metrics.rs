//! Metrics count what happens, and never identify clients or targets.

use std::{sync::Arc, time::Duration};

use i2p_name::VirtualOptions;
use i2p_sam::{BackOff, Bridge};
use i2p_tunnel::{
    AddressPool, DropReason, Failure, Limit, Limits, Metrics, OutproxyFault, OutproxyStatus, PoolOptions,
    SamDialler, Service, SessionPool,
    metrics::{Format, Reloads, Snapshot},
};
use sam_testkit::{Dialect, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, sleep},
};

use crate::common::{self, Proxy, domain, socks5_command, socks5_request, start_service, udp};

struct Counted {
    proxy: Proxy,
    metrics: Metrics,
    addresses: AddressPool,
}

async fn start(bridge: &TestBridge) -> Counted {
    let back_off = BackOff { unasked: Duration::from_millis(10), ..BackOff::default() };
    let options = PoolOptions { back_off, ..PoolOptions::default() };
    let pool = SessionPool::new(Bridge::new(bridge.address()), options);
    pool.first_ready().await.unwrap();
    let metrics = Metrics::new();
    let limit = Duration::from_millis(300);
    let limits = Limits { handshake: limit, linger: limit, half_close: limit, ..Limits::default() };
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let dialler = SamDialler::new(pool.clone());
    let service = Service::new("main", dialler, addresses.clone())
        .with_limits(limits)
        .with_account(metrics.account("main"));
    Counted { proxy: start_service(service, pool).await, metrics, addresses }
}

fn outproxies() -> Vec<OutproxyStatus> {
    let exit = OutproxyStatus { name: "exit".into(), successes: 3, ..OutproxyStatus::default() };
    let other = OutproxyStatus {
        name: "other".into(),
        declined: 1,
        faults: [(OutproxyFault::TimedOut, 4)].into(),
        ejected_for: Some(Duration::from_secs(60)),
        ..OutproxyStatus::default()
    };
    vec![exit, other]
}

impl Counted {
    fn text(&self) -> String {
        self.metrics.encode(&Snapshot {
            ready: true,
            sessions: self.proxy.pool.sessions(),
            max_sessions: 8,
            virtual_addresses: self.addresses.in_use(),
            outproxies: outproxies(),
            tunnels: vec![("main".into(), true), ("other".into(), false)],
            address_book_fails: true,
            router_deaths: 2,
            panics: 3,
            reloads: Reloads { applied: 4, refused: 5 },
        })
    }

    fn tasks(&self) -> u64 {
        let text = self.text();
        let value = text.lines().find_map(|line| line.strip_prefix("i2p_socks_tasks "));
        value.unwrap().parse().unwrap()
    }

    /// Waits for a line: connections end shortly after their clients.
    async fn has(&self, line: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while !self.text().lines().any(|found| found == format!("i2p_socks_{line}")) {
            assert!(Instant::now() < until, "{line} is not in\n{}", self.text());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn known_traffic_gives_known_values() {
    let bridge = TestBridge::start().await;
    let counted = start(&bridge).await;
    counted.metrics.describe_program("1.2.3", true);
    let proxy = &counted.proxy;
    let (mut stream, code) = proxy.socks5("echo.i2p", 80).await;
    assert_eq!(code, 0);
    stream.write_all(&[7; 5000]).await.unwrap();
    stream.read_exact(&mut [0; 5000]).await.unwrap();
    // A transfer is counted while it runs.
    counted.has("relayed_bytes_total{tunnel=\"main\",direction=\"to_peer\"} 5000").await;
    counted.has("relayed_bytes_total{tunnel=\"main\",direction=\"to_client\"} 5000").await;
    counted.has("streams_active{tunnel=\"main\"} 1").await;
    counted.has("session_leases 1").await;
    drop(stream);
    proxy.exchange(&socks5_request("unknown.i2p", 80)).await;
    proxy.exchange(&common::socks4a_request("unknown.i2p", 80)).await;
    proxy.exchange(&common::socks4a_request("example.com", 80)).await;
    proxy.exchange(&socks5_command(0xf0, &domain("known.i2p"), 42)).await;
    proxy.exchange(b"GET / HTTP/1.1\r\n\r\n").await;
    proxy.exchange(b"\x16\x03\x01").await;
    proxy.exchange(b"\x07").await;
    proxy.exchange(b"\x05\x01").await;
    for line in [
        "address_book_fails 1",
        "connections_total{tunnel=\"main\"} 9",
        "connections_active{tunnel=\"main\"} 0",
        "streams_active{tunnel=\"main\"} 0",
        "requests_total{tunnel=\"main\",protocol=\"socks5\",outcome=\"succeeded\"} 2",
        "requests_total{tunnel=\"main\",protocol=\"socks5\",outcome=\"name_unknown\"} 1",
        "requests_total{tunnel=\"main\",protocol=\"socks4a\",outcome=\"name_unknown\"} 1",
        "requests_total{tunnel=\"main\",protocol=\"socks4a\",outcome=\"not_allowed\"} 1",
        "requests_total{tunnel=\"main\",protocol=\"socks4\",outcome=\"succeeded\"} 0",
        "handshakes_failed_total{tunnel=\"main\",reason=\"http\"} 1",
        "handshakes_failed_total{tunnel=\"main\",reason=\"not_socks\"} 1",
        "handshakes_failed_total{tunnel=\"main\",reason=\"tls\"} 1",
        "handshakes_failed_total{tunnel=\"main\",reason=\"timeout\"} 1",
        "handshake_duration_seconds_count{tunnel=\"main\"} 5",
        "handshake_duration_seconds_bucket{le=\"+Inf\",tunnel=\"main\"} 5",
        "dial_duration_seconds_count{tunnel=\"main\"} 4",
        "sessions{state=\"ready\"} 1",
        "sessions{state=\"building\"} 0",
        "sessions_max 8",
        "reloads_total{result=\"applied\"} 4",
        "reloads_total{result=\"refused\"} 5",
        "tunnel_ready{tunnel=\"main\"} 1",
        "tunnel_ready{tunnel=\"other\"} 0",
        "build_info{version=\"1.2.3\",embedded_router=\"yes\"} 1",
        "virtual_addresses 1",
        "outproxy_available{outproxy=\"exit\"} 1",
        "outproxy_available{outproxy=\"other\"} 0",
        "outproxy_requests_total{outproxy=\"exit\",outcome=\"opened\"} 3",
        "outproxy_requests_total{outproxy=\"exit\",outcome=\"timed_out\"} 0",
        "outproxy_requests_total{outproxy=\"other\",outcome=\"timed_out\"} 4",
        "outproxy_requests_total{outproxy=\"other\",outcome=\"declined\"} 1",
    ] {
        counted.has(line).await;
    }
    let text = counted.text();
    // Without a description of a counter under its whole name, Prometheus has no help text for it.
    assert!(text.contains("# HELP i2p_socks_connections_total Accepted connections.\n"), "{text}");
    assert!(text.contains("# TYPE i2p_socks_connections_total counter\n"), "{text}");
    let open_metrics = counted.metrics.encode_as(Format::OpenMetrics, &Snapshot::default());
    assert!(open_metrics.contains("# TYPE i2p_socks_connections counter\n"), "{open_metrics}");
    assert!(open_metrics.ends_with("# EOF\n"), "{open_metrics}");
    for secret in ["known.i2p", "example", "b32", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
    let account = counted.metrics.account("main");
    assert_eq!(account.requests(), (2, 3));
    assert_eq!(account.relayed(), (5000, 5000));
    let kinds: Vec<_> =
        account.recent_failures().iter().map(|recent| (recent.failure, recent.count)).collect();
    assert_eq!(kinds, [(Failure::NotAllowed, 1), (Failure::NameUnknown, 2)]);
}

#[tokio::test]
async fn datagrams_are_counted_by_direction_and_reason() {
    let bridge = TestBridge::start_as(Dialect::Java).await;
    bridge.host("echo.i2p", Endpoint::Echo);
    let metrics = Metrics::new();
    let udp = udp::UdpOptions { account: metrics.account("main"), ..udp::UdpOptions::default() };
    let proxy = udp::proxy_with(&bridge.address(), &bridge.udp_address(), udp).await;
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let counted = Counted { proxy, metrics, addresses };
    let mut control = counted.proxy.connect().await;
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut reply = [0; 12];
    control.read_exact(&mut reply).await.unwrap();
    let relay = ("127.0.0.1", u16::from_be_bytes([reply[10], reply[11]]));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    counted.has("udp_associations_active{tunnel=\"main\"} 1").await;
    for target in ["example.com", "echo.i2p"] {
        let datagram = [&[0, 0, 0][..], &domain(target), &[0, 7], b"12345"].concat();
        socket.send_to(&datagram, relay).await.unwrap();
    }
    for line in [
        "datagrams_total{tunnel=\"main\",direction=\"to_peer\"} 1",
        "datagrams_total{tunnel=\"main\",direction=\"to_client\"} 1",
        "datagram_bytes_total{tunnel=\"main\",direction=\"to_peer\"} 5",
        "datagram_bytes_total{tunnel=\"main\",direction=\"to_client\"} 5",
        "datagrams_dropped_total{tunnel=\"main\",reason=\"not_allowed\"} 1",
        "datagrams_dropped_total{tunnel=\"main\",reason=\"malformed\"} 0",
    ] {
        counted.has(line).await;
    }
    drop(control);
    counted.has("udp_associations_active{tunnel=\"main\"} 0").await;
    assert!(!counted.text().contains("example"), "a host must not be a label");
}

#[tokio::test]
async fn a_dead_router_shows_in_the_session_states() {
    let mut bridge = TestBridge::start().await;
    let counted = start(&bridge).await;
    bridge.kill().await;
    counted.has("sessions{state=\"ready\"} 0").await;
    bridge.restart().await;
    counted.has("sessions{state=\"ready\"} 1").await;
}

/// What the system says of the process.
#[cfg(target_os = "linux")]
#[test]
fn the_process_is_measured() {
    let text = Metrics::new().encode(&Snapshot::default());
    let value = |name: &str| -> f64 {
        let found = text.lines().find_map(|line| line.strip_prefix(&format!("process_{name} ")));
        found.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    };
    let open = value("open_fds");
    assert!(open >= 3.0 && open < value("max_fds"), "{text}");
    assert!(value("resident_memory_bytes") > 1e6, "{text}");
    assert!(value("virtual_memory_bytes") > value("resident_memory_bytes"), "{text}");
    assert!(value("threads") >= 1.0 && value("cpu_seconds_total") >= 0.0, "{text}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((0.0..60.0).contains(&(now - value("start_time_seconds"))), "{text}");
}

/// The soak test relies on this to find leaked tasks.
#[tokio::test]
async fn the_task_of_a_connection_ends_with_it() {
    let bridge = TestBridge::start().await;
    let counted = start(&bridge).await;
    let connect = || TcpStream::connect(counted.proxy.address);
    // The first connection starts some tasks that remain.
    drop(connect().await.unwrap());
    counted.has("handshakes_failed_total{tunnel=\"main\",reason=\"broken\"} 1").await;
    let before = counted.tasks();
    assert!(before > 0, "a listener and a session have tasks");
    let clients = [connect().await.unwrap(), connect().await.unwrap()];
    counted.has("connections_active{tunnel=\"main\"} 2").await;
    assert!(counted.tasks() >= before + 2);
    drop(clients);
    counted.has("connections_active{tunnel=\"main\"} 0").await;
    counted.has(&format!("tasks {before}")).await;
}

#[test]
fn a_tunnel_keeps_its_counters_over_a_reload() {
    let metrics = Metrics::new();
    assert!(Arc::ptr_eq(&metrics.account("a"), &metrics.account("a")));
    assert!(!Arc::ptr_eq(&metrics.account("a"), &metrics.account("b")));
}

/// The table in `docs/metrics.md` lists exactly the metrics that exist, with their kinds.
#[test]
fn every_metric_is_documented() {
    let metrics = Metrics::new();
    let _account = metrics.account("main");
    metrics.describe_program("1.2.3", true);
    let tunnels = vec![("main".into(), true)];
    let text = metrics.encode(&Snapshot { outproxies: outproxies(), tunnels, ..Snapshot::default() });
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut described: Vec<_> = described
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            format!("`{name}` | {kind}")
        })
        .collect();
    described.sort_unstable();
    let page = include_str!("../../../../docs/metrics.md");
    let mut documented: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter(|line| line.starts_with("`i2p_socks_") || line.starts_with("`process_"))
        .map(|line| line.split(" | ").take(2).collect::<Vec<_>>().join(" | "))
        .collect();
    documented.sort_unstable();
    assert_eq!(described, documented);
    for failure in Failure::ALL {
        assert!(page.contains(&format!("`{}`", failure.row().label)), "{failure:?} is not in the page");
    }
    for (outcome, _) in OutproxyStatus::default().outcomes() {
        assert!(page.contains(&format!("| `{outcome}` |")), "{outcome} is not in the page");
    }
    for limit in Limit::ALL {
        assert!(page.contains(&format!("`{}`", limit.label())), "{limit:?} is not in the page");
    }
    for dropped in DropReason::ALL {
        assert!(page.contains(&format!("| `{}` |", dropped.label())), "{dropped:?} is not in the page");
    }
}
