//! The page of the demo, and the small web server that it comes from.

use std::{io, time::Duration};

use i2p_sam::Session;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    time::{sleep, timeout},
};

/// How long the first request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the next request of the same client may take.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long to wait for the client to close, once it has everything.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A longer request head is cut off.
const MAX_REQUEST_BYTES: u64 = 8 * 1024;
/// The first byte of a TLS handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// The fatal alert `unexpected_message` (RFC 8446 section 6), as i2p-socks itself answers TLS.
const TLS_ALERT: [u8; 7] = [21, 3, 1, 0, 2, 2, 10];

const PAGE: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>It works</title>
<h1>It works</h1>
<p>This page came through a SOCKS proxy and over a private I2P network, all inside one process.</p>
";

/// Serves the page to every visitor, as long as the session lasts.
pub(super) async fn host_page(session: Session) {
    while session.is_alive() {
        match session.accept().await {
            Ok(accepted) => {
                tokio::spawn(answer(accepted.stream));
            }
            // Accepting can fail for a moment. The pause keeps it from failing in a tight loop.
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// What a client sends.
enum Request {
    Http {
        /// It asks for the head of the page alone.
        head: bool,
        /// Another request may follow on the connection (RFC 9112 section 9.3).
        keep_alive: bool,
    },
    Tls,
    /// Nothing, or less than a request.
    None,
}

/// Answers requests, whatever they ask for, with the page. Ends if the client closes, is silent, or asks for the end.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut limit = REQUEST_TIMEOUT;
    while let Ok(request) = timeout(limit, read_request(&mut stream)).await {
        let keep_alive = match request? {
            Request::None => return Ok(()),
            Request::Tls => {
                stream.write_all(&TLS_ALERT).await?;
                false
            }
            Request::Http { head, keep_alive } => {
                let connection = if keep_alive { "keep-alive" } else { "close" };
                let response = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
                     Connection: {connection}\r\n\r\n{}",
                    PAGE.len(),
                    if head { "" } else { PAGE }
                );
                stream.write_all(response.as_bytes()).await?;
                keep_alive
            }
        };
        stream.flush().await?;
        if !keep_alive {
            // If we close first, the router drops data that it has not sent yet.
            let _ = timeout(CLOSE_TIMEOUT, until_closed(&mut stream)).await;
            return Ok(());
        }
        limit = KEEP_ALIVE;
    }
    Ok(())
}

async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = [0; 256];
    while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

/// Reads the head of a request.
async fn read_request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Request> {
    match stream.fill_buf().await?.first() {
        None => return Ok(Request::None),
        Some(&TLS_HANDSHAKE) => return Ok(Request::Tls),
        Some(_) => {}
    }
    let mut lines = stream.take(MAX_REQUEST_BYTES);
    let mut first = Vec::new();
    if lines.read_until(b'\n', &mut first).await? == 0 {
        return Ok(Request::None);
    }
    let (is_get, head) = (first.starts_with(b"GET "), first.starts_with(b"HEAD "));
    // What follows the head of another method is its content, and not another request.
    let mut keep_alive = (is_get || head) && first.trim_ascii_end().ends_with(b" HTTP/1.1");
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 && !matches!(line.as_slice(), b"\r\n" | b"\n") {
        line.make_ascii_lowercase();
        keep_alive &= !(line.starts_with(b"connection:") && line.windows(5).any(|word| word == b"close"));
        line.clear();
    }
    keep_alive &= lines.limit() > 0;
    Ok(Request::Http { head, keep_alive })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    fn visit() -> DuplexStream {
        let (client, server) = duplex(64 * 1024);
        tokio::spawn(answer(server));
        client
    }

    /// Sends this, and reads up to the end of the connection. Returns what was read, and how long it took.
    async fn said(request: &[u8]) -> (Vec<u8>, Duration) {
        let (mut client, begin) = (visit(), Instant::now());
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        (answer, begin.elapsed())
    }

    #[tokio::test]
    async fn a_client_that_asks_for_the_end_does_not_wait_for_it() {
        for request in [
            &b"GET / HTTP/1.0\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n",
            b"POST / HTTP/1.1\r\n\r\n",
        ] {
            let (answer, took) = said(request).await;
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.contains("Connection: close\r\n") && answer.ends_with(PAGE), "{answer}");
            assert!(took < 3 * CLOSE_TIMEOUT, "{took:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_carries_several_requests() {
        let mut client = visit();
        for (method, body) in [("GET", PAGE), ("HEAD", ""), ("GET", PAGE)] {
            client
                .write_all(format!("{method} / HTTP/1.1\r\nHost: demo.i2p\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let mut answer = vec![0; 1024];
            let count = client.read(&mut answer).await.unwrap();
            let answer = String::from_utf8(answer[..count].to_vec()).unwrap();
            assert!(answer.contains("Connection: keep-alive\r\n"), "{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        }
        let begin = Instant::now();
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(begin.elapsed() >= KEEP_ALIVE.mul_f32(0.9), "the client may ask again");
    }

    #[tokio::test]
    async fn tls_is_answered_with_an_alert_at_once() {
        let (answer, took) = said(b"\x16\x03\x01\x02\x00\x01").await;
        assert_eq!(answer, TLS_ALERT);
        assert!(took < 3 * CLOSE_TIMEOUT, "{took:?}");
    }
}
