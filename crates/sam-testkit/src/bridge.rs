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
    Act, Dialect, Endpoint, Heard, StreamRecord,
    connection::{Connection, Shared},
    destination::{Keys, SignatureType},
    recorder::{Recorder, lock},
    registry::{Registry, over},
    script::Script,
};

/// Connections that may wait to be accepted: tests open thousands at once.
const BACKLOG: u32 = 4_096;
/// How long a kill waits for one control connection to close.
const CONTROL_FIRST: Duration = Duration::from_millis(100);

/// A bridge on a random loopback port. Ends when dropped, with all its connections.
pub struct TestBridge {
    address: SocketAddr,
    udp_address: SocketAddr,
    shared: Arc<Shared>,
    connections: Arc<AtomicU64>,
    life: Option<Life>,
}

/// From a start to a kill.
struct Life {
    tasks: [JoinHandle<()>; 2],
    /// `true` tells all connections to go; each of them holds a receiver.
    killed: watch::Sender<bool>,
}

/// A session that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// Its ID.
    pub id: String,
    /// Its destination in base64.
    pub destination: String,
}

impl TestBridge {
    /// Starts a healthy bridge that speaks as Java I2P does.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start() -> Self {
        Self::start_as(Dialect::Java).await
    }

    /// Starts a healthy bridge that speaks as this router does.
    ///
    /// # Panics
    /// When loopback has no free port.
    #[allow(clippy::expect_used, reason = "a test without a port cannot go on")]
    pub async fn start_as(dialect: Dialect) -> Self {
        let any = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
        let listener = listen(any).expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let udp = UdpSocket::bind(any).await.map(Arc::new).expect("a free loopback port");
        let udp_address = udp.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            dialect,
            script: Mutex::new(Script::default()),
            recorder: Recorder::default(),
            registry: Registry::default(),
            login: Mutex::new(None),
            split: AtomicBool::new(false),
            newer_datagrams: AtomicBool::new(false),
            udp: Mutex::new(Arc::clone(&udp)),
        });
        // One destination under two names: tests of name lookups want a name that is known, others an echo.
        for name in ["known.i2p", "echo.i2p"] {
            shared.registry.host(name, Keys::fixed(), Endpoint::Echo);
        }
        let mut bridge =
            Self { address, udp_address, shared, connections: Arc::new(AtomicU64::new(0)), life: None };
        bridge.live(listener, udp);
        bridge
    }

    fn live(&mut self, listener: TcpListener, udp: Arc<UdpSocket>) {
        let killed = watch::Sender::new(false);
        let accepting = {
            let (shared, connections) = (Arc::clone(&self.shared), Arc::clone(&self.connections));
            let killed = killed.subscribe();
            tokio::spawn(accept(listener, shared, connections, killed))
        };
        let datagrams = tokio::spawn(crate::datagram::serve(udp, Arc::clone(&self.shared)));
        self.life = Some(Life { tasks: [accepting, datagrams], killed });
    }

    /// Where the bridge is: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where it takes datagrams: `127.0.0.1:PORT`, over UDP.
    #[must_use]
    pub fn udp_address(&self) -> String {
        self.udp_address.to_string()
    }

    /// Whose ways it has.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.shared.dialect
    }

    /// From now on, does this after commands that start with `command`, instead of what a healthy bridge does; the
    /// longest such text wins.
    pub fn on(&self, command: &str, acts: impl IntoIterator<Item = Act>) {
        lock(&self.shared.script).on(command, acts.into_iter().collect());
    }

    /// Does this after the next command that starts with `command`, and only then. Called again, it is for the command
    /// after that. Goes before what [`TestBridge::on`] was told.
    pub fn once(&self, command: &str, acts: impl IntoIterator<Item = Act>) {
        lock(&self.shared.script).once(command, acts.into_iter().collect());
    }

    /// Sends healthy answers byte by byte, each in a write of its own, or no longer so.
    pub fn split_answers(&self, split: bool) {
        self.shared.split.store(split, Relaxed);
    }

    /// From now on, Java knows DATAGRAM2 and DATAGRAM3 too, as the specification has them: of who sent one of the third kind it says
    /// the hash. No router that was recorded does that: the other dialects stay as they are.
    pub fn newer_datagrams(&self) {
        self.shared.newer_datagrams.store(true, Relaxed);
    }

    /// From now on, takes only clients whose HELLO has this USER and PASSWORD. Only Java I2P knows them; the other
    /// dialects ignore it, as the routers do.
    pub fn require_login(&self, user: &str, password: &str) {
        *lock(&self.shared.login) = Some((user.to_owned(), password.to_owned()));
    }

    /// Puts a far end behind a host name and a new destination; gives the destination in base64. A name that is taken
    /// moves; its old destination keeps its far end.
    pub fn host(&self, name: &str, endpoint: Endpoint) -> String {
        let keys = Keys::generate(SignatureType::Ed25519);
        let destination = keys.public.clone();
        self.shared.registry.host(name, keys, endpoint);
        destination
    }

    /// All lines that clients have sent, HELLOs left out, in the order of their coming.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.shared.recorder.commands()
    }

    /// All lines that clients have sent, HELLOs and all, and on which connection.
    #[must_use]
    pub fn transcript(&self) -> Vec<Heard> {
        self.shared.recorder.transcript()
    }

    /// The streams that sessions have asked for, in the order of their coming: each healthy STREAM CONNECT with the ID
    /// of a session, whatever came of it.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamRecord> {
        self.shared.recorder.streams()
    }

    /// The datagrams that have come over UDP, header line and all.
    #[must_use]
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        self.shared.recorder.datagrams()
    }

    /// The sessions that are open, without subsessions, in no order.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionRecord> {
        let sessions = self.shared.registry.top_sessions();
        let record = |session: &Arc<crate::registry::Session>| SessionRecord {
            id: session.id.clone(),
            destination: session.keys.public.clone(),
        };
        sessions.iter().map(record).collect()
    }

    /// How many sessions are open, subsessions not counted.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.shared.registry.top_sessions().len()
    }

    /// How many streams are open. A stream between two sessions of this bridge is one.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.shared.registry.open_streams()
    }

    /// Connections that were accepted since the start, of sessions, streams and everything else.
    #[must_use]
    pub fn accepted_connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Sends a line, unasked, on the control connection of every session.
    pub fn push_to_sessions(&self, line: &str) {
        for session in self.shared.registry.top_sessions() {
            // No receiver: the session is just ending.
            let _ = session.control.send(format!("{line}\n").into_bytes());
        }
    }

    /// Closes the control connections of all sessions, as a router does that loses its tunnels: the sessions and their
    /// streams end one after the other, the port stays open.
    pub fn drop_control_connections(&self) {
        for session in self.shared.registry.top_sessions() {
            session.closing.send_replace(true);
        }
    }

    /// Dies as a killed router does: closes the ports, and then every connection, control connections first, as an operating
    /// system does that closes the oldest first. Returns when all of them are closed.
    pub async fn kill(&mut self) {
        let Some(Life { tasks, killed }) = self.life.take() else { return };
        // Nobody gets in any more who would only be thrown out.
        for task in tasks {
            task.abort();
            // Cancelled is what it should be.
            let _ = task.await;
        }
        for session in self.shared.registry.top_sessions() {
            session.closing.send_replace(true);
            // One that is stuck goes with the rest.
            let _ = timeout(CONTROL_FIRST, over(&mut session.ended.subscribe())).await;
        }
        killed.send_replace(true);
        killed.closed().await;
    }

    /// Comes back on the same ports, killed before or not, with no sessions. Names, scripts and records stay.
    ///
    /// # Panics
    /// When another program has taken one of the ports in the meantime.
    #[allow(clippy::expect_used, reason = "a test without its port cannot go on")]
    pub async fn restart(&mut self) {
        self.kill().await;
        let listener = again(|| listen(self.address)).await.expect("the port is still free");
        // The old socket has to go first: two cannot have one port.
        let old = {
            let any = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free loopback port");
            std::mem::replace(&mut *lock(&self.shared.udp), Arc::new(any))
        };
        drop(old);
        let udp =
            again(|| std::net::UdpSocket::bind(self.udp_address)).await.expect("the port is still free");
        udp.set_nonblocking(true).expect("a socket of ours");
        let udp = UdpSocket::from_std(udp).map(Arc::new).expect("a socket of ours");
        *lock(&self.shared.udp) = Arc::clone(&udp);
        self.live(listener, udp);
    }
}

/// Binds a port that we have just given up: whoever was about to use it may still have it for a moment, and so may a connection of
/// another test that was given it meanwhile.
async fn again<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
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

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A restarted bridge has connections of its former life in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<AtomicU64>,
    killed: watch::Receiver<bool>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let number = connections.fetch_add(1, Relaxed) + 1;
                // Without it, an answer in several writes would wait for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                let connection = Connection::new(stream, number, Arc::clone(&shared));
                tokio::spawn(connection.serve(killed.clone()));
            }
            // No file descriptor left, or a client that has gone again: the next one may have more luck.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
