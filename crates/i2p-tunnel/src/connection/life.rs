use std::{future::ready, io, pin::Pin, sync::Arc, time::Duration};

use socks_wire::{Command, stream::Accepted};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use super::{
    bind,
    handshake::{self, Handshake, Waiting},
    outcome::{Next, Streaming, WayIn, refuse, within},
    resolve,
    service::Service,
    udp,
};
use crate::{
    account::{Account, HandshakeFailure},
    client::{AccessPolicy, Client, ClientAddress, ClientProtocol},
    dial::Dial,
    failure::Failure,
    limits::Limit,
    names,
    sensitive::Sensitive,
    stream::{End, Socket, Stop, discard, relay},
};

/// How long a client that there is no room for has to say what it wants.
const NO_ROOM: Duration = Duration::from_secs(5);

/// The life of one connection.
///
/// What this gives is small, and so is what it holds while there is a stream: each part is in a place of its own, and what it
/// takes to get as far as a stream is large and soon over.
pub(crate) fn run<D: Dial>(
    client: Socket,
    way_in: WayIn,
    service: Arc<Service<D>>,
) -> impl Future<Output = ()> + Send {
    let stop = way_in.stop.clone();
    let next = Box::pin(converse(client, way_in, Arc::clone(&service)));
    async move {
        let _active = service.account.connection();
        note(finish(next.await, &service, &stop).await);
    }
}

/// The life of a connection that there is no room for: it hears so, in its own protocol and whoever it is.
pub(crate) async fn turn_away<D: Dial>(client: Socket, address: ClientAddress, service: &Service<D>) {
    let anybody = AccessPolicy { extended_errors: service.access.extended_errors, ..AccessPolicy::default() };
    let told = async {
        client.send_at_once()?;
        let limit = NO_ROOM.min(service.limits.handshake);
        match handshake::hear(client, address, Instant::now() + limit, &anybody).await? {
            Handshake::Request(waiting) => refuse(waiting, Failure::TooManyConnections, service).await,
            Handshake::Rejected(client)
            | Handshake::Unauthorized(client)
            | Handshake::AnsweredHttp(client) => Ok(Next::Close(client)),
            Handshake::Nothing | Handshake::LimitReached(_) => Ok(Next::Over),
        }
    };
    note(finish(told.await, service, &Stop::new()).await);
}

fn finish<'a, D: Dial>(
    next: io::Result<Next>,
    service: &'a Service<D>,
    stop: &'a Stop,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
    match next {
        Ok(Next::Relay(streaming)) => Box::pin(relayed(streaming, service, stop)),
        Ok(Next::Close(client)) => Box::pin(close_gently(client, service)),
        Ok(Next::Over) => Box::pin(ready(Ok(()))),
        Err(error) => Box::pin(ready(Err(error))),
    }
}

fn note(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(kind = %error.kind(), "the connection broke");
    }
}

async fn converse<D: Dial>(client: Socket, way_in: WayIn, service: Arc<Service<D>>) -> io::Result<Next> {
    // A reply and the first data behind it are two small writes: Nagle's algorithm would hold the second back.
    client.send_at_once()?;
    client.notice_loss(service.limits);
    let begin = Instant::now();
    let hearing = handshake::hear(client, way_in.address, begin + service.limits.handshake, &service.access);
    let heard = way_in.stop.unless_draining(hearing).await?;
    count(&heard, begin, &service.account);
    match heard? {
        Handshake::Request(waiting) => answer(waiting, way_in, &service).await,
        Handshake::Rejected(client) | Handshake::Unauthorized(client) | Handshake::AnsweredHttp(client) => {
            Ok(Next::Close(client))
        }
        Handshake::Nothing => Ok(Next::Over),
        Handshake::LimitReached(limit) => {
            service.account.limit(limit);
            Ok(Next::Over)
        }
    }
}

/// Counts how a handshake ended.
fn count(heard: &io::Result<Handshake>, begin: Instant, account: &Account) {
    account.handshake_failed(match heard {
        Ok(Handshake::Request(_)) => return account.handshake_done(begin.elapsed()),
        Ok(Handshake::LimitReached(_)) => HandshakeFailure::TimedOut,
        Ok(Handshake::Rejected(_)) => HandshakeFailure::Refused,
        Ok(Handshake::Unauthorized(_)) => HandshakeFailure::Unauthorized,
        Ok(Handshake::AnsweredHttp(_)) => HandshakeFailure::AnsweredHttp,
        Ok(Handshake::Nothing) => HandshakeFailure::NotSocks,
        Err(_) => HandshakeFailure::Broken,
    });
}

