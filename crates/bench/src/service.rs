//! The target of every connection: a service on loopback that does what its client asks.
//!
//! It greets each client with one byte; SMTP and SSH servers speak first, too. Then it reads jobs of nine bytes, a kind and a
//! number, until its client closes the connection. It is reached with TCP and through the SAM bridge ([`crate::bridge`]).

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use rustix::net::{RecvFlags, recv};

/// The greeting of the service.
pub(crate) const GREETING: u8 = b'!';
/// The size of a small message.
pub(crate) const MESSAGE_BYTES: usize = 64;
/// The source of bulk data: large enough for few system calls, small enough for the second level cache.
static BLOCK: [u8; 256 << 10] = [0x5a; 256 << 10];
/// The most that one system call receives.
const MAX_RECEIVE_BYTES: usize = 1 << 20;
/// The stack of a serving thread. There are thousands of them.
const STACK_BYTES: usize = 128 << 10;

/// What a client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Send until the client closes.
    Send,
    /// Receive until the client closes.
    Receive,
    /// Both at the same time.
    Both,
    /// Send back this many messages of [`MESSAGE_BYTES`] bytes.
    Echo(u64),
}

impl Job {
    const BYTES: usize = 9;

    /// Encodes the job.
    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let (kind, count) = match self {
            Self::Send => (b's', 0),
            Self::Receive => (b't', 0),
            Self::Both => (b'b', 0),
            Self::Echo(count) => (b'e', count),
        };
        let [a, b, c, d, e, f, g, h] = u64::to_be_bytes(count);
        [kind, a, b, c, d, e, f, g, h]
    }

    fn decode([kind, count @ ..]: [u8; Self::BYTES]) -> io::Result<Self> {
        match kind {
            b's' => Ok(Self::Send),
            b't' => Ok(Self::Receive),
            b'b' => Ok(Self::Both),
            b'e' => Ok(Self::Echo(u64::from_be_bytes(count))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no such job")),
        }
    }
}

/// The running service. Clones share it. It ends with the process.
#[derive(Clone)]
pub(crate) struct Service {
    /// Where it reads jobs.
    pub(crate) work: SocketAddr,
    /// Where it sends its greeting, and closes the connection after it has read a byte.
    pub(crate) greeting: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Service {
    /// Starts it.
    pub(crate) fn start() -> Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the service");
        let (work, greeting) = (listen()?, listen()?);
        let service = Self {
            work: work.local_addr()?,
            greeting: greeting.local_addr()?,
            received: Arc::new(AtomicU64::new(0)),
        };
        for listener in [work, greeting] {
            let service = service.clone();
            let port = listener.local_addr()?.port();
            serve_each(listener, move |stream| service.serve(port, stream));
        }
        Ok(service)
    }

    /// A service in another process, of which only the port for jobs is used.
    pub(crate) fn elsewhere(port: u16) -> Self {
        let work = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { work, greeting: work, received: Arc::default() }
    }

    /// The bytes that it has received from all clients.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Serves a client of one of the ports until the client closes.
    pub(crate) fn serve(&self, port: u16, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.write_all(&[GREETING])?;
        if port == self.greeting.port() {
            // Closing at once would push out what Nagle's algorithm holds back on the way.
            return stream.read_exact(&mut [0]);
        }
        loop {
            let mut job = [0; Job::BYTES];
            stream.read_exact(&mut job)?;
            match Job::decode(job)? {
                Job::Send => send(&stream)?,
                Job::Receive => receive(&stream, &self.received)?,
                Job::Both => thread::scope(|scope| {
                    scope.spawn(|| send(&stream));
                    receive(&stream, &self.received)
                })?,
                Job::Echo(count) => echo(&mut stream, count)?,
            }
        }
    }
}

/// Serves each connection on a thread of its own.
pub(crate) fn serve_each(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) {
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // If the connection breaks, or is closed for lack of a thread, the client notices.
            let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || serve(stream));
        }
    });
}

/// Sends until the other side closes.
pub(crate) fn send(mut stream: &TcpStream) -> io::Result<()> {
    loop {
        stream.write_all(&BLOCK)?;
    }
}

/// Counts what arrives, until the end. The kernel drops the bytes (`MSG_TRUNC`, tcp(7)), since copying them would cost more
/// than relaying them.
pub(crate) fn receive(stream: &TcpStream, received: &AtomicU64) -> io::Result<()> {
    // Never written to, so never resident.
    let mut buffer = vec![0; MAX_RECEIVE_BYTES];
    loop {
        let (_, length) = recv(stream, buffer.as_mut_slice(), RecvFlags::TRUNC)?;
        if length == 0 {
            return Ok(());
        }
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}

fn echo(stream: &mut TcpStream, count: u64) -> io::Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    for _ in 0..count {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn client(service: &Service) -> TcpStream {
        let mut stream = TcpStream::connect(service.work).unwrap();
        let mut greeting = [0];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, [GREETING]);
        stream
    }

    #[test]
    fn jobs_follow_each_other() {
        let service = Service::start().unwrap();
        let mut stream = client(&service);
        for count in [1, 2] {
            stream.write_all(&Job::Echo(count).encode()).unwrap();
            for number in 0..count {
                let message = [u8::try_from(number).unwrap(); MESSAGE_BYTES];
                stream.write_all(&message).unwrap();
                let mut back = [9; MESSAGE_BYTES];
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, message);
            }
        }
    }

    #[test]
    fn received_bytes_are_counted() {
        let service = Service::start().unwrap();
        let mut stream = client(&service);
        stream.write_all(&Job::Both.encode()).unwrap();
        let sent = vec![1; 3_000_001];
        let mut back = vec![0; 3_000_000];
        stream.write_all(&sent).unwrap();
        stream.read_exact(&mut back).unwrap();
        assert!(back.iter().all(|&byte| byte == 0x5a));
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let start = Instant::now();
        while service.received() < 3_000_001 && start.elapsed() < Duration::from_secs(10) {
            thread::yield_now();
        }
        assert_eq!(service.received(), 3_000_001);
    }

    #[test]
    fn the_greeting_port_sends_only_the_greeting() {
        let service = Service::start().unwrap();
        let mut stream = TcpStream::connect(service.greeting).unwrap();
        let mut all = [0; 2];
        assert_eq!((stream.read(&mut all).unwrap(), all), (1, [GREETING, 0]));
        stream.write_all(&[GREETING]).unwrap();
        assert_eq!(stream.read(&mut all).unwrap(), 0);
    }
}
