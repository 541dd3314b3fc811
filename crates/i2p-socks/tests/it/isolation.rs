//! What a destination sees of isolated clients: real routers, the binary, and a service that names its visitors.
#![cfg(feature = "embedded")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use i2p_embedded::PrivateNetwork;
use i2p_sam::{Accepted, Session, SessionOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::common::{LIMIT, Running, network::bridge};

/// Characters of a base32 address before `.b32.i2p`.
const B32: usize = 52;
/// How many of 8 sessions one client gets.
const CAP: usize = 6;

/// Answers each `?` on a stream with the base32 address of the visitor.
async fn name_visitors(session: Session) {
    loop {
        let Ok(Accepted { mut stream, peer, .. }) = session.accept().await else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        tokio::spawn(async move {
            while stream.read_u8().await.is_ok() {
                let _ = stream.write_all(peer.b32().label().as_bytes()).await;
            }
        });
    }
}

/// Opens a stream as a user. Returns the reply code and the stream.
async fn connect(proxy: SocketAddr, user: &str, host: &str) -> (u8, TcpStream) {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let credentials = [&[5, 1, 2, 1, length(user)], user.as_bytes(), &[1, b'x']].concat();
    let request = [&[5, 1, 0, 3, length(host)], host.as_bytes(), &[0, 80]].concat();
    stream.write_all(&[credentials, request].concat()).await.unwrap();
    let mut answer = [0; 14];
    timeout(LIMIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer[..4], [5, 2, 1, 0], "the credentials are taken");
    (answer[5], stream)
}

/// Opens a stream as a user. Returns it with the address that the service sees. A new session may need several attempts.
async fn open(proxy: &Running, address: SocketAddr, user: &str, host: &str) -> (String, TcpStream) {
    let begin = Instant::now();
    loop {
        let (code, mut stream) = connect(address, user, host).await;
        if code == 0 {
            stream.write_all(b"?").await.unwrap();
            let mut answer = [0; B32];
            timeout(LIMIT, stream.read_exact(&mut answer)).await.expect("an answer").unwrap();
            return (String::from_utf8(answer.to_vec()).unwrap(), stream);
        }
        assert_eq!(code, 4, "unreachable is told as such; {}", proxy.said());
        assert!(begin.elapsed() < LIMIT, "the service was never reached; {}", proxy.said());
        sleep(Duration::from_millis(500)).await;
    }
}

/// The number of open TCP connections from this machine to this port. Each session holds one.
fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (remote, established) = (format!(":{port:04X}"), "01");
    let is_open = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[2].ends_with(&remote) && fields[3] == established
    };
    table.lines().skip(1).filter(is_open).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_has_an_identity_up_to_the_clients_share_until_idle() {
    let network = PrivateNetwork::builder().start().await.unwrap();
    let published = SessionOptions::default().length(1).publish(true);
    let service = bridge(&network, 0).create_session(&published).await.unwrap();
    let host = service.destination().b32().to_string();
    tokio::spawn(name_visitors(service));

    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("i2p-socks.toml");
    std::fs::write(&config, "[session]\nmax-sessions = 8\nlength = 1\nidle-close = '3s'\n").unwrap();
    let sam = network.sam_address(1).unwrap();
    let sam_text = sam.to_string();
    let config = config.to_str().unwrap();
    let args = ["run", "--router", "sam", "--sam", &sam_text, "--listen", "127.0.0.1:0", "--config", config];
    let mut proxy = Running::start(&args);
    let address = tokio::task::block_in_place(|| proxy.ready());

    let (alice, first) = open(&proxy, address, "alice", &host).await;
    let (again, second) = open(&proxy, address, "alice", &host).await;
    assert_eq!(alice, again, "one user is one");
    let (bob, third) = open(&proxy, address, "bob", &host).await;
    assert_ne!(alice, bob, "two users are two");

    let mut seen = vec![alice.clone(), bob];
    let mut streams = vec![first, second, third];
    for number in 2..CAP {
        let (who, stream) = open(&proxy, address, &format!("user{number}"), &host).await;
        assert!(!seen.contains(&who), "user {number} shares with another");
        seen.push(who);
        streams.push(stream);
    }
    assert_eq!(connect(address, "one too many", &host).await.0, 1, "{}", proxy.said());
    let line =
        tokio::task::block_in_place(|| proxy.stderr_line("the client has its share of the I2P sessions"));
    assert!(line.contains("max-sessions"), "{line}");
    let sessions_and_streams = connections_to(sam.port());
    assert!(sessions_and_streams >= CAP + streams.len(), "{sessions_and_streams}");

    for stream in streams {
        // Reset it: after a half-close, the proxy would wait for more data from the service.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let begin = Instant::now();
    while connections_to(sam.port()) > 0 {
        assert!(begin.elapsed() < LIMIT, "{} left; {}", connections_to(sam.port()), proxy.said());
        sleep(Duration::from_millis(200)).await;
    }
    let (returned, _stream) = open(&proxy, address, "alice", &host).await;
    assert!(!seen.contains(&returned), "a user who returns gets a new identity");
    assert_eq!(tokio::task::block_in_place(|| proxy.signal("TERM")), Some(0), "{}", proxy.said());
}
