//! STREAM ACCEPT: one of them, and the pauses after those that fail.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use i2p_name::Destination;
use tokio::time::{Instant, sleep_until, timeout};

use super::pause::growing_pause;
use crate::{
    bridge::{
        connection::{Connection, LineRead, within},
        router::Router,
        stream::SamStream,
    },
    error::{Error, Phase},
    wire::{AcceptedFrom, Ports, Reply, SessionId, StreamAccept},
};

/// The pause after the first STREAM ACCEPT that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two of them.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How long the router may take to let go of a STREAM ACCEPT that is no longer needed.
const WITHDRAW_TIMEOUT: Duration = Duration::from_secs(2);

/// A stream that a peer opened.
#[derive(Debug)]
pub struct Accepted {
    /// The stream.
    pub stream: SamStream,
    /// The destination of the peer.
    pub peer: Destination,
    /// The I2CP ports; 0 where the router does not report them (i2pd, emissary).
    pub ports: Ports,
}

/// A connection on which the router has agreed to a STREAM ACCEPT.
pub(super) struct AcceptConnection(Connection);

impl AcceptConnection {
    /// Asks the router for the next stream of a session.
    pub(super) async fn open(router: &Router, id: &SessionId) -> Result<Self, Error> {
        let phase = Phase::StreamAccept;
        within(router.bridge().timeouts().hello, phase, async {
            let mut connection = router.connect().await?;
            connection.send(&StreamAccept { id }, phase).await?;
            connection.stream_status(phase).await?;
            Ok(Self(connection))
        })
        .await
    }

    /// Waits for the line that names the peer. After that, the connection is the stream. Cancel-safe.
    pub(super) async fn peer(&mut self) -> Result<(Destination, Ports), Error> {
        let phase = Phase::StreamAccept;
        loop {
            let line = self.0.answer(phase).await?;
            if let Ok(AcceptedFrom { destination, ports }) = AcceptedFrom::parse(&line) {
                let peer = destination.parse().map_err(|_| Error::Unexpected { phase })?;
                return Ok((peer, ports));
            }
            match Reply::parse(&line) {
                // Not answered: a peer that connects at this moment would be sent the PONG.
                Ok(Reply::Ping(_)) => {}
                Ok(Reply::Stream { status }) => return Err(Error::refused(phase, status)),
                _ => return Err(Error::Unexpected { phase }),
            }
        }
    }

    /// The stream of the peer that has connected.
    pub(super) fn accepted(self, (peer, ports): (Destination, Ports)) -> Accepted {
        Accepted { stream: self.0.into_stream(), peer, ports }
    }

    /// Closes the connection, and returns once the router has noticed. A STREAM ACCEPT that follows sooner can get lost: i2pd keeps it
    /// for later, and then stops accepting because the first one has gone.
    pub(super) async fn withdraw(self) {
        let Self(mut connection) = self;
        let closed = async {
            connection.finish().await.ok()?;
            while let Ok(LineRead::Complete(_)) = connection.line().await {}
            Some(())
        };
        let _ = timeout(WITHDRAW_TIMEOUT, closed).await;
    }
}

/// The pauses of one session after STREAM ACCEPTs that fail. Callers that accept in a loop wait for their end, so that a router that
/// refuses is not asked without a pause.
#[derive(Default)]
pub(super) struct AcceptPauses(Mutex<Pauses>);

#[derive(Default)]
struct Pauses {
    /// Failures since the last peer.
    failures: u32,
    /// Until when nothing is sent.
    until: Option<Instant>,
}

impl AcceptPauses {
    fn state(&self) -> MutexGuard<'_, Pauses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the pause is over.
    pub(super) async fn passed(&self) {
        let until = self.state().until;
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }

    /// Begins the next pause, unless one goes on: several accepts that fail together fail once. Returns how many times in a row.
    pub(super) fn failed(&self) -> u32 {
        let mut state = self.state();
        let now = Instant::now();
        if state.until.is_none_or(|until| until <= now) {
            state.failures = state.failures.saturating_add(1);
            state.until = Some(now + growing_pause(FIRST_PAUSE, MAX_PAUSE, state.failures));
        }
        state.failures
    }

    /// A peer has connected.
    pub(super) fn succeeded(&self) {
        *self.state() = Pauses::default();
    }
}
