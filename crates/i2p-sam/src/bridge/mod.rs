pub(crate) mod capabilities;
pub(crate) mod connection;
pub(crate) mod lookup;
mod spares;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpStream, time::Instant};

use self::{
    capabilities::Capabilities,
    connection::{Connection, Line, within},
    spares::{Order, Spares},
};
use crate::{
    error::{Error, Phase},
    wire::{
        DestGenerate, Dialect, Hello, Login, LookupName, NamingLookup, PrivateKey, Reply, ResultWord, Version,
    },
};

/// How long the client waits for a router. The specification asks for patience: a router that gives up says so
/// itself, and a session or stream that was abandoned too early costs the network as much as one that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connection and HELLO, and answers that take a router no time: keys, subsessions, forwarding.
    pub hello: Duration,
    /// SESSION CREATE, until tunnels are built.
    pub session_create: Duration,
    /// NAMING LOOKUP. A router has its address book at hand; Java I2P looks for the lease set of a hash, for 15 s at most.
    pub naming_lookup: Duration,
    /// STREAM CONNECT; routers themselves give up after about 60 s.
    pub stream_connect: Duration,
}

/// A connection that was kept ready and that the router closes within this time after a command was closed before it: one that
/// cannot do what it is asked to takes longer, or says so.
const STALE: Duration = Duration::from_secs(1);

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            session_create: Duration::from_secs(300),
            naming_lookup: Duration::from_secs(20),
            stream_connect: Duration::from_secs(90),
        }
    }
}

/// A router's SAM bridge: where it is, what it can do and how patient to be with it. Cheap to clone; clones share what
/// was learned of the bridge, and the connections that are [kept ready](Bridge::with_spares).
#[derive(Debug, Clone)]
pub struct Bridge {
    address: Arc<str>,
    udp_address: Option<SocketAddr>,
    login: Option<Arc<Login>>,
    timeouts: Timeouts,
    learned: Arc<Learned>,
    spares: Arc<Spares>,
}

/// What is known of the bridge, and who is finding out.
#[derive(Debug, Default)]
struct Learned {
    capabilities: Mutex<Option<Capabilities>>,
    probing: tokio::sync::Mutex<()>,
    /// Whether it was said that the bridge knows no early data.
    early_data_missed: AtomicBool,
}

impl Bridge {
    /// The bridge at `host:port`. The host may be a name: it is the router's own, not a client's target, and is
    /// resolved by the operating system at each connection.
    #[must_use]
    pub fn new(address: impl AsRef<str>) -> Self {
        Self {
            address: Arc::from(address.as_ref()),
            udp_address: None,
            login: None,
            timeouts: Timeouts::default(),
            learned: Arc::default(),
            spares: Arc::default(),
        }
    }

    /// With other limits than the default ones.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// With a user and a password, for a bridge that asks for them. They cross the network as they are: a bridge on
    /// another machine belongs behind a tunnel of its own.
    #[must_use]
    pub fn with_login(self, login: Login) -> Self {
        // Those that are there have logged in as somebody else.
        Self { login: Some(Arc::new(login)), spares: self.spares.anew(), ..self }
    }

    /// With up to so many connections kept ready that have said HELLO, so that a lookup or a stream begins with its command: a
    /// round trip less, of which there are two otherwise. None are kept by default.
    ///
    /// There is one when two requests have come within seconds, and one more for each request that finds none. One that is not
    /// used within 5 s is closed, which is before any router does. While the router is away or file descriptors are short there
    /// are none. A connection that the router has closed all the same is replaced by a new one before anybody notices.
    #[must_use]
    pub fn with_spares(self, most: usize) -> Self {
        Self { spares: Spares::new(most), ..self }
    }

    /// With the address that takes datagrams, where it is not the bridge's own and the port below its own (7655 beside 7656).
    #[must_use]
    pub fn with_udp_address(self, address: SocketAddr) -> Self {
        Self { udp_address: Some(address), ..self }
    }

    /// How many connections are kept ready now.
    #[must_use]
    pub fn spares(&self) -> usize {
        self.spares.count()
    }

    /// Where the bridge is, as given to [`Bridge::new`].
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it takes datagrams, as given to [`Bridge::with_udp_address`].
    pub(crate) fn udp_address(&self) -> Option<SocketAddr> {
        self.udp_address
    }

    /// The limits in force.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Asks whether a bridge answers now, and what it can do.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotSam`], [`Error::Timeout`], [`Error::Refused`].
    pub async fn probe(&self) -> Result<Capabilities, Error> {
        let learned = self.learn().await?;
        self.set_known(Some(learned));
        Ok(learned)
    }

