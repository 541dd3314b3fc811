use std::sync::Arc;

use i2p_name::Destination;

use super::{
    Session,
    control::{Control, Unused},
    datagram::DatagramSession,
};
use crate::{
    bridge::{Bridge, capabilities::Capabilities},
    error::Error,
    wire::{DatagramStyle, Ports, PrivateKey, SessionId, SessionOptions, Style},
};

/// A session that lends its destination and its tunnels to subsessions (SAM v3.3, "PRIMARY sessions"). It ends when it
/// and the last of its subsessions are dropped.
pub struct Primary {
    bridge: Bridge,
    control: Arc<Control>,
    private_key: PrivateKey,
}

impl Primary {
    pub(crate) async fn create(bridge: &Bridge, options: &SessionOptions) -> Result<Self, Error> {
        let capabilities = bridge.capabilities().await?;
        let unsupported =
            || Error::Unsupported { what: "sessions with subsessions", dialect: capabilities.dialect() };
        let word = capabilities.primary().ok_or_else(unsupported)?;
        let id = SessionId::random().map_err(Error::Random)?;
        let (control, private_key) = Control::create(bridge, &id, Style::Primary(word), options).await?;
        Ok(Self { bridge: bridge.clone(), control: Arc::new(control), private_key })
    }

    /// The primary session behind one of its subsessions.
    pub(crate) fn of(bridge: Bridge, control: Arc<Control>, private_key: PrivateKey) -> Self {
        Self { bridge, control, private_key }
    }

    /// The destination of the session and all of its subsessions.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.private_key.destination()
    }

    /// What the bridge could do when the session was created.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.control.capabilities()
    }

    /// Whether the router still holds the session. Once `false`, it stays so.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.control.is_alive()
    }

    /// Adds a subsession for streams. Those that peers open to `listen_port` come to it; 0 is every port that no other
    /// subsession has.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Timeout`], [`Error::SessionLost`].
    pub async fn add_streams(&self, listen_port: u16) -> Result<Session, Error> {
        let id = SessionId::random().map_err(Error::Random)?;
        self.control.add(id.clone(), Style::Stream, listen_port).await?;
        Ok(Session::with(self.bridge.clone(), Arc::clone(&self.control), id, self.private_key.clone(), true))
    }

    /// Adds a subsession for datagrams of one kind. Those sent to `ports.from` come to it; 0 is every port that no other
    /// subsession has. On emissary, which takes none away, it is one that was added before for the same, if that is not in
    /// use any more.
    ///
    /// # Errors
    /// As [`Primary::add_streams`], and [`Error::Unsupported`] by i2pd, [`Error::Udp`].
    pub async fn add_datagrams(&self, style: DatagramStyle, ports: Ports) -> Result<DatagramSession, Error> {
        let capabilities = self.capabilities();
        if !capabilities.datagrams_beside_streams(style) {
            let what = "subsessions for such datagrams";
            return Err(Error::Unsupported { what, dialect: capabilities.dialect() });
        }
        let (bridge, control, key) =
            (self.bridge.clone(), Arc::clone(&self.control), self.private_key.clone());
        if let Some(Unused { id, socket, .. }) = self.control.take_over(style, ports.from) {
            let session = Session::with(bridge, control, id, key, true);
            let session = DatagramSession::with(session, style, ports.from, socket);
            session.discard_waiting();
            return Ok(session);
        }
        let socket = Arc::new(DatagramSession::socket(&bridge).await?);
        let id = SessionId::random().map_err(Error::Random)?;
        // Also when nobody waits for it any more: what the router has added may be there until the primary session ends.
        let adding = tokio::spawn(async move {
            control.add(id.clone(), socket.style(style, ports), ports.from).await?;
            let session = Session::with(bridge, control, id, key, true);
            Ok(DatagramSession::with(session, style, ports.from, socket))
        });
        adding.await.unwrap_or(Err(Error::SessionLost))
    }
}

impl std::fmt::Debug for Primary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Primary").field("alive", &self.is_alive()).finish_non_exhaustive()
    }
}
