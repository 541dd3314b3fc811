//! Streams that peers open to this process.

use std::{
    convert::Infallible,
    net::SocketAddr,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use i2p_tunnel::Limits;
use tokio::{net::TcpStream, time::sleep};

use super::{
    own::OwnSessions,
    running::RunningProxy,
    stdio::{self, PeerStream},
};
use crate::{
    command_error::CommandError,
    config::values::addresses_without_lookup,
    daemon::signals::Signals,
    terminal::output::{announce, remark},
};

/// How long to wait before accepting again, after it failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Where `--forward` connects streams to: an address, never a name to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForwardTo(SocketAddr);

impl FromStr for ForwardTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = addresses_without_lookup(text).into_iter().next();
        address.filter(|address| address.port() != 0).map(Self).ok_or("expected IP:PORT or localhost:PORT")
    }
}

/// Accepts streams of peers.
pub(in crate::commands) trait AcceptPeers {
    /// The next stream. `on_address` gets the address to connect to, once peers can connect.
    async fn next(&self, port: u16, on_address: &mut dyn FnMut(&str)) -> Result<PeerStream, CommandError>;
}

impl AcceptPeers for RunningProxy {
    async fn next(&self, port: u16, on_address: &mut dyn FnMut(&str)) -> Result<PeerStream, CommandError> {
        Ok(PeerStream::through_proxy(self.bind(port, on_address).await?))
    }
}

impl AcceptPeers for OwnSessions {
    async fn next(&self, _port: u16, on_address: &mut dyn FnMut(&str)) -> Result<PeerStream, CommandError> {
        self.accept(on_address).await
    }
}

/// Prints our address in I2P once it is known, and again whenever it changes.
struct AddressPrinter {
    output: AddressOutput,
    printed: Mutex<Option<String>>,
}

/// Where the address is printed.
enum AddressOutput {
    Stdout,
    /// Stdout carries the stream.
    Stderr,
}

impl AddressPrinter {
    fn print(&self, address: &str) {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.as_deref() == Some(address) {
            return;
        }
        // Nobody may be reading, and that does not end the stream.
        match self.output {
            AddressOutput::Stdout => announce(format!("{address}\n"), drop),
            AddressOutput::Stderr => remark(address),
        }
        *printed = Some(address.to_owned());
    }

    fn has_printed(&self) -> bool {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Accepts one stream for stdin and stdout; with `forward`, accepts streams until interrupted.
pub(in crate::commands) async fn listen(
    peers: &impl AcceptPeers,
    port: u16,
    forward: Option<ForwardTo>,
    limits: Limits,
) -> Result<(), CommandError> {
    let printer = AddressPrinter {
        output: if forward.is_some() { AddressOutput::Stdout } else { AddressOutput::Stderr },
        printed: Mutex::default(),
    };
    let Some(to) = forward else {
        return stdio::relay(next(peers, port, &printer).await?).await;
    };
    let stop = Signals::catch_stop_only()?;
    let accept = || accept_all(peers, port, &printer, to, limits);
    // Several accept at once, so that peers who connect at the same moment are all accepted.
    let accepting = async { tokio::try_join!(accept(), accept(), accept(), accept()).map(|_| ()) };
    stop.run_until_cancelled(accepting).await.unwrap_or(Ok(()))
}

/// Accepts and forwards streams for ever.
async fn accept_all(
    peers: &impl AcceptPeers,
    port: u16,
    printer: &AddressPrinter,
    to: ForwardTo,
    limits: Limits,
) -> Result<Infallible, CommandError> {
    loop {
        tokio::spawn(forward(next(peers, port, printer).await?, to, limits));
    }
}

/// The next stream. Once we have an address, failures are tried again: the proxy waits for a peer for a limited time, and its router
/// may recover in a moment.
async fn next(
    peers: &impl AcceptPeers,
    port: u16,
    printer: &AddressPrinter,
) -> Result<PeerStream, CommandError> {
    loop {
        match peers.next(port, &mut |address| printer.print(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) if printer.has_printed() => {
                tracing::debug!("{error}; trying again");
                sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn forward(stream: PeerStream, ForwardTo(to): ForwardTo, limits: Limits) {
    match TcpStream::connect(to).await {
        Ok(local) => stream.forward(local.into(), &limits).await,
        Err(error) => {
            stream.reset();
            tracing::warn!("reset a stream: cannot connect to {to}: {error}");
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
