//! What the proxy of the peers talks to: sessions on another router.

use anyhow::Result;
use i2p_sam::{Bridge, Session, SessionOptions};
use lab::{echo::Echo, sessions::open_session};

/// An echo for datagrams, and two peers that connect back.
pub(crate) struct PeerServices {
    pub(super) echo: Echo,
    pub(super) peer: Session,
    pub(super) other_peer: Session,
}

impl PeerServices {
    /// Opens the sessions on `bridge`. Returns once the router of `client_bridge` finds the echo.
    pub(super) async fn open(bridge: &Bridge, client_bridge: &Bridge) -> Result<Self> {
        let options = SessionOptions::default().length(1).quantity(2);
        let (echo, peer, other_peer) = tokio::try_join!(
            Echo::open(bridge, client_bridge),
            open_session(bridge, "the tunnels of a peer that connects back", &options),
            open_session(bridge, "the tunnels of another peer", &options),
        )?;
        Ok(Self { echo, peer, other_peer })
    }
}
