//! A client of the service: through a SOCKS proxy, through the relay, or direct.

use std::{
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use socket2::SockRef;

use crate::{
    bridge::HOST,
    service::{GREETING, Job, MESSAGE_BYTES, Service},
};

/// How long an answer may take before the run fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How a client reaches the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// At its own address.
    Direct,
    /// By the name of the service, as programs connect that know of no proxy.
    Name,
    /// Through the relay, which listens at these addresses.
    Relay { work: SocketAddr, greeting: SocketAddr },
    /// Through a SOCKS5 proxy, by the address of the service.
    SocksAddress(SocketAddr),
    /// Through a SOCKS5 proxy, by the name of the service in I2P.
    SocksName(SocketAddr),
}

/// A client of the service.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) access: Access,
    pub(crate) service: Service,
}

impl Client {
    /// Connects to the service and reads its greeting. A user gets a session of its own.
    pub(crate) fn connect(&self, user: Option<&str>) -> Result<Connection> {
        let stream = match self.access {
            Access::Relay { work, .. } => open(work)?,
            _ => self.open(self.service.work, user)?,
        };
        let mut connection = Connection { stream };
        let mut greeting = [0];
        connection.stream.read_exact(&mut greeting).context("the service's greeting did not come")?;
        ensure!(greeting == [GREETING], "the service's greeting is {greeting:02x?}");
        // Closing then sends RST, so that the service notices at once, even through a proxy that holds back the client's FIN.
        SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO))?;
        Ok(connection)
    }

    /// Connects to the greeting port of the service, reads its greeting, answers it and reads the end.
    pub(crate) fn greet(&self) -> Result<()> {
        let mut stream = match self.access {
            Access::Relay { greeting, .. } => open(greeting)?,
            _ => self.open(self.service.greeting, None)?,
        };
        let mut greeting = [0; 2];
        let first = stream.read(&mut greeting).context("the service's greeting did not come")?;
        stream.write_all(&[GREETING])?;
        let rest = stream.read(&mut greeting).context("the service's end did not come")?;
        ensure!((first, rest) == (1, 0), "the greeting has {} bytes", first + rest);
        Ok(())
    }

    fn open(&self, target: SocketAddr, user: Option<&str>) -> Result<TcpStream> {
        match self.access {
            Access::Direct | Access::Relay { .. } => open(target),
            Access::Name => open((HOST, target.port())),
            Access::SocksAddress(proxy) => handshake(open(proxy)?, &connect_to_address(target)?, user),
            Access::SocksName(proxy) => handshake(open(proxy)?, &connect_to_name(HOST, target.port())?, user),
        }
    }
}

/// A connection to the service.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Sends the service a job.
    pub(crate) fn send_job(&mut self, job: Job) -> Result<()> {
        self.stream.write_all(&job.encode()).context("a job could not be sent")
    }

    /// Sends a message and reads it back, after [`Job::Echo`].
    pub(crate) fn round_trip(&mut self) -> Result<()> {
        let mut message = [0x21; MESSAGE_BYTES];
        self.stream.write_all(&message).context("a message could not be sent")?;
        self.stream.read_exact(&mut message).context("a message did not come back")?;
        ensure!(message == [0x21; MESSAGE_BYTES], "another message came back");
        Ok(())
    }

    /// The socket, for bulk data.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

fn open(address: impl ToSocketAddrs + fmt::Debug) -> Result<TcpStream> {
    let stream = TcpStream::connect(&address).with_context(|| format!("no connection to {address:?}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(stream)
}

/// Encodes CONNECT to an IPv4 address (RFC 1928 section 4).
fn connect_to_address(target: SocketAddr) -> Result<Vec<u8>> {
    let SocketAddr::V4(target) = target else { bail!("the service listens on IPv4") };
    Ok([&[5, 1, 0, 1][..], &target.ip().octets(), &target.port().to_be_bytes()].concat())
}

/// Connects to a host through a SOCKS5 proxy, as this user.
pub(crate) fn connect_to_host(
    proxy: SocketAddr,
    host: &str,
    port: u16,
    user: Option<&str>,
) -> Result<TcpStream> {
    handshake(open(proxy)?, &connect_to_name(host, port)?, user)
}

/// Encodes CONNECT to a name (RFC 1928 section 4).
fn connect_to_name(host: &str, port: u16) -> Result<Vec<u8>> {
    let length = [u8::try_from(host.len()).context("the name is too long")?];
    Ok([&[5, 1, 0, 3][..], &length, host.as_bytes(), &port.to_be_bytes()].concat())
}

/// Does the handshake of RFC 1928, and of RFC 1929 for a user. It waits for each answer, since microsocks does not read two
/// messages at once.
fn handshake(mut stream: TcpStream, request: &[u8], user: Option<&str>) -> Result<TcpStream> {
    let method = if user.is_some() { 2 } else { 0 };
    let mut exchange = |message: &[u8], answer: &mut [u8]| -> Result<()> {
        stream.write_all(message).context("the proxy has closed the connection")?;
        stream.read_exact(answer).context("the proxy did not answer")
    };
    let mut answer = [0; 2];
    exchange(&[5, 1, method], &mut answer)?;
    ensure!(answer == [5, method], "the proxy chose method {answer:02x?}");
    if let Some(user) = user {
        let length = [u8::try_from(user.len()).context("the name is too long")?];
        exchange(&[&[1][..], &length, user.as_bytes(), &[1, b'p']].concat(), &mut answer)?;
        ensure!(answer == [1, 0], "the proxy answers credentials with {answer:02x?}");
    }
    let mut reply = [0; 10];
    exchange(request, &mut reply)?;
    // All subjects bind an IPv4 address, so the reply ends here.
    ensure!(reply.starts_with(&[5, 0, 0, 1]), "the proxy replied {reply:02x?}");
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn requests_follow_the_rfc() {
        let target = "127.0.0.1:258".parse().unwrap();
        assert_eq!(connect_to_address(target).unwrap(), [5, 1, 0, 1, 127, 0, 0, 1, 1, 2]);
        let named = [&[5, 1, 0, 3, 11][..], b"service.i2p", &[1, 2]].concat();
        assert_eq!(connect_to_name("service.i2p", 258).unwrap(), named);
        assert!(connect_to_name(&"a".repeat(256), 258).is_err());
        assert!(connect_to_address("[::1]:1".parse().unwrap()).is_err());
    }

    /// Starts a proxy that reads a number of bytes and then answers, for each of these pairs.
    fn proxy(answers: &'static [(usize, &[u8])]) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = open(listener.local_addr().unwrap()).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for (length, answer) in answers {
                stream.read_exact(&mut vec![0; *length]).unwrap();
                stream.write_all(answer).unwrap();
            }
        });
        stream
    }

    #[test]
    fn a_user_sends_credentials_and_a_refusal_is_an_error() {
        const OK: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        handshake(proxy(&[(3, &[5, 2]), (7, &[1, 0]), (3, OK)]), &[5, 1, 0], Some("abc")).unwrap();
        let refused = proxy(&[(3, &[5, 0]), (3, &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0])]);
        let error = handshake(refused, &[5, 1, 0], None).unwrap_err().to_string();
        assert!(error.starts_with("the proxy replied [05, 04"), "{error}");
    }

    #[test]
    fn a_direct_connection_works() {
        let service = Service::start().unwrap();
        let client = Client { access: Access::Direct, service };
        let mut connection = client.connect(None).unwrap();
        connection.send_job(Job::Echo(2)).unwrap();
        connection.round_trip().unwrap();
        connection.round_trip().unwrap();
        client.greet().unwrap();
    }
}
