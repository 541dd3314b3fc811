//! An outproxy that speaks HTTP.

use std::net::IpAddr;

use data_encoding::BASE64;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::fault::{Fault, OutproxyTrouble as Trouble};
use crate::{failure::Failure, route::OutsideHost};

/// Longest head of an answer, and with it the longest first data, in bytes.
const LONGEST: usize = 8 * 1024;
/// Most header lines in it.
const MOST_HEADERS: usize = 64;

/// Asks for a host with CONNECT (RFC 9110 section 9.3.6); gives what came behind the answer. A name is sent as a name: the far
/// end resolves it.
pub(super) async fn ask(
    mut line: impl AsyncRead + AsyncWrite + Unpin,
    (host, port): (OutsideHost<'_>, u16),
    credentials: Option<(&str, &str)>,
) -> Result<Vec<u8>, Fault> {
    let request = request(host, port, credentials)?;
    let closed = |_| Fault::Outproxy(Trouble::Closed);
    line.write_all(request.as_bytes()).await.map_err(closed)?;
    let mut read = Vec::new();
    loop {
        match answer(&read)? {
            // 1xx: the answer is yet to come (RFC 9110 section 15.2).
            Some(Head { status: 100..=199, length }) if length > 0 => drop(read.drain(..length)),
            Some(Head { status: 200..=299, length }) => return Ok(read.split_off(length)),
            Some(Head { status, .. }) => return Err(refused(status)),
            None => {
                let room = LONGEST.saturating_sub(read.len());
                let count = (&mut line).take(room as u64).read_buf(&mut read).await.map_err(closed)?;
                match (count, room) {
                    (0, 0) => return Err(Fault::Outproxy(Trouble::Malformed)),
                    (0, _) => return Err(Fault::Outproxy(Trouble::Closed)),
                    _ => {}
                }
            }
        }
    }
}

/// The request. Canonical hosts hold nothing that could break a line, and what a username holds is base64 by then.
fn request(
    host: OutsideHost<'_>,
    port: u16,
    credentials: Option<(&str, &str)>,
) -> Result<Zeroizing<String>, Fault> {
    let authority = match (host.name(), host.address()) {
        (Some(name), _) => format!("{name}:{port}"),
        (_, Some(IpAddr::V4(address))) => format!("{address}:{port}"),
        (_, Some(IpAddr::V6(address))) => format!("[{address}]:{port}"),
        (None, None) => return Err(Fault::Declined),
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
    /// Bytes of it.
    length: usize,
}

/// The head, if it is whole.
fn answer(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match (response.parse(bytes), response.code) {
        (Ok(httparse::Status::Complete(length)), Some(status)) => Ok(Some(Head { status, length })),
        (Ok(httparse::Status::Partial), _) => Ok(None),
        _ => Err(Fault::Outproxy(Trouble::Malformed)),
    }
}

/// What a status means (RFC 9110 section 15). Not known to be the target's doing are those that proxies also give for troubles of
/// their own: tinyproxy says 500 and Squid 503 for whatever did not come about.
fn refused(status: u16) -> Fault {
    match status {
        // "an invalid response from an inbound server", and privoxy's word for a host that does not exist.
        502 | 404 => Fault::Target(Failure::Unreachable),
        504 => Fault::Target(Failure::TimedOut),
        407 => Fault::Outproxy(Trouble::Credentials),
        // It does not do what it is there for: a web server, say.
        405 | 501 => Fault::Outproxy(Trouble::Malformed),
        _ => Fault::Declined,
    }
}

#[cfg(test)]
mod tests {
    use i2p_name::Target;
    use proptest::prelude::*;

    use super::*;

    fn text(host: &str, credentials: Option<(&str, &str)>) -> String {
        let target = Target::parse(host.as_bytes()).unwrap();
        request(OutsideHost::of(&target).unwrap(), 443, credentials).unwrap().to_string()
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
    fn every_status_has_its_fault() {
        for (status, expected) in [
            (502, Fault::Target(Failure::Unreachable)),
            (404, Fault::Target(Failure::Unreachable)),
            (504, Fault::Target(Failure::TimedOut)),
            (407, Fault::Outproxy(Trouble::Credentials)),
            (405, Fault::Outproxy(Trouble::Malformed)),
            (501, Fault::Outproxy(Trouble::Malformed)),
            (302, Fault::Declined),
            (400, Fault::Declined),
            (403, Fault::Declined),
            (429, Fault::Declined),
            (500, Fault::Declined),
            (503, Fault::Declined),
        ] {
            assert_eq!(refused(status), expected, "{status}");
        }
    }

    /// What is read of a proxy that sends this and closes, in pieces of this size.
    async fn read(bytes: &[u8], piece: usize) -> Result<Vec<u8>, Fault> {
        let (near, mut far) = tokio::io::duplex(piece);
        let target = Target::parse(b"example.com").unwrap();
        let say = async {
            let mut request = vec![0; text("example.com", None).len()];
            far.read_exact(&mut request).await.unwrap();
            // Gone before the end, when it has heard enough.
            let _ = far.write_all(bytes).await;
            drop(far);
        };
        tokio::join!(ask(near, (OutsideHost::of(&target).unwrap(), 443), None), say).0
    }

    #[tokio::test]
    async fn answers() {
        let long = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; LONGEST], b"\r\n\r\n"].concat();
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(MOST_HEADERS + 1));
        let (closed, malformed) = (Fault::Outproxy(Trouble::Closed), Fault::Outproxy(Trouble::Malformed));
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 Connection established\r\n\r\n"[..], Ok(&b""[..])),
            (b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\nfirst data", Ok(b"first data")),
            // RFC 9110 section 9.3.6: lengths in a success mean nothing.
            (b"HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\nfirst", Ok(b"first")),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
                Ok(b"x"),
            ),
            (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Err(Fault::Target(Failure::Unreachable))),
            (b"HTTP/1.1 407 x\r\nContent-Length: 900\r\n\r\n", Err(Fault::Outproxy(Trouble::Credentials))),
            (b"HTTP/1.1 999 x\r\n\r\n", Err(Fault::Declined)),
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
                    // How much comes with the head depends on the pieces; the rest stays in the stream.
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
        fn any_bytes_are_an_answer_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300), http: bool) {
            let head: &[u8] = if http { b"HTTP/1.1 200 OK\r\n" } else { b"" };
            let _ = answer(&[head, &bytes].concat());
        }
    }
}
