//! Relaying between two sockets, both ways, by copying or splicing.

mod direction;
mod pump;
#[cfg(target_os = "linux")]
mod splice;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    pin::{Pin, pin},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::pump::discard;
use self::{
    direction::{Broken, Direction},
    pump::{discard_and_count, pump},
};
use super::{
    opened::{ClientEnd, Opened},
    socket::Socket,
    stop::Stop,
};
use crate::limits::{Limit, Limits};

/// What went each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Relayed {
    /// Bytes.
    pub(crate) to_peer: u64,
    /// Bytes.
    pub(crate) to_client: u64,
    /// Whether the client has heard all that the peer had to say, and its end.
    pub(crate) client_heard_all: bool,
}

/// How a relay ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides have finished.
    Finished,
    /// One side broke.
    Broken(io::Error),
    /// A limit was reached.
    Limit(Limit),
}

/// For the log: without anything that was relayed.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Broken(error) => error.kind().fmt(f),
            Self::Limit(limit) => write!(f, "limit {}", limit.label()),
        }
    }
}

/// Relays both ways until both have finished, one has broken, or a limit is reached: one has finished and the other has been
/// silent for [`Limits::half_close`], or both have for [`Limits::idle`]. `early_data` goes to the peer first. The counters are
/// those of bytes to the peer, and to the client.
///
/// The peer's end is passed on to the client at once; the client's end as [`Opened::client_end`] says. A peer that takes
/// no more may have more to say all the same, so what the client goes on sending is then thrown away.
///
/// A side that has not heard the other's end gets a reset when its socket is dropped, whatever the reason: what it has is not
/// all, and must not look so.
pub(crate) async fn relay(
    client: &Socket,
    peer: &mut Opened,
    early_data: Vec<u8>,
    limits: &Limits,
    [to_peer, to_client]: [&Counter; 2],
    stop: &Stop,
) -> (Relayed, End) {
    let (upstream, downstream) = (Direction::new(to_peer), Direction::new(to_client));
    let first_data = std::mem::take(&mut peer.first_data);
    let Opened { socket: peer, client_end, .. } = &*peer;
    client.reset_on_close(true);
    peer.reset_on_close(true);
    // Pinned here and passed on by reference: a future that is moved into another one is in its size twice.
    let (pump_up, pump_down) =
        (pin!(pump(client, peer, early_data, &upstream)), pin!(pump(peer, client, first_data, &downstream)));
    let up = pin!(async {
        if !sent_all(pump_up.await, &upstream)? {
            return discard_and_count(client, &upstream.discarded).await;
        }
        peer.reset_on_close(false);
        if *client_end == ClientEnd::PassedOn {
            // Gone already, perhaps; then the other direction says so.
            let _ = Box::pin(peer.finish_writing()).await;
        }
        Ok(())
    });
    let down = pin!(async {
        pump_down.await.map_err(|(Broken::Source(error) | Broken::Sink(error))| error)?;
        if upstream.reset.load(Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        client.reset_on_close(false);
        downstream.heard_all.store(true, Relaxed);
        // Gone already, perhaps; then the other direction says so.
        let _ = Box::pin(client.finish_writing()).await;
        Ok(())
    });
    let moved = || upstream.moved() + downstream.moved();
    let mut work = pin!(both(up, &upstream, down, &downstream, limits.half_close));
    let limited = async {
        match limits.idle {
            None => work.as_mut().await,
            // A timer that few streams have.
            Some(idle) => {
                Box::pin(while_moving(work, moved, idle)).await.unwrap_or(Err(End::Limit(Limit::Idle)))
            }
        }
    };
    let end = tokio::select! {
        end = limited => end,
        told = stop.quiet(moved) => Err(End::Broken(told)),
    };
    let relayed = Relayed {
        to_peer: upstream.bytes(),
        to_client: downstream.bytes(),
        client_heard_all: downstream.heard_all.load(Relaxed),
    };
    (relayed, end.map_or_else(|end| end, |()| End::Finished))
}

/// Whether all that the sender had was sent, or the receiver takes no more.
fn sent_all(outcome: Result<(), Broken>, direction: &Direction<'_>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Broken::Source(error)) => Err(error),
        Err(Broken::Sink(error)) => {
            // A reset is told once: whoever reads on finds no more than an end. One that has closed has said its own end.
            let reset = error.kind() != io::ErrorKind::BrokenPipe;
            direction.reset.store(reset, Relaxed);
            Ok(false)
        }
    }
}

impl Opened {
    /// Relays between a connection that is no client's and this stream, as a proxy does for its clients, until both have finished.
    ///
    /// Whatever else ends it resets both, except a side that has heard the other's end: what the one got of the other is not
    /// all, and does not look so. That also holds when what this gives is dropped, or the process dies.
    ///
    /// # Errors
    /// What broke; [`io::ErrorKind::TimedOut`] for a limit: [`Limits::half_close`] or [`Limits::idle`].
    pub async fn relay(mut self, local: Socket, limits: &Limits) -> io::Result<()> {
        local.notice_loss(*limits);
        self.socket.notice_loss(*limits);
        // Nobody reads them.
        let (to_peer, to_local) = (Counter::default(), Counter::default());
        let counters = [&to_peer, &to_local];
        match relay(&local, &mut self, Vec::new(), limits, counters, &Stop::new()).await {
            (_, End::Finished) => Ok(()),
            (_, End::Broken(error)) => Err(error),
            (_, End::Limit(_)) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Ends the stream as one that broke.
    pub fn reset(self) {
        self.socket.reset_on_close(true);
    }
}

/// Runs both directions; after the first has finished, the second may go on as long as it moves something every
/// `half_close`.
#[expect(clippy::manual_async_fn, reason = "the arguments of an async fn are in its future twice")]
fn both(
    mut up: Pin<&mut impl Future<Output = io::Result<()>>>,
    upstream: &Direction<'_>,
    mut down: Pin<&mut impl Future<Output = io::Result<()>>>,
    downstream: &Direction<'_>,
    half_close: Duration,
) -> impl Future<Output = Result<(), End>> {
    async move {
        tokio::select! {
            result = up.as_mut() => {
                result.map_err(End::Broken)?;
                rest(Box::pin(while_moving(down, || downstream.moved(), half_close)).await)
            }
            result = down.as_mut() => {
                result.map_err(End::Broken)?;
                rest(Box::pin(while_moving(up, || upstream.moved(), half_close)).await)
            }
        }
    }
}

/// What came of the second direction.
fn rest(result: Option<io::Result<()>>) -> Result<(), End> {
    result.ok_or(End::Limit(Limit::HalfClose))?.map_err(End::Broken)
}

/// Goes on as long as something moves every so often; nothing, when it has not.
async fn while_moving<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    moved: impl Fn() -> u64,
    limit: Duration,
) -> Option<T> {
    loop {
        let before = moved();
        tokio::select! {
            result = work.as_mut() => return Some(result),
            () = sleep_until(Instant::now() + limit) => {
                if moved() == before {
                    return None;
                }
            }
        }
    }
}
