use std::{io, sync::Arc, time::Duration};

use socks_wire::{Command, stream::Accepted};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use crate::{
    Client, ClientAddress, Dial, Failure, Limit, Service, Socket,
    handshake::{self, Heard, Waiting},
    relay::{End, discard, relay},
    resolve, target,
    terms::Terms,
};

/// How long a client that there is no room for has to say what it wants.
const NO_ROOM: Duration = Duration::from_secs(5);

/// Where a client came from and where to.
pub(crate) struct WayIn {
    pub(crate) address: ClientAddress,
    pub(crate) listener: Arc<str>,
}

/// The life of one connection.
pub(crate) async fn run<D: Dial>(client: Socket, way_in: WayIn, service: &Service<D>) {
    note(converse(client, way_in, service).await);
}

/// The life of a connection that there is no room for: it hears so, in its own protocol and whoever it is.
pub(crate) async fn turn_away<D>(client: Socket, service: &Service<D>) {
    let anybody = Terms { extended_errors: service.terms.extended_errors, ..Terms::default() };
    let told = async {
        client.send_at_once()?;
        let limit = NO_ROOM.min(service.limits.handshake);
        match handshake::hear(client, Instant::now() + limit, &anybody).await? {
            Heard::Request(waiting) => refuse(waiting, Failure::TooManyConnections, service).await,
            Heard::Told(client) => close_gently(client, service).await,
            Heard::Nothing | Heard::Cut(_) => Ok(()),
        }
    };
    note(told.await);
}

fn note(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(kind = %error.kind(), "the connection broke");
    }
}

async fn converse<D: Dial>(client: Socket, way_in: WayIn, service: &Service<D>) -> io::Result<()> {
    // A reply and the first data behind it are two small writes: Nagle's algorithm would hold the second back.
    client.send_at_once()?;
    client.notice_loss(service.limits);
    // Apart, as is dialling: they are large and soon over, and what is left has to be small for as long as a stream lives.
    let hear = handshake::hear(client, Instant::now() + service.limits.handshake, &service.terms);
    match Box::pin(hear).await? {
        Heard::Request(waiting) => answer(waiting, way_in, service).await,
        Heard::Told(client) => close_gently(client, service).await,
        Heard::Nothing => Ok(()),
        Heard::Cut(limit) => {
            service.failures.limit(limit);
            Ok(())
        }
    }
}

async fn answer<D: Dial>(waiting: Waiting, way_in: WayIn, service: &Service<D>) -> io::Result<()> {
    let WayIn { address, listener } = way_in;
    let (protocol, credentials) = (waiting.protocol(), waiting.credentials());
    let client = Client { address, listener, protocol, credentials };
    if !service.terms.protocols.has(protocol) {
        return refuse(waiting, Failure::ProtocolNotAllowed, service).await;
    }
    match (waiting.command(), waiting) {
        (Command::CONNECT, waiting) => connect(waiting, &client, service).await,
        (command, Waiting::Socks(accepted)) if resolve::is_asked(command) => {
            tell(accepted, &client, service).await
        }
        (_, waiting) => refuse(waiting, Failure::CommandNotSupported, service).await,
    }
}

/// CONNECT: a stream, from its opening to its end.
async fn connect<D: Dial>(waiting: Waiting, client: &Client, service: &Service<D>) -> io::Result<()> {
    let limits = service.limits;
    let (target, address_lease) = match target::dialled(waiting.address(), client, &service.addresses) {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(waiting, failure, service).await,
    };
    let dial = service.dialler.dial(client, &target, waiting.port());
    let mut peer = match Box::pin(within(dial, service)).await {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(waiting, failure, service).await,
    };
    peer.socket.notice_loss(limits);
    let (client, early_data) = waiting.grant().await?;
    let (relayed, end) = relay(&client, &mut peer, early_data, limits).await;
    drop(peer);
    drop(address_lease);
    if let End::Limit(limit) = end {
        service.failures.limit(limit);
    }
    tracing::debug!(
        to_peer = relayed.to_peer,
        to_client = relayed.to_client,
        outcome = %end,
        "a stream ended"
    );
    close_gently(client, service).await
}

/// RESOLVE and RESOLVE_PTR: an answer, and the end.
async fn tell<D: Dial>(accepted: Accepted<Socket>, client: &Client, service: &Service<D>) -> io::Result<()> {
    let Service { dialler, addresses, .. } = service;
    let answer = resolve::resolve(accepted.request(), client, dialler, addresses);
    match Box::pin(within(answer, service)).await {
        Ok(answer) => close_gently(accepted.answer(answer.borrow()).await?, service).await,
        Err(failure) => refuse(Waiting::Socks(accepted), failure, service).await,
    }
}

async fn refuse<D>(waiting: Waiting, failure: Failure, service: &Service<D>) -> io::Result<()> {
    tracing::debug!("a request failed: {}", failure.row().log);
    service.failures.note(failure);
    close_gently(waiting.refuse(failure, &service.terms).await?, service).await
}

async fn within<T, D>(
    work: impl Future<Output = Result<T, Failure>>,
    service: &Service<D>,
) -> Result<T, Failure> {
    timeout(service.limits.dial, work).await.unwrap_or_else(|_| {
        service.failures.limit(Limit::Dial);
        Err(Failure::TimedOut)
    })
}

/// Ends a connection so that the client gets what was sent last: closing with bytes unread would reset it.
async fn close_gently<D>(mut client: Socket, service: &Service<D>) -> io::Result<()> {
    let drain = async {
        client.shutdown().await?;
        discard(&client).await
    };
    timeout(service.limits.linger, drain).await.unwrap_or_else(|_| {
        service.failures.limit(Limit::Linger);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use i2p_name::VirtualOptions;

    use super::*;
    use crate::{AddressPool, PoolOptions, SamDialler, SessionPool, Tunnel};

    /// A connection's task holds this for its whole life, and thousands of them may be idle.
    #[tokio::test]
    async fn a_connection_is_small() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options);
        let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
        let service = Service::new("test", SamDialler::new(pool, Tunnel::default()), addresses);
        let (client, _other) = tokio::net::UnixStream::pair().unwrap();
        let way_in = WayIn { address: ClientAddress::User(0), listener: "x".into() };
        let size = size_of_val(&run(client.into(), way_in, &service));
        assert!(size < 5 * 1024, "{size} bytes");
    }
}
