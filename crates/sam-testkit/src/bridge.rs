//! The bridge that tests start.

#[cfg(unix)]
use std::path::PathBuf;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpSocket, UdpSocket},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    commands::datagram,
    connection::{BridgeState, Connection},
    destination::{KeyPair, SignatureType},
    dialect::Dialect,
    endpoint::Endpoint,
    recorder::{LineRecord, Recorder, StreamRecord, lock},
    registry::{Registry, Session, becomes_true},
    script::{Act, Script},
    serving,
    socket::Listener,
};

/// Any free port on loopback.
const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// How many connections may wait to be accepted: tests open thousands at once.
const ACCEPT_BACKLOG: u32 = 4_096;
/// How long a kill waits for one control connection to close.
const CONTROL_CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// A SAM bridge on a random loopback port, or on a Unix socket. It ends with all its connections when dropped.
pub struct TestBridge {
    address: Address,
    udp_address: SocketAddr,
    shared: Arc<BridgeState>,
    connections: Arc<AtomicU64>,
    life: Option<Life>,
}

/// Where a bridge listens, each time that it starts.
enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(PathBuf),
}

/// The tasks of a bridge, from a start to a kill.
struct Life {
    tasks: [JoinHandle<()>; 2],
    /// `true` makes all connections close; each of them holds a receiver.
    killed: watch::Sender<bool>,
}

/// A session that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The session's ID.
    pub id: String,
    /// The session's destination in base64.
    pub destination: String,
}

