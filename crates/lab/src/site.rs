//! A web site in the network: an HTTP/1.1 server on a published SAM session.
//!
//! | request | response |
//! |---|---|
//! | `GET /` | a page |
//! | `GET /large` | [`payload::LARGE_BYTES`] bytes |
//! | `POST /sum` | the SHA-256 of the body |
//! | `GET /hosts.txt` | [`LISTED_HOST`] with the site's destination; 304 if the client has it already |
//! | `GET /huge` | [`HUGE_BYTES`] bytes |
//! | `GET /who` | the base32 address of the client |
//! | `GET /who.svg` | a picture whose width and height depend on that address |
//! | `GET /project.git/info/refs` | [`BRANCH`], the only branch of a Git repository |
//!
//! A site with further [`Services`] hands each stream that begins in another way to them. A SAM session on i2pd accepts the
//! streams of all ports alike.
//!
//! i2pd 2.45 tries to publish a lease set when an inbound tunnel is built, and gives up if there is no outbound tunnel yet
//! ("Can't publish LeaseSet. Destination is not ready"). Both are built at the same time, and no later attempt was seen within
//! two minutes: with two tunnels each way 8 of 16 sessions were published, with four 15 of 16. So the site has four, and if
//! that is not enough, the next keys are tried: i2pd would treat a session with the same keys as the same destination.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::HEXLOWER;
use i2p_name::{Destination, I2pName};
use i2p_sam::{Accepted, SamStream, Session, SessionOptions};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    network::{Network, ServiceKeys},
    payload,
    sessions::{LEASE_SET_PATIENCE, open_session},
    wait::{Attempt, until_with},
};

/// The page.
pub const PAGE: &str = "<!doctype html><title>interop</title><p>Hello from the far end of I2P.\n";
/// What a browser shows of it.
pub const PAGE_TEXT: &str = "Hello from the far end of I2P.";
/// The path of the picture whose size shows who has fetched it. Pages of other sites can see the size.
pub const PICTURE: &str = "/who.svg";
/// A very large transfer.
pub const HUGE_BYTES: usize = 100_000_000;
/// The branch of the site's Git repository.
pub const BRANCH: &str = "refs/heads/far-end";
/// The name of the site in its own `hosts.txt`. No router knows it.
pub const LISTED_HOST: &str = "listed.i2p";
/// The version of its `hosts.txt`.
const ETAG: &str = "\"1\"";
/// The seed of the bytes of `/large`.
pub const DOWNLOAD_SEED: &str = "download";
/// Longer than any request head of curl.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long one exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(900);
/// How long a client has to close the connection after a large response.
const LARGE_LINGER: Duration = Duration::from_secs(120);
/// The largest response that has arrived after [`PAGE_LINGER`] at the latest.
const MAX_PAGE_BYTES: usize = 16 * 1024;
/// How long a client has to close the connection after such a response, except for `/held`.
const PAGE_LINGER: Duration = Duration::from_secs(5);
/// How the requests begin that the site answers itself.
const OWN_REQUESTS: [&[u8]; 9] = [
    b"GET / ",
    b"GET /held ",
    b"GET /large ",
    b"GET /huge ",
    b"POST /sum ",
    b"GET /hosts.txt ",
    b"GET /who ",
    b"GET /who.svg ",
    b"GET /project.git/",
];
/// If a client says nothing for this long, it expects the server to speak first, unless its first packet has been lost.
const SILENCE: Duration = Duration::from_secs(2);
/// The pause after an accept that failed, so that a router in trouble gets no flood of requests.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What a site does not answer itself.
#[derive(Clone)]
pub struct Services {
    /// Where the streams are handed to: an address of this machine.
    pub address: SocketAddr,
    /// Whether a client that waits for the server to speak is expected now. Only then does a silent stream go to the services: at
    /// any other time it is one whose request is late.
    pub speak_first: watch::Receiver<bool>,
}

impl Services {
    /// Waits until a stream on which the client has said nothing is one of a client that waits for the server.
    async fn are_to_speak_first(&mut self) {
        if self.speak_first.wait_for(|expected| *expected).await.is_err() {
            std::future::pending::<()>().await;
        }
        sleep(SILENCE).await;
    }
}

/// A running site. It ends when this is dropped.
pub struct Site {
    /// Its name in the address book of the client's router.
    pub host: String,
    /// Its base32 address.
    pub b32: String,
    task: JoinHandle<()>,
}

impl Site {
    /// Opens the site. Returns once a client on another router has fetched its page.
    ///
    /// The client is not our proxy: this depends on the network alone, so that later checks depend on the proxy.
    pub async fn publish(network: &Network) -> Result<Self> {
        Self::publish_with(network, network.site_keys(), None).await
    }

    /// The same, and hands other streams than those of the site's own requests to `services`.
    pub async fn publish_with_services(network: &Network, services: Services) -> Result<Self> {
        Self::publish_with(network, network.site_keys(), Some(services)).await
    }

