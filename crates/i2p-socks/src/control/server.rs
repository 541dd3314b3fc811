//! An HTTP/1.1 server for any listener. Each connection carries one request, so that idle connections do not stay open. A
//! connection that has sent no request yet never keeps another one waiting.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use restart_schedule::TaskRestarts;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
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
    /// How many connections are open at once. When there are as many, the oldest one without a request is closed for a new one.
    pub(crate) connections: usize,
    /// What happens if each of them has sent its request.
    pub(crate) when_busy: WhenBusy,
    /// How long a request head may take.
    pub(crate) head: Duration,
    /// How long a connection may last.
    pub(crate) connection: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 32,
            when_busy: WhenBusy::Wait,
            // Programs on this machine send their request at once.
            head: Duration::from_secs(5),
            connection: Duration::from_secs(15 * 60),
        }
    }
}

/// What happens to a new connection while each of the others waits for its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenBusy {
    /// It waits until one of them has its response. For commands, which may take long and must not be cut off.
    Wait,
    /// The oldest of them is closed for it. For health checks, which must be answered whatever others do.
    CloseOldest,
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
    let mut connections = Connections { limits, tasks: JoinSet::new(), open: VecDeque::new() };
    let accept = async {
        let mut restarts =
            TaskRestarts::new("the task that accepts connections to the admin pages or of commands");
        while restarts.run(connections.accept_for_ever(&listener, &routes)).await.is_none() {}
    };
    stop.run_until_cancelled(accept).await;
}

/// The connections of a server.
struct Connections {
    limits: ServerLimits,
    tasks: JoinSet<()>,
    /// The oldest first.
    open: VecDeque<OpenConnection>,
}

struct OpenConnection {
    task: AbortHandle,
    /// Whether it has sent its request head.
    has_asked: Arc<AtomicBool>,
}

impl Connections {
    async fn accept_for_ever(&mut self, listener: &impl Accept, routes: &Arc<Routes>) {
        loop {
            let Ok(stream) = listener.accept().await else {
                sleep(ACCEPT_RETRY_PAUSE).await;
                continue;
            };
            self.make_room().await;
            self.add(stream, Arc::clone(routes));
        }
    }

    /// Closes a connection for a new one if there are as many as allowed, or waits for the end of one.
    async fn make_room(&mut self) {
        self.forget_closed();
        while self.open.len() >= self.limits.connections {
            let closed = match (self.oldest_without_request(), self.limits.when_busy) {
                (Some(oldest), _) => self.open.remove(oldest),
                (None, WhenBusy::CloseOldest) => self.open.pop_front(),
                (None, WhenBusy::Wait) => {
                    self.tasks.join_next().await;
                    None
                }
            };
            closed.iter().for_each(|closed| closed.task.abort());
            self.forget_closed();
        }
    }

    fn add(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: Arc<Routes>) {
        let (limits, has_asked) = (self.limits, Arc::<AtomicBool>::default());
        let asked = Arc::clone(&has_asked);
        let task = self.tasks.spawn(async move {
            // A slower connection is cut off.
            let _ = timeout(limits.connection, serve_connection(stream, &routes, limits, &asked)).await;
        });
        self.open.push_back(OpenConnection { task, has_asked });
    }

    fn oldest_without_request(&self) -> Option<usize> {
        self.open.iter().position(|open| !open.has_asked.load(Relaxed))
    }

    fn forget_closed(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|open| !open.task.is_finished());
    }
}

