use std::{io, sync::Arc, time::Duration};

use socks_wire::{Command, stream::Accepted};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::{
    Client, ClientAddress, Dial, Failure, Limit, Opened, Sensitive, Service, Socket, Stop, bind, datagrams,
    handshake::{self, Heard, Waiting},
    relay::{End, relay},
    resolve, target,
    terms::Terms,
};

/// How long a client that there is no room for has to say what it wants.
const NO_ROOM: Duration = Duration::from_secs(5);

/// Where a client came from and where to.
pub(crate) struct WayIn {
    pub(crate) address: ClientAddress,
    pub(crate) listener: Arc<str>,
    pub(crate) stop: Stop,
}

/// The life of one connection.
pub(crate) async fn run<D: Dial>(client: Socket, way_in: WayIn, service: &Service<D>) {
    let _active = service.account.connection();
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
            Heard::Told(client) | Heard::Answered(client) => close_gently(client, service).await,
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
    let begin = Instant::now();
    let hearing = handshake::hear(client, begin + service.limits.handshake, &service.terms);
    let heard = way_in.stop.unless_draining(hearing).await?;
    service.account.handshake(begin, &heard);
    match heard? {
        Heard::Request(waiting) => answer(waiting, way_in, service).await,
        Heard::Told(client) | Heard::Answered(client) => close_gently(client, service).await,
        Heard::Nothing => Ok(()),
        Heard::Cut(limit) => {
            service.account.limit(limit);
            Ok(())
        }
    }
}

async fn answer<D: Dial>(waiting: Waiting, way_in: WayIn, service: &Service<D>) -> io::Result<()> {
    let WayIn { address, listener, stop } = way_in;
    let (protocol, credentials) = (waiting.protocol(), waiting.credentials());
    let client = Client { address, listener, protocol, credentials };
    if !service.terms.protocols.has(protocol) {
        return refuse(waiting, Failure::ProtocolNotAllowed, service).await;
    }
    match (waiting.command(), waiting) {
        (Command::CONNECT, waiting) => connect(waiting, &client, service, &stop).await,
        // In places of their own: what these take is not to be in the size of every connection.
        (Command::BIND, Waiting::Socks(accepted)) => {
            Box::pin(bind::bind(accepted, &client, service, &stop)).await
        }
        (Command::UDP_ASSOCIATE, Waiting::Socks(accepted)) => {
            Box::pin(datagrams::associate(accepted, &client, service, &stop)).await
        }
        (command, Waiting::Socks(accepted)) if resolve::is_asked(command) => {
            tell(accepted, &client, service).await
        }
        (_, waiting) => refuse(waiting, Failure::CommandNotSupported, service).await,
    }
}

/// CONNECT: a stream, from its opening to its end.
async fn connect<D: Dial>(
    waiting: Waiting,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<()> {
    let (target, address_lease) = match target::dialled(waiting.address(), client, &service.addresses) {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(waiting, failure, service).await,
    };
    tracing::debug!(tunnel = %service.name, target = %Sensitive(target::Shown(&target)), "a request");
    let dial = service.dialler.dial(client, &target, waiting.port());
    let begin = Instant::now();
    let dialled = within(dial, service).await;
    service.account.dialled(begin.elapsed());
    let peer = match dialled {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(waiting, failure, service).await,
    };
    service.account.succeeded(waiting.protocol());
    let (client, early_data) = waiting.grant().await?;
    let result = relay_to(client, peer, early_data, service, stop).await;
    drop(address_lease);
    result
}

/// A stream that is open on both sides, to its end.
pub(crate) async fn relay_to<D>(
    client: Socket,
    mut peer: Opened,
    early_data: Vec<u8>,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<()> {
    let Service { account, limits, .. } = service;
    peer.socket.notice_loss(*limits);
    let stream = account.stream();
    let (relayed, end) = relay(&client, &mut peer, early_data, *limits, account, stop).await;
    drop(stream);
    drop(peer);
    if let End::Limit(limit) = end {
        service.account.limit(limit);
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
    match within(answer, service).await {
        Ok(answer) => {
            service.account.succeeded(client.protocol);
            close_gently(accepted.answer(answer.borrow()).await?, service).await
        }
        Err(failure) => refuse(Waiting::Socks(accepted), failure, service).await,
    }
}

pub(crate) async fn refuse<D>(waiting: Waiting, failure: Failure, service: &Service<D>) -> io::Result<()> {
    tracing::debug!("a request failed: {}", failure.row().log);
    service.account.failed(waiting.protocol(), failure);
    close_gently(waiting.refuse(failure, &service.terms).await?, service).await
}

async fn within<T, D>(
    work: impl Future<Output = Result<T, Failure>>,
    service: &Service<D>,
) -> Result<T, Failure> {
    timeout(service.limits.dial, work).await.unwrap_or_else(|_| {
        service.account.limit(Limit::Dial);
        Err(Failure::TimedOut)
    })
}

/// Ends a connection so that the client gets what was sent last: closing with bytes unread would reset it.
pub(crate) async fn close_gently<D>(mut client: Socket, service: &Service<D>) -> io::Result<()> {
    let drain = async {
        client.shutdown().await?;
        let mut thrown_away = [0; 1024];
        while client.read(&mut thrown_away).await? > 0 {}
        Ok(())
    };
    timeout(service.limits.linger, drain).await.unwrap_or_else(|_| {
        service.account.limit(Limit::Linger);
        Ok(())
    })
}
