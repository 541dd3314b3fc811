//! Datagrams on a private network, and peers that call back.
#![cfg(feature = "embedded")]

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use i2p_embedded::PrivateNetwork;
use i2p_name::I2pName;
use i2p_sam::{
    DatagramPeer, DatagramSession, DatagramStyle, MAX_PACKET_BYTES, Ports, SamStream, Sender, Session,
    SessionOptions,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{sleep, timeout},
};

use super::{
    LIMIT,
    network::{bridge, payload},
};

/// The number of datagrams. Their lengths differ, up to one that every router carries.
const DATAGRAMS: u32 = 1_000;
const LONGEST: u32 = 4_000;
/// How many echoes must arrive: I2P may lose some.
const FLOOR: usize = 950;
/// How many datagrams are in transit at once, and after which silence they count as lost.
const WINDOW: usize = 8;
const LOST: Duration = Duration::from_secs(2);
const ANY: Ports = Ports { from: 0, to: 0 };
/// Bytes of a stream in each direction.
const LENGTH: usize = 1_000_000;

/// Starts a session on the first bridge that echoes each datagram. Returns its name.
async fn echo(network: &PrivateNetwork) -> String {
    let bridge = bridge(network, 0).with_udp_address(network.sam_udp_addresses()[0]);
    let options = SessionOptions::default().length(1).publish(true);
    let echo = bridge.create_datagram_session(DatagramStyle::Datagram, ANY, &options).await.unwrap();
    let name = echo.session().destination().b32().to_string();
    tokio::spawn(answer(echo));
    name
}

/// Sessions on the first bridge: one that echoes each datagram, and two that call back.
pub(crate) struct Far {
    echo: String,
    wanted: Session,
    other: Session,
}

impl Far {
    pub(crate) async fn open(network: &PrivateNetwork) -> Self {
        let bridge = bridge(network, 0);
        let options = SessionOptions::default().length(1);
        let (echo, wanted, other) =
            tokio::join!(echo(network), bridge.create_session(&options), bridge.create_session(&options));
        Self { echo, wanted: wanted.unwrap(), other: other.unwrap() }
    }
}

async fn answer(session: DatagramSession) {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    while let Ok(received) = session.receive(&mut buffer).await {
        let Ok(Sender::Destination(sender)) = received.sender.decode() else { continue };
        let back = Ports { from: received.ports.to, to: received.ports.from };
        // A lost datagram shows at the client, which counts.
        let _ = session.send(&DatagramPeer::from(&sender), back, received.payload).await;
    }
}

/// A client's relay for datagrams to one peer.
struct Relay {
    _control: TcpStream,
    socket: UdpSocket,
    address: SocketAddr,
    header: Vec<u8>,
    buffer: Vec<u8>,
}

impl Relay {
    async fn open(proxy: SocketAddr, host: &str) -> Self {
        let mut control = TcpStream::connect(proxy).await.unwrap();
        control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut reply = [0; 12];
        timeout(LIMIT, control.read_exact(&mut reply)).await.unwrap().unwrap();
        let [5, 0, 5, 0, 0, 1, a, b, c, d, high, low] = reply else { panic!("{reply:?}") };
        let address = SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])));
        let length = u8::try_from(host.len()).unwrap();
        let header = [&[0, 0, 0, 3, length], host.as_bytes(), &[0, 7]].concat();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { _control: control, socket, address, header, buffer: vec![0; 65_535] }
    }

    /// Opens a relay, and waits for the first answer of the peer.
    async fn answered(proxy: SocketAddr, host: &str) -> Self {
        let mut relay = Self::open(proxy, host).await;
        let begin = Instant::now();
        // Repeat until the routers have found each other's lease sets.
        loop {
            relay.send(b"first").await;
            if relay.receive(Duration::from_secs(1)).await.is_some() {
                return relay;
            }
            assert!(begin.elapsed() < LIMIT, "no datagram comes back");
        }
    }

    async fn send(&self, data: &[u8]) {
        self.socket.send_to(&[&self.header, data].concat(), self.address).await.unwrap();
    }

    async fn receive(&mut self, limit: Duration) -> Option<&[u8]> {
        let received = timeout(limit, self.socket.recv_from(&mut self.buffer)).await.ok()?;
        let (length, from) = received.unwrap();
        assert_eq!(from, self.address);
        Some(self.buffer[..length].strip_prefix(self.header.as_slice()).expect("what was asked for"))
    }
}

