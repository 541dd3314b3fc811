use std::{io, sync::Arc};

use i2p_name::{I2pName, NameError, Target};
use socks_wire::{
    Authentication, Command, NotSocks,
    auth::{Credentials, Isolation},
    stream::{AcceptError, Accepted, OwnedAddress, OwnedRequest, accept},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Client, ClientAddress, ClientCredentials, Dial, Failure, Limits, failure_log::FailureLog, http_page,
    relay::relay,
};

/// What all connections of a server share.
pub(crate) struct Shared<D> {
    pub(crate) dialler: D,
    pub(crate) limits: Limits,
    pub(crate) failures: FailureLog,
}

/// Where a client came from and where to.
pub(crate) struct WayIn {
    pub(crate) address: ClientAddress,
    pub(crate) listener: Arc<str>,
}

/// The life of one connection.
pub(crate) async fn run<D: Dial>(client: TcpStream, way_in: WayIn, shared: Arc<Shared<D>>) {
    if let Err(error) = converse(client, way_in, &shared).await {
        tracing::debug!(kind = %error.kind(), "the connection broke");
    }
}

async fn converse<D: Dial>(client: TcpStream, way_in: WayIn, shared: &Shared<D>) -> io::Result<()> {
    let limits = shared.limits;
    // A reply and the first data behind it are two small writes: Nagle's algorithm would hold the second back.
    client.set_nodelay(true)?;
    // Anybody may come in: credentials say who a client is, not whether. Those in a form of Tor's that nobody here
    // understands are refused, as Tor does: they may ask for something that would not be done.
    let judge = |credentials: &Credentials<'_>| credentials.isolation() != Isolation::Unsupported;
    match accept(client, Authentication::Isolation, limits.handshake, judge).await {
        Ok(accepted) => answer(accepted, way_in, shared).await,
        Err(AcceptError::Refused { stream, error }) => {
            tracing::debug!(%error, "the handshake failed");
            close_gently(stream, limits).await
        }
        Err(AcceptError::NotSocks { mut stream, protocol: NotSocks::Http, .. }) => {
            tracing::debug!("a client spoke HTTP and got the page that explains");
            http_page::send(&mut stream).await?;
            close_gently(stream, limits).await
        }
        Err(AcceptError::NotSocks { .. }) => {
            tracing::debug!("a client spoke something else than SOCKS");
            Ok(())
        }
        Err(AcceptError::Timeout) => {
            tracing::debug!(limit = ?limits.handshake, "the handshake limit was reached");
            Ok(())
        }
        Err(AcceptError::Io(error)) => Err(error),
        // Kinds of a later version: nothing was promised to the client.
        Err(_) => Ok(()),
    }
}

async fn answer<D: Dial>(accepted: Accepted<TcpStream>, way_in: WayIn, shared: &Shared<D>) -> io::Result<()> {
    let limits = shared.limits;
    let request = accepted.request();
    let dialled = match wanted(request) {
        Ok(name) => {
            let WayIn { address, listener } = way_in;
            let credentials = ClientCredentials::of(request);
            let client = Client { address, listener, protocol: request.protocol, credentials };
            let dial = shared.dialler.dial(&client, &name, request.port);
            timeout(limits.dial, dial).await.unwrap_or(Err(Failure::TimedOut))
        }
        Err(failure) => Err(failure),
    };
    match dialled {
        Ok((peer, hold)) => {
            let (client, early_data) = accepted.grant().await?;
            let (relayed, result) = relay(&client, &peer, early_data, limits.half_close).await;
            drop(peer);
            drop(hold);
            tracing::debug!(
                to_peer = relayed.to_peer,
                to_client = relayed.to_client,
                outcome = result.map_or_else(|error| error.kind().to_string(), |()| "finished".to_owned()),
                "a stream ended"
            );
            close_gently(client, limits).await
        }
        Err(failure) => {
            let row = failure.row();
            tracing::debug!("a request failed: {}", row.log);
            shared.failures.note(failure);
            close_gently(accepted.refuse(row.socks5, row.socks4).await?, limits).await
        }
    }
}

/// What is to be dialled, if anything: I2P names and nothing else. This is the one place that decides it.
fn wanted(request: &OwnedRequest) -> Result<I2pName, Failure> {
    if request.command != Command::CONNECT {
        return Err(Failure::CommandNotSupported);
    }
    let target = match &request.address {
        OwnedAddress::Ip(address) => Ok(Target::from_ip(*address)),
        OwnedAddress::Domain(name) => Target::parse(name),
    };
    match target {
        Ok(Target::I2p(name)) => Ok(name),
        // A number in disguise is an address as far as policy goes.
        Ok(_) | Err(NameError::NumericHost) => Err(Failure::NotAllowed),
        Err(_) => Err(Failure::MalformedName),
    }
}

/// Ends a connection so that the client gets what was sent last: closing with bytes unread would reset it.
async fn close_gently(mut client: TcpStream, limits: Limits) -> io::Result<()> {
    let drain = async {
        client.shutdown().await?;
        let mut thrown_away = [0; 1024];
        while client.read(&mut thrown_away).await? > 0 {}
        Ok(())
    };
    timeout(limits.linger, drain).await.unwrap_or(Ok(()))
}
