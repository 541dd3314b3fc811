//! Streams that peers open to us.

use std::{
    convert::Infallible,
    io::{self, Write},
    net::SocketAddr,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use i2p_tunnel::Limits;
use tokio::{net::TcpStream, time::sleep};

use super::{
    own::Own,
    running::RunningProxy,
    stdio::{self, Stream},
};
use crate::{daemon::signals::Signals, failure::Failure};

/// How long to wait after peers could not be waited for, which they could before.
const AGAIN: Duration = Duration::from_secs(1);

/// Where streams are connected to: an address, and never a name to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForwardTo(SocketAddr);

impl FromStr for ForwardTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            None => text.parse().ok(),
        };
        address.filter(|address| address.port() != 0).map(Self).ok_or("expected IP:PORT or localhost:PORT")
    }
}

/// Where peers come to.
pub(in crate::commands) trait Peers {
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
pub(in crate::commands) async fn listen(
    peers: &impl Peers,
    port: u16,
    forward: Option<ForwardTo>,
    limits: Limits,
) -> Result<(), Failure> {
    let announcement = Announcement { on_stdout: forward.is_some(), said: Mutex::default() };
    let Some(to) = forward else {
        return stdio::relay(next(peers, port, &announcement).await?).await;
    };
    let stop = Signals::stop_alone()?;
    let take = || take_all(peers, port, &announcement, to, limits);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_forwarded_to_addresses_and_never_to_names() {
        for (text, expected) in
            [("127.0.0.1:22", "127.0.0.1:22"), ("localhost:22", "127.0.0.1:22"), ("[::1]:22", "[::1]:22")]
        {
            assert_eq!(text.parse(), Ok(ForwardTo(expected.parse().unwrap())));
        }
        for text in ["example.com:22", "22", "localhost", "127.0.0.1:0", "localhost:70000", "::1:22:"] {
            assert!(text.parse::<ForwardTo>().is_err(), "{text}");
        }
    }
}
