//! The far end: an echo that records its visitors.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use i2p_name::{Destination, I2pName};
use i2p_sam::{Accepted, Listening, Ports, SamStream, Session, wire::AcceptedFrom};
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use crate::{
    report::{CheckFailure, Promised, ensure},
    retry::within,
};

/// The first bytes of a stream, by which its visit is found.
pub(crate) type Tag = [u8; 8];

/// How long to wait for an answer on a connected stream: emissary's streaming sometimes stalls for 7 to 9 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The patience for the network, divided by this, is the time limit of an attempt at the first stream. The attempt may come
/// before the acceptors do, and routers keep no stream for later.
pub(crate) const FIRST_STREAM_DIVISOR: u32 = 10;
/// The pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest line before a forwarded stream, in bytes.
const MAX_LINE_BYTES: usize = 4096;

/// A stream that was accepted.
#[derive(Clone)]
pub(crate) struct Visit {
    tag: Tag,
    pub(crate) peer: Destination,
    pub(crate) ports: Ports,
}

/// An echo. It ends when dropped, together with its session, if it has one.
pub(crate) struct EchoService {
    visits: Arc<Mutex<Vec<Visit>>>,
    refusals: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl EchoService {
    /// An echo on a session, with this many STREAM ACCEPTs waiting at once.
    pub(crate) fn accepting(session: &Session, waiting: usize) -> Self {
        let mut service = Self { visits: Arc::default(), refusals: Arc::default(), _tasks: JoinSet::new() };
        for _ in 0..waiting {
            let (session, visits) = (session.clone(), Arc::clone(&service.visits));
            let refusals = Arc::clone(&service.refusals);
            service._tasks.spawn(async move {
                let mut streams = JoinSet::new();
                while session.is_alive() {
                    match session.accept().await {
                        Ok(Accepted { stream, peer, ports }) => {
                            streams.spawn(serve(stream, peer, ports, Arc::clone(&visits)));
                        }
                        Err(_) if !session.is_alive() => return,
                        Err(error) => {
                            lock(&refusals).push(error.to_string());
                            sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            });
        }
        service
    }

    /// An echo for the one stream of an accept that waits already.
    pub(crate) fn of(listening: Listening) -> Self {
        let mut service = Self { visits: Arc::default(), refusals: Arc::default(), _tasks: JoinSet::new() };
        let (visits, refusals) = (Arc::clone(&service.visits), Arc::clone(&service.refusals));
        service._tasks.spawn(async move {
            match listening.accept().await {
                Ok(Accepted { stream, peer, ports }) => serve(stream, peer, ports, visits).await,
                Err(error) => lock(&refusals).push(error.to_string()),
            }
        });
        service
    }

    /// An echo on a TCP port to which a router forwards streams, each with the line that names the peer.
    pub(crate) async fn forwarded() -> Result<(Self, SocketAddr), CheckFailure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.promised("a free port")?;
        let address = listener.local_addr().promised("a free port")?;
        let mut service = Self { visits: Arc::default(), refusals: Arc::default(), _tasks: JoinSet::new() };
        let (visits, refusals) = (Arc::clone(&service.visits), Arc::clone(&service.refusals));
        service._tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (visits, refusals) = (Arc::clone(&visits), Arc::clone(&refusals));
                streams.spawn(async move {
                    match read_peer_line(stream).await {
                        Ok((stream, peer, ports)) => serve(stream, peer, ports, visits).await,
                        Err(why) => lock(&refusals).push(why.to_string()),
                    }
                });
            }
        });
        Ok((service, address))
    }

    /// The visit with this tag.
    pub(crate) fn visit(&self, tag: Tag) -> Result<Visit, CheckFailure> {
        let visits = lock(&self.visits);
        let found = visits.iter().find(|visit| visit.tag == tag).cloned();
        found.ok_or_else(|| CheckFailure::new("the stream was answered by another service"))
    }

    /// The errors of accepts, and of lines that should have named the peer.
    pub(crate) fn refusals(&self) -> Vec<String> {
        lock(&self.refusals).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a stream. Errors are ignored: they show at the near end.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Destination,
    ports: Ports,
    visits: Arc<Mutex<Vec<Visit>>>,
) {
    let mut tag = Tag::default();
    if stream.read_exact(&mut tag).await.is_err() {
        return;
    }
    lock(&visits).push(Visit { tag, peer, ports });
    if stream.write_all(&tag).await.is_ok() {
        let (mut read, mut write) = io::split(stream);
        let _ = io::copy(&mut read, &mut write).await;
    }
}

/// Reads the line that names the peer, byte by byte: what follows belongs to the stream.
async fn read_peer_line(mut stream: TcpStream) -> Result<(TcpStream, Destination, Ports), CheckFailure> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await.promised("a line that names the peer")? {
            b'\n' => break,
            byte => line.push(byte),
        }
        ensure(line.len() < MAX_LINE_BYTES, || "promised: a line that names the peer; it has no end".into())?;
    }
    let from = AcceptedFrom::parse(&line).promised("a line that names the peer")?;
    let peer = from.destination.parse().promised("the destination of the peer")?;
    let ports = from.ports;
    Ok((stream, peer, ports))
}

/// Connects a stream and waits for an answer on it: i2pd reports a stream as connected before it is.
pub(crate) async fn visit(
    session: &Session,
    to: &I2pName,
    port: u16,
) -> Result<(SamStream, Tag), CheckFailure> {
    let mut stream = session.connect(to, port).await.promised("a stream")?;
    let tag = tag();
    let answer = async {
        let mut answer = Tag::default();
        stream.write_all(&tag).await?;
        stream.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = within(ANSWER_TIMEOUT, "an answer on a connected stream", answer).await?;
    let answer = answer.promised("an answer on a connected stream")?;
    ensure(answer == tag, || "promised: the bytes that were sent; others were received".into())?;
    Ok((stream, tag))
}

/// Sends bytes and checks that the same bytes are sent back.
pub(crate) async fn exchange(stream: &mut SamStream, bytes: &[u8]) -> Result<(), CheckFailure> {
    let (mut read, mut write) = io::split(stream);
    let mut back = vec![0; bytes.len()];
    let both = async { tokio::try_join!(write.write_all(bytes), read.read_exact(&mut back)) };
    within(ANSWER_TIMEOUT * 2, "all bytes both ways", both).await?.promised("all bytes both ways")?;
    let wrong = back.iter().zip(bytes).position(|(got, sent)| got != sent);
    ensure(wrong.is_none(), || format!("promised: the bytes that were sent; they differ at {wrong:?}"))
}

/// Bytes without repetition, so that lost, doubled and swapped parts are noticed.
pub(crate) fn payload(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A new tag each time.
pub(crate) fn tag() -> Tag {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed).to_be_bytes()
}
