//! Everything that has a destination on the network of one bridge: sessions and far ends.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use i2p_name::{B32, Destination};
use tokio::sync::{mpsc, watch};

use crate::{
    acceptors::Acceptors, destination::KeyPair, dialect::Version, endpoint::Endpoint, recorder::lock,
    socket::Socket,
};

/// The styles of sessions (SAM v3, "Creating a session"). MASTER is the old name of PRIMARY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionStyle {
    Stream,
    Datagram,
    Datagram2,
    Datagram3,
    Raw,
    Primary,
}

impl SessionStyle {
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

    /// The I2CP protocol of its traffic; RAW may have any, by default 18.
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
    pub(crate) style: SessionStyle,
    pub(crate) keys: Arc<KeyPair>,
    /// The version that its control connection negotiated.
    pub(crate) version: Version,
    /// The ID of its PRIMARY session, if it is a subsession.
    pub(crate) parent: Option<String>,
    pub(crate) ports: SessionPorts,
    /// Where datagrams are forwarded to; without it they are sent on the control connection.
    pub(crate) datagrams_to: Option<SocketAddr>,
    /// `HEADER=true` of a RAW session.
    pub(crate) header: bool,
    /// Lines and datagrams for the control connection.
    pub(crate) control: mpsc::UnboundedSender<Vec<u8>>,
    /// `true` tells the control connection to close.
    pub(crate) closing: watch::Sender<bool>,
    /// `true` once the control connection has closed and the session is over.
    pub(crate) ended: watch::Sender<bool>,
    /// STREAM ACCEPTs that wait for a peer.
    pub(crate) acceptors: Mutex<Acceptors>,
    /// Its STREAM FORWARD, if there is one.
    pub(crate) forwarding: Mutex<Option<Forwarding>>,
    /// Whether its streams are reported as connected before the far end has answered.
    pub(crate) early_data: bool,
    /// Whether there has ever been a STREAM ACCEPT.
    pub(crate) has_accepted: AtomicBool,
}

/// The ports and protocols of a session; 0 is "any".
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SessionPorts {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) listen: u16,
    pub(crate) protocol: u8,
    pub(crate) listen_protocol: u8,
}

/// Where a STREAM FORWARD sends its peers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forwarding {
    pub(crate) address: SocketAddr,
    pub(crate) silent: bool,
}

/// A peer for a waiting STREAM ACCEPT.
pub(crate) struct Offer {
    pub(crate) stream: Socket,
    /// What the peer sent right after its command.
    pub(crate) early: Vec<u8>,
    /// The peer.
    pub(crate) from: StreamPeer,
    /// Becomes `true` when the peer's session ends.
    pub(crate) ended: watch::Receiver<bool>,
    pub(crate) open: OpenStream,
}

/// The peer that connects, and the ports.
pub(crate) struct StreamPeer {
    pub(crate) destination: String,
    pub(crate) from_port: u16,
    pub(crate) to_port: u16,
}

/// Why a session cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Duplicate {
    Id,
    Destination,
    /// Another subsession listens to this protocol and port.
    Listener,
}

/// Whether several sessions may have one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedDestination {
    Allowed,
    Refused,
}

/// A far end behind a name.
pub(crate) struct FarEnd {
    pub(crate) keys: KeyPair,
    pub(crate) endpoint: Endpoint,
}

/// What has a destination.
pub(crate) enum DestinationOwner {
    FarEnd(Arc<FarEnd>),
    Sessions(Vec<Arc<Session>>),
    Nobody,
}

/// Everything that has a destination on the network of one bridge.
#[derive(Default)]
pub(crate) struct Registry {
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    far_ends: Mutex<FarEnds>,
    streams: Arc<AtomicUsize>,
}

#[derive(Default)]
struct FarEnds {
    names: HashMap<String, Arc<FarEnd>>,
    addresses: HashMap<B32, Arc<FarEnd>>,
}

impl Registry {
    /// Puts a far end behind a name.
    pub(crate) fn add_far_end(&self, name: &str, keys: KeyPair, endpoint: Endpoint) {
        let address = keys.destination.b32();
        let far_end = Arc::new(FarEnd { keys, endpoint });
        let mut far_ends = lock(&self.far_ends);
        far_ends.names.insert(name.to_ascii_lowercase(), Arc::clone(&far_end));
        far_ends.addresses.insert(address, far_end);
    }

