use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use socks_wire::{
    Authentication, Command, NotSocks,
    auth::{Credentials, Isolation},
    stream::{AcceptError, Accepted, accept},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    Client, ClientAddress, ClientCredentials, Dial, Failure, Limits, Sensitive, Service, Socket, Stop,
    http_page, relay::relay, resolve, target,
};

/// Where a client came from and where to.
pub(crate) struct WayIn {
    pub(crate) address: ClientAddress,
    pub(crate) listener: Arc<str>,
    pub(crate) stop: Stop,
}

/// The life of one connection.
pub(crate) async fn run<D: Dial>(client: Socket, way_in: WayIn, service: Arc<Service<D>>) {
    let _active = service.account.connection();
    if let Err(error) = converse(client, way_in, &service).await {
        tracing::debug!(kind = %error.kind(), "the connection broke");
    }
}

async fn converse<D: Dial>(client: Socket, way_in: WayIn, service: &Service<D>) -> io::Result<()> {
    let limits = service.limits;
    // A reply and the first data behind it are two small writes: Nagle's algorithm would hold the second back.
    client.send_at_once()?;
    // Anybody may come in: credentials say who a client is, not whether. Those in a form of Tor's that nobody here
    // understands are refused, as Tor does: they may ask for something that would not be done.
    let judge = |credentials: &Credentials<'_>| credentials.isolation() != Isolation::Unsupported;
    let begin = Instant::now();
    let handshake = accept(client, Authentication::Isolation, limits.handshake, judge);
    let accepted = way_in.stop.unless_draining(handshake).await?;
    service.account.handshake(begin, &accepted);
    match accepted {
        Ok(accepted) => answer(accepted, way_in, service).await,
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

async fn answer<D: Dial>(accepted: Accepted<Socket>, way_in: WayIn, service: &Service<D>) -> io::Result<()> {
    let request = accepted.request();
    let WayIn { address, listener, stop } = way_in;
    let credentials = ClientCredentials::of(request);
    let client = Client { address, listener, protocol: request.protocol, credentials };
    match request.command {
        Command::CONNECT => connect(accepted, &client, service, &stop).await,
        command if resolve::is_asked(command) => tell(accepted, &client, service).await,
        _ => refuse(accepted, Failure::CommandNotSupported, service).await,
    }
}

/// CONNECT: a stream, from its opening to its end.
async fn connect<D: Dial>(
    accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<()> {
    let account = &service.account;
    let limits = service.limits;
    let (target, address_lease) = match target::dialled(accepted.request(), client, &service.addresses) {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(accepted, failure, service).await,
    };
    tracing::debug!(tunnel = %service.name, target = %Sensitive(target::Shown(&target)), "a request");
    let dial = service.dialler.dial(client, &target, accepted.request().port);
    let begin = Instant::now();
    let dialled = within(limits.dial, dial).await;
    account.dialled(begin.elapsed());
    let mut peer = match dialled {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(accepted, failure, service).await,
    };
    account.succeeded(accepted.request().protocol);
    let (client, early_data) = accepted.grant().await?;
    let stream = account.stream();
    let (relayed, result) = relay(&client, &mut peer, early_data, limits.half_close, account, stop).await;
    drop(stream);
    drop(peer);
    drop(address_lease);
    tracing::debug!(
        to_peer = relayed.to_peer,
        to_client = relayed.to_client,
        outcome = result.map_or_else(|error| error.kind().to_string(), |()| "finished".to_owned()),
        "a stream ended"
    );
    close_gently(client, limits).await
}

/// RESOLVE and RESOLVE_PTR: an answer, and the end.
async fn tell<D: Dial>(accepted: Accepted<Socket>, client: &Client, service: &Service<D>) -> io::Result<()> {
    let Service { dialler, addresses, limits, .. } = service;
    let answer = resolve::resolve(accepted.request(), client, dialler, addresses);
    match within(limits.dial, answer).await {
        Ok(answer) => {
            service.account.succeeded(accepted.request().protocol);
            close_gently(accepted.answer(answer.borrow()).await?, *limits).await
        }
        Err(failure) => refuse(accepted, failure, service).await,
    }
}

async fn refuse<D>(accepted: Accepted<Socket>, failure: Failure, service: &Service<D>) -> io::Result<()> {
    let row = failure.row();
    tracing::debug!("a request failed: {}", row.log);
    service.account.failed(accepted.request().protocol, failure);
    close_gently(accepted.refuse(row.socks5, row.socks4).await?, service.limits).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut))
}

/// Ends a connection so that the client gets what was sent last: closing with bytes unread would reset it.
async fn close_gently(mut client: Socket, limits: Limits) -> io::Result<()> {
    let drain = async {
        client.shutdown().await?;
        let mut thrown_away = [0; 1024];
        while client.read(&mut thrown_away).await? > 0 {}
        Ok(())
    };
    timeout(limits.linger, drain).await.unwrap_or(Ok(()))
}
