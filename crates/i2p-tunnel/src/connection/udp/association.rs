//! One association: from UDP ASSOCIATE to the end of the client's TCP connection.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socks_wire::{
    Address,
    stream::{Accepted, OwnedAddress, OwnedRequest},
};
use tokio::{net::UdpSocket, sync::Notify, time::timeout};

use super::{
    client_side::{ClientSide, MAX_DATAGRAM},
    incoming::Incoming,
    outgoing::Outgoing,
    source::ClientSource,
};
use crate::{
    client::{Client, ClientAddress, IsolationKey},
    connection::{
        handshake::PendingRequest,
        outcome::{NextStep, refuse, with_dial_timeout},
        service::Service,
    },
    dial::{Datagrams, Dial},
    failure::Failure,
    limits::random_part_of,
    stream::{Socket, Stop, any_port_on},
};

/// How long an association may wait before it looks for a new session, while its client sends nothing.
const MAX_REOPEN_PAUSE: Duration = Duration::from_secs(20);

/// Handles UDP ASSOCIATE until the client's TCP connection ends (RFC 1928 section 7).
pub(crate) async fn associate<D: Dial>(
    accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<NextStep> {
    let (own, mut source, key) = match parties(&accepted, client, service) {
        Ok(parties) => parties,
        Err(failure) => return refuse(PendingRequest::Socks(accepted), failure, service).await,
    };
    let channel = service.dialler.associate(&key);
    let channel = match with_dial_timeout(channel, accepted.stream(), client, service, stop).await {
        Some(Ok(channel)) => channel,
        Some(Err(failure)) => return refuse(PendingRequest::Socks(accepted), failure, service).await,
        None => return Ok(NextStep::Done),
    };
    let (socket, relay) = match bind(own).await {
        Ok(bound) => bound,
        Err(error) => {
            tracing::debug!(%error, "no socket for datagrams");
            return refuse(PendingRequest::Socks(accepted), Failure::NoSocket, service).await;
        }
    };
    source.relayed_at(relay);
    let (control, _) = accepted.grant_at(Address::Ip(relay.ip()), relay.port()).await?;
    let side = ClientSide::new(
        socket,
        service.address_owner(client),
        service.addresses.clone(),
        service.account.datagrams().clone(),
    );
    service.account.succeeded(client.protocol);
    let association = Association::new(side, source, key, service);
    association.serve(channel, &control, stop).await;
    Ok(NextStep::Close(control))
}

/// The address whose host the relay is bound to, the source of the client's datagrams, and the key that isolates it.
fn parties<D: Dial>(
    accepted: &Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
) -> Result<(SocketAddr, ClientSource, IsolationKey), Failure> {
    let key = service.sessions.client_key(client).ok_or(Failure::CommandNotSupported)?;
    let (own, source) = match (accepted.stream().tcp_addresses(), client.address) {
        (Some(tcp), _) => (tcp.0, ClientSource::of(accepted.request(), tcp)),
        (None, ClientAddress::Contained(_)) => {
            let socket = socket_on_loopback(accepted.request()).ok_or(Failure::AddressTypeNotSupported)?;
            (socket, ClientSource::at(socket))
        }
        // A client on another Unix socket has no address by which its datagrams could be recognised.
        (None, _) => return Err(Failure::CommandNotSupported),
    };
    Ok((own, source, key))
}

/// The client's socket for datagrams, if the request names one that other machines cannot send from.
fn socket_on_loopback(request: &OwnedRequest) -> Option<SocketAddr> {
    match request.address {
        OwnedAddress::Ip(ip) if ip.is_loopback() && request.port != 0 => Some((ip, request.port).into()),
        _ => None,
    }
}

/// Binds the relay's socket, and returns its address: one of the host of `own`.
async fn bind(own: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(any_port_on(own)).await?;
    let relay = socket.local_addr()?;
    Ok((socket, relay))
}

struct Association<'a, D: Dial> {
    side: ClientSide,
    /// Isolates the client from others.
    key: IsolationKey,
    service: &'a Service<D>,
    outgoing: Outgoing<'a, D>,
    incoming: Incoming,
}

/// Why relaying stopped.
enum RelayEnd {
    ClientGone,
    SessionLost,
}

impl<'a, D: Dial> Association<'a, D> {
    fn new(side: ClientSide, source: ClientSource, key: IsolationKey, service: &'a Service<D>) -> Self {
        Self {
            outgoing: Outgoing::new(side.clone(), source, &key, service),
            incoming: Incoming::new(side.clone(), service.datagrams.accept_unsolicited),
            side,
            key,
            service,
        }
    }

