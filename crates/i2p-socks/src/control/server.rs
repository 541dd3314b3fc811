//! HTTP/1.1 on any listener. One request a connection, so that what is not used is not kept.

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

/// Bytes of a request's head, and of what is read at once.
const BUFFER: usize = 16 * 1024;
/// Header fields of a request.
const HEADERS: usize = 32;
/// Pause after an accept that failed, as it does when file descriptors run out.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How much one server does at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections; more wait.
    pub(crate) connections: usize,
    /// How long a request's head may take.
    pub(crate) head: Duration,
    /// How long a connection may last, whatever it is for.
    pub(crate) connection: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: 16, head: Duration::from_secs(10), connection: Duration::from_secs(15 * 60) }
    }
}

/// Where connections come from.
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

/// Serves until told to stop; then connections are closed, whatever they are at.
pub(crate) async fn serve(
    listener: impl Accept,
    routes: Arc<Routes>,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    let accept = async {
        loop {
            // Never closed, so there is one at some time.
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let Ok(stream) = listener.accept().await else {
                sleep(AFTER_FAILURE).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let routes = Arc::clone(&routes);
            connections.spawn(async move {
                // Whoever takes longer has had enough.
                let _ = timeout(bounds.connection, converse(stream, &routes, bounds)).await;
                drop(slot);
            });
        }
    };
    stop.run_until_cancelled(accept).await;
}

/// One request and its answer.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, routes: &Routes, bounds: Bounds) {
    let service = service_fn(|asked| async { Ok::<_, Infallible>(routes.answer(asked).await) });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // What a client does wrong it is told, as far as it can be.
    let _ = conversation.await;
}

#[cfg(test)]
mod tests {
    use hyper::{Method, StatusCode};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::control::routes::{bytes_within, json};

    /// Serves an echo of at most ten bytes at `/echo`, and gives the address.
    async fn echo(bounds: Bounds, stop: CancellationToken) -> std::net::SocketAddr {
        let routes = Routes::default().on(Method::POST, "/echo", async |asked| {
            match bytes_within(asked.into_body(), 10).await {
                Ok(bytes) => json(StatusCode::OK, &String::from_utf8_lossy(&bytes)),
                Err(answer) => answer,
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::new(routes), bounds, stop));
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
    async fn requests_get_where_they_belong_and_too_much_is_refused() {
        let address = echo(Bounds::default(), CancellationToken::new()).await;
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
    async fn whoever_says_nothing_makes_room_for_others() {
        let bounds =
            Bounds { connections: 1, head: Duration::from_millis(50), connection: Duration::from_secs(60) };
        let stop = CancellationToken::new();
        let address = echo(bounds, stop.clone()).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let asked = ask(address, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
        // Well before hyper's own limit.
        let answer = timeout(Duration::from_secs(10), asked).await.unwrap();
        assert!(answer.ends_with("\"ok\""), "{answer}");
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
        // And a body that does not come ends with the connection's time, or with the server.
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\no").await.unwrap();
        tokio::task::yield_now().await;
        stop.cancel();
        assert_eq!(slow.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}
