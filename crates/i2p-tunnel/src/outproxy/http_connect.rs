//! Connecting through an outproxy that speaks HTTP.

use std::net::IpAddr;

use data_encoding::BASE64;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::fault::{OutproxyFailure, OutproxyFault as Fault};
use crate::{failure::Failure, route::OutsideHost};

/// The longest head of an answer. First data behind it counts too.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;

/// Sends CONNECT (RFC 9110 section 9.3.6) and waits for the answer. Returns the data that follows the answer. A host name is sent
/// as a name: the outproxy resolves it.
pub(super) async fn connect(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    (host, port): (OutsideHost<'_>, u16),
    credentials: Option<(&str, &str)>,
) -> Result<Vec<u8>, OutproxyFailure> {
    let request = encode_request(host, port, credentials)?;
    let closed = |_| OutproxyFailure::Outproxy(Fault::Closed);
    socket.write_all(request.as_bytes()).await.map_err(closed)?;
    let mut read = Vec::new();
    loop {
        match parse_head(&read)? {
            // After a 1xx status the final answer follows (RFC 9110 section 15.2).
            Some(Head { status: 100..=199, length }) if length > 0 => drop(read.drain(..length)),
            Some(Head { status: 200..=299, length }) => return Ok(read.split_off(length)),
            Some(Head { status, .. }) => return Err(failure_of(status)),
            None => {
                let room = MAX_HEAD_BYTES.saturating_sub(read.len());
                let count = (&mut socket).take(room as u64).read_buf(&mut read).await.map_err(closed)?;
                match (count, room) {
                    (0, 0) => return Err(OutproxyFailure::Outproxy(Fault::Malformed)),
                    (0, _) => return Err(OutproxyFailure::Outproxy(Fault::Closed)),
                    _ => {}
                }
            }
        }
    }
}

/// Encodes the request. A canonical host cannot contain a line break, and the credentials are in base64.
fn encode_request(
    host: OutsideHost<'_>,
    port: u16,
    credentials: Option<(&str, &str)>,
) -> Result<Zeroizing<String>, OutproxyFailure> {
    let authority = match (host.name(), host.address()) {
        (Some(name), _) => format!("{name}:{port}"),
        (_, Some(IpAddr::V4(address))) => format!("{address}:{port}"),
        (_, Some(IpAddr::V6(address))) => format!("[{address}]:{port}"),
        (None, None) => return Err(OutproxyFailure::Declined),
    };
    let login = match credentials {
        None => Zeroizing::default(),
        Some((username, password)) => {
            let pair = Zeroizing::new(format!("{username}:{password}"));
            let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
            Zeroizing::new(format!("Proxy-Authorization: Basic {}\r\n", encoded.as_str()))
        }
    };
    let login = login.as_str();
    Ok(Zeroizing::new(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n")))
}

/// The head of an answer.
struct Head {
    status: u16,
    /// Its length in bytes.
    length: usize,
}

/// Parses the head; `None` if it is incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, OutproxyFailure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match (response.parse(bytes), response.code) {
        (Ok(httparse::Status::Complete(length)), Some(status)) => Ok(Some(Head { status, length })),
        (Ok(httparse::Status::Partial), _) => Ok(None),
        _ => Err(OutproxyFailure::Outproxy(Fault::Malformed)),
    }
}

/// What a status means (RFC 9110 section 15). Some statuses do not tell whose fault it is: tinyproxy sends 500 and Squid 503 for
/// failures of any kind.
fn failure_of(status: u16) -> OutproxyFailure {
    match status {
        // "an invalid response from an inbound server"; privoxy sends 404 for a host that does not exist.
        502 | 404 => OutproxyFailure::Target(Failure::Unreachable),
        504 => OutproxyFailure::Target(Failure::TimedOut),
        // Some proxies require credentials, or refuse CONNECT, for certain hosts or ports only.
        407 => OutproxyFailure::Request(Fault::Credentials),
        // It is probably no proxy for CONNECT, such as a web server.
        405 | 501 => OutproxyFailure::Request(Fault::Malformed),
        _ => OutproxyFailure::Declined,
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::Target;
    use proptest::prelude::*;

    use super::*;

    fn text(host: &str, credentials: Option<(&str, &str)>) -> String {
        let target = Target::parse(host.as_bytes()).unwrap();
        encode_request(OutsideHost::of(&target).unwrap(), 443, credentials).unwrap().to_string()
    }

    #[test]
    fn requests() {
        assert_eq!(
            text("example.com", None),
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
        );
        // RFC 7617 section 2.
        assert_eq!(
            text("[2001:db8::1]", Some(("Aladdin", "open sesame"))),
            "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
    }

    #[test]
    fn every_status_has_its_failure() {
        for (status, expected) in [
            (502, OutproxyFailure::Target(Failure::Unreachable)),
            (404, OutproxyFailure::Target(Failure::Unreachable)),
            (504, OutproxyFailure::Target(Failure::TimedOut)),
            (407, OutproxyFailure::Request(Fault::Credentials)),
            (405, OutproxyFailure::Request(Fault::Malformed)),
            (501, OutproxyFailure::Request(Fault::Malformed)),
            (302, OutproxyFailure::Declined),
            (400, OutproxyFailure::Declined),
            (403, OutproxyFailure::Declined),
            (429, OutproxyFailure::Declined),
            (500, OutproxyFailure::Declined),
            (503, OutproxyFailure::Declined),
        ] {
            assert_eq!(failure_of(status), expected, "{status}");
        }
    }

    /// What `connect` returns for a proxy that sends this in pieces of this size and closes the connection.
    async fn read(bytes: &[u8], piece: usize) -> Result<Vec<u8>, OutproxyFailure> {
        let (near, mut far) = tokio::io::duplex(piece);
        let target = Target::parse(b"example.com").unwrap();
        let say = async {
            let mut request = vec![0; text("example.com", None).len()];
            far.read_exact(&mut request).await.unwrap();
            // This fails if the reader has seen enough.
            let _ = far.write_all(bytes).await;
            drop(far);
        };
        tokio::join!(connect(near, (OutsideHost::of(&target).unwrap(), 443), None), say).0
    }

    #[tokio::test]
    async fn answers() {
        let long = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; MAX_HEAD_BYTES], b"\r\n\r\n"].concat();
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
        let (closed, malformed) =
            (OutproxyFailure::Outproxy(Fault::Closed), OutproxyFailure::Outproxy(Fault::Malformed));
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 Connection established\r\n\r\n"[..], Ok(&b""[..])),
            (b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\nfirst data", Ok(b"first data")),
            // RFC 9110 section 9.3.6: a length in a successful answer has no meaning.
            (b"HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\nfirst", Ok(b"first")),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
                Ok(b"x"),
            ),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Err(OutproxyFailure::Target(Failure::Unreachable))),
            (
                b"HTTP/1.1 407 x\r\nContent-Length: 900\r\n\r\n",
                Err(OutproxyFailure::Request(Fault::Credentials)),
            ),
            (b"HTTP/1.1 999 x\r\n\r\n", Err(OutproxyFailure::Declined)),
            (b"", Err(closed)),
            (b"HTTP/1.1 200 OK\r\n", Err(closed)),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Err(malformed)),
            (b"\x05\x00", Err(malformed)),
            (b"HTTP/1.1 2000 OK\r\n\r\n", Err(malformed)),
            (&long, Err(malformed)),
            (many.as_bytes(), Err(malformed)),
        ] {
            for piece in [1, 7, 16 * 1024] {
                let got = read(bytes, piece).await;
                match (&got, expected) {
                    // The amount that arrives with the head depends on the pieces. The rest stays in the stream.
                    (Ok(first), Ok(expected)) => assert!(expected.starts_with(first), "{first:?}"),
                    _ => {
                        assert_eq!(got.as_deref(), expected.as_deref(), "{}", String::from_utf8_lossy(bytes));
                    }
                }
                if piece > 10_000 {
                    assert_eq!(got.as_deref().ok(), expected.ok());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_a_failure(bytes in prop::collection::vec(any::<u8>(), 0..300), http: bool) {
            let head: &[u8] = if http { b"HTTP/1.1 200 OK\r\n" } else { b"" };
            let _ = parse_head(&[head, &bytes].concat());
        }
    }
}
