//! BIND: clients that wait for a peer.

use std::time::Duration;

use i2p_name::{Destination, I2pName};
use i2p_sam::{Bridge, Session, SessionOptions};
use i2p_tunnel::{Limits, PoolOptions, SessionPolicy};
use sam_testkit::{Act, Dialect, TestBridge};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    common::{Proxy, binary, domain, proxy as without_incoming, proxy_of, socks5_command},
    panics::PanickingLog,
};

const ALL_ROUTERS: [Dialect; 5] =
    [Dialect::Java, Dialect::I2pd245, Dialect::I2pd256, Dialect::I2pd259, Dialect::Emissary];
const ANY_PEER: [u8; 5] = [1, 0, 0, 0, 0];

async fn proxy(bridge: &TestBridge, limits: Limits) -> Proxy {
    let session = SessionOptions::default().publish(true);
    let options = PoolOptions { session, ..PoolOptions::default() };
    proxy_of(bridge, limits, options, SessionPolicy { incoming: true, ..SessionPolicy::default() }).await
}

/// Another program on the same router.
async fn peer(bridge: &TestBridge) -> Session {
    Bridge::new(bridge.address()).create_session(&SessionOptions::default()).await.unwrap()
}

/// A client whose BIND waits for `peer`, and the address that it was told.
async fn bind(proxy: &Proxy, peer: &[u8]) -> (TcpStream, I2pName) {
    let mut client = proxy.connect().await;
    client.write_all(&socks5_command(2, peer, 7)).await.unwrap();
    let mut selection = [0; 2];
    client.read_exact(&mut selection).await.unwrap();
    let (code, own, port) = reply(&mut client).await;
    assert_eq!((selection, code, port), ([5, 0], 0, 7));
    assert!(own.ends_with(".b32.i2p"), "{own}");
    (client, I2pName::parse(&own).unwrap())
}

/// Reads a reply: its code, name (empty for an IPv4 address) and port.
async fn reply(client: &mut TcpStream) -> (u8, String, u16) {
    let mut head = [0; 5];
    client.read_exact(&mut head).await.unwrap();
    let [5, code, 0, kind, first] = head else { panic!("{head:?}") };
    let mut rest = vec![0; if kind == 3 { usize::from(first) } else { 3 } + 2];
    client.read_exact(&mut rest).await.unwrap();
    let port = u16::from_be_bytes(rest.split_off(rest.len() - 2).try_into().unwrap());
    (code, if kind == 3 { String::from_utf8(rest).unwrap() } else { String::new() }, port)
}

#[tokio::test]
async fn a_peer_connects_and_a_megabyte_passes_each_way_on_every_router() {
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge, Limits::default()).await;
        let peer = peer(&bridge).await;
        let (mut client, own) = bind(&proxy, &ANY_PEER).await;
        // Sent before the peer connects: it becomes the stream's first data.
        client.write_all(b"early ").await.unwrap();
        let mut stream = peer.connect(&own, 0).await.unwrap();
        let (code, who, _) = reply(&mut client).await;
        assert_eq!((code, who), (0, peer.destination().b32().to_string()), "{dialect:?}");
        let mut early = [0; 6];
        stream.read_exact(&mut early).await.unwrap();
        assert_eq!(&early, b"early ");
        let megabyte: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
        let (mut received, mut back) = (vec![0; megabyte.len()], vec![0; megabyte.len()]);
        let (mut from_read, mut from_write) = client.split();
        let (mut to_read, mut to_write) = tokio::io::split(&mut stream);
        let moved = tokio::try_join!(
            from_write.write_all(&megabyte),
            to_read.read_exact(&mut received),
            to_write.write_all(&megabyte),
            from_read.read_exact(&mut back)
        );
        moved.unwrap();
        assert!(received == megabyte && back == megabyte, "{dialect:?}");
    }
}

#[tokio::test]
async fn a_peer_that_no_client_expects_is_refused() {
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge, Limits::default()).await;
        let (wanted, other) = (peer(&bridge).await, peer(&bridge).await);
        let whom = domain(&wanted.destination().b32().to_string());
        let (mut client, own) = bind(&proxy, &whom).await;
        let mut stranger = other.connect(&own, 0).await.unwrap();
        assert_eq!(stranger.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
        // Retry until the proxy listens again.
        let mut stream = loop {
            if let Ok(stream) = wanted.connect(&own, 0).await {
                break stream;
            }
        };
        let (code, who, _) = reply(&mut client).await;
        assert_eq!((code, who), (0, wanted.destination().b32().to_string()));
        stream.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
    }
}

