//! The streams that peers open.

use i2p_name::B32;
use i2p_sam::Session;

use super::{pool::SessionLease, rendezvous::Waiting};
use crate::{
    dial::{IncomingStream, Listening},
    failure::Failure,
    stream::Opened,
};

/// Waits on a client's session for a peer, beside others who wait on the same session.
pub struct SamListening {
    waiting: Waiting,
    address: B32,
    lease: SessionLease,
}

impl SamListening {
    /// Begins to wait for this peer, or for any.
    pub(super) async fn begin(
        session: &Session,
        lease: SessionLease,
        expected: Option<B32>,
    ) -> Result<Self, Failure> {
        let waiting = lease.rendezvous(session).wait(session, expected).await;
        let waiting = waiting.map_err(|error| failure(&error))?;
        Ok(Self { waiting, address: session.destination().b32(), lease })
    }
}

impl Listening for SamListening {
    fn address(&self) -> B32 {
        self.address
    }

    async fn accept(mut self) -> Result<IncomingStream, Failure> {
        let accepted = self.waiting.peer().await.map_err(|error| failure(&error))?;
        Ok(IncomingStream {
            peer: accepted.peer.b32(),
            port: accepted.ports.from,
            stream: Opened::over_sam(accepted.stream.into(), self.lease),
        })
    }
}

fn failure(error: &i2p_sam::Error) -> Failure {
    match error {
        i2p_sam::Error::SessionLost => Failure::RouterUnavailable,
        _ => Failure::RouterError,
    }
}

impl std::fmt::Debug for SamListening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SamListening").finish_non_exhaustive()
    }
}