/// Sends datagrams of many lengths once each. Most must be echoed unchanged.
pub(crate) async fn datagrams(proxy: SocketAddr, far: &Far) {
    let mut relay = Relay::answered(proxy, &far.echo).await;
    // Drain late echoes of earlier datagrams.
    while relay.receive(Duration::from_millis(300)).await.is_some() {}
    // 389 and 1,000 have no common divisor.
    let length = |number: u32| {
        let length = 1 + (number * 389 % DATAGRAMS) * (LONGEST - 1) / (DATAGRAMS - 1);
        usize::try_from(length).unwrap()
    };
    let mut waiting = HashMap::new();
    let (mut sent, mut answered) = (0, 0);
    while sent < DATAGRAMS || !waiting.is_empty() {
        while sent < DATAGRAMS && waiting.len() < WINDOW {
            relay.send(&payload(sent, length(sent))).await;
            assert_eq!(waiting.insert(length(sent), sent), None, "each has another length");
            sent += 1;
        }
        let Some(data) = relay.receive(LOST).await else {
            waiting.clear();
            continue;
        };
        let Some(number) = waiting.remove(&data.len()) else { continue };
        assert!(data == payload(number, data.len()), "the contents of {} bytes have changed", data.len());
        answered += 1;
    }
    println!("{answered} of {DATAGRAMS} datagrams came back");
    assert!(answered >= FLOOR, "{answered} of {DATAGRAMS} datagrams came back");
}

/// Sends a BIND that waits for the peer with this ATYP and DST.ADDR. Returns the client and its own address.
async fn bind(proxy: SocketAddr, whom: &[u8]) -> (TcpStream, I2pName) {
    let mut client = TcpStream::connect(proxy).await.unwrap();
    client.write_all(&[&[5, 1, 0, 5, 2, 0], whom, &[0, 7]].concat()).await.unwrap();
    let mut selection = [0; 2];
    client.read_exact(&mut selection).await.unwrap();
    let own = I2pName::parse(&reply(&mut client).await).unwrap();
    (client, own)
}

/// The name in a reply of success.
async fn reply(client: &mut TcpStream) -> String {
    let mut head = [0; 5];
    timeout(LIMIT, client.read_exact(&mut head)).await.expect("a reply within the limit").unwrap();
    let [5, 0, 0, 3, length] = head else { panic!("{head:?}") };
    let mut rest = vec![0; usize::from(length) + 2];
    client.read_exact(&mut rest).await.unwrap();
    rest.truncate(length.into());
    String::from_utf8(rest).unwrap()
}

/// Repeat until the router knows the way.
async fn call(peer: &Session, whom: &I2pName) -> SamStream {
    let begin = Instant::now();
    loop {
        match peer.connect(whom, 0).await {
            Ok(stream) => return stream,
            Err(error) => assert!(begin.elapsed() < LIMIT, "the client cannot be called back: {error}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Exchanges a megabyte with the first peer that calls back, and then with the only peer that is allowed to.
pub(crate) async fn called_back(proxy: SocketAddr, Far { wanted, other, .. }: &Far) {
    let name = wanted.destination().b32().to_string();

    let (mut client, own) = bind(proxy, &[1, 0, 0, 0, 0]).await;
    let mut stream = call(wanted, &own).await;
    assert_eq!(reply(&mut client).await, name);
    // Between two emissary routers, what the called peer says first takes 9 s, so the caller speaks first.
    stream.write_all(b"?").await.unwrap();
    let question = timeout(LIMIT, client.read_u8()).await.expect("the caller is heard").unwrap();
    assert_eq!(question, b'?');
    let (up, down) = (payload(1, LENGTH), payload(2, LENGTH));
    let (mut received, mut back) = (vec![0; LENGTH], vec![0; LENGTH]);
    let (mut from_peer, mut to_peer) = client.split();
    let (mut from_client, mut to_client) = tokio::io::split(&mut stream);
    let both = async {
        tokio::try_join!(
            to_client.write_all(&down),
            from_peer.read_exact(&mut back),
            to_peer.write_all(&up),
            from_client.read_exact(&mut received)
        )
    };
    timeout(LIMIT, both).await.expect("1 MB each way within the limit").unwrap();
    assert!(received == up && back == down, "the bytes have changed on the way");

    let whom = [&[3, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
    let (mut client, own) = bind(proxy, &whom).await;
    let mut stranger = call(other, &own).await;
    // It may be refused before that.
    let _ = stranger.write_all(b"let me in").await;
    let end = timeout(LIMIT, stranger.read(&mut [0; 64])).await.expect("it is turned away");
    assert_eq!(end.unwrap_or(0), 0, "another peer is not answered");
    let mut stream = call(wanted, &own).await;
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(reply(&mut client).await, name);
    let mut hello = [0; 5];
    timeout(LIMIT, client.read_exact(&mut hello)).await.expect("it carries something").unwrap();
    assert_eq!(&hello, b"hello");
}