    /// Relays until the client's TCP connection ends, or the program ends and no datagrams pass any more.
    async fn serve(mut self, channel: D::Datagrams, control: &Socket, stop: &Stop) {
        let (side, counts) = (self.side.clone(), self.service.account.datagrams());
        let _active = counts.association();
        tokio::select! {
            () = self.run(channel, control) => {}
            _ = stop.until_idle(|| Some(side.activity())) => {}
        }
    }

    /// Relays until the client's TCP connection ends. A lost session is replaced.
    async fn run(&mut self, first: D::Datagrams, control: &Socket) {
        let mut channel = Arc::new(first);
        let mut datagram = vec![0; MAX_DATAGRAM];
        let mut packet = vec![0; D::Datagrams::BUFFER_LENGTH];
        loop {
            match self.relay(&channel, control, &mut datagram, &mut packet).await {
                RelayEnd::ClientGone => return,
                RelayEnd::SessionLost => {}
            }
            drop(channel);
            self.outgoing.abort_lookups();
            match self.reopen(control, &mut datagram).await {
                Some(another) => channel = Arc::new(another),
                None => return,
            }
        }
    }

    /// Opens another channel after a loss; `None` if the client has gone. Datagrams to hosts outside I2P are relayed meanwhile.
    ///
    /// The next datagram of the client asks for it. Without one, it is opened after random pauses: the associations of several
    /// clients would otherwise return together, and show that they belong to one proxy. So until the session is there, it only looks
    /// for it after each pause. A task that waits for a session has it built as soon as the router is back.
    async fn reopen(&mut self, control: &Socket, datagram: &mut [u8]) -> Option<D::Datagrams> {
        let (service, key) = (self.service, self.key.clone());
        let asked = Notify::new();
        let again = async {
            loop {
                let pause = random_part_of(MAX_REOPEN_PAUSE);
                let is_asked = timeout(pause, asked.notified()).await.is_ok();
                if !is_asked && service.dialler.session_now(&key).is_none() {
                    continue;
                }
                // This waits for the router as long as a request may.
                match service.dialler.associate(&key).await {
                    Ok(channel) => return channel,
                    Err(failure) => {
                        tracing::debug!("no session for datagrams: {}", failure.row().log);
                        tokio::time::sleep(service.limits.linger).await;
                    }
                }
            }
        };
        tokio::pin!(again);
        loop {
            tokio::select! {
                channel = &mut again => return Some(channel),
                () = control.until_closed() => return None,
                readable = self.side.socket.readable() => {
                    self.side.note_activity();
                    if readable.is_ok() {
                        // Without a channel, none can be lost.
                        let _ = self.outgoing.send_burst(None, datagram).await;
                        asked.notify_one();
                    }
                }
            }
        }
    }

    /// Relays in both directions until the client or the session is gone.
    async fn relay(
        &mut self,
        channel: &Arc<D::Datagrams>,
        control: &Socket,
        datagram: &mut [u8],
        packet: &mut [u8],
    ) -> RelayEnd {
        loop {
            self.side.note_activity();
            tokio::select! {
                () = control.until_closed() => return RelayEnd::ClientGone,
                received = channel.receive(packet) => match received {
                    Ok(received) => {
                        let client = self.outgoing.client_address();
                        self.incoming.forward(&received, client, self.outgoing.peers());
                    }
                    Err(_) => return RelayEnd::SessionLost,
                },
                Some(found) = self.outgoing.next_lookup() => {
                    if self.outgoing.finish_lookup(channel, found).await.is_err() {
                        return RelayEnd::SessionLost;
                    }
                }
                readable = self.side.socket.readable() => {
                    if readable.is_ok() && self.outgoing.send_burst(Some(channel), datagram).await.is_err() {
                        return RelayEnd::SessionLost;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_bound_to_the_address_where_the_client_connected() {
        for (own, relay) in [
            ("127.0.0.1:4450", "127.0.0.1:0"),
            ("[::1]:4450", "[::1]:0"),
            ("[::ffff:192.0.2.1]:4450", "192.0.2.1:0"),
            ("[fe80::1%3]:4450", "[fe80::1%3]:0"),
        ] {
            assert_eq!(any_port_on(own.parse().unwrap()).to_string(), relay);
        }
    }
}
