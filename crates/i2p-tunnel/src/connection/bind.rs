//! BIND (RFC 1928 section 4): a client waits for a peer to connect to it.

use std::io;

use i2p_name::{B32, Target};
use i2p_sam::Accepted as Peer;
use socks_wire::{
    Address, Protocol,
    stream::{Accepted, OwnedAddress},
};
use tokio::time::timeout;

use super::{
    handshake,
    outcome::{self, Next, Streaming, refuse},
    service::Service,
};
use crate::{
    client::Client,
    dial::Dial,
    failure::Failure,
    limits::Limit,
    names,
    sessions::{Incoming, refused},
    stream::{Opened, Socket, Stop},
};

/// What a client may send before its peer has come: kept, and the peer's first data.
const MAX_EARLY: usize = 16 * 1024;

/// BIND, up to the stream that came of it.
pub(crate) async fn bind<D: Dial>(
    mut accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<Next> {
    // SOCKS4 has no form for the address of anybody in I2P.
    if accepted.request().protocol != Protocol::Socks5 {
        return refuse(handshake::Waiting::Socks(accepted), Failure::CommandNotSupported, service).await;
    }
    let listening = async {
        let incoming = service.dialler.listen(client).await?;
        let expected = expected(&accepted, client, service, &incoming).await?;
        let listening = incoming.wait_for(expected).await.map_err(|_| Failure::RouterError)?;
        Ok((incoming, listening))
    };
    let listening = outcome::within(listening, accepted.stream(), client, service).await;
    let (incoming, mut listening) = match listening {
        Some(Ok(listening)) => listening,
        Some(Err(failure)) => return refuse(handshake::Waiting::Socks(accepted), failure, service).await,
        None => return Ok(Next::Over),
    };
    let own = incoming.session.destination().b32().to_string();
    let port = accepted.request().port;
    accepted.listening_at(Address::Domain(own.as_bytes()), port).await?;
    let mut early = Vec::new();
    let waiting = async {
        tokio::select! {
            peer = within(service, listening.peer()) => Some(peer),
            () = gone(accepted.stream(), &mut early) => None,
        }
    };
    let peer = stop.unless_draining(waiting).await?;
    // Others may wait for whoever comes from here on.
    drop(listening);
    let Some(peer) = peer else { return Ok(Next::Over) };
    let peer = match peer {
        Ok(peer) => peer,
        Err(failure) => return refuse(handshake::Waiting::Socks(accepted), failure, service).await,
    };
    service.account.succeeded(client.protocol);
    let who = peer.peer.b32().to_string();
    let (client, mut early_data) =
        accepted.grant_at(Address::Domain(who.as_bytes()), peer.ports.from).await?;
    early_data.append(&mut early);
    let peer = Opened::over_sam(peer.stream.into(), incoming.lease);
    Ok(Next::Relay(Streaming { client, peer, early_data, address: None }))
}

/// Whom the client waits for, by DST.ADDR; nothing is anybody.
async fn expected<D: Dial>(
    accepted: &Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    incoming: &Incoming,
) -> Result<Option<B32>, Failure> {
    if matches!(&accepted.request().address, OwnedAddress::Ip(ip) if ip.is_unspecified()) {
        return Ok(None);
    }
    // The lease is not needed: the name is what counts from here on.
    let (target, _lease) = names::target_to_dial(&accepted.request().address, client, &service.addresses)?;
    let Target::I2p(name) = target else { return Err(Failure::NotAllowed) };
    incoming.names.hash_of(&incoming.session, &name).await.map(Some)
}

async fn within<D>(
    service: &Service<D>,
    waiting: impl Future<Output = Result<Peer, i2p_sam::Error>>,
) -> Result<Peer, Failure> {
    match timeout(service.limits.bind, waiting).await {
        Ok(peer) => peer.map_err(|error| refused(&error)),
        Err(_) => {
            service.account.limit(Limit::Bind);
            Err(Failure::TimedOut)
        }
    }
}

/// Comes back when the client has gone. What it sends meanwhile is kept, up to a limit, behind which it is left where it is.
async fn gone(client: &Socket, early: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while early.len() + chunk.len() <= MAX_EARLY {
        if client.readable().await.is_err() {
            return;
        }
        match client.try_read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => early.extend_from_slice(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    Box::pin(client.ended_behind_data()).await;
}
