//! Where a router's SAM bridge may be reached, and what was last learned of the router there.

pub(crate) mod capabilities;
pub(crate) mod connection;
mod keys;
mod learned;
pub(crate) mod lookup;
pub(crate) mod router;
mod session_log;
mod spares;
pub(crate) mod stream;
pub(crate) mod style_trials;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{sync::SetOnce, time::timeout};

use self::{
    connection::{Connection, LineRead},
    learned::Learned,
    session_log::SessionLog,
    stream::SamStream,
};
#[cfg(feature = "tls")]
use crate::tls::TlsFailure;
use crate::{
    address::BridgeAddress,
    changing::ChangingAddress,
    error::{Error, Phase},
    wire::{Dialect, Hello, Login, Reply, ResultWord, Version},
};

/// The first bytes of a TLS record that is an alert, in every version of TLS (RFC 8446 section 5.1).
const TLS_ALERT: [u8; 2] = [21, 3];

/// How long the client waits for a router. The specification asks for patience: a router itself reports when it gives up, and a
/// session or stream that was abandoned too early costs the network as much as a used one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The connection and HELLO, and answers that a router gives at once: keys, subsessions, forwarding.
    pub hello: Duration,
    /// SESSION CREATE, until the tunnels are built.
    pub session_create: Duration,
    /// NAMING LOOKUP. A router has its address book at hand; Java I2P looks for the lease set of a hash, for at most 15 s.
    pub naming_lookup: Duration,
    /// STREAM CONNECT; routers themselves give up after about 60 s.
    pub stream_connect: Duration,
}

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

/// A place where a router's SAM bridge may be: its address, the login, and how long to wait for answers.
///
/// Which router answers there may change while the program runs: it may be restarted, updated or replaced. The router that
/// answers now, with what it can do, is a [`Router`](crate::Router), which [`Bridge::router`] returns.
///
/// A bridge is cheap to clone, and its clones share what was learned of the router. The `with_` methods return a bridge that
/// has learned nothing yet.
#[derive(Debug, Clone)]
pub struct Bridge {
    place: Arc<Place>,
    /// For a bridge that is known later: where it is then, in place of the above.
    later: Option<Arc<SetOnce<Arc<Place>>>>,
    learned: Arc<Learned>,
}

/// What the program was told about a bridge.
#[derive(Debug, Clone)]
struct Place {
    address: BridgeAddress,
    udp_address: Option<SocketAddr>,
    login: Option<Login>,
    timeouts: Timeouts,
    /// How many connections are kept ready, at most.
    max_spares: usize,
}

impl Bridge {
    /// The bridge at this address: `"127.0.0.1:7656"`, `"unix:/PATH"`, with the feature `tls` `"tls:HOST:PORT"`, or another value of
    /// [`BridgeAddress`].
    #[must_use]
    pub fn new(address: impl Into<BridgeAddress>) -> Self {
        let place = Place {
            address: address.into(),
            udp_address: None,
            login: None,
            timeouts: Timeouts::default(),
            max_spares: 0,
        };
        Self { place: Arc::new(place), later: None, learned: Arc::default() }
    }

    /// A bridge that is known later, when [`decide`](Self::decide) is called, for a program that still looks for a router or starts
    /// one. Until then nothing is connected to, requests fail with [`Error::NotDecided`], and a [`Supervised`](crate::Supervised)
    /// session waits.
    #[must_use]
    pub fn undecided() -> Self {
        let nowhere = ChangingAddress::new("an address that is not known yet");
        Self { later: Some(Arc::default()), ..Self::new(nowhere) }
    }

    /// Uses the address, the login and the limits of `bridge` from now on, if this one or a clone of it is
    /// [undecided](Self::undecided). Otherwise nothing changes.
    pub fn decide(&self, bridge: &Self) {
        let Some(later) = &self.later else { return };
        if later.set(Arc::clone(bridge.known_place())).is_ok()
            && let Some(known) = bridge.learned.latest()
        {
            self.learned.adopt(known);
        }
    }

