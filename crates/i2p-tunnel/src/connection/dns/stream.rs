//! DNS over TCP: each message comes with its length in front (RFC 1035 section 4.2.2).

use std::io;

use dns_answers::MAX_QUERY_BYTES;
use tokio::{io::AsyncReadExt, time::timeout};

use super::answers::{self, Reply};
use crate::{
    client::{Client, ClientCredentials, ClientProtocol},
    connection::{
        outcome::{Arrival, NextStep},
        service::Service,
    },
    dial::Dial,
    stream::Socket,
};

/// Answers the queries of a connection, one after the other, until the client ends it, or asks nothing or takes no answer for the
/// time of a handshake. While the proxy stops, a client that takes no answer has the time of a silent stream.
pub(crate) async fn serve_stream<D: Dial>(
    mut socket: Socket,
    arrival: Arrival,
    service: &Service<D>,
) -> io::Result<NextStep> {
    let Arrival { address, listener, stop, .. } = arrival;
    let protocol = ClientProtocol::Transparent;
    let client = Client { address, listener, protocol, credentials: ClientCredentials::None };
    loop {
        let next = timeout(service.limits.handshake, read_message(&mut socket));
        let Ok(Some(message)) = stop.unless_draining(next).await?.unwrap_or(Ok(None)) else {
            return Ok(NextStep::Close(socket));
        };
        let answer = match answers::reply(&message, &client, service) {
            Reply::Nothing => return Ok(NextStep::Close(socket)),
            Reply::Now(answer) => answer,
            Reply::AfterLookup(lookup) => {
                tokio::select! {
                    answer = lookup.finish(&client, service, &stop) => answer,
                    () = Box::pin(socket.until_gone()) => {
                        service.account.abandoned(ClientProtocol::Dns);
                        return Ok(NextStep::Done);
                    }
                }
            }
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let message = [&length.to_be_bytes(), answer.as_slice()].concat();
        tokio::select! {
            // First, also while it stops: this may be the answer that says so.
            biased;
            written = timeout(service.limits.handshake, write_message(&socket, &message)) => written??,
            told = stop.until_idle(|| Some(socket.untaken())) => return Err(told),
        }
    }
}

async fn write_message(socket: &Socket, mut message: &[u8]) -> io::Result<()> {
    while !message.is_empty() {
        let written = socket.write(message).await?;
        message = message.get(written..).unwrap_or_default();
    }
    socket.flush().await
}

/// Reads a message; `None` if it is longer than any query.
async fn read_message(socket: &mut Socket) -> io::Result<Option<Vec<u8>>> {
    let length = usize::from(socket.read_u16().await?);
    if length > MAX_QUERY_BYTES {
        return Ok(None);
    }
    let mut message = vec![0; length];
    socket.read_exact(&mut message).await?;
    Ok(Some(message))
}
