//! An HTTP/1.1 server for any listener. Each connection carries one request, so that idle connections do not stay open.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::routes::Routes;

/// The largest request head, and the size of a read.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most header fields in a request.
const MAX_HEADER_FIELDS: usize = 32;
/// The pause after a failed accept, which happens if file descriptors run out.
const ACCEPT_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerLimits {
    /// How many connections are served at once. Others wait.
    pub(crate) connections: usize,
    /// How long a request head may take.
    pub(crate) head: Duration,
    /// How long a connection may last.
    pub(crate) connection: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { connections: 16, head: Duration::from_secs(10), connection: Duration::from_secs(15 * 60) }
    }
}

/// A source of connections.
pub(crate) trait Accept: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection. Cancel safe.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

/// Serves until `stop` is cancelled, and then closes all connections at once.
pub(crate) async fn serve(
    listener: impl Accept,
    routes: Arc<Routes>,
    limits: ServerLimits,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            // The semaphore is never closed.
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let Ok(stream) = listener.accept().await else {
                sleep(ACCEPT_RETRY_PAUSE).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let routes = Arc::clone(&routes);
            connections.spawn(async move {
                // A slower connection is cut off.
                let _ = timeout(limits.connection, serve_connection(stream, &routes, limits)).await;
                drop(slot);
            });
        }
    };
    stop.run_until_cancelled(accept).await;
}

/// Serves one request.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: &Routes,
    limits: ServerLimits,
) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(routes.respond(request).await) });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(MAX_HEADER_FIELDS)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that makes a mistake has got a response already, as far as possible.
    let _ = conversation.await;
}

#[cfg(test)]
mod tests {
    use hyper::{Method, StatusCode};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::control::routes::{json_response, read_body};

    /// Serves an echo of at most ten bytes at `/echo`, and gives the address.
    async fn echo(limits: ServerLimits, stop: CancellationToken) -> std::net::SocketAddr {
        let routes = Routes::default().on(Method::POST, "/echo", async |request| {
            match read_body(request.into_body(), 10).await {
                Ok(bytes) => json_response(StatusCode::OK, &String::from_utf8_lossy(&bytes)),
                Err(answer) => answer,
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::new(routes), limits, stop));
        address
    }

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn requests_reach_their_handlers_and_oversized_ones_are_refused() {
        let address = echo(ServerLimits::default(), CancellationToken::new()).await;
        let post = |body: &str| {
            format!("POST /echo?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        for (request, status, says) in [
            (post("hello"), "200 OK", "\"hello\""),
            (post("hello, world"), "413 Payload Too Large", "larger than 10 bytes"),
            ("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n".into(), "405 Method Not Allowed", "allow: POST"),
            ("GET /other HTTP/1.1\r\nHost: x\r\n\r\n".into(), "404 Not Found", "nothing at this path"),
            ("nonsense\r\n\r\n".into(), "400 Bad Request", ""),
            (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000)), "431 ", ""),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(40)), "431 ", ""),
        ] {
            let answer = ask(address, &request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request:.80}\n{answer}");
            assert!(answer.contains(says), "{request:.80}\n{answer}");
        }
    }

    #[tokio::test]
    async fn a_silent_client_makes_room_for_others() {
        let limits = ServerLimits {
            connections: 1,
            head: Duration::from_millis(50),
            connection: Duration::from_secs(60),
        };
        let stop = CancellationToken::new();
        let address = echo(limits, stop.clone()).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let asked = ask(address, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
        // Well before hyper's own limit.
        let answer = timeout(Duration::from_secs(10), asked).await.unwrap();
        assert!(answer.ends_with("\"ok\""), "{answer}");
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
        // A body that does not arrive ends with the time of the connection, or with the server.
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\no").await.unwrap();
        tokio::task::yield_now().await;
        stop.cancel();
        assert_eq!(slow.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}
