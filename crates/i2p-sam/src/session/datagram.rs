use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use i2p_name::Destination;

use super::{
    Session, SessionKind,
    control::{ControlConnection, UnusedSubsession},
    udp_socket::DatagramSocket,
};
use crate::{
    bridge::router::Router,
    error::{Error, Phase},
    wire::{DatagramStyle, Ports, Received, SessionOptions, write_send_header},
};

/// The longest packet that a bridge sends, in bytes: 32 KiB of payload and a line before it.
pub const MAX_PACKET_BYTES: usize = 40 * 1024;

/// A session for datagrams of one kind. It ends when dropped, or when the router goes away.
///
/// Datagrams are exchanged with the bridge over UDP. The bridge does not report whether one arrived. It accepts datagrams
/// from any program that knows the session's random ID.
pub struct DatagramSession {
    session: Session,
    style: DatagramStyle,
    listen_port: u16,
    socket: Arc<DatagramSocket>,
    /// The buffer for header and payload. It is kept, so that sending stops to allocate once it has grown.
    packet: Mutex<Vec<u8>>,
}

/// The receiver of datagrams: a destination in the form that bridges expect.
#[derive(Clone, PartialEq, Eq)]
pub struct DatagramPeer(String);

impl From<&Destination> for DatagramPeer {
    fn from(destination: &Destination) -> Self {
        Self(destination.to_base64())
    }
}

/// Does not print the destination.
impl std::fmt::Debug for DatagramPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatagramPeer(..)")
    }
}

impl DatagramSession {
    pub(crate) async fn create(
        router: &Router,
        style: DatagramStyle,
        ports: Ports,
        options: &SessionOptions,
    ) -> Result<Self, Error> {
        router.try_datagrams(style).await?;
        let connection = router.connect().await?;
        let socket = DatagramSocket::open(&connection, router.bridge()).await?;
        let with_socket = socket.style(style, ports);
        let (control, id, key) =
            ControlConnection::create_on(connection, router, with_socket, options).await?;
        let session = Session::on(Arc::new(control), id, key, SessionKind::Whole);
        Ok(Self::on(session, style, ports.from, Arc::new(socket)))
    }

    /// A socket for a subsession. A connection shows which of our addresses the bridge can reach.
    pub(crate) async fn socket(router: &Router) -> Result<DatagramSocket, Error> {
        DatagramSocket::open(&router.connect().await?, router.bridge()).await
    }

    pub(crate) fn on(
        session: Session,
        style: DatagramStyle,
        listen_port: u16,
        socket: Arc<DatagramSocket>,
    ) -> Self {
        Self { session, style, listen_port, socket, packet: Mutex::default() }
    }

    /// The session: its destination, whether it is alive, and lookups of names.
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

    /// Hands a datagram to the bridge, which does not report whether it arrives. A port of 0 stands for the one that the
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

    /// Discards the datagrams that have arrived and were not received yet.
    pub fn discard_waiting(&self) {
        // One byte is enough: the rest of each packet is cut off.
        while self.socket.socket.try_recv_from(&mut [0]).is_ok() {}
    }

    /// Waits for a datagram. Packets from elsewhere than the bridge's UDP port, and malformed ones, are skipped: any program on
    /// this machine can send to our port. `buffer` takes the datagram with its header and should hold [`MAX_PACKET_BYTES`]; a
    /// longer packet is cut off. Cancel safe.
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
                // The bridge's UDP port was closed when we last sent. It may open again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(Error::Udp(error)),
            }
        };
        let packet = buffer.get(..length).unwrap_or_default();
        Received::parse(self.style, dialect, packet).map_err(|_| Error::Unexpected { phase: Phase::Datagram })
    }
}

impl Drop for DatagramSession {
    fn drop(&mut self) {
        let (id, socket) = (self.session.id().clone(), Arc::clone(&self.socket));
        let unused = UnusedSubsession { id, style: self.style, listen_port: self.listen_port, socket };
        if let Some(control) = self.session.shared_control() {
            control.keep_unused(unused);
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
