use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use i2p_name::{B32, Destination};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
};

use crate::{destination::Keys, dialect::Version, endpoint::Endpoint, recorder::lock};

/// The styles of sessions (SAM v3, "Creating a session"). MASTER is the old name of PRIMARY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Stream,
    Datagram,
    Datagram2,
    Datagram3,
    Raw,
    Primary,
}

impl Style {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "STREAM" => Self::Stream,
            "DATAGRAM" => Self::Datagram,
            "DATAGRAM2" => Self::Datagram2,
            "DATAGRAM3" => Self::Datagram3,
            "RAW" => Self::Raw,
            "PRIMARY" | "MASTER" => Self::Primary,
            _ => return None,
        })
    }

    /// The I2CP protocol of its traffic; RAW has any, 18 by default.
    pub(crate) const fn protocol(self) -> u8 {
        match self {
            Self::Stream | Self::Primary => 6,
            Self::Datagram => 17,
            Self::Raw => 18,
            Self::Datagram2 => 19,
            Self::Datagram3 => 20,
        }
    }

    pub(crate) const fn is_datagram(self) -> bool {
        !matches!(self, Self::Stream | Self::Primary)
    }
}

/// An open session or subsession.
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) style: Style,
    pub(crate) keys: Arc<Keys>,
    /// What its control connection negotiated.
    pub(crate) version: Version,
    /// The PRIMARY it is a subsession of.
    pub(crate) parent: Option<String>,
    pub(crate) ports: Ports,
    /// Where datagrams are forwarded to; without it they go to the control connection.
    pub(crate) datagrams_to: Option<SocketAddr>,
    /// `HEADER=true` of a RAW session.
    pub(crate) header: bool,
    /// Lines and datagrams for the control connection.
    pub(crate) control: mpsc::UnboundedSender<Vec<u8>>,
    /// `true` tells the control connection to close.
    pub(crate) closing: watch::Sender<bool>,
    /// `true` once the control connection has closed and the session is over.
    pub(crate) ended: watch::Sender<bool>,
    /// STREAM ACCEPTs that wait for a peer, in their order.
    pub(crate) acceptors: Mutex<VecDeque<oneshot::Sender<Offer>>>,
    /// A STREAM FORWARD.
    pub(crate) forwarding: Mutex<Option<Forwarding>>,
    /// Whether its streams are granted before they are connected (J23).
    pub(crate) early_data: bool,
    /// Whether there has ever been a STREAM ACCEPT.
    pub(crate) has_accepted: AtomicBool,
}

/// The ports and protocols of a session; 0 is "any".
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) listen: u16,
    pub(crate) protocol: u8,
    pub(crate) listen_protocol: u8,
}

/// Where a STREAM FORWARD takes its peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forwarding {
    pub(crate) address: SocketAddr,
    pub(crate) silent: bool,
}

/// A peer for a waiting STREAM ACCEPT.
pub(crate) struct Offer {
    pub(crate) stream: TcpStream,
    /// What the peer has sent right behind its command.
    pub(crate) early: Vec<u8>,
    /// The line that says who it is, without its newline.
    pub(crate) from: Peer,
    /// When the peer's session ends.
    pub(crate) ended: watch::Receiver<bool>,
    pub(crate) open: OpenStream,
}

/// Who connects, and over which ports.
pub(crate) struct Peer {
    pub(crate) destination: String,
    pub(crate) from_port: u16,
    pub(crate) to_port: u16,
}

/// Why a session cannot be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Duplicate {
    Id,
    Destination,
    /// Another subsession listens to this protocol and port.
    Listener,
}

/// A far end behind a name.
pub(crate) struct Host {
    pub(crate) keys: Keys,
    pub(crate) endpoint: Endpoint,
}

/// Who is at a destination.
pub(crate) enum Reach {
    Host(Arc<Host>),
    Sessions(Vec<Arc<Session>>),
    Nobody,
}

/// Everything that has a destination on this network of one bridge.
#[derive(Default)]
pub(crate) struct Registry {
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    hosts: Mutex<Hosts>,
    streams: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Hosts {
    names: HashMap<String, Arc<Host>>,
    addresses: HashMap<B32, Arc<Host>>,
}

impl Registry {
    /// Puts a far end behind a name, which is in lower case.
    pub(crate) fn host(&self, name: &str, keys: Keys, endpoint: Endpoint) {
        let address = keys.destination.b32();
        let host = Arc::new(Host { keys, endpoint });
        let mut hosts = lock(&self.hosts);
        hosts.names.insert(name.to_ascii_lowercase(), Arc::clone(&host));
        hosts.addresses.insert(address, host);
    }

