//! The far end: an echo that remembers who came.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use i2p_name::{Destination, I2pName};
use i2p_sam::{Accepted, Ports, Session, wire::AcceptedFrom};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use crate::{
    report::{Failure, Promised, ensure},
    retry::within,
};

/// The first bytes of each stream, by which a visit is found again.
pub(crate) type Tag = [u8; 8];

/// For an answer over a stream that is up; emissary's streaming stalls for 7 to 9 s now and then.
const ANSWER: Duration = Duration::from_secs(20);
/// For the first stream, as a part of the network's patience. It may come before the acceptors do, and routers keep none
/// for later.
pub(crate) const FIRST: u32 = 10;
/// After an accept that failed, so that a router in trouble is not asked without end.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
/// The longest line before a forwarded stream.
const MAX_LINE: usize = 4096;

/// A stream that came.
#[derive(Clone)]
pub(crate) struct Visit {
    tag: Tag,
    pub(crate) peer: Destination,
    pub(crate) ports: Ports,
}

/// An echo. Ends when dropped; the session, if it has one, with it.
pub(crate) struct Service {
    visits: Arc<Mutex<Vec<Visit>>>,
    refusals: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Service {
    /// On a session, with this many STREAM ACCEPTs waiting at once.
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
                            sleep(AFTER_FAILURE).await;
                        }
                    }
                }
            });
        }
        service
    }

    /// On a TCP port that a router forwards streams to, each with the line that says who comes.
    pub(crate) async fn forwarded() -> Result<(Self, SocketAddr), Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.promised("a free port")?;
        let address = listener.local_addr().promised("a free port")?;
        let mut service = Self { visits: Arc::default(), refusals: Arc::default(), _tasks: JoinSet::new() };
        let (visits, refusals) = (Arc::clone(&service.visits), Arc::clone(&service.refusals));
        service._tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (visits, refusals) = (Arc::clone(&visits), Arc::clone(&refusals));
                streams.spawn(async move {
                    match introduced(stream).await {
                        Ok((stream, peer, ports)) => serve(stream, peer, ports, visits).await,
                        Err(why) => lock(&refusals).push(why.to_string()),
                    }
                });
            }
        });
        Ok((service, address))
    }

    /// The visit that began with this tag.
    pub(crate) fn visit(&self, tag: Tag) -> Result<Visit, Failure> {
        let visits = lock(&self.visits);
        let found = visits.iter().find(|visit| visit.tag == tag).cloned();
        found.ok_or_else(|| Failure::new("the stream was answered by somebody else"))
    }

    /// What the router said when it did not let the session accept, or sent something else than a peer.
    pub(crate) fn refusals(&self) -> Vec<String> {
        lock(&self.refusals).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes wrong shows at the near end.
async fn serve(mut stream: TcpStream, peer: Destination, ports: Ports, visits: Arc<Mutex<Vec<Visit>>>) {
    let mut tag = Tag::default();
    if stream.read_exact(&mut tag).await.is_err() {
        return;
    }
    lock(&visits).push(Visit { tag, peer, ports });
    if stream.write_all(&tag).await.is_ok() {
        let (mut read, mut write) = stream.split();
        let _ = io::copy(&mut read, &mut write).await;
    }
}

/// Takes the line off the front of a forwarded stream, byte by byte: what follows belongs to the stream.
async fn introduced(mut stream: TcpStream) -> Result<(TcpStream, Destination, Ports), Failure> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await.promised("a line that says who comes")? {
            b'\n' => break,
            byte => line.push(byte),
        }
        ensure(line.len() < MAX_LINE, || "promised: a line that says who comes; it has no end".into())?;
    }
    let from = AcceptedFrom::parse(&line).promised("a line that says who comes")?;
    let peer = from.destination.parse().promised("a destination that comes")?;
    let ports = from.ports;
    Ok((stream, peer, ports))
}

/// Connects and is answered: i2pd says that a stream is connected before it is.
pub(crate) async fn visit(session: &Session, to: &I2pName, port: u16) -> Result<(TcpStream, Tag), Failure> {
    let mut stream = session.connect(to, port).await.promised("a stream")?;
    let tag = tag();
    let answer = async {
        let mut answer = Tag::default();
        stream.write_all(&tag).await?;
        stream.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = within(ANSWER, "an answer on a stream that was granted", answer).await?;
    let answer = answer.promised("an answer on a stream that was granted")?;
    ensure(answer == tag, || "promised: the bytes that were sent; others came back".into())?;
    Ok((stream, tag))
}

/// Sends bytes and gets the same ones back.
pub(crate) async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Failure> {
    let (mut read, mut write) = stream.split();
    let mut back = vec![0; bytes.len()];
    let both = async { tokio::try_join!(write.write_all(bytes), read.read_exact(&mut back)) };
    within(ANSWER * 2, "all bytes both ways", both).await?.promised("all bytes both ways")?;
    let wrong = back.iter().zip(bytes).position(|(got, sent)| got != sent);
    ensure(wrong.is_none(), || format!("promised: the bytes that were sent; they differ at {wrong:?}"))
}

/// Bytes that repeat nowhere, so that lost, doubled and swapped parts all show.
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

/// Another one each time.
pub(crate) fn tag() -> Tag {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed).to_be_bytes()
}
