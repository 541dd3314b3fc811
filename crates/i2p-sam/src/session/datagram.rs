use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use i2p_name::Destination;

use super::{
    Session,
    control::{Control, Unused},
    udp_socket::Socket,
};
use crate::{
    bridge::Bridge,
    error::{Error, Phase},
    wire::{DatagramStyle, Ports, Received, SessionId, SessionOptions, write_send_header},
};

/// The longest packet that comes from a bridge: 32 KiB of payload and a line before it.
pub const MAX_PACKET: usize = 40 * 1024;

/// A session for datagrams of one kind. It ends when dropped, or when the router goes away.
///
/// Datagrams come and go over UDP between us and the bridge, which says nothing of what becomes of them. The bridge takes
/// them from whoever knows the session's random ID.
pub struct DatagramSession {
    session: Session,
    style: DatagramStyle,
    listen_port: u16,
    socket: Arc<Socket>,
    /// Where header and payload are put together, so that sending allocates nothing once it has grown.
    packet: Mutex<Vec<u8>>,
}

/// Whom datagrams are sent to: a destination in the form that bridges want.
#[derive(Clone, PartialEq, Eq)]
pub struct DatagramPeer(String);

impl From<&Destination> for DatagramPeer {
    fn from(destination: &Destination) -> Self {
        Self(destination.to_base64())
    }
}

/// Without the destination.
impl std::fmt::Debug for DatagramPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatagramPeer(..)")
    }
}

impl DatagramSession {
    pub(crate) async fn create(
        bridge: &Bridge,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<Self, Error> {
        let capabilities = bridge.capabilities().await?;
        if !capabilities.datagrams(style) {
            return Err(Error::Unsupported {
                what: "datagrams of this kind",
                dialect: capabilities.dialect(),
            });
        }
        let connection = bridge.connect().await?;
        let socket = Socket::beside(&connection, bridge).await.map_err(Error::Udp)?;
        let id = SessionId::random().map_err(Error::Random)?;
        let with_socket = socket.style(style, ports);
        let (control, key) = Control::create_on(connection, bridge, &id, with_socket, options).await?;
        let session = Session::with(bridge.clone(), Arc::new(control), id, key, false);
        Ok(Self::with(session, style, ports.from, Arc::new(socket)))
    }

    /// A socket for a subsession. The connection says which of our addresses the bridge can reach.
    pub(crate) async fn socket(bridge: &Bridge) -> Result<Socket, Error> {
        Socket::beside(&bridge.connect().await?, bridge).await.map_err(Error::Udp)
    }

    pub(crate) fn with(
        session: Session,
        style: DatagramStyle,
        listen_port: u16,
        socket: Arc<Socket>,
    ) -> Self {
        Self { session, style, listen_port, socket, packet: Mutex::default() }
    }

    /// The session: its destination, its end, and lookups of names.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The kind of datagrams.
    #[must_use]
    pub fn style(&self) -> DatagramStyle {
        self.style
    }

    /// The longest payload that the router carries unchanged, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.session.capabilities().max_payload(self.style)
    }

    /// Sends a datagram. It is the bridge's from then on; whether it arrives nobody says. Ports of 0 are those that the
    /// session was created with.
    ///
    /// # Errors
    /// [`Error::DatagramLength`], [`Error::Udp`], [`Error::SessionLost`].
    pub async fn send(&self, peer: &DatagramPeer, ports: Ports, payload: &[u8]) -> Result<(), Error> {
        let (length, limit) = (payload.len(), self.max_payload());
        if length == 0 || length > limit {
            return Err(Error::DatagramLength { length, limit });
        }
        if !self.session.is_alive() {
            return Err(Error::SessionLost);
        }
        loop {
            self.socket.socket.writable().await.map_err(Error::Udp)?;
            match self.try_send(peer, ports, payload) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map_err(Error::Udp),
            }
        }
    }

    fn try_send(&self, peer: &DatagramPeer, ports: Ports, payload: &[u8]) -> io::Result<()> {
        let mut packet = self.packet.lock().unwrap_or_else(PoisonError::into_inner);
        packet.clear();
        let dialect = self.session.capabilities().dialect();
        write_send_header(&mut packet, dialect, self.session.id(), &peer.0, ports);
        packet.extend_from_slice(payload);
        self.socket.socket.try_send_to(&packet, self.socket.bridge).map(|_| ())
    }

    /// Throws away the datagrams that have come and that nobody has received yet.
    pub fn discard_waiting(&self) {
        // What does not fit is cut off.
        while self.socket.socket.try_recv_from(&mut [0]).is_ok() {}
    }

    /// Waits for a datagram. Whatever does not come from the bridge's UDP port, or is none, is skipped: any
    /// program on this machine can send to ours. `buffer` takes the datagram with its header and should hold [`MAX_PACKET`]
    /// bytes: what is longer is cut off. Safe to drop and to call again.
    ///
    /// # Errors
    /// [`Error::Udp`], [`Error::SessionLost`].
    pub async fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Received<'b>, Error> {
        let dialect = self.session.capabilities().dialect();
        let length = loop {
            let received = tokio::select! {
                biased;
                () = self.session.lost() => return Err(Error::SessionLost),
                received = self.socket.socket.recv_from(buffer) => received,
            };
            match received {
                Ok((length, from)) if self.socket.is_bridge(from) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    if Received::parse(self.style, dialect, packet).is_ok() {
                        break length;
                    }
                }
                Ok(_) => {}
                // An earlier packet of ours found nobody: the bridge's UDP port is closed. It may open again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(Error::Udp(error)),
            }
        };
        let packet = buffer.get(..length).unwrap_or_default();
        Received::parse(self.style, dialect, packet)
            .map_err(|_| Error::Unexpected { phase: Phase::Datagram })
    }
}

impl Drop for DatagramSession {
    fn drop(&mut self) {
        let (id, socket) = (self.session.id().clone(), Arc::clone(&self.socket));
        let unused = Unused { id, style: self.style, listen_port: self.listen_port, socket };
        if let Some(control) = self.session.shared_control() {
            control.leave(unused);
        }
    }
}

impl std::fmt::Debug for DatagramSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramSession")
            .field("style", &self.style)
            .field("alive", &self.session.is_alive())
            .finish_non_exhaustive()
    }
}