    /// The destination behind a host name, in any case.
    pub(crate) fn by_name(&self, name: &str) -> Option<Destination> {
        lock(&self.hosts).names.get(&name.to_ascii_lowercase()).map(|host| host.keys.destination.clone())
    }

    /// The destination of a base32 address: of a far end or of an open session.
    pub(crate) fn by_address(&self, address: &B32) -> Option<Destination> {
        if let Some(host) = lock(&self.hosts).addresses.get(address) {
            return Some(host.keys.destination.clone());
        }
        let sessions = lock(&self.sessions);
        let mut destinations = sessions.values().map(|session| &session.keys.destination);
        destinations.find(|destination| destination.b32() == *address).cloned()
    }

    /// Who is at a destination.
    pub(crate) fn reach(&self, destination: &Destination) -> Reach {
        if let Some(host) = lock(&self.hosts).addresses.get(&destination.b32()) {
            return Reach::Host(Arc::clone(host));
        }
        let sessions = lock(&self.sessions);
        let at = sessions.values().filter(|session| session.keys.destination == *destination);
        let at: Vec<_> = at.cloned().collect();
        if at.is_empty() { Reach::Nobody } else { Reach::Sessions(at) }
    }

    pub(crate) fn session(&self, id: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(id).cloned()
    }

    /// All sessions without the subsessions.
    pub(crate) fn top_sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).values().filter(|session| session.parent.is_none()).cloned().collect()
    }

    /// Adds a session, unless there is one like it. `share` allows several with one destination, as i2pd does (D14).
    pub(crate) fn add(&self, session: Arc<Session>, share: bool) -> Result<(), Duplicate> {
        let mut sessions = lock(&self.sessions);
        if sessions.contains_key(&session.id) {
            return Err(Duplicate::Id);
        }
        let mut same = sessions.values().filter(|other| other.keys.destination == session.keys.destination);
        let listens = |other: &Arc<Session>| {
            (other.ports.listen_protocol, other.ports.listen)
                == (session.ports.listen_protocol, session.ports.listen)
        };
        match &session.parent {
            None if !share && same.next().is_some() => return Err(Duplicate::Destination),
            Some(_) if same.any(|other| other.parent.is_some() && listens(other)) => {
                return Err(Duplicate::Listener);
            }
            _ => {}
        }
        sessions.insert(session.id.clone(), session);
        Ok(())
    }

    /// Whether a subsession for datagrams of any kind is on this one's port already: emissary has one list for all of them,
    /// in which each stays until the PRIMARY session ends.
    pub(crate) fn has_datagrams(&self, session: &Session) -> bool {
        let beside = |other: &Session| other.parent == session.parent && other.style.is_datagram();
        session.style.is_datagram()
            && lock(&self.sessions)
                .values()
                .any(|other| beside(other) && other.ports.from == session.ports.from)
    }

    /// Takes a session's record away and leaves the rest of it alone.
    pub(crate) fn forget(&self, id: &str) {
        lock(&self.sessions).remove(id);
    }

    /// Ends a session, its subsessions and all their streams.
    pub(crate) fn end(&self, session: &Session) {
        let mut sessions = lock(&self.sessions);
        let over = |other: &Session| {
            std::ptr::eq(other, session) || other.parent.as_deref() == Some(session.id.as_str())
        };
        for other in sessions.values().filter(|other| over(other)) {
            other.ended.send_replace(true);
        }
        sessions.retain(|_, other| !over(other));
        // Also where somebody else's DUPLICATED_ID has taken the record away.
        session.ended.send_replace(true);
    }

    /// Counts a stream for as long as the result lives.
    pub(crate) fn open_stream(&self) -> OpenStream {
        self.streams.fetch_add(1, Relaxed);
        OpenStream(Arc::clone(&self.streams))
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.streams.load(Relaxed)
    }
}

/// A stream that is open and counted.
pub(crate) struct OpenStream(Arc<AtomicUsize>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Comes back when it is `true`.
pub(crate) async fn over(signal: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = signal.wait_for(|over| *over).await;
}
