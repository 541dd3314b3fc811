//! Streams that peers open to us.

use std::{
    convert::Infallible,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use i2p_tunnel::Limits;
use tokio::{net::TcpStream, time::sleep};

use super::{
    ForwardTo, ListenCommand,
    own::Own,
    running::RunningProxy,
    stdio::{self, Stream},
};
use crate::{exit::Failure, signals::Signals};

/// How long to wait after peers could not be waited for, which they could before.
const AGAIN: Duration = Duration::from_secs(1);

/// Where peers come to.
pub(super) trait Peers {
    /// The next stream. `told` gets the address that peers need, once they are taken.
    async fn next(&self, port: u16, told: &mut dyn FnMut(&str)) -> Result<Stream, Failure>;
}

impl Peers for RunningProxy {
    async fn next(&self, port: u16, told: &mut dyn FnMut(&str)) -> Result<Stream, Failure> {
        let (socket, early) = self.bind(port, told).await?;
        Ok(Stream::through_proxy(socket, early))
    }
}

impl Peers for Own {
    async fn next(&self, _port: u16, told: &mut dyn FnMut(&str)) -> Result<Stream, Failure> {
        self.accept(told).await
    }
}

/// Says our address when it is known, and again when it has become another one.
struct Announcement {
    /// Where stdout is a stream's, on stderr.
    on_stdout: bool,
    said: Mutex<Option<String>>,
}

impl Announcement {
    fn say(&self, address: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_deref() == Some(address) {
            return;
        }
        let write = |out: &mut dyn Write| -> io::Result<()> {
            writeln!(out, "{address}")?;
            out.flush()
        };
        // Nobody may be there to read it.
        let _ =
            if self.on_stdout { write(&mut io::stdout().lock()) } else { write(&mut io::stderr().lock()) };
        *said = Some(address.to_owned());
    }

    fn is_said(&self) -> bool {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Takes the first peer, or, where streams are forwarded, everyone until interrupted.
pub(super) async fn listen(
    peers: &impl Peers,
    command: &ListenCommand,
    limits: Limits,
) -> Result<(), Failure> {
    let announcement = Announcement { on_stdout: command.forward.is_some(), said: Mutex::default() };
    let Some(to) = command.forward else {
        return stdio::relay(next(peers, command.port, &announcement).await?).await;
    };
    let stop = Signals::stop_alone()?;
    let take = || take_all(peers, command.port, &announcement, to, limits);
    // Several wait at once, so that one who comes while another is being taken is taken, too.
    let taking = async { tokio::try_join!(take(), take(), take(), take()).map(|_| ()) };
    stop.run_until_cancelled(taking).await.unwrap_or(Ok(()))
}

/// Takes peers for ever.
async fn take_all(
    peers: &impl Peers,
    port: u16,
    announcement: &Announcement,
    to: ForwardTo,
    limits: Limits,
) -> Result<Infallible, Failure> {
    loop {
        tokio::spawn(forward(next(peers, port, announcement).await?, to, limits));
    }
}

/// The next stream. What failed once we had an address is tried again: the proxy waits for a peer for a time only, and its router
/// may be back in a moment.
async fn next(peers: &impl Peers, port: u16, announcement: &Announcement) -> Result<Stream, Failure> {
    loop {
        match peers.next(port, &mut |address| announcement.say(address)).await {
            Ok(stream) => return Ok(stream),
            Err(failure) if announcement.is_said() => {
                tracing::debug!("{failure}; trying again");
                sleep(AGAIN).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

async fn forward(stream: Stream, ForwardTo(to): ForwardTo, limits: Limits) {
    match TcpStream::connect(to).await {
        Ok(local) => stream.forward(local.into(), &limits).await,
        Err(error) => {
            stream.refuse();
            tracing::warn!("a stream was reset: nothing takes it at {to}: {error}");
        }
    }
}
