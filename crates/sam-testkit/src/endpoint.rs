use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::relay;

/// Bytes of a request that are read before it is answered anyway.
const LONGEST_REQUEST: usize = 64 * 1024;
/// How long a far end that has said all waits for the client's FIN. Closing at once could cut off its last bytes.
const LINGER: Duration = Duration::from_secs(5);

/// A far end: what a stream gets that connects to the name it is behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Endpoint {
    /// Returns what it gets, until the client's FIN. Datagrams go back to their sender.
    Echo,
    /// Sends these bytes and closes.
    Source(Vec<u8>),
    /// Reads everything and says nothing; closes at the client's FIN.
    Sink,
    /// Answers one HTTP request, whatever it asks for, with this page and closes.
    Http(String),
    /// Reads until the client's FIN, then sends these bytes and closes. No router carries a half-closed stream; this far
    /// end is for tests of what a client does when one does.
    AnswerAfterFin(Vec<u8>),
    /// Sends the destination of the session that connects, in base64 with a newline, and closes.
    Whoami,
}

impl Endpoint {
    /// Serves one stream. `early` came before the stream was one; `peer` is the destination that connects.
    pub(crate) async fn serve(&self, mut stream: TcpStream, early: Vec<u8>, peer: &str) -> io::Result<()> {
        match self {
            Self::Echo => {
                relay::send(&stream, &early).await?;
                return relay::forward(&stream, &stream).await;
            }
            Self::Sink => return relay::discard(&stream).await,
            Self::Source(bytes) => relay::send(&stream, bytes).await?,
            Self::Http(page) => {
                request(&stream, early).await?;
                relay::send(&stream, response(page).as_bytes()).await?;
            }
            Self::AnswerAfterFin(bytes) => {
                relay::discard(&stream).await?;
                relay::send(&stream, bytes).await?;
            }
            Self::Whoami => relay::send(&stream, format!("{peer}\n").as_bytes()).await?,
        }
        stream.shutdown().await?;
        // A client that goes on sending has had its time.
        timeout(LINGER, relay::discard(&stream)).await.unwrap_or(Ok(()))
    }
}

/// Reads up to the empty line that ends a request without a body.
async fn request(stream: &TcpStream, mut read: Vec<u8>) -> io::Result<()> {
    while !read.windows(4).any(|end| end == b"\r\n\r\n") && read.len() < LONGEST_REQUEST {
        if relay::receive(stream, &mut read).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn response(page: &str) -> String {
    let length = page.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )
}
