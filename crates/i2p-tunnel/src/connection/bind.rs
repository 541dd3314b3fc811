//! BIND (RFC 1928 section 4): a client waits for a peer to connect.

use std::io;

use i2p_name::Target;
use socks_wire::{
    Address, Protocol,
    stream::{Accepted, OwnedAddress},
};
use tokio::time::timeout;

use super::{
    handshake::PendingRequest,
    outcome::{ActiveStream, NextStep, refuse, with_dial_timeout},
    service::Service,
};
use crate::{
    client::Client,
    dial::{Dial, IncomingStream, Listening},
    failure::Failure,
    limits::Limit,
    names,
    stream::{RelayStart, Socket, Stop},
};

/// Most bytes that are read from a client before its peer has connected. They are the first data for the peer.
const MAX_EARLY_BYTES: usize = 16 * 1024;

/// Handles BIND, up to the open stream.
pub(crate) async fn bind<D: Dial>(
    mut accepted: Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
    stop: &Stop,
) -> io::Result<NextStep> {
    // SOCKS4 replies cannot hold an address in I2P.
    if accepted.request().protocol != Protocol::Socks5 {
        return refuse(PendingRequest::Socks(accepted), Failure::CommandNotSupported, service).await;
    }
    let _waiting = match service.admission.admit_waiting(client.address) {
        Ok(permit) => permit,
        Err(limit) => {
            service.account.limit(limit);
            return refuse(PendingRequest::Socks(accepted), Failure::TooManyConnections, service).await;
        }
    };
    let listening = listen(&accepted, client, service);
    let listening = with_dial_timeout(listening, accepted.stream(), client, service, stop);
    let listening = match listening.await {
        Some(Ok(listening)) => listening,
        Some(Err(failure)) => return refuse(PendingRequest::Socks(accepted), failure, service).await,
        None => return Ok(NextStep::Done),
    };
    let own = listening.address().to_string();
    let port = accepted.request().port;
    accepted.listening_at(Address::Domain(own.as_bytes()), port).await?;
    let mut early = Vec::new();
    let incoming = tokio::select! {
        incoming = with_bind_timeout(service, listening.accept()) => incoming,
        () = stop.until_refusing() => Err(Failure::Stopping),
        () = client_gone(accepted.stream(), &mut early) => return Ok(NextStep::Done),
    };
    let IncomingStream { peer, port, stream } = match incoming {
        Ok(incoming) => incoming,
        Err(failure) => return refuse(PendingRequest::Socks(accepted), failure, service).await,
    };
    service.account.succeeded(client.protocol);
    let peer = peer.to_string();
    let (client, mut early_data) = accepted.grant_at(Address::Domain(peer.as_bytes()), port).await?;
    early_data.append(&mut early);
    let stage = service.filtering.incoming_stage(&service.account);
    let start = RelayStart { early_data, stage };
    Ok(NextStep::Relay(ActiveStream { client, peer: stream, start, address: None }))
}

/// Starts to wait for the peer that DST.ADDR names, or for any peer.
async fn listen<D: Dial>(
    accepted: &Accepted<Socket>,
    client: &Client,
    service: &Service<D>,
) -> Result<D::Listening, Failure> {
    let Service { dialler, sessions, addresses, .. } = service;
    let key = sessions.client_key(client).filter(|_| sessions.incoming);
    let key = key.ok_or(Failure::CommandNotSupported)?;
    let address = &accepted.request().address;
    if matches!(address, OwnedAddress::Ip(ip) if ip.is_unspecified()) {
        return dialler.listen(&key, None).await;
    }
    // The lease of a virtual address is not needed: only the name counts from here on.
    match names::target_to_dial(address, &service.address_owner(client), addresses)? {
        (Target::I2p(name), _) => dialler.listen(&key, Some(&name)).await,
        _ => Err(Failure::NotAllowed),
    }
}

async fn with_bind_timeout<D>(
    service: &Service<D>,
    accept: impl Future<Output = Result<IncomingStream, Failure>>,
) -> Result<IncomingStream, Failure> {
    timeout(service.limits.bind, accept).await.unwrap_or_else(|_| {
        service.account.limit(Limit::Bind);
        Err(Failure::TimedOut)
    })
}

/// Returns once the client has gone. What it sends is kept in `early`, up to a limit; the rest stays unread.
async fn client_gone(client: &Socket, early: &mut Vec<u8>) {
    let mut chunk = [0; 1024];
    while early.len() + chunk.len() <= MAX_EARLY_BYTES {
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
    Box::pin(client.until_closed_unread()).await;
}
