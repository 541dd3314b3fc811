//! Clients that speak TLS, because they were given the proxy as `https://`. The proxy speaks no TLS and says so in TLS.

use std::io;

use tokio::io::AsyncWriteExt;

use crate::stream::Socket;

/// A record with a fatal alert of the kind unexpected_message (RFC 8446 section 6.2): the client's first message was not expected.
/// The record has the version of TLS 1.0, as that of a ClientHello may have, so that every client reads it.
const UNEXPECTED_MESSAGE: [u8; 7] = [21, 3, 1, 0, 2, 2, 10];

/// Answers a client that began with TLS. Returns the connection, which is to be closed.
pub(crate) async fn answer(mut stream: Socket) -> io::Result<Socket> {
    stream.write_all(&UNEXPECTED_MESSAGE).await?;
    Ok(stream)
}
