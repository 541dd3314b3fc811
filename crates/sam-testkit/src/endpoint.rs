//! Far ends.

use std::{io, time::Duration};

use tokio::time::timeout;

use crate::{relay, socket::Socket};

/// How many bytes of a request are read before it is answered in any case.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// How long a far end that has sent everything waits for the client's FIN. Closing at once could cut off its last bytes.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// A far end: what answers a stream that is connected to a name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Endpoint {
    /// Sends back what it receives, until the client's FIN. Datagrams are sent back too.
    Echo,
    /// Sends these bytes and closes.
    Source(Vec<u8>),
    /// Reads everything and sends nothing; closes at the client's FIN.
    Sink,
    /// Answers any HTTP request with this page and closes.
    Http(String),
    /// Reads until the client's FIN, then sends these bytes and closes. No router carries a half-closed stream; this far end
    /// tests what a client would do if one did.
    AnswerAfterFin(Vec<u8>),
    /// Sends the destination of the session that connects, in base64 with a newline, and closes.
    Whoami,
}

impl Endpoint {
    /// Serves one stream. `early` was read before the stream began; `peer` is the destination that connects.
    pub(crate) async fn serve(&self, stream: Socket, early: Vec<u8>, peer: &str) -> io::Result<()> {
        match self {
            Self::Echo => {
                relay::send(&stream, &early).await?;
                return relay::forward(&stream, &stream).await;
            }
            Self::Sink => return relay::discard(&stream).await,
            Self::Source(bytes) => relay::send(&stream, bytes).await?,
            Self::Http(page) => {
                read_request(&stream, early).await?;
                relay::send(&stream, response(page).as_bytes()).await?;
            }
            Self::AnswerAfterFin(bytes) => {
                relay::discard(&stream).await?;
                relay::send(&stream, bytes).await?;
            }
            Self::Whoami => relay::send(&stream, format!("{peer}\n").as_bytes()).await?,
        }
        stream.finish()?;
        // After the timeout a client that still sends is cut off.
        timeout(LINGER_TIMEOUT, relay::discard(&stream)).await.unwrap_or(Ok(()))
    }
}

/// Reads up to the empty line that ends a request without a body.
async fn read_request(stream: &Socket, mut read: Vec<u8>) -> io::Result<()> {
    while !read.windows(4).any(|end| end == b"\r\n\r\n") && read.len() < MAX_REQUEST_BYTES {
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