async fn answer<D: Dial>(waiting: Waiting, way_in: WayIn, service: &Service<D>) -> io::Result<Next> {
    let WayIn { address, listener, stop } = way_in;
    let (protocol, credentials) = (waiting.protocol(), waiting.credentials());
    let client = Client { address, listener, protocol, credentials };
    if !service.access.protocols.has(protocol) {
        return refuse(waiting, Failure::ProtocolNotAllowed, service).await;
    }
    match (waiting.command(), waiting) {
        (Command::CONNECT, waiting) => connect(waiting, &client, service).await,
        (Command::BIND, Waiting::Socks(accepted)) => bind::bind(accepted, &client, service, &stop).await,
        // SOCKS4 has no such command, and its replies no room for a relay of IPv6 (SOCKS4 memo).
        (Command::UDP_ASSOCIATE, Waiting::Socks(accepted)) if protocol == ClientProtocol::Socks5 => {
            udp::associate(accepted, &client, service, &stop).await
        }
        (command, Waiting::Socks(accepted)) if resolve::is_asked(command) => {
            tell(accepted, &client, service).await
        }
        (_, waiting) => refuse(waiting, Failure::CommandNotSupported, service).await,
    }
}

/// CONNECT, up to the open stream.
async fn connect<D: Dial>(waiting: Waiting, client: &Client, service: &Service<D>) -> io::Result<Next> {
    let owner = service.address_owner(client);
    let (target, address) = match names::target_to_dial(waiting.address(), &owner, &service.addresses) {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(waiting, failure, service).await,
    };
    tracing::debug!(tunnel = %service.name, target = %Sensitive(names::DisplayTarget(&target)), "a request");
    let port = waiting.port();
    let key = service.sessions.key(client, &target, port);
    let open = service.routing.open(&service.dialler, &key, (&target, port), service.limits.dial);
    let begin = Instant::now();
    let Some(dialled) = within(open, waiting.stream(), client, service).await else { return Ok(Next::Over) };
    service.account.dialled(begin.elapsed());
    let peer = match dialled {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(waiting, failure, service).await,
    };
    service.account.succeeded(waiting.protocol());
    let (client, early_data) = waiting.grant().await?;
    Ok(Next::Relay(Streaming { client, peer, early_data, address }))
}

/// The life of a stream. A client that has not heard its end is reset.
#[expect(clippy::manual_async_fn, reason = "the arguments of an async function are in its future twice")]
fn relayed<'a, D: Dial>(
    mut streaming: Streaming,
    service: &'a Service<D>,
    stop: &'a Stop,
) -> impl Future<Output = io::Result<()>> + Send + 'a {
    async move {
        let Service { account, limits, .. } = service;
        streaming.peer.socket.notice_loss(*limits);
        let stream = account.stream();
        let counters = [account.to_peer(), account.to_client()];
        let Streaming { client, peer, early_data, .. } = &mut streaming;
        let early_data = std::mem::take(early_data);
        let (relayed, end) = relay(client, peer, early_data, limits, counters, stop).await;
        let Streaming { client, peer, address, .. } = streaming;
        drop((stream, peer, address));
        if let End::Limit(limit) = end {
            account.limit(limit);
        }
        tracing::debug!(
            to_peer = relayed.to_peer,
            to_client = relayed.to_client,
            outcome = %end,
            "a stream ended"
        );
        if !relayed.client_heard_all {
            return Ok(());
        }
        Box::pin(close_gently(client, service)).await
    }
}

/// RESOLVE and RESOLVE_PTR: an answer, and the end.
async fn tell<D: Dial>(
    accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
) -> io::Result<Next> {
    let answer = resolve::resolve(accepted.request(), client, service);
    let Some(answer) = within(answer, accepted.stream(), client, service).await else {
        return Ok(Next::Over);
    };
    match answer {
        Ok(answer) => {
            service.account.succeeded(client.protocol);
            accepted.answer(answer.borrow()).await.map(Next::Close)
        }
        Err(failure) => refuse(Waiting::Socks(accepted), failure, service).await,
    }
}

/// Ends a connection so that the client gets what was sent last: closing with bytes unread would reset it.
async fn close_gently<D>(mut client: Socket, service: &Service<D>) -> io::Result<()> {
    let drain = async {
        client.shutdown().await?;
        discard(&client).await
    };
    timeout(service.limits.linger, drain).await.unwrap_or_else(|_| {
        service.account.limit(Limit::Linger);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use i2p_name::VirtualOptions;

    use super::*;
    use crate::{
        names::AddressPool,
        sessions::{PoolOptions, SamDialler, SessionPool},
    };

    /// A connection's task holds this for its whole life, and thousands of them may be idle.
    #[tokio::test]
    async fn a_connection_is_small() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options);
        let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
        let service = Arc::new(Service::new("test", SamDialler::new(pool), addresses));
        let (client, _other) = tokio::net::UnixStream::pair().unwrap();
        let way_in = WayIn { address: ClientAddress::User(0), listener: "x".into(), stop: Stop::new() };
        let size = size_of_val(&run(client.into(), way_in, service));
        assert!(size < 128, "{size} bytes");
    }
}