    /// Whether it is known where the bridge may be: always, except for one that is [undecided](Self::undecided).
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.later.as_ref().is_none_or(|later| later.initialized())
    }

    /// Returns once it is known where the bridge may be.
    pub async fn decided(&self) {
        if let Some(later) = &self.later {
            later.wait().await;
        }
    }

    /// Where the bridge may be, as far as it is known.
    fn known_place(&self) -> &Arc<Place> {
        self.later.as_ref().and_then(|later| later.get()).unwrap_or(&self.place)
    }

    /// Replaces the default time limits, for a program that cannot wait as long or has a slower router.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        self.with_place(|place| place.timeouts = timeouts)
    }

    /// Sets the user and password for a bridge that asks for them. Without TLS they cross the network unencrypted:
    /// reach a bridge on another machine by TLS or through an encrypted tunnel.
    #[must_use]
    pub fn with_login(self, login: Login) -> Self {
        self.with_place(|place| place.login = Some(login))
    }

    /// Keeps up to `max` connections ready that have already said HELLO. A lookup or a stream on such a connection takes one
    /// round trip to the router instead of two. By default none are kept.
    ///
    /// The first one is made when two requests arrive within 5 s, and one more for each later request that finds none ready.
    /// A connection that is unused for 5 s is closed, earlier than any router would. None are made for 5 s after an attempt
    /// failed, since the router is away or file descriptors are short. When the router has closed a kept connection all the
    /// same, the request is repeated on a new one.
    #[must_use]
    pub fn with_spares(self, max: usize) -> Self {
        self.with_place(|place| place.max_spares = max)
    }

    /// Sets the address that takes datagrams. By default it is the bridge's own host and the port below the bridge's (7655
    /// for 7656). A bridge on a Unix socket or with TLS has no default: without this address it carries no datagrams. TLS does not
    /// protect datagrams.
    #[must_use]
    pub fn with_udp_address(self, address: SocketAddr) -> Self {
        self.with_place(|place| place.udp_address = Some(address))
    }

    /// The same bridge with one thing changed. Nothing is kept of what was learned: with another login or another limit the
    /// router may answer differently.
    fn with_place(self, change: impl FnOnce(&mut Place)) -> Self {
        let mut place = Place::clone(self.known_place());
        change(&mut place);
        Self { place: Arc::new(place), later: None, learned: Arc::default() }
    }

    /// The bridge's address, as given to [`Bridge::new`].
    #[must_use]
    pub fn address(&self) -> &BridgeAddress {
        &self.known_place().address
    }

    /// The address that takes datagrams, as given to [`Bridge::with_udp_address`].
    pub(crate) fn udp_address(&self) -> Option<SocketAddr> {
        self.known_place().udp_address
    }

    /// Where clones of this bridge log what happens to their sessions.
    pub(crate) fn session_log(&self) -> &Arc<SessionLog> {
        &self.learned.session_log
    }

    /// The time limits in force.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.known_place().timeouts
    }

    /// The number of connections that are kept ready now.
    #[must_use]
    pub fn spares(&self) -> usize {
        self.learned.latest().map_or(0, |known| known.spares.count())
    }

    /// Opens a connection, says HELLO, and returns the version that the router chose.
    async fn connect_as(&self, dialect: Dialect) -> Result<(Connection, Version), Error> {
        if !self.is_decided() {
            return Err(Error::NotDecided);
        }
        let (limit, mut is_accepted) = (self.timeouts().hello, false);
        let connected = timeout(limit, self.connect_and_hello(dialect, &mut is_accepted)).await;
        match connected {
            Ok(connected) => connected,
            Err(_) if is_accepted => Err(Error::Timeout { phase: Phase::Hello, limit }),
            Err(_) => {
                let what = format!("no connection within {} s", limit.as_secs());
                let source = io::Error::new(io::ErrorKind::TimedOut, what);
                Err(Error::Unreachable { address: self.known_place().address.clone(), source })
            }
        }
    }

    /// Connects and says HELLO. Sets `is_accepted` once a program has accepted the connection.
    async fn connect_and_hello(
        &self,
        dialect: Dialect,
        is_accepted: &mut bool,
    ) -> Result<(Connection, Version), Error> {
        let Place { address, login, .. } = &**self.known_place();
        let stream = SamStream::connect(address, is_accepted).await;
        let stream = stream.map_err(|source| not_connected(address, source))?;
        let mut connection = Connection::new(stream, dialect);
        connection.send(&Hello { login: login.as_ref() }, Phase::Hello).await.map_err(
            |error| match error {
                Error::Closed { .. } => Error::ClosedAtHello { address: address.clone() },
                error => error,
            },
        )?;
        let line = hello_reply(&mut connection, address).await?;
        match Reply::parse(&line) {
            Ok(Reply::Hello { status, version: Some(version) }) if status.result == ResultWord::Ok => {
                connection.set_version(version);
                Ok((connection, version))
            }
            Ok(Reply::Hello { status, .. }) if status.result != ResultWord::Ok => {
                Err(Error::refused(Phase::Hello, status))
            }
            _ => Err(Error::NotSam { address: address.clone() }),
        }
    }
}

/// The error for a connection that could not be made.
fn not_connected(address: &BridgeAddress, source: io::Error) -> Error {
    let address = address.clone();
    #[cfg(feature = "tls")]
    match TlsFailure::of(&source) {
        Some(TlsFailure::NoTls) => return Error::NoTls { address },
        Some(TlsFailure::Certificate(why)) => return Error::Certificate { address, why: why.clone() },
        Some(TlsFailure::Closed) => return Error::ClosedAtHello { address },
        None => {}
    }
    Error::Unreachable { address, source }
}

/// Reads the line after HELLO. A TLS alert in its place may end with the connection, or with a reset of it.
async fn hello_reply(connection: &mut Connection, address: &BridgeAddress) -> Result<BytesMut, Error> {
    let address = || address.clone();
    match connection.line().await {
        Ok(LineRead::Complete(line)) if line.starts_with(&TLS_ALERT) => {
            Err(Error::ExpectsTls { address: address() })
        }
        Ok(LineRead::Complete(line)) => Ok(line),
        Err(_) if connection.partial_line().starts_with(&TLS_ALERT) => {
            Err(Error::ExpectsTls { address: address() })
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Error::NotSam { address: address() }),
        Ok(LineRead::End) | Err(_) => Err(Error::ClosedAtHello { address: address() }),
    }
}
