//! The web site at the far end: an HTTP/1.1 server on a published SAM session.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | a page |
//! | `GET /large` | [`payload::LARGE`] bytes |
//! | `POST /sum` | the SHA-256 of the body |
//! | `GET /hosts.txt` | [`LISTED`] with the site's destination; 304 to whoever has it |
//! | `GET /who` | the base32 address of whoever asks |

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::HEXLOWER;
use i2p_name::Destination;
use i2p_sam::{Accepted, Session};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{i2pd::SiteKey, payload};

/// The page.
pub(crate) const PAGE: &str = "<!doctype html><title>interop</title><p>Hello from the far end of I2P.\n";
/// The name that the site's `hosts.txt` gives it, which no router knows.
pub(crate) const LISTED: &str = "listed.i2p";
/// The version of its `hosts.txt`.
const ETAG: &str = "\"1\"";
/// What the bytes of `/large` are made from.
pub(crate) const DOWNLOAD_SEED: &str = "download";
/// More than any request head that curl sends.
const MAX_HEAD: usize = 16 * 1024;
/// How long one exchange may take.
const EXCHANGE: Duration = Duration::from_secs(120);
/// Pause after an accept that failed, so that a router in trouble is not asked without end.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// A site that is being served, until this is dropped.
pub(crate) struct Site {
    /// Its name in the client router's address book.
    pub(crate) host: String,
    /// Its base32 address.
    pub(crate) b32: String,
    task: JoinHandle<()>,
}

impl Site {
    /// Serves the site on `session`, which has the keys `key`.
    pub(crate) fn serve(session: Session, key: &SiteKey) -> Self {
        let hosts = format!("{LISTED}={}\n", key.destination.to_base64());
        let task = tokio::spawn(accept(session, hosts));
        Self { host: key.host.clone(), b32: key.destination.b32().to_string(), task }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(session: Session, hosts: String) {
    while session.is_alive() {
        match session.accept().await {
            Ok(accepted) => drop(tokio::spawn(serve(accepted, hosts.clone()))),
            Err(_) => sleep(AFTER_FAILURE).await,
        }
    }
}

/// One exchange. What goes wrong shows at the client, which is where it is looked for.
async fn serve(Accepted { mut stream, peer, .. }: Accepted, hosts: String) {
    let _ = timeout(EXCHANGE, exchange(&mut stream, &peer, hosts)).await;
}

async fn exchange(stream: &mut TcpStream, peer: &Destination, hosts: String) -> Result<()> {
    let Head { method, path, length, known, early } = Head::read(stream).await?;
    let (status, body) = match (method.as_str(), path.as_str()) {
        ("GET", "/") => ("200 OK", PAGE.into()),
        ("GET", "/large") => ("200 OK", payload::bytes(DOWNLOAD_SEED, payload::LARGE)),
        ("POST", "/sum") => ("200 OK", sum_of_body(stream, &early, length).await?.into_bytes()),
        ("GET", "/hosts.txt") if known.as_deref() == Some(ETAG) => ("304 Not Modified", Vec::new()),
        ("GET", "/hosts.txt") => ("200 OK", hosts.into_bytes()),
        ("GET", "/who") => ("200 OK", peer.b32().to_string().into_bytes()),
        _ => ("404 Not Found", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: {ETAG}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    // The client closes first: i2pd may forget what it still has to send when our end goes away.
    while stream.read(&mut [0; 512]).await? > 0 {}
    Ok(())
}

async fn sum_of_body(stream: &mut TcpStream, early: &[u8], length: usize) -> Result<String> {
    let mut hash = Sha256::new_with_prefix(early);
    let mut missing = length.checked_sub(early.len()).context("more body than announced")?;
    let mut buffer = vec![0; 64 * 1024];
    while missing > 0 {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "the body ends early");
        hash.update(buffer.get(..count).unwrap_or_default());
        missing = missing.checked_sub(count).context("more body than announced")?;
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// What a request asks for.
struct Head {
    method: String,
    path: String,
    /// Bytes of body.
    length: usize,
    /// The version that the client has.
    known: Option<String>,
    /// The part of the body that came with the head.
    early: Vec<u8>,
}

impl Head {
    async fn read(stream: &mut TcpStream) -> Result<Self> {
        let mut bytes = Vec::new();
        loop {
            if let Some(head) = Self::parse(&bytes)? {
                return Ok(head);
            }
            ensure!(bytes.len() < MAX_HEAD, "a request head without end");
            ensure!(stream.read_buf(&mut bytes).await? > 0, "the request ends early");
        }
    }

    /// `None` while the head is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(end) = bytes.windows(END.len()).position(|window| window == END) else { return Ok(None) };
        let (head, rest) = bytes.split_at(end);
        let head = str::from_utf8(head).context("a request head that is not text")?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { bail!("no request line") };
        let fields: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim())
        };
        let length = field("content-length")
            .map_or(Ok(0), str::parse)
            .context("a Content-Length that is no number")?;
        let known = field("if-none-match").map(str::to_owned);
        let early = rest.get(END.len()..).unwrap_or_default().to_vec();
        Ok(Some(Self { method: method.into(), path: path.into(), length, known, early }))
    }
}

/// Fetches the page from the client's end of a stream.
pub(crate) async fn get_page(mut stream: TcpStream) -> Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(PAGE.as_bytes()) {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the stream ends before the page does");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_in_parts_and_with_the_body_behind_them() {
        let whole =
            b"POST /sum HTTP/1.1\r\nHost: a\r\ncontent-length: 12\r\nIf-None-Match: \"1\"\r\n\r\nbody";
        for length in 0..whole.len() - 4 {
            assert!(Head::parse(&whole[..length]).unwrap().is_none(), "{length}");
        }
        let head = Head::parse(whole).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str(), head.length), ("POST", "/sum", 12));
        assert_eq!((head.known.as_deref(), head.early.as_slice()), (Some(ETAG), &b"body"[..]));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Head::parse(b"GET\r\n\r\n").is_err());
        assert!(Head::parse(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n").is_err());
        assert_eq!(Head::parse(b"GET / HTTP/1.1\r\n\r\n").unwrap().unwrap().length, 0);
    }
}
