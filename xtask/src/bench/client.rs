//! A client of the service: through a SOCKS proxy, or straight.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use socket2::SockRef;

use super::{
    bridge::HOST,
    service::{Job, MESSAGE, Service, WELCOME},
};

/// How long an answer may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// At its own address, which is the way around all proxies.
    Straight,
    /// At another address, behind which somebody passes on all there is.
    Relayed { work: SocketAddr, greeting: SocketAddr },
    /// Through a SOCKS5 proxy, by its address.
    SocksAddress(SocketAddr),
    /// Through a SOCKS5 proxy, by its name in I2P.
    SocksName(SocketAddr),
}

/// The service and the way to it.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) way: Way,
    pub(crate) service: Service,
}

impl Route {
    /// A connection to the service, which has spoken. With a user, it is one of that user's session.
    pub(crate) fn work(&self, user: Option<&str>) -> Result<Link> {
        let stream = match self.way {
            Way::Relayed { work, .. } => open(work)?,
            _ => self.open(self.service.work, user)?,
        };
        let mut link = Link { stream };
        let mut welcome = [0];
        link.stream.read_exact(&mut welcome).context("the service's first byte did not come")?;
        ensure!(welcome == [WELCOME], "the service's first byte is {welcome:02x?}");
        // When it is dropped the far end is to know at once, also behind a proxy that holds a client's end back.
        SockRef::from(&link.stream).set_linger(Some(Duration::ZERO))?;
        Ok(link)
    }

    /// Connects to the service that speaks first, hears its byte, answers it and hears the end.
    pub(crate) fn greet(&self) -> Result<()> {
        let mut stream = match self.way {
            Way::Relayed { greeting, .. } => open(greeting)?,
            _ => self.open(self.service.greeting, None)?,
        };
        let mut greeting = [0; 2];
        let first = stream.read(&mut greeting).context("the service's first byte did not come")?;
        stream.write_all(&[WELCOME])?;
        let rest = stream.read(&mut greeting).context("the service's end did not come")?;
        ensure!((first, rest) == (1, 0), "the greeting has {} bytes", first + rest);
        Ok(())
    }

    fn open(&self, target: SocketAddr, user: Option<&str>) -> Result<TcpStream> {
        match self.way {
            Way::Straight | Way::Relayed { .. } => open(target),
            Way::SocksAddress(proxy) => handshake(open(proxy)?, &by_address(target)?, user),
            Way::SocksName(proxy) => handshake(open(proxy)?, &by_name(HOST, target.port())?, user),
        }
    }
}

/// A connection to the service.
pub(crate) struct Link {
    stream: TcpStream,
}

impl Link {
    /// Asks the service for something.
    pub(crate) fn ask(&mut self, job: Job) -> Result<()> {
        self.stream.write_all(&job.encode()).context("a job could not be sent")
    }

    /// One message to the service and back, of those that were asked for ([`Job::Echo`]).
    pub(crate) fn round_trip(&mut self) -> Result<()> {
        let mut message = [0x21; MESSAGE];
        self.stream.write_all(&message).context("a message could not be sent")?;
        self.stream.read_exact(&mut message).context("a message did not come back")?;
        ensure!(message == [0x21; MESSAGE], "a message came back as another one");
        Ok(())
    }

    /// The connection itself, for bulk data.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

fn open(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("no connection to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// RFC 1928 section 4: CONNECT to an IPv4 address.
fn by_address(target: SocketAddr) -> Result<Vec<u8>> {
    let SocketAddr::V4(target) = target else { bail!("the service listens on IPv4") };
    Ok([&[5, 1, 0, 1][..], &target.ip().octets(), &target.port().to_be_bytes()].concat())
}

/// A new connection to a name, through a SOCKS5 proxy.
pub(crate) fn connect(proxy: SocketAddr, host: &str, port: u16) -> Result<TcpStream> {
    handshake(open(proxy)?, &by_name(host, port)?, None)
}

/// RFC 1928 section 4: CONNECT to a name.
fn by_name(host: &str, port: u16) -> Result<Vec<u8>> {
    let length = [u8::try_from(host.len()).context("a long name")?];
    Ok([&[5, 1, 0, 3][..], &length, host.as_bytes(), &port.to_be_bytes()].concat())
}

/// RFC 1928, and RFC 1929 for a user. In turns: microsocks takes no two messages at once.
fn handshake(mut stream: TcpStream, request: &[u8], user: Option<&str>) -> Result<TcpStream> {
    let method = if user.is_some() { 2 } else { 0 };
    let mut say = |message: &[u8], answer: &mut [u8]| -> Result<()> {
        stream.write_all(message).context("the proxy hung up")?;
        stream.read_exact(answer).context("the proxy did not answer")
    };
    let mut answer = [0; 2];
    say(&[5, 1, method], &mut answer)?;
    ensure!(answer == [5, method], "the proxy chose method {answer:02x?}");
    if let Some(user) = user {
        let length = [u8::try_from(user.len()).context("a long name")?];
        say(&[&[1][..], &length, user.as_bytes(), &[1, b'p']].concat(), &mut answer)?;
        ensure!(answer == [1, 0], "the proxy answers to credentials with {answer:02x?}");
    }
    let mut reply = [0; 10];
    say(request, &mut reply)?;
    // All of them bind an IPv4 address, so that the reply ends here.
    ensure!(reply.starts_with(&[5, 0, 0, 1]), "the proxy replied {reply:02x?}");
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn requests_are_those_of_the_rfc() {
        let target = "127.0.0.1:258".parse().unwrap();
        assert_eq!(by_address(target).unwrap(), [5, 1, 0, 1, 127, 0, 0, 1, 1, 2]);
        let named = [&[5, 1, 0, 3, 11][..], b"service.i2p", &[1, 2]].concat();
        assert_eq!(by_name("service.i2p", 258).unwrap(), named);
        assert!(by_name(&"a".repeat(256), 258).is_err());
        assert!(by_address("[::1]:1".parse().unwrap()).is_err());
    }

    /// A proxy that answers so, byte for byte, and hears so much each time.
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
    fn a_user_is_said_and_a_refusal_is_told() {
        const OK: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        handshake(proxy(&[(3, &[5, 2]), (7, &[1, 0]), (3, OK)]), &[5, 1, 0], Some("abc")).unwrap();
        let refused = proxy(&[(3, &[5, 0]), (3, &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0])]);
        let error = handshake(refused, &[5, 1, 0], None).unwrap_err().to_string();
        assert!(error.starts_with("the proxy replied [05, 04"), "{error}");
    }

    #[test]
    fn a_straight_link_works() {
        let service = Service::start().unwrap();
        let route = Route { way: Way::Straight, service };
        let mut link = route.work(None).unwrap();
        link.ask(Job::Echo(2)).unwrap();
        link.round_trip().unwrap();
        link.round_trip().unwrap();
        route.greet().unwrap();
    }
}