#[tokio::test]
async fn the_next_client_gets_its_peer_after_the_task_that_accepts_peers_has_panicked() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge, Limits::default()).await;
    let (wanted, other) = (peer(&bridge).await, peer(&bridge).await);
    let whom = domain(&wanted.destination().b32().to_string());
    let (mut client, own) = bind(&proxy, &whom).await;
    let log = PanickingLog::start("refused a peer", 1);
    let _stranger = other.connect(&own, 0).await;
    let told = timeout(Duration::from_secs(10), reply(&mut client)).await;
    assert_ne!(told.expect("it waits in vain").0, 0);
    drop(log);
    let (mut client, own) = bind(&proxy, &whom).await;
    let _stream = wanted.connect(&own, 0).await.unwrap();
    assert_eq!(reply(&mut client).await.0, 0);
}

#[tokio::test]
async fn a_name_restricts_the_peer_and_hosts_outside_i2p_are_refused() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge, Limits::default()).await;
    let wanted = peer(&bridge).await;
    let destination: &Destination = wanted.destination();
    let answer = format!("NAMING REPLY RESULT=OK NAME=wanted.i2p VALUE={}", destination.to_base64());
    bridge.on("NAMING LOOKUP NAME=wanted.i2p", [Act::line(&answer)]);
    let (mut client, own) = bind(&proxy, &domain("wanted.i2p")).await;
    let _stream = wanted.connect(&own, 0).await.unwrap();
    assert_eq!(reply(&mut client).await.0, 0);
    for (whom, code) in
        [(domain("unknown.i2p"), 4), (domain("example.com"), 2), (binary([192, 0, 2, 1].into()), 2)]
    {
        let answer = proxy.exchange(&socks5_command(2, &whom, 7)).await;
        assert_eq!(answer, [5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0], "{whom:?}");
    }
}

