//! Filters and the leak guard of a tunnel, on streams through it.

use std::sync::Arc;

use i2p_tunnel::{
    Account, FilterProtocol, FilterRule, Filtering, Filters, HeaderPolicy, Leak, LeakGuardPolicy,
    LeakPatterns, Machine, OwnMachine,
};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::common::{
    Proxy, http::all_protocols, proxy_with_service, read_to_end_or_reset, site::Site, socks5_request,
};

/// What identifies the machine of these tests.
const HOST_NAME: &str = "secret-laptop";

fn leak_guard(cuts: bool) -> Option<LeakGuardPolicy> {
    let machine = OwnMachine::default();
    let own = Machine { host_names: &[HOST_NAME], logins: &["margaret"], ..Machine::default() };
    machine.set(LeakPatterns::new(&own).unwrap());
    Some(LeakGuardPolicy { machine, cuts })
}

fn filter(ports: &str, protocol: Option<FilterProtocol>) -> Arc<Filters> {
    let ports = ports.parse().unwrap();
    Filters::new(vec![FilterRule { number: 1, host: ".i2p".parse().unwrap(), ports, protocol }]).into()
}

/// A proxy, what it counts, and a far end that waits for its streams.
struct World {
    _bridge: TestBridge,
    proxy: Proxy,
    account: Arc<Account>,
    far_end: TcpListener,
}

impl World {
    async fn start(filtering: impl FnOnce(&str) -> Filtering) -> Self {
        let bridge = TestBridge::start().await;
        bridge.on("STREAM CONNECT", [Act::Dial]);
        let far_end = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let filtering = filtering(&far_end.local_addr().unwrap().port().to_string());
        let account = Arc::<Account>::default();
        let counted = Arc::clone(&account);
        let change = |service: i2p_tunnel::Service<_>| {
            service.with_access(all_protocols()).with_filtering(filtering).with_account(counted)
        };
        let proxy = proxy_with_service(&bridge, change).await;
        Self { _bridge: bridge, proxy, account, far_end }
    }

    /// A stream, at both of its ends.
    async fn stream(&self) -> (TcpStream, TcpStream) {
        let port = self.far_end.local_addr().unwrap().port();
        let (near, far) = tokio::join!(self.proxy.socks5("known.i2p", port), self.far_end.accept());
        assert_eq!(near.1, 0);
        (near.0, far.unwrap().0)
    }

    fn leaks(&self) -> Vec<(Leak, bool, u64)> {
        self.account.leaks().iter().map(|seen| (seen.leak, seen.was_cut, seen.count)).collect()
    }
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let mut read = vec![0; text.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&read), text);
}

