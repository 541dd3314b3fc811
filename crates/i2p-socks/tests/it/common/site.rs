//! A site in I2P: a session at a bridge that answers HTTP requests as a test tells it to.

use std::sync::{Arc, Mutex};

use i2p_sam::{Accepted, Bridge, SamStream, SessionOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How many clients can connect at once.
const ACCEPTING: usize = 4;

type Seen = Arc<Mutex<Vec<String>>>;

/// A site, and the heads of its requests in lower case.
pub(crate) struct Site {
    /// Its destination in base64.
    pub(crate) destination: String,
    /// Its `.b32.i2p` address.
    pub(crate) b32: String,
    heads: Seen,
    peers: Seen,
}

impl Site {
    /// Starts a site that answers each request with what `answer` makes of its head.
    pub(crate) async fn start(
        bridge: &str,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let session =
            Bridge::new(bridge).create_session(&SessionOptions::default().publish(true)).await.unwrap();
        let destination = session.destination().clone();
        let (heads, peers) = (Seen::default(), Seen::default());
        let site = Self {
            destination: destination.to_base64(),
            b32: destination.b32().to_string(),
            heads: Arc::clone(&heads),
            peers: Arc::clone(&peers),
        };
        let answer = Arc::new(answer);
        // Several accepts wait, so that a client right behind another one is not refused.
        for _ in 0..ACCEPTING {
            let (session, peers) = (session.clone(), Arc::clone(&peers));
            let (answer, heads) = (Arc::clone(&answer), Arc::clone(&heads));
            tokio::spawn(async move {
                while let Ok(Accepted { stream, peer, .. }) = session.accept().await {
                    peers.lock().unwrap().push(peer.b32().to_string());
                    tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&heads)));
                }
            });
        }
        site
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The destinations of the clients so far.
    pub(crate) fn peers(&self) -> Vec<String> {
        self.peers.lock().unwrap().clone()
    }
}

/// Serves one request.
async fn serve(mut stream: SamStream, answer: Arc<impl Fn(&str) -> Vec<u8>>, heads: Seen) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let bytes = answer(&head);
    heads.lock().unwrap().push(head);
    // The client may have closed the stream.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    while stream.read(&mut [0; 512]).await.unwrap_or(0) > 0 {}
}

/// A response with these header lines, each ended by CRLF.
pub(crate) fn response(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