impl TestBridge {
    /// Starts a healthy bridge that speaks like Java I2P.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start() -> Self {
        Self::start_as(Dialect::Java).await
    }

    /// Starts a healthy bridge that speaks like this router.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[allow(clippy::expect_used, reason = "a test cannot run without a port")]
    pub async fn start_as(dialect: Dialect) -> Self {
        let listener = listen_tcp(ANY_PORT).expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        Self::start_on(dialect, Listener::Tcp(listener), Address::Tcp(address)).await
    }

    /// Starts a healthy bridge that speaks like this router and listens on a Unix socket, which it creates. A socket that an
    /// earlier bridge has left there is replaced. Its UDP port is on loopback.
    ///
    /// # Panics
    /// When no socket can be created there.
    #[cfg(unix)]
    #[allow(clippy::expect_used, reason = "a test cannot run without its socket")]
    pub async fn start_at(path: impl Into<PathBuf>, dialect: Dialect) -> Self {
        let address = Address::Unix(path.into());
        let listener = address.listen().expect("a Unix socket in a directory of the test");
        Self::start_on(dialect, listener, address).await
    }

    #[allow(clippy::expect_used, reason = "a test cannot run without a port")]
    async fn start_on(dialect: Dialect, listener: Listener, address: Address) -> Self {
        let udp = UdpSocket::bind(ANY_PORT).await.map(Arc::new).expect("a free loopback port");
        let udp_address = udp.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(BridgeState {
            dialect,
            script: Mutex::new(Script::default()),
            recorder: Recorder::default(),
            registry: Registry::default(),
            login: Mutex::new(None),
            split: AtomicBool::new(false),
            newer_datagrams: AtomicBool::new(false),
            udp: Mutex::new(Arc::clone(&udp)),
        });
        // One destination with two names: tests of lookups need a name that is known, other tests need an echo.
        for name in ["known.i2p", "echo.i2p"] {
            shared.registry.add_far_end(name, KeyPair::fixed(), Endpoint::Echo);
        }
        let mut bridge =
            Self { address, udp_address, shared, connections: Arc::new(AtomicU64::new(0)), life: None };
        bridge.start_tasks(listener, udp);
        bridge
    }

    fn start_tasks(&mut self, listener: Listener, udp: Arc<UdpSocket>) {
        let killed = watch::Sender::new(false);
        let accepting = {
            let (shared, connections) = (Arc::clone(&self.shared), Arc::clone(&self.connections));
            let killed = killed.subscribe();
            tokio::spawn(accept(listener, shared, connections, killed))
        };
        let datagrams = tokio::spawn(datagram::serve(udp, Arc::clone(&self.shared)));
        self.life = Some(Life { tasks: [accepting, datagrams], killed });
    }

    /// The bridge's address: `127.0.0.1:PORT`, or `unix:PATH`.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.address {
            Address::Tcp(address) => address.to_string(),
            #[cfg(unix)]
            Address::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The UDP address that takes datagrams: `127.0.0.1:PORT`.
    #[must_use]
    pub fn udp_address(&self) -> String {
        self.udp_address.to_string()
    }

    /// The dialect that the bridge speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.shared.dialect
    }

    /// Sets what the bridge does after each command that starts with `command`, instead of what a healthy bridge does. If
    /// several texts match, the longest counts.
    pub fn on(&self, command: &str, acts: impl IntoIterator<Item = Act>) {
        lock(&self.shared.script).on(command, acts.into_iter().collect());
    }

    /// Sets what the bridge does after the next command that starts with `command`. Another call is for the command after
    /// that. Takes precedence over [`TestBridge::on`].
    pub fn once(&self, command: &str, acts: impl IntoIterator<Item = Act>) {
        lock(&self.shared.script).once(command, acts.into_iter().collect());
    }

    /// Sets whether healthy answers are sent byte by byte, each byte in a write of its own.
    pub fn split_answers(&self, split: bool) {
        self.shared.split.store(split, Relaxed);
    }

    /// Makes Java support DATAGRAM2 and DATAGRAM3 as specified: it names the sender of a DATAGRAM3 by its hash. No recorded
    /// router does that. The other dialects do not change.
    pub fn newer_datagrams(&self) {
        self.shared.newer_datagrams.store(true, Relaxed);
    }

    /// From now on accepts only clients whose HELLO has this USER and PASSWORD. Only Java I2P supports them; the other
    /// dialects ignore this, as the routers do.
    pub fn require_login(&self, user: &str, password: &str) {
        *lock(&self.shared.login) = Some((user.to_owned(), password.to_owned()));
    }

    /// Puts a far end behind a host name and a new destination, and returns the destination in base64. If the name is taken,
    /// it moves to the new far end; the old one keeps its destination.
    pub fn host(&self, name: &str, endpoint: Endpoint) -> String {
        let keys = KeyPair::generate(SignatureType::Ed25519);
        let destination = keys.public.clone();
        self.shared.registry.add_far_end(name, keys, endpoint);
        destination
    }

    /// All lines that clients have sent, without HELLOs, in the order of their arrival.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.shared.recorder.commands()
    }

    /// When the commands that start with this text have arrived, in order.
    #[must_use]
    pub fn times(&self, command: &str) -> Vec<tokio::time::Instant> {
        self.shared.recorder.times(command)
    }

    /// All lines that clients have sent, with HELLOs and with the number of the connection.
    #[must_use]
    pub fn transcript(&self) -> Vec<LineRecord> {
        self.shared.recorder.transcript()
    }

    /// The streams that sessions have asked for, in order: each STREAM CONNECT with the ID of a session that no script
    /// answered, whether or not it succeeded.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamRecord> {
        self.shared.recorder.streams()
    }

    /// The packets that have arrived over UDP, with their header lines.
    #[must_use]
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        self.shared.recorder.datagrams()
    }

    /// The sessions that are open, without subsessions, in no particular order.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionRecord> {
        let sessions = self.shared.registry.top_sessions();
        let record = |session: &Arc<Session>| SessionRecord {
            id: session.id.clone(),
            destination: session.keys.public.clone(),
        };
        sessions.iter().map(record).collect()
    }

    /// How many sessions are open, without subsessions.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.shared.registry.top_sessions().len()
    }

    /// How many streams are open. A stream between two sessions of this bridge counts once.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.shared.registry.open_streams()
    }

    /// How many connections were accepted since the start, of all kinds.
    #[must_use]
    pub fn accepted_connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Sends an unsolicited line on the control connection of every session.
    pub fn push_to_sessions(&self, line: &str) {
        for session in self.shared.registry.top_sessions() {
            // Without a receiver, the session is just ending.
            let _ = session.control.send(format!("{line}\n").into_bytes());
        }
    }

    /// Closes the control connections of all sessions, like a router that loses its tunnels. The sessions and their streams
    /// end one after the other; the port stays open.
    pub fn drop_control_connections(&self) {
        for session in self.shared.registry.top_sessions() {
            session.closing.send_replace(true);
        }
    }

    /// Dies like a killed router: closes the ports, and then every connection. Control connections are closed first, since an
    /// operating system closes the oldest first. Returns once all are closed.
    pub async fn kill(&mut self) {
        let Some(Life { tasks, killed }) = self.life.take() else { return };
        // New connections are refused first.
        for task in tasks {
            task.abort();
            // The task was cancelled, which is no error here.
            let _ = task.await;
        }
        for session in self.shared.registry.top_sessions() {
            session.closing.send_replace(true);
            // One that is stuck is closed with the rest below.
            let _ = timeout(CONTROL_CLOSE_TIMEOUT, becomes_true(&mut session.ended.subscribe())).await;
        }
        killed.send_replace(true);
        killed.closed().await;
    }

    /// Starts again on the same ports or socket, without sessions; it is killed first if it still runs. Names, scripts and records stay.
    ///
    /// # Panics
    /// When another program has taken one of the ports in the meantime.
    #[allow(clippy::expect_used, reason = "a test cannot go on without its port")]
    pub async fn restart(&mut self) {
        self.kill().await;
        let listener = bind_again(|| self.address.listen()).await.expect("the port is still free");
        // The old socket must be closed first: two cannot have one port.
        let old = {
            let any = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free loopback port");
            std::mem::replace(&mut *lock(&self.shared.udp), Arc::new(any))
        };
        drop(old);
        let udp =
            bind_again(|| std::net::UdpSocket::bind(self.udp_address)).await.expect("the port is still free");
        udp.set_nonblocking(true).expect("a socket of ours");
        let udp = UdpSocket::from_std(udp).map(Arc::new).expect("a socket of ours");
        *lock(&self.shared.udp) = Arc::clone(&udp);
        self.start_tasks(listener, udp);
    }
}