    /// The same with the first of these keys that can be reached.
    pub async fn publish_with(
        network: &Network,
        all_keys: &[ServiceKeys],
        services: Option<Services>,
    ) -> Result<Self> {
        let options = SessionOptions::default().length(1).quantity(4);
        let mut client = None;
        let mut failure = None;
        for keys in all_keys {
            let published = options.clone().publish(true).private_key(keys.private_key.clone());
            let site = open_session(network.site_bridge(), "the site's tunnels", &published);
            let (session, fetcher) = tokio::try_join!(site, async {
                match client.take() {
                    Some(session) => Ok(session),
                    None => open_session(network.client_bridge(), "a client's tunnels", &options).await,
                }
            })?;
            let site = Self::serve(session, keys, services.clone());
            let found = until_with("the site is found", LEASE_SET_PATIENCE, async || {
                fetch_page(&fetcher, keys).await
            });
            match found.await {
                Ok(()) => return Ok(site),
                Err(error) => {
                    println!("  {error:#}; trying other keys");
                    failure = Some(error);
                }
            }
            client = Some(fetcher);
        }
        Err(failure.context("there are no keys for the site")?)
    }

    /// Serves the site on `session`, which has these keys.
    fn serve(session: Session, keys: &ServiceKeys, services: Option<Services>) -> Self {
        let hosts = format!("{LISTED_HOST}={}\n", keys.destination.to_base64());
        let task = tokio::spawn(accept(session, hosts, services));
        Self { host: keys.host.clone(), b32: keys.destination.b32().to_string(), task }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(session: Session, hosts: String, services: Option<Services>) {
    while session.is_alive() {
        match session.accept().await {
            Ok(accepted) => drop(tokio::spawn(serve(accepted, hosts.clone(), services.clone()))),
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
}

/// One exchange. The client notices whatever goes wrong.
async fn serve(Accepted { mut stream, peer, .. }: Accepted, hosts: String, services: Option<Services>) {
    let _ = timeout(EXCHANGE_TIMEOUT, async {
        let mut first = Vec::new();
        if let Some(mut services) = services
            && !is_own_request(&mut stream, &mut first, &mut services).await?
        {
            return relay(&mut stream, &first, services.address).await;
        }
        exchange(&mut stream, &peer, hosts, first).await
    })
    .await;
}

/// Reads the first bytes and checks whether the site answers them. There are none if the client waits for the server.
async fn is_own_request(
    stream: &mut SamStream,
    first: &mut Vec<u8>,
    services: &mut Services,
) -> Result<bool> {
    tokio::select! {
        biased;
        read = stream.read_buf(first) => drop(read?),
        () = services.are_to_speak_first() => return Ok(false),
    }
    Ok(OWN_REQUESTS.iter().any(|request| first.starts_with(request)))
}

async fn relay(stream: &mut SamStream, first: &[u8], services: SocketAddr) -> Result<()> {
    let mut service = TcpStream::connect(services).await?;
    service.write_all(first).await?;
    copy_bidirectional(stream, &mut service).await?;
    Ok(())
}

async fn exchange(stream: &mut SamStream, peer: &Destination, hosts: String, first: Vec<u8>) -> Result<()> {
    let Head { method, path, length, etag, early_body } = Head::read(stream, first).await?;
    let (status, body) = match (method.as_str(), path.as_str()) {
        ("GET", "/" | "/held") => ("200 OK", PAGE.into()),
        ("GET", "/large") => ("200 OK", payload::bytes(DOWNLOAD_SEED, payload::LARGE_BYTES)),
        ("GET", "/huge") => ("200 OK", payload::bytes(DOWNLOAD_SEED, HUGE_BYTES)),
        ("POST", "/sum") => ("200 OK", sum_of_body(stream, &early_body, length).await?.into_bytes()),
        ("GET", "/hosts.txt") if etag.as_deref() == Some(ETAG) => ("304 Not Modified", Vec::new()),
        ("GET", "/hosts.txt") => ("200 OK", hosts.into_bytes()),
        ("GET", "/who") => ("200 OK", peer.b32().to_string().into_bytes()),
        ("GET", PICTURE) => ("200 OK", picture(&peer.b32().to_string()).into_bytes()),
        ("GET", path) if path.starts_with("/project.git/info/refs") => ("200 OK", refs().into_bytes()),
        _ => ("404 Not Found", Vec::new()),
    };
    let kind =
        if path == PICTURE { "Content-Type: image/svg+xml\r\nCache-Control: no-store\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: {ETAG}\r\n{kind}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    // The client closes first: when our end closes, i2pd may drop what it still has to send. w3m waits for us instead.
    let is_page = body.len() <= MAX_PAGE_BYTES && path != "/held";
    let wait = if is_page { PAGE_LINGER } else { LARGE_LINGER };
    let _ =
        timeout(wait, async { while stream.read(&mut [0; 512]).await.is_ok_and(|count| count > 0) {} }).await;
    Ok(())
}

/// A picture whose size is made from a base32 address.
fn picture(b32: &str) -> String {
    let letters =
        b32.bytes().take(8).map(|letter| u64::from(letter.to_ascii_lowercase().saturating_sub(b'2')));
    let number = letters.fold(0, |number, letter| number * 128 + letter);
    let (width, height) = (1 + number % 997, 1 + number / 997 % 991);
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\"/>")
}

/// The branches of the repository, as a server of files shows them (gitprotocol-http(5), "dumb server").
fn refs() -> String {
    format!("{}\t{BRANCH}\n", "1".repeat(40))
}

async fn sum_of_body(stream: &mut SamStream, early_body: &[u8], length: usize) -> Result<String> {
    let mut hash = Sha256::new_with_prefix(early_body);
    let mut missing = length.checked_sub(early_body.len()).context("the body is longer than announced")?;
    let mut buffer = vec![0; 64 * 1024];
    while missing > 0 {
        let count = stream.read(&mut buffer).await?;
        ensure!(count > 0, "the body ends early");
        hash.update(buffer.get(..count).unwrap_or_default());
        missing = missing.checked_sub(count).context("the body is longer than announced")?;
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// The parts of a request that matter here.
struct Head {
    method: String,
    path: String,
    /// The length of the body in bytes.
    length: usize,
    /// The version that the client has already.
    etag: Option<String>,
    /// The part of the body that arrived with the head.
    early_body: Vec<u8>,
}

impl Head {
    /// Reads a head of which some bytes may have been read.
    async fn read(stream: &mut SamStream, mut bytes: Vec<u8>) -> Result<Self> {
        loop {
            if let Some(head) = Self::parse(&bytes)? {
                return Ok(head);
            }
            ensure!(bytes.len() < MAX_HEAD_BYTES, "the request head is too long");
            ensure!(stream.read_buf(&mut bytes).await? > 0, "the request ends early");
        }
    }

    /// Returns `None` while the head is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(end) = bytes.windows(END.len()).position(|window| window == END) else { return Ok(None) };
        let (head, rest) = bytes.split_at(end);
        let head = str::from_utf8(head).context("the request head is not text")?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { bail!("no request line") };
        let fields: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim())
        };
        let length =
            field("content-length").map_or(Ok(0), str::parse).context("Content-Length is not a number")?;
        let etag = field("if-none-match").map(str::to_owned);
        let early_body = rest.get(END.len()..).unwrap_or_default().to_vec();
        Ok(Some(Self { method: method.into(), path: path.into(), length, etag, early_body }))
    }
}

/// Fetches the page by the site's host name. Only the page shows that the stream works: i2pd reports a stream as connected
/// before it is.
async fn fetch_page(client: &Session, keys: &ServiceKeys) -> Result<Attempt<()>> {
    let name = I2pName::parse(&keys.host).context("the site's name is not valid")?;
    let stream = match client.connect(&name, 80).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Attempt::NotYet(error.to_string())),
    };
    Ok(Attempt::of(read_page(stream).await))
}

async fn read_page(mut stream: SamStream) -> Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n").await?;
    let mut response = Vec::new();
    while !response.ends_with(PAGE.as_bytes()) {
        ensure!(stream.read_buf(&mut response).await? > 0, "the stream ends before the page does");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_arrives_in_parts_and_with_the_body_after_it() {
        let whole =
            b"POST /sum HTTP/1.1\r\nHost: a\r\ncontent-length: 12\r\nIf-None-Match: \"1\"\r\n\r\nbody";
        for length in 0..whole.len() - 4 {
            assert!(Head::parse(&whole[..length]).unwrap().is_none(), "{length}");
        }
        let head = Head::parse(whole).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str(), head.length), ("POST", "/sum", 12));
        assert_eq!((head.etag.as_deref(), head.early_body.as_slice()), (Some(ETAG), &b"body"[..]));
    }

    #[test]
    fn pictures_of_two_clients_differ() {
        assert_eq!(picture("abcdefgh.b32.i2p"), picture("abcdefgh.b32.i2p"));
        assert_ne!(picture("abcdefgh.b32.i2p"), picture("abcdefgi.b32.i2p"));
        assert_ne!(picture("abcdefgh.b32.i2p"), picture("7bcdefgh.b32.i2p"));
    }

    #[test]
    fn an_invalid_head_is_refused() {
        assert!(Head::parse(b"GET\r\n\r\n").is_err());
        assert!(Head::parse(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n").is_err());
        assert_eq!(Head::parse(b"GET / HTTP/1.1\r\n\r\n").unwrap().unwrap().length, 0);
    }
}
