//! Relays data between two streams in both directions, by copying or splicing.

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
    pump::{discard_counted, pump},
};
use super::{
    open_stream::{ClientFin, OpenStream},
    socket::Socket,
    stop::Stop,
};
use crate::limits::{Limit, Limits};

/// What was relayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RelayTotals {
    /// Bytes delivered to the peer.
    pub(crate) to_peer: u64,
    /// Bytes delivered to the client.
    pub(crate) to_client: u64,
    /// Whether the client received all data of the peer and its end.
    pub(crate) client_got_all: bool,
}

/// How a relay ended.
#[derive(Debug)]
pub(crate) enum RelayEnd {
    /// Both sides have finished.
    Finished,
    /// One side broke.
    Broken(io::Error),
    /// A limit was reached.
    Limit(Limit),
}

/// For the log. Shows nothing of the data.
impl fmt::Display for RelayEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Broken(error) => error.kind().fmt(f),
            Self::Limit(limit) => write!(f, "limit {}", limit.label()),
        }
    }
}

/// Relays in both directions until both sides have finished, one side breaks, or a limit is reached. The limits are
/// [`Limits::half_close`], if one side has finished and the other is silent, and [`Limits::idle`], if both are. `early_data` goes
/// to the peer first. The counters count the bytes to the peer and to the client.
///
/// The peer's end is passed on to the client at once. [`OpenStream::client_fin`] says what happens to the client's. If the peer
/// accepts no more data, the client's data is discarded from then on, since the peer may still be sending.
///
/// A side that has not received the other side's end gets a reset when its socket is dropped. Its data is incomplete and must not
/// look complete.
pub(crate) async fn relay(
    client: &Socket,
    peer: &mut OpenStream,
    early_data: Vec<u8>,
    limits: &Limits,
    [to_peer, to_client]: [&Counter; 2],
    stop: &Stop,
) -> (RelayTotals, RelayEnd) {
    let (upstream, downstream) = (Direction::new(to_peer), Direction::new(to_client));
    let first_data = std::mem::take(&mut peer.first_data);
    let OpenStream { socket: peer, client_fin, .. } = &*peer;
    client.reset_on_close(true);
    peer.reset_on_close(true);
    // Pinned here and passed by reference: a future that is moved into another one takes its size twice.
    let (pump_up, pump_down) =
        (pin!(pump(client, peer, early_data, &upstream)), pin!(pump(peer, client, first_data, &downstream)));
    let up = pin!(async {
        if !sent_all(pump_up.await, &upstream)? {
            return discard_counted(client, &upstream.discarded).await;
        }
        peer.reset_on_close(false);
        if *client_fin == ClientFin::Forwarded {
            // An error shows up in the other direction too.
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
        downstream.delivered_all.store(true, Relaxed);
        // An error shows up in the other direction too.
        let _ = Box::pin(client.finish_writing()).await;
        Ok(())
    });
    let activity = || upstream.activity() + downstream.activity();
    let mut work = pin!(run_both(up, &upstream, down, &downstream, limits.half_close));
    let limited = async {
        match limits.idle {
            None => work.as_mut().await,
            // Boxed: few streams have this timer.
            Some(idle) => {
                Box::pin(unless_idle(work, activity, idle)).await.unwrap_or(Err(RelayEnd::Limit(Limit::Idle)))
            }
        }
    };
    let end = tokio::select! {
        end = limited => end,
        told = stop.until_idle(activity) => Err(RelayEnd::Broken(told)),
    };
    let relayed = RelayTotals {
        to_peer: upstream.bytes(),
        to_client: downstream.bytes(),
        client_got_all: downstream.delivered_all.load(Relaxed),
    };
    (relayed, end.map_or_else(|end| end, |()| RelayEnd::Finished))
}

/// Returns whether all of the sender's data was sent. If not, the receiver accepts no more.
fn sent_all(outcome: Result<(), Broken>, direction: &Direction<'_>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Broken::Source(error)) => Err(error),
        Err(Broken::Sink(error)) => {
            // A reset is reported only once: reading afterwards finds an orderly end. A broken pipe is no reset.
            let reset = error.kind() != io::ErrorKind::BrokenPipe;
            direction.reset.store(reset, Relaxed);
            Ok(false)
        }
    }
}

impl OpenStream {
    /// Relays between a local connection and this stream until both sides have finished, as a proxy does for its clients.
    ///
    /// If it ends otherwise, both sides are reset, except a side that has received the other's end. This also holds if the future
    /// is dropped or the process dies.
    ///
    /// # Errors
    /// The error of the side that broke; [`io::ErrorKind::TimedOut`] if a limit was reached ([`Limits::half_close`] or
    /// [`Limits::idle`]).
    pub async fn relay(mut self, local: Socket, limits: &Limits) -> io::Result<()> {
        local.detect_loss(*limits);
        self.socket.detect_loss(*limits);
        // These counters are not read.
        let (to_peer, to_local) = (Counter::default(), Counter::default());
        let counters = [&to_peer, &to_local];
        match relay(&local, &mut self, Vec::new(), limits, counters, &Stop::new()).await {
            (_, RelayEnd::Finished) => Ok(()),
            (_, RelayEnd::Broken(error)) => Err(error),
            (_, RelayEnd::Limit(_)) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Resets the stream.
    pub fn reset(self) {
        self.socket.reset_on_close(true);
    }
}

/// Runs both directions. After one has finished, the other may continue as long as it moves data at least every `half_close`.
#[expect(clippy::manual_async_fn, reason = "the arguments of an async fn are in its future twice")]
fn run_both(
    mut up: Pin<&mut impl Future<Output = io::Result<()>>>,
    upstream: &Direction<'_>,
    mut down: Pin<&mut impl Future<Output = io::Result<()>>>,
    downstream: &Direction<'_>,
    half_close: Duration,
) -> impl Future<Output = Result<(), RelayEnd>> {
    async move {
        tokio::select! {
            result = up.as_mut() => {
                result.map_err(RelayEnd::Broken)?;
                second_result(Box::pin(unless_idle(down, || downstream.activity(), half_close)).await)
            }
            result = down.as_mut() => {
                result.map_err(RelayEnd::Broken)?;
                second_result(Box::pin(unless_idle(up, || upstream.activity(), half_close)).await)
            }
        }
    }
}

/// The result of the direction that finished second.
fn second_result(result: Option<io::Result<()>>) -> Result<(), RelayEnd> {
    result.ok_or(RelayEnd::Limit(Limit::HalfClose))?.map_err(RelayEnd::Broken)
}

/// Runs `work` as long as `activity` changes within each `limit`. Returns `None` if it stops changing.
async fn unless_idle<T>(
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