/// Binds a port that was closed just now. A task that was using it, or a connection of another test that was given it
/// meanwhile, may hold it for a moment.
async fn bind_again<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                sleep(Duration::from_millis(5)).await;
            }
            result => return result,
        }
    }
}

impl Drop for TestBridge {
    fn drop(&mut self) {
        if let Some(Life { tasks, killed }) = self.life.take() {
            killed.send_replace(true);
            tasks.iter().for_each(JoinHandle::abort);
        }
    }
}

impl Address {
    fn listen(&self) -> io::Result<Listener> {
        match self {
            Self::Tcp(address) => listen_tcp(*address).map(Listener::Tcp),
            #[cfg(unix)]
            Self::Unix(path) => {
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                tokio::net::UnixListener::bind(path).map(Listener::Unix)
            }
        }
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A restarted bridge has earlier connections in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}

async fn accept(
    listener: Listener,
    shared: Arc<BridgeState>,
    connections: Arc<AtomicU64>,
    killed: watch::Receiver<bool>,
) {
    loop {
        match listener.accept().await {
            Ok(stream) => {
                let number = connections.fetch_add(1, Relaxed) + 1;
                let connection = Connection::new(stream, number, Arc::clone(&shared));
                tokio::spawn(serving::serve(connection, killed.clone()));
            }
            // No file descriptor is left, or the client has gone. The next one may succeed.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
