//! The DNS listener: names become virtual addresses of the client that asks, and nobody else is asked.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use i2p_name::VirtualOptions;
use i2p_sam::Bridge;
use i2p_tunnel::{
    AddressPool, Admission, Caps, Limits, Listeners, LocalClients, Metrics, Outproxies, OutproxyDefinition,
    PoolOptions, Route, Routes, Routing, SamDialler, Service, SessionPool, Stop, serve,
};
use sam_testkit::{Act, Endpoint, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    sync::watch,
    time::timeout,
};

use crate::common::{
    b32,
    exit::{Exit, GRANTED, route},
};

/// Generous: tests wait this long only if something is broken.
const TIMEOUT: Duration = Duration::from_secs(20);
const ANNA: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const BERT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 12);

struct Dns {
    address: SocketAddr,
    addresses: AddressPool,
    metrics: Metrics,
    stop: Stop,
}

/// Starts a DNS listener on an address of loopback, each of which is a client, unless `change` says otherwise.
async fn start(
    bridge: &TestBridge,
    listen: &str,
    change: impl FnOnce(Service<SamDialler>) -> Service<SamDialler>,
) -> Dns {
    let pool = SessionPool::new(Bridge::new(bridge.address()), PoolOptions::default());
    pool.first_ready().await.unwrap();
    let metrics = Metrics::new();
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let service = Service::new("lan", SamDialler::new(pool), addresses.clone())
        .with_account(metrics.account("lan"))
        .with_local_clients(LocalClients::ByAddress);
    let listeners = Listeners::bind(&[listen.parse().unwrap()]).await.unwrap();
    let address = listeners.addresses().unwrap()[0].socket_address().unwrap();
    let stop = Stop::new();
    let (_, service) = watch::channel(Arc::new(change(service)));
    tokio::spawn(serve(listeners, service, stop.clone()));
    Dns { address, addresses, metrics, stop }
}

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, wait).await.unwrap();
}

/// A query as it goes over TCP.
fn framed(query: &[u8]) -> Vec<u8> {
    [&u16::try_from(query.len()).unwrap().to_be_bytes()[..], query].concat()
}

fn pointer(address: IpAddr) -> Vec<u8> {
    query(&Name::from(address).to_ascii(), RecordType::PTR)
}

/// What an answer says: its record, or its code.
fn said(answer: &[u8]) -> Result<RData, ResponseCode> {
    let message = Message::from_vec(answer).unwrap();
    let code = message.metadata.response_code;
    match &message.answers[..] {
        [record] if code == ResponseCode::NoError => {
            assert_eq!(record.ttl, 60);
            Ok(record.data.clone())
        }
        [] => Err(code),
        other => panic!("{code}: {other:?}"),
    }
}