/// A router gives each stream to the oldest listener; the proxy sorts them by peer.
#[tokio::test]
async fn each_client_gets_the_peer_that_it_expects() {
    for dialect in ALL_ROUTERS {
        let bridge = TestBridge::start_as(dialect).await;
        let proxy = proxy(&bridge, Limits::default()).await;
        let (first, second, other) = (peer(&bridge).await, peer(&bridge).await, peer(&bridge).await);
        let whom = |peer: &Session| domain(&peer.destination().b32().to_string());
        for order in [[&first, &second, &other], [&second, &first, &other], [&other, &second, &first]] {
            let (anybody, own) = bind(&proxy, &ANY_PEER).await;
            let clients =
                [bind(&proxy, &whom(&first)).await.0, bind(&proxy, &whom(&second)).await.0, anybody];
            let mut streams = Vec::new();
            for peer in order {
                let mut stream = peer.connect(&own, 0).await.unwrap();
                stream.write_all(peer.destination().b32().to_string().as_bytes()).await.unwrap();
                streams.push(stream);
            }
            for (mut client, peer) in clients.into_iter().zip([&first, &second, &other]) {
                let (code, who, _) = reply(&mut client).await;
                assert_eq!((code, &who), (0, &peer.destination().b32().to_string()), "{dialect:?}");
                let mut said = vec![0; who.len()];
                client.read_exact(&mut said).await.unwrap();
                assert_eq!(String::from_utf8(said).unwrap(), who);
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_leaves_the_others_what_they_wait_for() {
    let bridge = TestBridge::start_as(Dialect::Java).await;
    let proxy = proxy(&bridge, Limits::default()).await;
    let wanted = peer(&bridge).await;
    let accepts = || bridge.commands().iter().filter(|sent| sent.starts_with("STREAM ACCEPT")).count();
    let whom = domain(&wanted.destination().b32().to_string());
    for round in 0..10 {
        let before = accepts();
        let (gone, _) = bind(&proxy, &ANY_PEER).await;
        let (mut client, own) = bind(&proxy, &whom).await;
        drop(gone);
        let leases = || proxy.pool.sessions().iter().map(|session| session.leases).sum::<usize>();
        while leases() > 1 {
            tokio::task::yield_now().await;
        }
        // The first may come to the STREAM ACCEPT that is just being closed.
        let stream = loop {
            let stream = wanted.connect(&own, 0).await;
            if timeout(Duration::from_millis(200), client.peek(&mut [0])).await.is_ok() {
                break stream;
            }
        };
        let (code, who, _) = reply(&mut client).await;
        assert_eq!((code, who), (0, wanted.destination().b32().to_string()), "round {round}");
        assert_eq!(accepts(), before + 2, "round {round}: one for each");
        drop((client, stream));
        while leases() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_disconnects_after_much_early_data_ends_its_bind() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge, Limits::default()).await;
    let leases = || proxy.pool.sessions().iter().map(|session| session.leases).sum::<usize>();
    let (mut client, _) = bind(&proxy, &ANY_PEER).await;
    client.write_all(&[0; 40_000]).await.unwrap();
    // By then the proxy has read as much as it buffers.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(leases(), 1);
    drop(client);
    let gone = async {
        while leases() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.unwrap();
}

#[tokio::test]
async fn much_early_data_arrives_completely() {
    let bridge = TestBridge::start().await;
    let proxy = proxy(&bridge, Limits::default()).await;
    let peer = peer(&bridge).await;
    let (mut client, own) = bind(&proxy, &ANY_PEER).await;
    let data: Vec<u8> = (0..=250).cycle().take(60_000).collect();
    client.write_all(&data).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut stream = peer.connect(&own, 0).await.unwrap();
    assert_eq!(reply(&mut client).await.0, 0);
    let mut received = vec![0; data.len()];
    timeout(Duration::from_secs(20), stream.read_exact(&mut received)).await.unwrap().unwrap();
    assert!(received == data);
}

#[tokio::test]
async fn a_bind_without_a_peer_ends_at_its_limit() {
    let bridge = TestBridge::start().await;
    let limits = Limits { bind: Duration::from_millis(100), ..Limits::default() };
    let proxy = proxy(&bridge, limits).await;
    let (mut client, _) = bind(&proxy, &ANY_PEER).await;
    assert_eq!(reply(&mut client).await.0, 6);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_disconnects_ends_its_bind() {
    let bridge = TestBridge::start_as(Dialect::Java).await;
    let proxy = proxy(&bridge, Limits::default()).await;
    let (client, own) = bind(&proxy, &ANY_PEER).await;
    let accepts = |proxy: &Proxy| proxy.pool.sessions().iter().map(|session| session.leases).sum::<usize>();
    assert_eq!(accepts(&proxy), 1);
    drop(client);
    while accepts(&proxy) > 0 {
        tokio::task::yield_now().await;
    }
    // The proxy does not listen any more: otherwise another STREAM ACCEPT would follow each incoming stream.
    let peer = peer(&bridge).await;
    let listens = || bridge.commands().iter().filter(|sent| sent.starts_with("STREAM ACCEPT")).count();
    let ended = async {
        loop {
            let before = listens();
            let _ = peer.connect(&own, 0).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if listens() == before {
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), ended).await.unwrap();
}

#[tokio::test]
async fn a_router_that_dies_ends_the_bind() {
    let mut bridge = TestBridge::start().await;
    let proxy = proxy(&bridge, Limits::default()).await;
    let (mut client, _) = bind(&proxy, &ANY_PEER).await;
    bridge.kill().await;
    assert_eq!(reply(&mut client).await.0, 1);
}

#[tokio::test]
async fn bind_is_refused_unless_the_tunnel_allows_it_and_in_socks4() {
    let bridge = TestBridge::start().await;
    let refused = [5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0];
    let without = without_incoming(&bridge).await;
    assert_eq!(without.exchange(&socks5_command(2, &ANY_PEER, 7)).await, refused);
    let proxy = proxy(&bridge, Limits::default()).await;
    assert_eq!(proxy.exchange(&[4, 2, 0, 7, 0, 0, 0, 1, 0, b'a', 0]).await, [0, 91, 0, 0, 0, 0, 0, 0]);
}
