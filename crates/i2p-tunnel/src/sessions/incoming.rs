//! The streams that peers open.

use i2p_name::B32;
use i2p_sam::Session;

use super::{pool::SessionLease, rendezvous::Waiting};
use crate::{failure::Failure, names::Resolver, stream::Opened};

/// The streams that peers open to a client's session.
pub struct Incoming {
    pub(crate) session: Session,
    pub(crate) names: Resolver,
    pub(crate) lease: SessionLease,
}

impl Incoming {
    pub(crate) fn new(session: Session, names: Resolver, lease: SessionLease) -> Self {
        Self { session, names, lease }
    }

    /// Waits for a peer, whoever it is, and gives its address and its stream. `listening` is told our own address once peers
    /// that connect to it are taken.
    ///
    /// # Errors
    /// [`Failure::RouterUnavailable`] when the session is lost; [`Failure::RouterError`].
    pub async fn accept(self, listening: impl FnOnce(B32)) -> Result<(B32, Opened), Failure> {
        let accept = async {
            let mut waiting = self.wait_for(None).await?;
            listening(self.session.destination().b32());
            waiting.peer().await
        };
        let peer = accept.await.map_err(|error| refused(&error))?;
        Ok((peer.peer.b32(), Opened::over_sam(peer.stream.into(), self.lease)))
    }

    /// Begins to wait for a peer beside others who wait on the same session; nothing is anybody.
    pub(crate) async fn wait_for(&self, expected: Option<B32>) -> Result<Waiting, i2p_sam::Error> {
        self.lease.rendezvous(&self.session).wait(&self.session, expected).await
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}

/// Why no peer comes any more.
pub(crate) fn refused(error: &i2p_sam::Error) -> Failure {
    match error {
        i2p_sam::Error::SessionLost => Failure::RouterUnavailable,
        _ => Failure::RouterError,
    }
}