impl Dns {
    async fn ask_from(&self, from: impl Into<IpAddr>, query: &[u8]) -> Result<RData, ResponseCode> {
        let socket = UdpSocket::bind((from.into(), 0)).await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket.send(query).await.unwrap();
        let mut answer = [0; 1024];
        let length = timeout(TIMEOUT, socket.recv(&mut answer)).await.unwrap().unwrap();
        said(&answer[..length])
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<RData, ResponseCode> {
        self.ask_from(ANNA, &query(name, kind)).await
    }

    async fn address_from(&self, from: Ipv4Addr, name: &str) -> IpAddr {
        match self.ask_from(from, &query(name, RecordType::A)).await {
            Ok(RData::A(address)) => IpAddr::V4(address.0),
            other => panic!("{other:?}"),
        }
    }

    fn count(&self, of: &str) -> u64 {
        let text = self.metrics.encode(&i2p_tunnel::metrics::Snapshot::default());
        let line = text.lines().find(|line| line.starts_with(of)).unwrap_or_else(|| panic!("{of} in {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

fn name(text: &str) -> RData {
    RData::PTR(hickory_proto::rr::rdata::PTR(Name::from_ascii(text).unwrap()))
}

#[tokio::test]
async fn a_name_gets_an_address_of_its_own_and_the_address_its_name() {
    let bridge = TestBridge::start().await;
    bridge.host("known.i2p", Endpoint::Echo);
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    let address = dns.address_from(ANNA, "Known.I2P").await;
    assert!(dns.addresses.is_virtual(address));
    assert_eq!(dns.address_from(ANNA, "known.i2p").await, address, "the same at the next time");
    assert_ne!(dns.address_from(ANNA, &b32()).await, address);
    assert_eq!(dns.ask_from(ANNA, &pointer(address)).await, Ok(name("known.i2p.")));
    let found = "i2p_socks_requests_total{tunnel=\"lan\",protocol=\"dns\",outcome=\"succeeded\"}";
    assert_eq!(dns.count(found), 4);
}

#[tokio::test]
async fn an_address_is_of_no_use_to_others() {
    let bridge = TestBridge::start().await;
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    let address = dns.address_from(ANNA, &b32()).await;
    assert_ne!(dns.address_from(BERT, &b32()).await, address);
    assert_eq!(dns.ask_from(BERT, &pointer(address)).await, Err(ResponseCode::NXDomain));
}

/// Systems ask for names outside I2P all the time.
#[tokio::test]
async fn what_leads_nowhere_does_not_exist_and_nobody_is_asked() {
    let bridge = TestBridge::start().await;
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    let before = bridge.commands().len();
    for outside in [
        "example.com",
        "localhost",
        "nas",
        "1.2.3.4",
        "250.1.2.3",
        "a.onion",
        "proxy.i2p",
        "use-application-dns.net",
    ] {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::HTTPS] {
            assert_eq!(dns.ask(outside, kind).await, Err(ResponseCode::NXDomain), "{outside} {kind}");
        }
    }
    for address in ["250.1.2.3", "fd91:cbed:4d7e::1", "127.0.0.1", "192.0.2.1"] {
        let asked = pointer(address.parse().unwrap());
        assert_eq!(dns.ask_from(ANNA, &asked).await, Err(ResponseCode::NXDomain), "{address}");
    }
    // Another type of a name that may exist.
    for kind in [RecordType::MX, RecordType::HTTPS] {
        assert_eq!(dns.ask("known.i2p", kind).await, Err(ResponseCode::NoError), "{kind}");
    }
    assert_eq!(bridge.commands().len(), before, "the router was not asked");
    assert_eq!(dns.ask("unknown.i2p", RecordType::A).await, Err(ResponseCode::NXDomain));
}

#[tokio::test]
async fn a_router_that_cannot_tell_is_not_taken_for_a_no() {
    let bridge = TestBridge::start().await;
    bridge.on("NAMING LOOKUP", [Act::line("NAMING REPLY RESULT=I2P_ERROR NAME=known.i2p")]);
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    assert_eq!(dns.ask("known.i2p", RecordType::A).await, Err(ResponseCode::ServFail));
}

/// A client connects to IPv6 from another address than to IPv4, and only its address identifies it.
#[tokio::test]
async fn the_address_that_a_client_asks_from_decides_which_family_it_gets() {
    let bridge = TestBridge::start().await;
    let v4 = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    assert_eq!(v4.ask(&b32(), RecordType::AAAA).await, Err(ResponseCode::NoError));
    let v6 = start(&bridge, "dns:[::1]:0", |service| service).await;
    let from = std::net::Ipv6Addr::LOCALHOST;
    assert_eq!(v6.ask_from(from, &query(&b32(), RecordType::A)).await, Err(ResponseCode::NoError));
    let Ok(RData::AAAA(address)) = v6.ask_from(from, &query(&b32(), RecordType::AAAA)).await else {
        panic!("IPv6")
    };
    assert_eq!(v6.ask_from(from, &pointer(address.0.into())).await, Ok(name(&format!("{}.", b32()))));
}

/// The kernel tells who asks, whatever the address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_user_of_this_machine_is_one_client_at_every_address() {
    let bridge = TestBridge::start().await;
    let by_user = |service: Service<SamDialler>| service.with_local_clients(LocalClients::ByUser);
    let dns = start(&bridge, "dns:127.0.0.1:0", by_user).await;
    let address = dns.address_from(ANNA, &b32()).await;
    assert_eq!(dns.address_from(BERT, &b32()).await, address);
    assert!(matches!(dns.ask(&b32(), RecordType::AAAA).await, Ok(RData::AAAA(_))));
}

fn with_routes(
    routes: Vec<Route>,
    to: OutproxyDefinition,
) -> impl FnOnce(Service<SamDialler>) -> Service<SamDialler> {
    let outproxies = Outproxies::new(vec![to]).unwrap();
    let routing = Routing::new(Routes::new(routes).into(), outproxies).unwrap();
    |service| service.with_routing(routing)
}

#[tokio::test]
async fn hosts_outside_i2p_get_addresses_where_a_route_leads_to_an_outproxy() {
    let bridge = TestBridge::start().await;
    let exit = Exit::start("exit", GRANTED).await;
    let routes = vec![
        route("mail.example", "25", &[]),
        route("bad.example", "1-65535", &[]),
        route("web.example", "443", &["exit"]),
        route("mail.example", "1-65535", &["exit"]),
        route("bad.example", "1-65535", &["exit"]),
        route("*.onion", "1-65535", &["exit"]),
        route("*.test", "1-65535", &[]),
    ];
    let dns = start(
        &bridge,
        "dns:127.0.0.1:0",
        with_routes(routes, exit.over_tcp(i2p_tunnel::OutproxyProtocol::Socks5)),
    )
    .await;
    for host in ["web.example", "mail.example", "a.onion"] {
        let address = dns.address_from(ANNA, host).await;
        assert_eq!(dns.ask_from(ANNA, &pointer(address)).await, Ok(name(&format!("{host}."))));
    }
    for host in ["bad.example", "other.example", "example", "a.test", "use-application-dns.net"] {
        assert_eq!(dns.ask(host, RecordType::A).await, Err(ResponseCode::NXDomain), "{host}");
    }
    assert_eq!(exit.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn tcp_carries_queries_one_after_the_other_in_any_pieces() {
    let bridge = TestBridge::start().await;
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    let bytes =
        [framed(&query(&b32(), RecordType::A)), framed(&query("example.com", RecordType::A))].concat();
    let mut client = TcpStream::connect(dns.address).await.unwrap();
    client.set_nodelay(true).unwrap();
    for piece in bytes.chunks(7) {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    for _ in 0..2 {
        let length = timeout(TIMEOUT, client.read_u16()).await.unwrap().unwrap();
        let mut answer = vec![0; length.into()];
        client.read_exact(&mut answer).await.unwrap();
        answers.push(said(&answer));
    }
    assert!(matches!(answers[..], [Ok(RData::A(_)), Err(ResponseCode::NXDomain)]), "{answers:?}");
    // More than any query has, a query of no bytes, and an answer: the connection ends.
    for message in [vec![0xff; 64], vec![0; 2], framed(&[0xff; 12])] {
        let mut client = TcpStream::connect(dns.address).await.unwrap();
        client.write_all(&message).await.unwrap();
        let mut answer = Vec::new();
        let end = timeout(TIMEOUT, client.read_to_end(&mut answer)).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "{answer:?}");
    }
}

/// Such a client would keep its place for ever.
#[tokio::test]
async fn a_client_over_tcp_that_reads_no_answers_is_disconnected() {
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(3600));
    // Long, because answers repeat it: then fewer of them fit into the buffers of the kernel.
    let name =
        format!("{}example.com", "sixty-characters-that-make-the-answers-fill-the-buffers-soon.".repeat(3));
    for (handshake, is_stopped) in [(short, false), (long, true)] {
        let bridge = TestBridge::start().await;
        let limits = Limits { handshake, ..Limits::default() };
        let dns = start(&bridge, "dns:127.0.0.1:0", |service| service.with_limits(limits)).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut client = socket.connect(dns.address).await.unwrap();
        let queries = framed(&query(&name, RecordType::A)).repeat(100);
        if is_stopped {
            // Until the server waits for the client to read, also on a busy machine.
            while timeout(short * 5, client.write_all(&queries)).await.is_ok() {}
            dns.stop.drain(Duration::ZERO);
        }
        let until_cut = async { while client.write_all(&queries).await.is_ok() {} };
        assert!(timeout(TIMEOUT * 3, until_cut).await.is_ok(), "handshake {handshake:?}");
    }
}

#[tokio::test]
async fn a_client_over_tcp_that_leaves_before_its_answer_is_counted() {
    let bridge = TestBridge::start().await;
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    bridge.on("NAMING LOOKUP", [Act::Hang]);
    let mut client = TcpStream::connect(dns.address).await.unwrap();
    client.write_all(&framed(&query("slow.i2p", RecordType::A))).await.unwrap();
    until(|| bridge.commands().iter().any(|command| command.contains("slow.i2p"))).await;
    drop(client);
    let left = "i2p_socks_requests_total{tunnel=\"lan\",protocol=\"dns\",outcome=\"abandoned\"}";
    until(|| dns.count(left) == 1).await;
}

#[tokio::test]
async fn lookups_of_one_client_leave_places_to_others() {
    let bridge = TestBridge::start().await;
    let caps = Caps { connections: 8, ..Caps::default() };
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service.with_admission(Admission::new(caps))).await;
    bridge.on("NAMING LOOKUP", [Act::Hang]);
    let eve = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 66), 0)).await.unwrap();
    for number in 0..20 {
        eve.send_to(&query(&format!("slow{number}.i2p"), RecordType::A), dns.address).await.unwrap();
    }
    let limit = "i2p_socks_limits_reached_total{tunnel=\"lan\",limit=\"per_client\"}";
    until(|| dns.count(limit) >= 14).await;
    dns.address_from(BERT, &b32()).await;
    assert_eq!(dns.count(limit), 14, "six of eight places");
}

