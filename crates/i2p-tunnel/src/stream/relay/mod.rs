//! Relays data between two streams in both directions, by copying or splicing.

mod direction;
mod end;
mod half_closed;
mod pump;
mod silence;
#[cfg(target_os = "linux")]
mod splice;
mod staged;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::atomic::Ordering::Relaxed,
    task::Poll,
};

use prometheus_client::metrics::counter::Counter;

use self::{
    direction::{Broken, Direction},
    half_closed::HalfClosedRelay,
    pump::{discard_counted, pump},
    silence::unless_idle,
    staged::StagedSide,
};
pub(crate) use self::{end::RelayEnd, pump::discard};
use super::{
    half_closed::{EarlyEnd, Hold},
    open_stream::{ClientFin, OpenStream},
    socket::Socket,
    stage::{SharedStage, Side},
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

/// What a relay begins with. It is taken out of it, and then takes no space.
#[derive(Debug, Default)]
pub(crate) struct RelayStart {
    /// Data of the client that goes to the peer first.
    pub(crate) early_data: Vec<u8>,
    /// All data goes through it until it lets go.
    pub(crate) stage: Option<SharedStage>,
}

impl RelayStart {
    fn staged(&self, side: Side) -> Option<StagedSide> {
        let stage = self.stage.clone().filter(|stage| stage.lock().looks_at(side))?;
        Some(StagedSide { stage, side })
    }
}

/// Relays in both directions until both sides have finished, the client has gone, one side breaks, or a limit is reached. The
/// limits are [`Limits::half_close`], if one side has finished and the other is silent, and [`Limits::idle`], if both are.
/// [`RelayStart::early_data`] goes to the peer first. The counters count the bytes to the peer and to the client.
///
/// The peer's end is passed on to the client at once. [`OpenStream::client_fin`] says what happens to the client's. If the peer
/// accepts no more data, the client's data is discarded from then on, since the peer may still be sending.
///
/// Once one side has finished, [`OpenStream::hold`] and `held` are told that the stream can be ended if they are needed.
///
/// A side that has not received the other side's end gets a reset when its socket is dropped. Its data is incomplete and must not
/// look complete.
pub(crate) async fn relay(
    client: &Socket,
    stream: &mut OpenStream,
    start: &mut RelayStart,
    (limits, held): (&Limits, &impl Hold),
    [to_peer, to_client]: [&Counter; 2],
    stop: &Stop,
) -> (RelayTotals, RelayEnd) {
    let (upstream, downstream) = (Direction::new(to_peer), Direction::new(to_client));
    let first_data = std::mem::take(&mut stream.first_data);
    let OpenStream { socket: peer, client_fin, hold, .. } = &*stream;
    client.reset_on_close(true);
    peer.reset_on_close(true);
    // Pinned here and passed by reference: a future that is moved into another one takes its size twice.
    let (pump_up, pump_down) = (
        pin!(pump(
            client,
            peer,
            std::mem::take(&mut start.early_data),
            &upstream,
            start.staged(Side::Client)
        )),
        pin!(pump(peer, client, first_data, &downstream, start.staged(Side::Peer))),
    );
    start.stage = None;
    let mut up = pin!(async {
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
    let mut down = pin!(async {
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
    let first = {
        let mut both = pin!(first_finished(up.as_mut(), down.as_mut()));
        let limited = async {
            match limits.idle {
                None => both.as_mut().await,
                // Boxed: few streams have this timer.
                Some(idle) => Box::pin(unless_idle(both, activity, idle))
                    .await
                    .unwrap_or(Err(RelayEnd::Limit(Limit::Idle))),
            }
        };
        tokio::select! {
            first = limited => first,
            told = stop.until_idle(|| Some((activity(), client.untaken(), peer.untaken()))) => {
                Err(RelayEnd::Broken(told))
            }
        }
    };
    let end = match first {
        Err(end) => Err(end),
        Ok(first) => {
            let nothing: &dyn Hold = &();
            let relay = HalfClosedRelay {
                client,
                peer,
                limits,
                stop,
                early_end: EarlyEnd::offer([held, hold.as_deref().unwrap_or(nothing)]),
            };
            // Boxed: few streams are half-closed at one time.
            match first {
                FirstFinished::Client => Box::pin(relay.answer(down, &downstream)).await,
                FirstFinished::Peer => Box::pin(relay.rest(up, &upstream)).await,
            }
        }
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
    /// Relays between a local connection and this stream until both sides have finished, as a proxy does for its clients. All data
    /// goes through the stage, if there is one, until it lets go.
    ///
    /// If it ends otherwise, both sides are reset, except a side that has received the other's end. This also holds if the future
    /// is dropped or the process dies.
    ///
    /// # Errors
    /// The error of the side that broke; [`io::ErrorKind::BrokenPipe`] if the local program has closed its socket before the far
    /// end has finished; [`io::ErrorKind::TimedOut`] if a limit was reached ([`Limits::half_close`] or [`Limits::idle`]); the error of
    /// the stage if it ends the stream.
    pub async fn relay(
        mut self,
        local: Socket,
        limits: &Limits,
        stage: Option<SharedStage>,
    ) -> io::Result<()> {
        local.detect_loss(*limits);
        self.socket.detect_loss(*limits);
        let mut start = RelayStart { early_data: Vec::new(), stage };
        // These counters are not read.
        let (to_peer, to_local) = (Counter::default(), Counter::default());
        let counters = [&to_peer, &to_local];
        match relay(&local, &mut self, &mut start, (limits, &()), counters, &Stop::new()).await {
            (_, RelayEnd::Finished) => Ok(()),
            (_, RelayEnd::ClientGone) => Err(io::ErrorKind::BrokenPipe.into()),
            (_, RelayEnd::Broken(error)) => Err(error),
            (_, RelayEnd::Limit(_)) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Resets the stream.
    pub fn reset(self) {
        self.socket.reset_on_close(true);
    }
}

/// Which side has finished sending first.
enum FirstFinished {
    Client,
    Peer,
}

/// Runs both directions until one side has finished.
fn first_finished(
    mut up: Pin<&mut impl Future<Output = io::Result<()>>>,
    mut down: Pin<&mut impl Future<Output = io::Result<()>>>,
) -> impl Future<Output = Result<FirstFinished, RelayEnd>> {
    poll_fn(move |context| {
        if let Poll::Ready(result) = up.as_mut().poll(context) {
            return Poll::Ready(result.map(|()| FirstFinished::Client).map_err(RelayEnd::Broken));
        }
        down.as_mut().poll(context).map(|result| match result {
            Ok(()) => Ok(FirstFinished::Peer),
            Err(error) => Err(RelayEnd::Broken(error)),
        })
    })
}