    /// The destination of a host name, in upper or lower case.
    pub(crate) fn by_name(&self, name: &str) -> Option<Destination> {
        lock(&self.far_ends)
            .names
            .get(&name.to_ascii_lowercase())
            .map(|far_end| far_end.keys.destination.clone())
    }

    /// The destination of a base32 address: of a far end or of an open session.
    pub(crate) fn by_address(&self, address: &B32) -> Option<Destination> {
        if let Some(far_end) = lock(&self.far_ends).addresses.get(address) {
            return Some(far_end.keys.destination.clone());
        }
        let sessions = lock(&self.sessions);
        let mut destinations = sessions.values().map(|session| &session.keys.destination);
        destinations.find(|destination| destination.b32() == *address).cloned()
    }

    /// What has a destination.
    pub(crate) fn owner(&self, destination: &Destination) -> DestinationOwner {
        if let Some(far_end) = lock(&self.far_ends).addresses.get(&destination.b32()) {
            return DestinationOwner::FarEnd(Arc::clone(far_end));
        }
        let sessions = lock(&self.sessions);
        let at = sessions.values().filter(|session| session.keys.destination == *destination);
        let at: Vec<_> = at.cloned().collect();
        if at.is_empty() { DestinationOwner::Nobody } else { DestinationOwner::Sessions(at) }
    }

    pub(crate) fn session(&self, id: &str) -> Option<Arc<Session>> {
        lock(&self.sessions).get(id).cloned()
    }

    /// All sessions except the subsessions.
    pub(crate) fn top_sessions(&self) -> Vec<Arc<Session>> {
        lock(&self.sessions).values().filter(|session| session.parent.is_none()).cloned().collect()
    }

    /// Adds a session, unless it conflicts with another one.
    pub(crate) fn add(&self, session: Arc<Session>, shared: SharedDestination) -> Result<(), Duplicate> {
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
            None if shared == SharedDestination::Refused && same.next().is_some() => {
                return Err(Duplicate::Destination);
            }
            Some(_) if same.any(|other| other.parent.is_some() && listens(other)) => {
                return Err(Duplicate::Listener);
            }
            _ => {}
        }
        sessions.insert(session.id.clone(), session);
        Ok(())
    }

    /// Whether another subsession for datagrams, of any kind, has this one's port. emissary has one list for all kinds, and
    /// keeps each subsession in it until the PRIMARY session ends.
    pub(crate) fn has_datagrams(&self, session: &Session) -> bool {
        let beside = |other: &Session| other.parent == session.parent && other.style.is_datagram();
        session.style.is_datagram()
            && lock(&self.sessions)
                .values()
                .any(|other| beside(other) && other.ports.from == session.ports.from)
    }

    /// Removes a session's record and does not end the session.
    pub(crate) fn forget(&self, id: &str) {
        lock(&self.sessions).remove(id);
    }

    /// Ends a session, its subsessions and all their streams.
    pub(crate) fn end(&self, session: &Session) {
        let mut sessions = lock(&self.sessions);
        let ends = |other: &Session| {
            std::ptr::eq(other, session) || other.parent.as_deref() == Some(session.id.as_str())
        };
        for other in sessions.values().filter(|other| ends(other)) {
            other.ended.send_replace(true);
        }
        sessions.retain(|_, other| !ends(other));
        // Its record may be gone already, after another connection's DUPLICATED_ID.
        session.ended.send_replace(true);
    }

    /// Counts a stream as open until the result is dropped.
    pub(crate) fn open_stream(&self) -> OpenStream {
        self.streams.fetch_add(1, Relaxed);
        OpenStream(Arc::clone(&self.streams))
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.streams.load(Relaxed)
    }
}

/// Counts a stream as open until dropped.
pub(crate) struct OpenStream(Arc<AtomicUsize>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Returns once the signal is `true`.
pub(crate) async fn becomes_true(signal: &mut watch::Receiver<bool>) {
    // A signal whose sender is gone counts as `true`.
    let _ = signal.wait_for(|is_true| *is_true).await;
}
