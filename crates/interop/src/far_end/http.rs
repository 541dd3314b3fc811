//! Pages, videos, the tracker of BitTorrent, a WebSocket, and an answer that is no HTTP.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use lab::{proxy::STATIC_ADDRESS, site::PAGE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Received, web_socket};

/// The port of the peer that the tracker names.
const PEER_PORT: u16 = 6881;
/// How long a client has to close the connection.
const LINGER: Duration = Duration::from_secs(5);

/// Answers one request, of which these bytes have arrived. Its head is recorded.
pub(super) async fn serve(mut stream: TcpStream, first: Vec<u8>, received: &Received) -> Result<()> {
    let mut head = first;
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(stream.read_buf(&mut head).await? > 0, "the request ends early");
    }
    let head = String::from_utf8_lossy(&head);
    received.add(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    match path {
        "/echo" => return web_socket::echo(stream, &head).await,
        "/garbage" => {
            stream.write_all(b"what?\r\n\r\n").await?;
            return linger(stream).await;
        }
        _ => {}
    }
    let (content_type, body) = match path {
        _ if path.starts_with("/announce?") => ("text/plain", tracker_answer()?),
        _ if path.ends_with(".mp4") => ("video/mp4", PAGE.into()),
        _ => ("text/html", PAGE.into()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    if !head.starts_with("HEAD") {
        stream.write_all(&body).await?;
    }
    linger(stream).await
}

/// Lets the client close first, as at the site itself.
async fn linger(mut stream: TcpStream) -> Result<()> {
    let _ = timeout(LINGER, stream.read_to_end(&mut Vec::new())).await;
    Ok(())
}

/// The answer of a tracker (BEP 3) with one peer (BEP 23), whose address stands for the site.
fn tracker_answer() -> Result<Vec<u8>> {
    let address: Ipv4Addr = STATIC_ADDRESS.parse()?;
    let head = &b"d8:intervali60e5:peers6:"[..];
    Ok([head, &address.octets(), &PEER_PORT.to_be_bytes(), b"e"].concat())
}