/// There is nowhere else that it could lead.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_to_a_transparent_listener_itself_is_reset() {
    let bridge = TestBridge::start().await;
    let listener = start(&bridge, "redirect:127.0.0.1:0", |service| service).await;
    let mut client = TcpStream::connect(listener.address).await.unwrap();
    let end = timeout(TIMEOUT, client.read(&mut [0])).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(
        listener.count("i2p_socks_handshakes_failed_total{tunnel=\"lan\",reason=\"not_redirected\"}"),
        1
    );
}

/// A resolver asks the next server, or tells the program, at once.
#[tokio::test]
async fn a_query_that_waits_is_answered_when_the_proxy_stops() {
    let bridge = TestBridge::start().await;
    bridge.on("NAMING LOOKUP NAME=slow.i2p", [Act::Hang]);
    let dns = start(&bridge, "dns:127.0.0.1:0", |service| service).await;
    let query = query("slow.i2p", RecordType::A);
    let over_tcp = async {
        let mut client = TcpStream::connect(dns.address).await.unwrap();
        client.write_all(&framed(&query)).await.unwrap();
        let mut answer = Vec::new();
        let length = timeout(TIMEOUT, client.read_u16()).await.unwrap().unwrap();
        client.take(length.into()).read_to_end(&mut answer).await.unwrap();
        said(&answer)
    };
    let stopping = async {
        until(|| !bridge.times("NAMING LOOKUP NAME=slow.i2p").is_empty()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        dns.stop.drain(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(300)).await;
        dns.stop.refuse();
    };
    let (over_udp, over_tcp, ()) = tokio::join!(dns.ask_from(ANNA, &query), over_tcp, stopping);
    assert_eq!([over_udp.unwrap_err(), over_tcp.unwrap_err()], [ResponseCode::ServFail; 2]);
}
