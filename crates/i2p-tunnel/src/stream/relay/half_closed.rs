//! The rest of a relay after one side has finished sending.

use std::{io, pin::Pin, time::Duration};

use tokio::time::timeout;

use super::{direction::Direction, end::RelayEnd, pump::discard, silence::unless_idle};
use crate::{
    limits::{Limit, Limits},
    stream::{half_closed::EarlyEnd, socket::Socket, stop::Stop},
};

/// How long a peer may take to close after the client has gone. A router closes at once when it has read all data of the client.
/// Closing before that, while the peer still sends, could lose data that it has not read.
const PEER_CLOSE_TIME: Duration = Duration::from_secs(1);

/// A relay of which one side has finished.
pub(super) struct HalfClosedRelay<'a> {
    pub(super) client: &'a Socket,
    pub(super) peer: &'a Socket,
    pub(super) limits: &'a Limits,
    pub(super) stop: &'a Stop,
    pub(super) early_end: EarlyEnd,
}

impl HalfClosedRelay<'_> {
    /// Relays what the peer still sends to a client that has finished.
    pub(super) async fn answer(
        &self,
        down: Pin<&mut impl Future<Output = io::Result<()>>>,
        downstream: &Direction<'_>,
    ) -> Result<(), RelayEnd> {
        tokio::select! {
            end = self.rest(down, downstream) => return end,
            () = self.client.until_gone() => {}
        }
        tokio::select! {
            () = self.close_peer() => {}
            () = self.early_end.requested() => {}
        }
        Err(RelayEnd::ClientGone)
    }

    /// Relays the direction that is left, as long as it moves data at least every [`Limits::half_close`].
    pub(super) async fn rest(
        &self,
        left: Pin<&mut impl Future<Output = io::Result<()>>>,
        direction: &Direction<'_>,
    ) -> Result<(), RelayEnd> {
        let activity = || direction.activity();
        let (silence, limit) = match self.limits.idle {
            Some(idle) if idle < self.limits.half_close => (idle, Limit::Idle),
            _ => (self.limits.half_close, Limit::HalfClose),
        };
        tokio::select! {
            end = unless_idle(left, activity, silence) => {
                end.ok_or(RelayEnd::Limit(limit))?.map_err(RelayEnd::Broken)
            }
            told = self.stop.until_idle(|| Some((activity(), self.client.untaken(), self.peer.untaken()))) => {
                Err(RelayEnd::Broken(told))
            }
            () = self.early_end.requested() => Err(RelayEnd::Limit(Limit::HalfClose)),
        }
    }

    /// Closes the peer's side in order.
    async fn close_peer(&self) {
        let close = async {
            self.peer.finish_writing().await?;
            discard(self.peer).await
        };
        // If the peer does not close, its socket is dropped all the same.
        let _ = timeout(PEER_CLOSE_TIME, close).await;
    }
}
