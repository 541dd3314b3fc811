//! The far end of every connection: a service on loopback that is told what to do.
//!
//! It speaks first, as SMTP or SSH do. Then it takes jobs of nine bytes, a kind and a number, until its client goes away.
//! The same service is reached by TCP and through the SAM bridge ([`super::bridge`]).

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

/// What the service says before it is asked.
pub(crate) const WELCOME: u8 = b'!';
/// Bytes of a small message.
pub(crate) const MESSAGE: usize = 64;
/// What bulk data is sent from: large enough to need few calls, small enough for the second level cache.
static BLOCK: [u8; 256 << 10] = [0x5a; 256 << 10];
/// Bytes that one call takes from a socket at most.
const TAKEN: usize = 1 << 20;
/// Of a thread that serves. There are thousands.
const STACK: usize = 128 << 10;

/// What a client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Send until the client goes away.
    Send,
    /// Take what comes until the client goes away.
    Take,
    /// Both at once.
    Both,
    /// Return so many messages of [`MESSAGE`] bytes.
    Echo(u64),
}

impl Job {
    const BYTES: usize = 9;

    /// As it is sent.
    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let (kind, count) = match self {
            Self::Send => (b's', 0),
            Self::Take => (b't', 0),
            Self::Both => (b'b', 0),
            Self::Echo(count) => (b'e', count),
        };
        let [a, b, c, d, e, f, g, h] = u64::to_be_bytes(count);
        [kind, a, b, c, d, e, f, g, h]
    }

    fn decode([kind, count @ ..]: [u8; Self::BYTES]) -> io::Result<Self> {
        match kind {
            b's' => Ok(Self::Send),
            b't' => Ok(Self::Take),
            b'b' => Ok(Self::Both),
            b'e' => Ok(Self::Echo(u64::from_be_bytes(count))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no such job")),
        }
    }
}

/// The service. Clones are the same one; it ends with the process.
#[derive(Clone)]
pub(crate) struct Service {
    /// Where it takes jobs.
    pub(crate) work: SocketAddr,
    /// Where it speaks first, and ends when it has heard a byte.
    pub(crate) greeting: SocketAddr,
    taken: Arc<AtomicU64>,
}

impl Service {
    /// Starts it.
    pub(crate) fn start() -> Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for the service");
        let (work, greeting) = (listen()?, listen()?);
        let service = Self {
            work: work.local_addr()?,
            greeting: greeting.local_addr()?,
            taken: Arc::new(AtomicU64::new(0)),
        };
        for listener in [work, greeting] {
            let service = service.clone();
            let port = listener.local_addr()?.port();
            each(listener, move |stream| service.serve(port, stream));
        }
        Ok(service)
    }

    /// Bytes that it has taken, of all clients.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Serves one client of one of the ports until it goes away.
    pub(crate) fn serve(&self, port: u16, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.write_all(&[WELCOME])?;
        if port == self.greeting.port() {
            // Whoever ended at once would push out what Nagle's algorithm holds back on the way.
            return stream.read_exact(&mut [0]);
        }
        loop {
            let mut job = [0; Job::BYTES];
            stream.read_exact(&mut job)?;
            match Job::decode(job)? {
                Job::Send => send(&stream)?,
                Job::Take => take(&stream, &self.taken)?,
                Job::Both => thread::scope(|scope| {
                    scope.spawn(|| send(&stream));
                    take(&stream, &self.taken)
                })?,
                Job::Echo(count) => echo(&mut stream, count)?,
            }
        }
    }
}

/// Gives each connection to a thread of its own.
pub(crate) fn each(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) {
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A connection that breaks is what the client sees. Without a thread it is closed, which the client sees too.
            let _ = thread::Builder::new().stack_size(STACK).spawn(move || serve(stream));
        }
    });
}

/// Sends until the other side has gone.
pub(crate) fn send(mut stream: &TcpStream) -> io::Result<()> {
    loop {
        stream.write_all(&BLOCK)?;
    }
}

/// Takes what comes and counts it, until the end. The bytes are dropped in the kernel (`MSG_TRUNC`, tcp(7)): looking at them
/// would cost more than relaying them.
pub(crate) fn take(stream: &TcpStream, taken: &AtomicU64) -> io::Result<()> {
    // Never written to, so never resident.
    let mut buffer = vec![0; TAKEN];
    loop {
        let (_, length) = recv(stream, buffer.as_mut_slice(), RecvFlags::TRUNC)?;
        if length == 0 {
            return Ok(());
        }
        taken.fetch_add(length as u64, Ordering::Relaxed);
    }
}

fn echo(stream: &mut TcpStream, count: u64) -> io::Result<()> {
    let mut message = [0; MESSAGE];
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
        let mut welcome = [0];
        stream.read_exact(&mut welcome).unwrap();
        assert_eq!(welcome, [WELCOME]);
        stream
    }

    #[test]
    fn jobs_follow_each_other() {
        let service = Service::start().unwrap();
        let mut stream = client(&service);
        for count in [1, 2] {
            stream.write_all(&Job::Echo(count).encode()).unwrap();
            for number in 0..count {
                let message = [u8::try_from(number).unwrap(); MESSAGE];
                stream.write_all(&message).unwrap();
                let mut back = [9; MESSAGE];
                stream.read_exact(&mut back).unwrap();
                assert_eq!(back, message);
            }
        }
    }

    #[test]
    fn what_is_taken_is_counted_to_the_byte() {
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
        while service.taken() < 3_000_001 && start.elapsed() < Duration::from_secs(10) {
            thread::yield_now();
        }
        assert_eq!(service.taken(), 3_000_001);
    }

    #[test]
    fn a_greeting_is_all_there_is() {
        let service = Service::start().unwrap();
        let mut stream = TcpStream::connect(service.greeting).unwrap();
        let mut all = [0; 2];
        assert_eq!((stream.read(&mut all).unwrap(), all), (1, [WELCOME, 0]));
        stream.write_all(&[WELCOME]).unwrap();
        assert_eq!(stream.read(&mut all).unwrap(), 0);
    }
}
