//! Incoming streams.

use i2p_name::B32;
use i2p_sam::Session;

use super::{attempt_error::failure_of_session, pool::SessionLease, rendezvous::PeerWait};
use crate::{
    dial::{IncomingStream, Listening},
    failure::Failure,
    stream::OpenStream,
};

/// A client's wait for a peer on its session. Other clients can wait on the same session.
pub struct SamListening {
    wait: PeerWait,
    address: B32,
    lease: SessionLease,
}

impl SamListening {
    /// Begins to wait for `expected`, or for any peer if it is `None`.
    pub(super) async fn begin(
        session: &Session,
        lease: SessionLease,
        expected: Option<B32>,
    ) -> Result<Self, Failure> {
        let wait = lease.rendezvous(session).wait(session, expected).await;
        let wait = wait.map_err(|error| failure_of_session(&error))?;
        Ok(Self { wait, address: session.destination().b32(), lease })
    }
}

impl Listening for SamListening {
    fn address(&self) -> B32 {
        self.address
    }

    async fn accept(mut self) -> Result<IncomingStream, Failure> {
        let accepted = self.wait.peer().await.map_err(|error| failure_of_session(&error))?;
        Ok(IncomingStream {
            peer: accepted.peer.b32(),
            port: accepted.ports.from,
            stream: OpenStream::over_sam(accepted.stream.into(), self.lease),
        })
    }
}

impl std::fmt::Debug for SamListening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SamListening").finish_non_exhaustive()
    }
}
