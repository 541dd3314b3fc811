//! A [`Dial`] implemented outside the crate, without a router: streams, datagrams and incoming streams in memory.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use i2p_name::{B32, Destination, I2pName, VirtualOptions};
use i2p_tunnel::{
    AddressPool, ClientFin, DatagramSender, Datagrams, Dial, Failure, IncomingStream, IsolationKey,
    Listeners, Listening, OpenStream, ReceivedDatagram, Service, SessionPolicy, Socket, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpStream, UdpSocket},
    sync::{Mutex, mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Generous: tests wait this long only if something is broken.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A dialler that knows one name, `echo.i2p`. Its owner also connects to clients that wait for it.
struct Memory;

fn echo() -> Destination {
    // Two keys of ElGamal and DSA, and a certificate of no kind.
    Destination::from_bytes([[7; 384].as_slice(), &[0; 3]].concat()).unwrap()
}

fn ourselves() -> B32 {
    B32::from_hash([9; 32])
}

fn find(name: &I2pName) -> Result<Destination, Failure> {
    match name.to_string().as_str() {
        "echo.i2p" => Ok(echo()),
        _ => Err(Failure::NameUnknown),
    }
}

/// A stream in memory: one end for the proxy, the other for the peer.
fn stream() -> (OpenStream, DuplexStream) {
    let (near, far) = duplex(1024);
    let socket = Socket::plain(near);
    (OpenStream { socket, first_data: Vec::new(), client_fin: ClientFin::Forwarded, hold: None }, far)
}

impl Dial for Memory {
    type Datagrams = Channel;
    type Listening = Expecting;

    async fn dial(&self, _: &IsolationKey, name: &I2pName, _: u16) -> Result<OpenStream, Failure> {
        find(name)?;
        let (opened, peer) = stream();
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(peer);
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        });
        Ok(opened)
    }

    async fn lookup(&self, _: &IsolationKey, name: &I2pName) -> Result<(), Failure> {
        find(name).map(|_| ())
    }

    async fn associate(&self, _: &IsolationKey) -> Result<Channel, Failure> {
        let (sent, received) = mpsc::unbounded_channel();
        Ok(Channel { sent, received: Mutex::new(received) })
    }

    async fn listen(&self, _: &IsolationKey, expected: Option<&I2pName>) -> Result<Expecting, Failure> {
        expected.map_or(Ok(()), |name| find(name).map(|_| ()))?;
        Ok(Expecting)
    }
}

/// Echoes datagrams.
struct Channel {
    sent: mpsc::UnboundedSender<(B32, u16, Vec<u8>)>,
    received: Mutex<mpsc::UnboundedReceiver<(B32, u16, Vec<u8>)>>,
}

impl Datagrams for Channel {
    type Peer = B32;

    const BUFFER_LENGTH: usize = 1024;

    fn peer(&self, destination: &Destination) -> B32 {
        destination.b32()
    }

    async fn send(&self, peer: &B32, port: u16, payload: &[u8]) -> Result<(), Failure> {
        self.sent.send((*peer, port, payload.to_vec())).map_err(|_| Failure::RouterUnavailable)
    }

    async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<ReceivedDatagram<'b>, Failure> {
        let mut received = self.received.lock().await;
        let (peer, port, data) = received.recv().await.ok_or(Failure::RouterUnavailable)?;
        let payload = &mut buffer[..data.len()];
        payload.copy_from_slice(&data);
        Ok(ReceivedDatagram { sender: DatagramSender::B32(peer), port: Some(port), payload })
    }

    fn max_payload(&self) -> usize {
        Self::BUFFER_LENGTH
    }

    async fn destination(&self, name: &I2pName) -> Result<Destination, Failure> {
        find(name)
    }
}

/// A wait for the peer, which connects at once.
struct Expecting;

impl Listening for Expecting {
    fn address(&self) -> B32 {
        ourselves()
    }

    async fn accept(self) -> Result<IncomingStream, Failure> {
        let (stream, mut peer) = stream();
        tokio::spawn(async move {
            peer.write_all(b"called back").await.unwrap();
            peer.shutdown().await.unwrap();
        });
        Ok(IncomingStream { peer: echo().b32(), port: 7, stream })
    }
}