#[tokio::test]
async fn a_rule_filters_both_directions_of_a_stream() {
    let filters = |ports: &str| filter(ports, Some(FilterProtocol::Irc));
    let world = World::start(|ports| Filtering { filters: filters(ports), ..Filtering::default() }).await;
    let (mut near, mut far) = world.stream().await;
    near.write_all(b"PRIVMSG #c :\x01VERSION\x01\r\nJOIN #c\r\n").await.unwrap();
    expect(&mut far, "JOIN #c\r\n").await;
    far.write_all(b":bob!u@h PRIVMSG anon :\x01VERSION\x01\r\n:bob!u@h PRIVMSG anon :hi\r\n").await.unwrap();
    expect(&mut near, ":bob!u@h PRIVMSG anon :hi\r\n").await;
    drop(near);
    let (rest, _) = read_to_end_or_reset(&mut far).await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

#[tokio::test]
async fn a_filter_that_cannot_look_ends_the_stream() {
    let filters = |ports: &str| filter(ports, Some(FilterProtocol::Smtp));
    let world = World::start(|ports| Filtering { filters: filters(ports), ..Filtering::default() }).await;
    let (mut near, mut far) = world.stream().await;
    near.write_all(b"\x16\x03\x01\x00\x05hello").await.unwrap();
    assert_eq!(read_to_end_or_reset(&mut far).await.0, b"");
    assert_eq!(read_to_end_or_reset(&mut near).await, (Vec::new(), false));
}

#[tokio::test]
async fn a_rule_without_a_protocol_filters_nothing() {
    let world = World::start(|ports| {
        let filters = filter(ports, None);
        Filtering { filters, by_port: true, leak_guard: None }
    });
    let world = world.await;
    let (mut near, mut far) = world.stream().await;
    near.write_all(b"\x16\x03 anything").await.unwrap();
    expect(&mut far, "\x16\x03 anything").await;
}

#[tokio::test]
async fn streams_of_contained_programs_get_the_filter_of_their_port() {
    let bridge = TestBridge::start().await;
    bridge.host("echo.i2p", Endpoint::Echo);
    for (contained, expected) in [(true, "PRIVMSG #c :hi\r\n"), (false, "PRIVMSG #c :\x01VERSION\x01\r\n")] {
        let change = |service: i2p_tunnel::Service<_>| match contained {
            true => service.for_contained_programs(),
            false => service,
        };
        let proxy = proxy_with_service(&bridge, change).await;
        let mut client = proxy.connect().await;
        // Contained programs send credentials.
        let credentials = b"\x05\x01\x02\x01\x01a\x01a".to_vec();
        let request = socks5_request("echo.i2p", 6667).split_off(3);
        client.write_all(&[credentials, request].concat()).await.unwrap();
        client.read_exact(&mut [0; 14]).await.unwrap();
        client.write_all(b"PRIVMSG #c :\x01VERSION\x01\r\nPRIVMSG #c :hi\r\n").await.unwrap();
        expect(&mut client, expected).await;
    }
}

#[tokio::test]
async fn a_guard_warns_of_what_identifies_the_machine_and_lets_it_pass() {
    let world = World::start(|_| Filtering { leak_guard: leak_guard(false), ..Filtering::default() }).await;
    let (mut near, mut far) = world.stream().await;
    near.write_all(b"from secret-").await.unwrap();
    expect(&mut far, "from secret-").await;
    near.write_all(b"laptop, by margaret\n").await.unwrap();
    expect(&mut far, "laptop, by margaret\n").await;
    assert_eq!(world.leaks(), [(Leak::Login, false, 1), (Leak::HostName, false, 1)]);
    // What the far end sends says nothing of this machine.
    far.write_all(b"secret-laptop\n").await.unwrap();
    expect(&mut near, "secret-laptop\n").await;
    // The end of a stream is the end of a word, too.
    let (mut near, mut far) = world.stream().await;
    near.write_all(b"secret-laptop").await.unwrap();
    near.shutdown().await.unwrap();
    expect(&mut far, "secret-laptop").await;
    drop(near);
    read_to_end_or_reset(&mut far).await;
    assert!(world.leaks().contains(&(Leak::HostName, false, 2)), "{:?}", world.leaks());
}

#[tokio::test]
async fn a_guard_that_cuts_ends_the_stream_before_the_machine_is_named() {
    let world = World::start(|_| Filtering { leak_guard: leak_guard(true), ..Filtering::default() }).await;
    let (mut near, mut far) = world.stream().await;
    near.write_all(b"by margaret\n").await.unwrap();
    expect(&mut far, "by margaret\n").await;
    near.write_all(b"on secret-laptop\n").await.unwrap();
    assert_eq!(read_to_end_or_reset(&mut far).await.0, b"");
    assert_eq!(read_to_end_or_reset(&mut near).await, (Vec::new(), false));
    assert_eq!(world.leaks(), [(Leak::HostName, true, 1), (Leak::Login, false, 1)]);
}

#[tokio::test]
async fn a_guard_sees_what_a_filter_lets_pass() {
    let world = World::start(|ports| Filtering {
        filters: filter(ports, Some(FilterProtocol::Irc)),
        leak_guard: leak_guard(false),
        ..Filtering::default()
    });
    let world = world.await;
    let (mut near, mut far) = world.stream().await;
    // The filter replaces the first, and a person writes the second.
    near.write_all(b"QUIT :secret-laptop\r\nJOIN #c\r\n").await.unwrap();
    expect(&mut far, "QUIT :leaving\r\nJOIN #c\r\n").await;
    assert_eq!(world.leaks(), []);
    near.write_all(b"PRIVMSG #c :on secret-laptop\r\n").await.unwrap();
    expect(&mut far, "PRIVMSG #c :on secret-laptop\r\n").await;
    assert_eq!(world.leaks(), [(Leak::HostName, false, 1)]);
}

#[tokio::test]
async fn a_guard_looks_at_plain_http_requests() {
    // At the end of a request, it is noticed too late to cut.
    for (cuts, body) in [(false, "by secret-laptop"), (true, "by secret-laptop.")] {
        let bridge = TestBridge::start().await;
        let site = Site::start(&bridge, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let account = Arc::<Account>::default();
        let counted = Arc::clone(&account);
        let filtering = Filtering { leak_guard: leak_guard(cuts), ..Filtering::default() };
        let change = |service: i2p_tunnel::Service<_>| {
            service.with_access(all_protocols()).with_filtering(filtering).with_account(counted)
        };
        let proxy = proxy_with_service(&bridge, change).await;
        let request = format!(
            "POST http://known.i2p:{}/ HTTP/1.1\r\nHost: known.i2p\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            site.port,
            body.len()
        );
        let answer = proxy.exchange(request.as_bytes()).await;
        let status = String::from_utf8_lossy(&answer[..12]).into_owned();
        assert_eq!(status, if cuts { "HTTP/1.1 403" } else { "HTTP/1.1 200" });
        let leaks: Vec<_> = account.leaks().iter().map(|seen| (seen.leak, seen.was_cut)).collect();
        assert_eq!(leaks, [(Leak::HostName, cuts)]);
        assert!(!cuts || site.seen().connections.iter().all(|seen| !seen.ends_with(b"laptop.")));
    }
}

#[tokio::test]
async fn plain_http_announces_to_trackers_hold_no_address() {
    let bridge = TestBridge::start().await;
    let site = Site::start(&bridge, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    for (headers, expected) in [
        (HeaderPolicy::Filtered, "/announce?info_hash=%01&port=1"),
        (HeaderPolicy::AsSent, "/announce?info_hash=%01&ip=192.0.2.1&port=1"),
    ] {
        let change =
            |service: i2p_tunnel::Service<_>| service.with_access(all_protocols()).with_headers(headers);
        let proxy = proxy_with_service(&bridge, change).await;
        let request = format!(
            "GET http://known.i2p:{}/announce?info_hash=%01&ip=192.0.2.1&port=1 HTTP/1.1\r\nHost: known.i2p\r\nConnection: close\r\n\r\n",
            site.port
        );
        proxy.exchange(request.as_bytes()).await;
        let last = site.text(site.seen().connections.len() - 1);
        assert!(last.starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{last}");
    }
}
