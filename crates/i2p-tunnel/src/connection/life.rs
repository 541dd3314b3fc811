use std::{future::ready, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use socks_wire::{Command, stream::Accepted};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use super::{
    bind, dns, forward,
    handshake::{self, HandshakeOutcome, PendingRequest, PendingTransparent, Terms},
    http,
    outcome::{ActiveStream, Arrival, NextStep, refuse, with_dial_timeout},
    resolve,
    service::Service,
    udp,
};
use crate::{
    account::{Account, HandshakeFailure},
    client::{AccessPolicy, Admitted, Client, ClientAddress, ClientProtocol},
    dial::Dial,
    failure::Failure,
    limits::Limit,
    listen::Purpose,
    names,
    sensitive::Sensitive,
    stream::{HalfClosedStream, Hold, RelayEnd, RelayStart, Socket, Stop, discard, relay},
};

/// The time limit for the handshake of a client that is refused because there are too many.
const OVERLOAD_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs one connection.
///
/// This future is small, and it stays small while a stream is relayed: each part is boxed, and the large part before the stream
/// is soon over.
pub(crate) fn run<D: Dial>(
    client: Socket,
    arrival: Arrival,
    service: Arc<Service<D>>,
    admitted: Admitted,
) -> impl Future<Output = ()> + Send {
    let stop = arrival.stop.clone();
    let admitted = Arc::new(admitted);
    let next = Box::pin(handle_client(client, arrival, Arc::clone(&service), Arc::clone(&admitted)));
    let connection = Connection { service, stop, admitted };
    async move {
        let _active = connection.service.account.connection();
        log_error(connection.finish(next.await).await);
    }
}

/// What a connection keeps to its end.
struct Connection<D> {
    service: Arc<Service<D>>,
    stop: Stop,
    admitted: Arc<Admitted>,
}

impl<D: Dial> Connection<D> {
    fn finish(
        &self,
        next: io::Result<NextStep>,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
        match next {
            Ok(NextStep::Relay(streaming)) => Box::pin(self.relay_stream(streaming)),
            Ok(NextStep::Close(client)) => Box::pin(close_gently(client, &self.service)),
            Ok(NextStep::Done) => Box::pin(ready(Ok(()))),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    /// Relays a stream to its end. A client that has not received the end of the stream is reset.
    #[expect(clippy::manual_async_fn, reason = "the arguments of an async function are in its future twice")]
    fn relay_stream(&self, mut streaming: ActiveStream) -> impl Future<Output = io::Result<()>> + Send + '_ {
        async move {
            let Service { account, limits, .. } = &*self.service;
            streaming.peer.socket.detect_loss(*limits);
            let stream = account.stream();
            let counters = [account.to_peer(), account.to_client()];
            let ActiveStream { client, peer, start, .. } = &mut streaming;
            let (relayed, end) =
                relay(client, peer, start, (limits, &*self.admitted), counters, &self.stop).await;
            let ActiveStream { client, peer, address, .. } = streaming;
            drop((stream, peer, address));
            if let RelayEnd::Limit(limit) = end {
                account.limit(limit);
            }
            tracing::debug!(
                to_peer = relayed.to_peer,
                to_client = relayed.to_client,
                outcome = %end,
                "a stream ended"
            );
            if !relayed.client_got_all {
                return Ok(());
            }
            Box::pin(close_gently(client, &self.service)).await
        }
    }
}

/// A half-closed stream ends when a new client needs its connection.
impl Hold for Admitted {
    fn half_closed(&self, stream: &HalfClosedStream) {
        let stream = stream.clone();
        self.make_expendable(move || stream.end());
    }
}

/// Refuses a connection because there are too many. The client is told so in its own protocol.
///
/// Passwords are not checked. Where they are required, a SOCKS5 client is asked for none if it can do without: status 00 of RFC 1929
/// would tell it that any password is right. One that insists gets another status, which says nothing of the reason.
pub(crate) async fn refuse_overload<D: Dial>(client: Socket, address: ClientAddress, service: &Service<D>) {
    let AccessPolicy { extended_errors, prefer_no_authentication, .. } = service.access;
    let anybody = AccessPolicy { extended_errors, prefer_no_authentication, ..AccessPolicy::default() };
    let told = async {
        client.set_nodelay()?;
        let limit = OVERLOAD_HANDSHAKE_TIMEOUT.min(service.limits.handshake);
        let refuses_credentials = service.access.authentication.has_users();
        let methods = match refuses_credentials {
            true => socks_wire::Authentication::IsolationLast,
            false => service.methods_for(&anybody),
        };
        let terms = Terms { access: &anybody, methods, refuses_credentials };
        match handshake::perform(client, address, Instant::now() + limit, terms).await? {
            HandshakeOutcome::Request(request) => refuse(request, Failure::TooManyConnections, service).await,
            HandshakeOutcome::ForwardHttp(client, _) => {
                refuse_http(client, Failure::TooManyConnections, service).await
            }
            HandshakeOutcome::Unauthorized(client, _) => {
                service.account.failed(ClientProtocol::Socks5, Failure::TooManyConnections);
                Ok(NextStep::Close(client))
            }
            HandshakeOutcome::Rejected(client)
            | HandshakeOutcome::AnsweredHttp(client)
            | HandshakeOutcome::AnsweredTls(client) => Ok(NextStep::Close(client)),
            HandshakeOutcome::NotSocks | HandshakeOutcome::LimitReached(_) => Ok(NextStep::Done),
        }
    };
    log_error(match told.await {
        Ok(NextStep::Close(client)) => close_gently(client, service).await,
        // A client that is refused has no stream.
        other => other.map(|_| ()),
    });
}

fn log_error(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(kind = %error.kind(), "the connection broke");
    }
}

async fn handle_client<D: Dial>(
    client: Socket,
    arrival: Arrival,
    service: Arc<Service<D>>,
    admitted: Arc<Admitted>,
) -> io::Result<NextStep> {
    // A reply and the first data behind it are two small writes.
    client.set_nodelay()?;
    client.detect_loss(service.limits);
    match arrival.purpose {
        Purpose::Proxy => {}
        Purpose::StreamTo(target) => return transparent(client, target, arrival, &service).await,
        // Boxed: few connections need it.
        Purpose::Dns => return Box::pin(dns::serve_stream(client, arrival, &service)).await,
    }
    let begin = Instant::now();
    let terms = Terms {
        access: &service.access,
        methods: service.methods_for(&service.access),
        refuses_credentials: false,
    };
    let deadline = begin + service.limits.handshake;
    let handshake = handshake::perform(client, arrival.address, deadline, terms);
    let outcome = arrival.stop.unless_draining(handshake).await?;
    count_handshake(&outcome, begin, &service.account);
    match outcome? {
        HandshakeOutcome::Request(request) => handle_request(request, arrival, &service).await,
        HandshakeOutcome::ForwardHttp(client, _) if !service.access.protocols.has(ClientProtocol::Http) => {
            refuse_http(client, Failure::ProtocolNotAllowed, &service).await
        }
        HandshakeOutcome::ForwardHttp(client, read) => {
            // Boxed: this is large.
            Box::pin(forward::serve(client, (read, deadline), arrival, service, admitted)).await
        }
        HandshakeOutcome::Rejected(client)
        | HandshakeOutcome::Unauthorized(client, _)
        | HandshakeOutcome::AnsweredHttp(client)
        | HandshakeOutcome::AnsweredTls(client) => Ok(NextStep::Close(client)),
        HandshakeOutcome::NotSocks => Ok(NextStep::Done),
        HandshakeOutcome::LimitReached(limit) => {
            service.account.limit(limit);
            Ok(NextStep::Done)
        }
    }
}

/// Handles a connection that leads elsewhere, up to the open stream.
async fn transparent<D: Dial>(
    client: Socket,
    target: Option<SocketAddr>,
    arrival: Arrival,
    service: &Service<D>,
) -> io::Result<NextStep> {
    let Some(target) = target else {
        service.account.handshake_failed(HandshakeFailure::NotRedirected);
        client.reset_on_close(true);
        return Ok(NextStep::Done);
    };
    handle_request(PendingRequest::Transparent(PendingTransparent::new(client, target)), arrival, service)
        .await
}

/// Answers an HTTP request that names a URL with a failure, and counts it.
async fn refuse_http<D>(client: Socket, failure: Failure, service: &Service<D>) -> io::Result<NextStep> {
    service.account.failed(ClientProtocol::Http, failure);
    http::refuse(client, failure).await.map(NextStep::Close)
}

/// Counts the outcome of a handshake.
fn count_handshake(outcome: &io::Result<HandshakeOutcome>, begin: Instant, account: &Account) {
    account.handshake_failed(match outcome {
        Ok(HandshakeOutcome::Request(_) | HandshakeOutcome::ForwardHttp(..)) => {
            return account.handshake_done(begin.elapsed());
        }
        Ok(HandshakeOutcome::LimitReached(_)) => HandshakeFailure::TimedOut,
        Ok(HandshakeOutcome::Rejected(_)) => HandshakeFailure::Refused,
        Ok(HandshakeOutcome::Unauthorized(_, how)) => HandshakeFailure::Unauthorized(*how),
        Ok(HandshakeOutcome::AnsweredHttp(_)) => HandshakeFailure::AnsweredHttp,
        Ok(HandshakeOutcome::AnsweredTls(_)) => HandshakeFailure::AnsweredTls,
        Ok(HandshakeOutcome::NotSocks) => HandshakeFailure::NotSocks,
        Err(_) => HandshakeFailure::Broken,
    });
}

async fn handle_request<D: Dial>(
    request: PendingRequest,
    arrival: Arrival,
    service: &Service<D>,
) -> io::Result<NextStep> {
    let Arrival { address, listener, stop, .. } = arrival;
    let (protocol, mut credentials) = (request.protocol(), request.credentials());
    if matches!(address, ClientAddress::Contained(_)) {
        credentials = credentials.of_run();
    }
    let client = Client { address, listener, protocol, credentials };
    if !service.access.protocols.has(protocol) {
        return refuse(request, Failure::ProtocolNotAllowed, service).await;
    }
    match (request.command(), request) {
        (Command::CONNECT, request) => connect(request, &client, service, &stop).await,
        (Command::BIND, PendingRequest::Socks(accepted)) => {
            bind::bind(accepted, &client, service, &stop).await
        }
        // SOCKS4 has no such command, and its replies cannot hold an IPv6 address.
        (Command::UDP_ASSOCIATE, PendingRequest::Socks(accepted)) if protocol == ClientProtocol::Socks5 => {
            udp::associate(accepted, &client, service, &stop).await
        }
        (command, PendingRequest::Socks(accepted)) if resolve::is_resolve_command(command) => {
            answer_resolve(accepted, &client, service, &stop).await
        }
        (_, request) => refuse(request, Failure::CommandNotSupported, service).await,
    }
}

/// Handles CONNECT, up to the open stream.
async fn connect<D: Dial>(
    request: PendingRequest,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<NextStep> {
    let owner = service.address_owner(client);
    let (target, address) = match names::target_to_dial(request.address(), &owner, &service.addresses) {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(request, failure, service).await,
    };
    tracing::debug!(tunnel = %service.name, requested = %Sensitive(names::DisplayTarget(&target)), "a request");
    let port = request.port();
    let key = service.sessions.key(client, &target, port);
    let stage = service.filtering.stage((&target, port), &service.account);
    let target = service.chosen(&key, &target);
    let open = service.routing.open(&service.dialler, &key, (&target, port), service.limits.dial);
    let begin = Instant::now();
    let Some(dialled) = with_dial_timeout(open, request.stream(), client, service, stop).await else {
        return Ok(NextStep::Done);
    };
    service.account.dialled(begin.elapsed());
    let peer = match dialled {
        Ok(dialled) => dialled,
        Err(failure) => return refuse(request, failure, service).await,
    };
    service.account.succeeded(request.protocol());
    let (client, early_data) = request.grant().await?;
    Ok(NextStep::Relay(ActiveStream { client, peer, start: RelayStart { early_data, stage }, address }))
}

/// Answers RESOLVE and RESOLVE_PTR.
async fn answer_resolve<D: Dial>(
    accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<NextStep> {
    let answer = resolve::resolve(accepted.request(), client, service);
    let Some(answer) = with_dial_timeout(answer, accepted.stream(), client, service, stop).await else {
        return Ok(NextStep::Done);
    };
    match answer {
        Ok(answer) => {
            service.account.succeeded(client.protocol);
            accepted.answer(answer.borrow()).await.map(NextStep::Close)
        }
        Err(failure) => refuse(PendingRequest::Socks(accepted), failure, service).await,
    }
}

/// Closes a connection so that the client receives what was sent last. Closing it with unread data would reset it.
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

    /// Every connection holds this future for its whole life, and thousands of them may be idle.
    #[tokio::test]
    async fn a_connection_is_small() {
        let options = PoolOptions { delay_open: true, ..PoolOptions::default() };
        let pool = SessionPool::new(i2p_sam::Bridge::new("127.0.0.1:9"), options);
        let addresses = AddressPool::new(VirtualOptions::default()).unwrap();
        let service = Arc::new(Service::new("test", SamDialler::new(pool), addresses));
        let (client, _other) = tokio::net::UnixStream::pair().unwrap();
        let arrival = Arrival {
            address: ClientAddress::User(0),
            listener: "x".into(),
            purpose: Purpose::Proxy,
            stop: Stop::new(),
        };
        let admitted = service.admission.admit(&service.name, arrival.address).unwrap();
        let size = size_of_val(&run(client.into(), arrival, service, admitted));
        assert!(size < 128, "{size} bytes");
    }
}
