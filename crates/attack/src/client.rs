//! Clients of the proxy, good and evil: what they send, from which address, and what they are told.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::{Instant, timeout},
};

/// Commands of SOCKS5 (RFC 1928 section 4) and of Tor's extensions.
pub(crate) const CONNECT: u8 = 1;
pub(crate) const BIND: u8 = 2;
pub(crate) const ASSOCIATE: u8 = 3;
pub(crate) const RESOLVE: u8 = 0xf0;
/// Longest wait for an answer of the proxy.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The addresses of clients. They are not loopback's, so the proxy takes each for another machine.
pub(crate) const NETWORK: &str = "11.0.0.0/24";

/// Who connects: an address of the namespace, and a name if it sends credentials.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: Ipv4Addr,
    pub(crate) login: Option<(String, String)>,
}

/// The reply to a request.
pub(crate) struct Answer {
    /// The reply code: 0 if the request is granted.
    pub(crate) code: u8,
    /// The address and port of the reply, if it is an IPv4 address.
    pub(crate) bound: Option<SocketAddr>,
    pub(crate) stream: TcpStream,
}

impl Client {
    /// A client on another machine, as the proxy sees it, without credentials.
    pub(crate) fn at(host: u8) -> Self {
        Self { address: Ipv4Addr::new(11, 0, 0, host), login: None }
    }

    /// A client on this machine without credentials. All of them are one, since the same user runs them.
    pub(crate) fn local() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, login: None }
    }

    /// The same client with credentials of its own.
    pub(crate) fn named(self, name: impl Into<String>) -> Self {
        Self { login: Some((name.into(), "x".into())), ..self }
    }

    /// The same client with a password.
    pub(crate) fn with_password(self, name: &str, password: &str) -> Self {
        Self { login: Some((name.into(), password.into())), ..self }
    }

    /// Connects to the proxy and says nothing.
    pub(crate) async fn connect(&self, proxy: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        // Many clients come from one address, one after the other.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(IpAddr::V4(self.address), 0))?;
        let stream = socket.connect(proxy).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The bytes of a request, from the greeting on, sent at once.
    pub(crate) fn request(&self, command: u8, host: &str, port: u16) -> Vec<u8> {
        let mut bytes = match &self.login {
            None => vec![5, 1, 0],
            Some((name, password)) => {
                [&[5, 1, 2, 1], field(name).as_slice(), field(password).as_slice()].concat()
            }
        };
        bytes.extend([5, command, 0]);
        match host.parse::<Ipv4Addr>() {
            Ok(address) => bytes.extend([&[1], address.octets().as_slice()].concat()),
            Err(_) => bytes.extend([&[3], field(host).as_slice()].concat()),
        }
        bytes.extend(port.to_be_bytes());
        bytes
    }

    /// Makes a request and waits for the reply.
    pub(crate) async fn ask(&self, proxy: SocketAddr, command: u8, host: &str, port: u16) -> Result<Answer> {
        let asked = async {
            let mut stream = self.connect(proxy).await.context("the proxy does not accept connections")?;
            stream.write_all(&self.request(command, host, port)).await.context("could not ask")?;
            read_reply(stream).await
        };
        timeout(ANSWER_TIMEOUT, asked).await.context("no answer in time")?
    }

    /// Connects to an echo in I2P, as an honest client does, and returns how long that took from the first packet to the echo.
    pub(crate) async fn is_served(&self, proxy: SocketAddr) -> Result<Duration> {
        let begin = Instant::now();
        let Answer { code, mut stream, .. } = self.ask(proxy, CONNECT, "echo.i2p", 80).await?;
        ensure!(code == 0, "refused with code {code}");
        stream.write_all(b"ping").await?;
        let mut echo = [0; 4];
        timeout(ANSWER_TIMEOUT, stream.read_exact(&mut echo)).await.context("no echo")??;
        ensure!(&echo == b"ping", "the echo is {echo:?}");
        Ok(begin.elapsed())
    }

    /// Opens an association for datagrams. It ends with the stream.
    pub(crate) async fn associate(&self, proxy: SocketAddr) -> Result<Association> {
        let Answer { code, bound, stream } = self.ask(proxy, ASSOCIATE, "0.0.0.0", 0).await?;
        ensure!(code == 0, "refused with code {code}");
        let socket = UdpSocket::bind((self.address, 0)).await?;
        socket.connect(bound.context("the relay has no IPv4 address")?).await?;
        Ok(Association { _stream: stream, socket })
    }
}

/// Reads what the proxy answers to [`Client::request`].
async fn read_reply(mut stream: TcpStream) -> Result<Answer> {
    let mut selection = [0; 2];
    stream.read_exact(&mut selection).await.context("closed instead of a method")?;
    if selection == [5, 2] {
        let status = stream.read_u16().await.context("closed instead of a status")?;
        ensure!(status.to_be_bytes() == [1, 0], "the password was refused");
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.context("closed instead of a reply")?;
    let [5, code, 0, kind] = head else { bail!("the reply is {head:?}") };
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => bail!("the reply has an address of type {kind}"),
    };
    let mut rest = vec![0; length + 2];
    stream.read_exact(&mut rest).await.context("the reply is cut off")?;
    let bound = match rest.as_slice() {
        [a, b, c, d, high, low] => {
            Some(SocketAddr::from(([*a, *b, *c, *d], u16::from_be_bytes([*high, *low]))))
        }
        _ => None,
    };
    Ok(Answer { code, bound, stream })
}

/// A client's association for datagrams.
pub(crate) struct Association {
    _stream: TcpStream,
    socket: UdpSocket,
}

impl Association {
    pub(crate) fn relay(&self) -> Result<SocketAddr> {
        Ok(self.socket.peer_addr()?)
    }

    /// Sends a datagram to a host.
    pub(crate) async fn send(&self, host: &str, port: u16, data: &[u8]) -> Result<()> {
        self.socket.send(&datagram(host, port, data)).await?;
        Ok(())
    }

    /// Receives a datagram, with its header.
    pub(crate) async fn receive(&self, limit: Duration) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        let length = timeout(limit, self.socket.recv(&mut buffer)).await.context("no datagram")??;
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// A datagram of a client (RFC 1928 section 7).
pub(crate) fn datagram(host: &str, port: u16, data: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 3], field(host).as_slice(), &port.to_be_bytes(), data].concat()
}

/// Closes a connection with a reset, as a program does that is killed with data unread.
pub(crate) fn reset(stream: TcpStream) {
    // Without it the connection is closed in the usual way.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// A text with a length byte before it.
fn field(text: &str) -> Vec<u8> {
    // No text of this suite is longer than a length byte can say.
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[length], text.as_bytes()].concat()
}