/// Serves one request.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: &Routes,
    limits: ServerLimits,
    has_asked: &AtomicBool,
) {
    let service = service_fn(|request| {
        has_asked.store(true, Relaxed);
        async { Ok::<_, Infallible>(routes.respond(request).await) }
    });
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

    const SLOW_HEAD: &str = "POST /echo HTTP/1.1\r\n";
    const SLOW_BODY: &str = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\no";
    const REQUEST: &str = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok";

    /// Opens connections that send this and no more.
    async fn slow(address: std::net::SocketAddr, count: usize, sent: &str) -> Vec<TcpStream> {
        let mut slow = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            slow.push(stream);
        }
        slow
    }

    /// Limits that no test reaches by time.
    fn only(connections: usize, when_busy: WhenBusy) -> ServerLimits {
        let long = Duration::from_secs(600);
        ServerLimits { connections, when_busy, head: long, connection: long }
    }

    #[tokio::test]
    async fn a_request_is_answered_among_slow_connections_and_the_oldest_of_them_is_closed() {
        let stop = CancellationToken::new();
        let address = echo(only(4, WhenBusy::Wait), stop).await;
        let mut slow = slow(address, 8, SLOW_HEAD).await;
        for _ in 0..3 {
            let answer = timeout(Duration::from_secs(10), ask(address, REQUEST)).await.unwrap();
            assert!(answer.ends_with("\"ok\""), "{answer}");
        }
        let mut rest = slow.split_off(5);
        for closed in &mut slow {
            assert_eq!(closed.read(&mut [0; 1]).await.unwrap_or(0), 0);
        }
        for open in &mut rest {
            assert!(timeout(Duration::from_millis(20), open.read(&mut [0; 1])).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_health_check_is_answered_while_every_other_connection_waits_for_its_response() {
        let address = echo(only(4, WhenBusy::CloseOldest), CancellationToken::new()).await;
        let mut busy = slow(address, 4, SLOW_BODY).await;
        let answer = timeout(Duration::from_secs(10), ask(address, REQUEST)).await.unwrap();
        assert!(answer.ends_with("\"ok\""), "{answer}");
        assert_eq!(busy[0].read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert!(timeout(Duration::from_millis(20), busy[1].read(&mut [0; 1])).await.is_err());
    }

    #[tokio::test]
    async fn a_command_waits_while_every_other_connection_waits_for_its_response() {
        let address = echo(only(2, WhenBusy::Wait), CancellationToken::new()).await;
        let mut busy = slow(address, 2, SLOW_BODY).await;
        // The server has read both requests by then.
        sleep(Duration::from_millis(100)).await;
        let asked = ask(address, REQUEST);
        tokio::pin!(asked);
        assert!(timeout(Duration::from_millis(100), &mut asked).await.is_err());
        busy[0].write_all(b"k").await.unwrap();
        let answer = timeout(Duration::from_secs(10), asked).await.unwrap();
        assert!(answer.ends_with("\"ok\""), "{answer}");
    }

    #[tokio::test]
    async fn a_silent_client_makes_room_for_others() {
        let limits = ServerLimits { head: Duration::from_millis(50), ..only(1, WhenBusy::Wait) };
        let stop = CancellationToken::new();
        let address = echo(limits, stop.clone()).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        // Well before hyper's own limit.
        let answer = timeout(Duration::from_secs(10), ask(address, REQUEST)).await.unwrap();
        assert!(answer.ends_with("\"ok\""), "{answer}");
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
        // A body that does not arrive ends with the time of the connection, or with the server.
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(SLOW_BODY.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stop.cancel();
        assert_eq!(slow.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }

    /// Panics instead of accepting the first two connections.
    struct Panicking(TcpListener, std::sync::atomic::AtomicUsize);

    impl Accept for Panicking {
        type Stream = TcpStream;

        async fn accept(&self) -> io::Result<TcpStream> {
            let (stream, _) = self.0.accept().await?;
            assert!(self.1.fetch_add(1, Relaxed) >= 2, "a bug");
            Ok(stream)
        }
    }

    #[tokio::test]
    async fn requests_are_answered_even_after_the_task_that_accepts_them_has_panicked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Panicking(listener, 0.into());
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, Arc::default(), ServerLimits::default(), stop.clone()));
        for _ in 0..2 {
            let mut lost = TcpStream::connect(address).await.unwrap();
            assert_eq!(lost.read(&mut [0]).await.unwrap_or(0), 0);
        }
        let answer = timeout(Duration::from_secs(10), ask(address, REQUEST)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}
