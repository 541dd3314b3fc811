//! Asks a router for a kind of datagrams that its version does not tell of.

use std::time::Duration;

use tokio::time::timeout;

use super::{control::ControlConnection, udp_socket::DatagramSocket};
use crate::{
    bridge::{capabilities::DatagramSupport, router::Router, style_trials::StyleTrial},
    error::{Error, Phase},
    wire::{DatagramStyle, Ports, ResultWord, SessionOptions},
};

/// How long to wait for a refusal. A router refuses a style before it builds tunnels.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(10);

impl Router {
    /// Makes sure that this router supports datagrams of this kind. If its version does not tell, which is so on Java I2P, it is asked
    /// once, by a session without hops that is closed at once. The session has a destination of its own and is not published.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::Refused`] with the router's words, and those of
    /// [`create_datagram_session`](Self::create_datagram_session).
    pub async fn try_datagrams(&self, style: DatagramStyle) -> Result<(), Error> {
        match self.capabilities().datagram_support(style) {
            DatagramSupport::Supported => Ok(()),
            DatagramSupport::Unsupported => Err(Error::Unsupported {
                what: "datagrams of this kind",
                dialect: self.capabilities().dialect(),
            }),
            DatagramSupport::NotKnown => {
                let Some(trial) = self.style_trials().of(style) else { return Ok(()) };
                match trial.get_or_try_init(|| ask(self, style)).await? {
                    StyleTrial::Accepted => Ok(()),
                    StyleTrial::Refused { result, message } => Err(Error::Refused {
                        phase: Phase::SessionCreate,
                        result: result.clone(),
                        message: message.clone(),
                    }),
                }
            }
        }
    }
}

/// Opens a session and closes it.
async fn ask(router: &Router, style: DatagramStyle) -> Result<StyleTrial, Error> {
    let connection = router.connect().await?;
    let socket = DatagramSocket::open(&connection, router.bridge()).await?;
    let options = SessionOptions::default().length(0).quantity(1).publish(false);
    let with_socket = socket.style(style, Ports::default());
    let create = ControlConnection::create_on(connection, router, with_socket, &options);
    match timeout(REFUSAL_TIMEOUT, create).await {
        Ok(Ok(_)) | Err(_) => Ok(StyleTrial::Accepted),
        // Other words, such as DUPLICATED_ID, tell nothing about the style.
        Ok(Err(Error::Refused { result: result @ ResultWord::I2pError, message, .. })) => {
            tracing::info!(style = style.word(), "the router refuses sessions for these datagrams");
            Ok(StyleTrial::Refused { result, message })
        }
        Ok(Err(error)) => Err(error),
    }
}
