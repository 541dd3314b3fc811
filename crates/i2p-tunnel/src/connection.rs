use std::{io, sync::Arc};

use i2p_name::{I2pName, NameError, Target};
use socks_wire::{Command, NotSocks};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Dial, Failure, Limits,
    handshake::{Outcome, Request, receive_request},
    http_page,
    relay::relay,
};

/// Most bytes that are read and thrown away while a client that is to go closes its side.
const LINGER_BYTES: usize = 64 * 1024;

/// The life of one connection. What goes wrong here is the client's affair and the log's, at debug level: whoever
/// runs the proxy sees a count of failures, not a line for each.
pub(crate) async fn run<D: Dial>(mut client: TcpStream, dialler: Arc<D>, limits: Limits) {
    if let Err(error) = converse(&mut client, &*dialler, limits).await {
        tracing::debug!(kind = %error.kind(), "the connection broke");
    }
}

async fn converse<D: Dial>(client: &mut TcpStream, dialler: &D, limits: Limits) -> io::Result<()> {
    // A reply and the first data behind it are two small writes: Nagle's algorithm would hold the second back.
    client.set_nodelay(true)?;
    let Ok(outcome) = timeout(limits.handshake, receive_request(client)).await else {
        tracing::debug!(limit = ?limits.handshake, "the handshake limit was reached");
        return Ok(());
    };
    match outcome? {
        Outcome::Request(request) => answer(client, request, dialler, limits).await,
        Outcome::Refused(error) => {
            tracing::debug!(%error, "the handshake failed");
            close_gently(client, limits).await
        }
        Outcome::NotSocks(NotSocks::Http) => {
            tracing::debug!("a client spoke HTTP and got the page that explains");
            http_page::send(client).await?;
            close_gently(client, limits).await
        }
        Outcome::NotSocks(_) => {
            tracing::debug!("a client spoke something else than SOCKS");
            Ok(())
        }
        Outcome::Gone => Ok(()),
    }
}

async fn answer<D: Dial>(
    client: &mut TcpStream,
    request: Request,
    dialler: &D,
    limits: Limits,
) -> io::Result<()> {
    let Request { command, target, port, responder, early_data } = request;
    let dialled = match wanted(command, target) {
        Ok(name) => dialler.dial(&name, port).await,
        Err(failure) => Err(failure),
    };
    match dialled {
        Ok(peer) => {
            client.write_all(&responder.granted()).await?;
            let (relayed, result) = relay(client, &peer, early_data, limits.half_close).await;
            tracing::debug!(
                to_peer = relayed.to_peer,
                to_client = relayed.to_client,
                outcome = result.map_or_else(|error| error.kind().to_string(), |()| "finished".to_owned()),
                "a stream ended"
            );
            Ok(())
        }
        Err(failure) => {
            let reply = failure.reply(responder);
            // The second byte is the code in every version.
            let code = reply.get(1).copied().unwrap_or_default();
            tracing::info!(code, "a request failed: {}", failure.row().log);
            client.write_all(&reply).await?;
            close_gently(client, limits).await
        }
    }
}

/// What is to be dialled, if anything: I2P names and nothing else. This is the one place that decides it.
fn wanted(command: Command, target: Result<Target, NameError>) -> Result<I2pName, Failure> {
    if command != Command::CONNECT {
        return Err(Failure::CommandNotSupported);
    }
    match target {
        Ok(Target::I2p(name)) => Ok(name),
        // A number in disguise is an address as far as policy goes.
        Ok(_) | Err(NameError::NumericHost) => Err(Failure::NotAllowed),
        Err(_) => Err(Failure::MalformedName),
    }
}

/// Ends a connection so that the client gets the last message: closing with bytes unread would reset it.
async fn close_gently(client: &mut TcpStream, limits: Limits) -> io::Result<()> {
    client.shutdown().await?;
    let drain = async {
        let mut thrown_away = [0; 1024];
        let mut total = 0;
        while total < LINGER_BYTES {
            match client.read(&mut thrown_away).await? {
                0 => break,
                count => total += count,
            }
        }
        Ok(())
    };
    timeout(limits.linger, drain).await.unwrap_or(Ok(()))
}
