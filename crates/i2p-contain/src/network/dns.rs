//! DNS over a stream (RFC 7766): each message after its length.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::outside::{DnsTransport, Outside};

/// The port of DNS.
pub(super) const PORT: u16 = 53;
/// How long a stream may be idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers the messages of a stream, one after the other.
pub(super) async fn serve<O: Outside>(mut program: TcpStream, outside: &O) {
    while let Ok(Some(query)) = timeout(IDLE_TIMEOUT, read(&mut program)).await {
        let Some(answer) = outside.resolve(query, DnsTransport::Tcp).await else { return };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        let message = [&length.to_be_bytes()[..], &answer].concat();
        if program.write_all(&message).await.is_err() {
            return;
        }
    }
}

/// The next message; `None` at the end.
async fn read(program: &mut TcpStream) -> Option<Vec<u8>> {
    let length = program.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    program.read_exact(&mut message).await.ok()?;
    Some(message)
}