/// Starts a proxy with this dialler.
async fn proxy() -> SocketAddr {
    let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
    let sessions = SessionPolicy { incoming: true, ..SessionPolicy::default() };
    let service = Service::new("memory", Memory, addresses).with_sessions(sessions);
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let address = listeners.addresses().unwrap()[0].tcp().unwrap();
    let (_, service) = watch::channel(Arc::new(service));
    tokio::spawn(serve(listeners, service, CancellationToken::new()));
    address
}

/// ATYP DOMAIN, the name, and the port.
fn domain(name: &str, port: u16) -> Vec<u8> {
    [&[3, u8::try_from(name.len()).unwrap()], name.as_bytes(), &port.to_be_bytes()].concat()
}

/// Sends a request. Returns the stream and the reply code. The reply's address, from ATYP on, is not read yet.
async fn ask(command: u8, address: &[u8]) -> (TcpStream, u8) {
    let mut client = TcpStream::connect(proxy().await).await.unwrap();
    client.write_all(&[&[5, 1, 0, 5, command, 0], address].concat()).await.unwrap();
    let mut reply = [0; 5];
    timeout(TIMEOUT, client.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply[..3], [5, 0, 5]);
    (client, reply[3])
}

async fn read<const LENGTH: usize>(client: &mut TcpStream) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    timeout(TIMEOUT, client.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

/// Reads the address of a reply, which must be a name, and the port.
async fn name(client: &mut TcpStream) -> (String, u16) {
    let [kind, length] = read(client).await;
    assert_eq!(kind, 3);
    let mut name = vec![0; usize::from(length)];
    timeout(TIMEOUT, client.read_exact(&mut name)).await.unwrap().unwrap();
    (String::from_utf8(name).unwrap(), u16::from_be_bytes(read(client).await))
}

#[tokio::test]
async fn streams_are_relayed_to_their_ends() {
    let (mut client, code) = ask(1, &domain("echo.i2p", 80)).await;
    assert_eq!((code, read::<7>(&mut client).await), (0, [1, 0, 0, 0, 0, 0, 0]));
    client.write_all(b"there and back").await.unwrap();
    client.shutdown().await.unwrap();
    let mut back = Vec::new();
    timeout(TIMEOUT, client.read_to_end(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, b"there and back");
}

#[tokio::test]
async fn failures_are_reported_like_those_of_a_router() {
    assert_eq!(ask(1, &domain("unknown.i2p", 80)).await.1, 4);
    assert_eq!(ask(0xf0, &domain("unknown.i2p", 0)).await.1, 4, "RESOLVE");
    assert_eq!(ask(1, &domain("example.com", 80)).await.1, 2, "hosts outside I2P never reach a dialler");
    assert_eq!(ask(0xf0, &domain("echo.i2p", 0)).await.1, 0);
}

#[tokio::test]
async fn datagrams_are_echoed() {
    let (mut client, code) = ask(3, &[1, 0, 0, 0, 0, 0, 0]).await;
    let [1, a, b, c, d, high, low] = read(&mut client).await else { panic!("not an IPv4 address") };
    assert_eq!(code, 0);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))).await.unwrap();
    let datagram = [&[0; 3][..], &domain("echo.i2p", 7), b"datagram"].concat();
    for _ in 0..3 {
        socket.send(&datagram).await.unwrap();
        let mut back = [0; 100];
        let length = timeout(TIMEOUT, socket.recv(&mut back)).await.unwrap().unwrap();
        assert_eq!(back[..length], datagram);
    }
}

#[tokio::test]
async fn peers_connect_to_clients_that_wait_for_them() {
    let (mut client, code) = ask(2, &domain("echo.i2p", 0)).await;
    assert_eq!((code, name(&mut client).await), (0, (ourselves().to_string(), 0)));
    assert_eq!(read(&mut client).await, [5, 0, 0], "the second reply");
    assert_eq!(name(&mut client).await, (echo().b32().to_string(), 7));
    let mut said = Vec::new();
    client.shutdown().await.unwrap();
    timeout(TIMEOUT, client.read_to_end(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, b"called back");
}