    /// What the bridge can do. Asked once: clones of this bridge and all that uses them know it from then on, until a session
    /// is lost.
    ///
    /// # Errors
    /// As [`Bridge::probe`].
    pub async fn capabilities(&self) -> Result<Capabilities, Error> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let _one_at_a_time = self.learned.probing.lock().await;
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let learned = self.probe().await?;
        tracing::info!("the router's bridge: {learned}");
        Ok(learned)
    }

    /// Forgets what was learned: behind a connection that was lost another router may come up, or another version of it.
    pub(crate) fn forget(&self) {
        self.set_known(None);
        self.spares.clear();
    }

    /// Says once that sessions are to have early data, and that this bridge cannot be asked for it.
    pub(crate) fn miss_early_data(&self, capabilities: Capabilities) {
        if !self.learned.early_data_missed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "early data is ignored: the router's bridge ({}) does not know it, only Java I2P does; streams take one round \
                 trip more",
                capabilities.dialect()
            );
        }
    }

    fn known(&self) -> Option<Capabilities> {
        *self.learned.capabilities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_known(&self, capabilities: Option<Capabilities>) {
        *self.learned.capabilities.lock().unwrap_or_else(PoisonError::into_inner) = capabilities;
    }

    async fn learn(&self) -> Result<Capabilities, Error> {
        let (mut connection, version) = self.connect_as(Dialect::Standard).await?;
        let limit = self.timeouts.hello;
        within(limit, Phase::Hello, async {
            connection
                .send(&NamingLookup { name: LookupName::Nothing, options: false }, Phase::Hello)
                .await?;
            let line = connection.answer(Phase::Hello).await?;
            Ok(Capabilities::learn(version, Reply::parse(&line).ok()))
        })
        .await
    }

    /// Has the router make keys (Ed25519), for a session that is to be the same one again.
    ///
    /// # Errors
    /// What [`Bridge::capabilities`] can say, and [`Error::Refused`], [`Error::Closed`], [`Error::Unexpected`].
    pub async fn generate_keys(&self) -> Result<PrivateKey, Error> {
        let phase = Phase::DestGenerate;
        let mut connection = self.connect().await?;
        within(self.timeouts.hello, phase, async {
            connection.send(&DestGenerate, phase).await?;
            let line = connection.answer(phase).await?;
            match Reply::parse(&line) {
                Ok(Reply::Dest { status, private_key: Some(key), .. }) if status.result == ResultWord::Ok => {
                    key.parse().map_err(|_| Error::Unexpected { phase })
                }
                Ok(Reply::Dest { status, .. }) if status.result != ResultWord::Ok => {
                    Err(Error::refused(phase, status))
                }
                _ => Err(Error::Unexpected { phase }),
            }
        })
        .await
    }

    /// A connection that has said HELLO and speaks the bridge's dialect.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        let dialect = self.capabilities().await?.dialect();
        self.connect_as(dialect).await.map(|(connection, _)| connection)
    }

    /// Does something with a connection that was kept ready, or else with a new one.
    ///
    /// A connection is kept for less time than any router allows, but a router may go and come back, and so one that is closed
    /// at once, without a word, was closed before: the same is done again with a new one.
    pub(crate) async fn ask<T, F>(&self, work: impl Fn(Connection) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        // What is seldom needed is in a place of its own: every request has this future.
        let capabilities = match self.known() {
            Some(known) => known,
            None => Box::pin(self.capabilities()).await?,
        };
        let dialect = capabilities.dialect();
        let (mut spare, order) = self.spares.take();
        if order.count > 0 {
            let order = Arc::new(order);
            for _ in 0..order.count {
                tokio::spawn(self.clone().keep_one(dialect, Arc::clone(&order)));
            }
        }
        loop {
            let begin = spare.is_some().then(Instant::now);
            let connection = match spare.take() {
                Some(spare) => spare,
                None => Box::pin(self.connect_as(dialect)).await?.0,
            };
            match work(connection).await {
                Err(Error::Closed { .. }) if begin.is_some_and(|begin| begin.elapsed() < STALE) => {}
                result => return result,
            }
        }
    }

    /// Makes a connection to be kept ready.
    async fn keep_one(self, dialect: Dialect, order: Arc<Order>) {
        let made = self.connect_as(dialect).await.ok().map(|(connection, _)| connection);
        self.spares.put(&order, made);
    }

    async fn connect_as(&self, dialect: Dialect) -> Result<(Connection, Version), Error> {
        within(self.timeouts.hello, Phase::Hello, self.connect_and_hello(dialect)).await
    }

    async fn connect_and_hello(&self, dialect: Dialect) -> Result<(Connection, Version), Error> {
        let unreachable = |source| Error::Unreachable { address: self.address.to_string(), source };
        let stream = TcpStream::connect(&*self.address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut connection = Connection::new(stream, dialect);
        connection.send(&Hello { login: self.login.as_deref() }, Phase::Hello).await?;
        let not_sam = || Error::NotSam { address: self.address.to_string() };
        let Ok(Line::Complete(line)) = connection.line().await else { return Err(not_sam()) };
        match Reply::parse(&line) {
            Ok(Reply::Hello { status, version: Some(version) }) if status.result == ResultWord::Ok => {
                Ok((connection, version))
            }
            Ok(Reply::Hello { status, .. }) if status.result != ResultWord::Ok => {
                Err(Error::refused(Phase::Hello, status))
            }
            _ => Err(not_sam()),
        }
    }
}
