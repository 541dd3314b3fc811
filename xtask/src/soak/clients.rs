//! Clients of every kind, good and bad.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail, ensure};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    diary::Diary,
    requests::{Requests, RouterState},
};
use crate::interop::{
    addresses::by_virtual_address,
    checks::{HOST_UNREACHABLE, NOT_ALLOWED, SOCKS4A, SOCKS5_NAME, download, page, page_by, refused, upload},
    curl::{Curl, REFUSED_BY_PROXY},
    outproxies::{BY_SOCKS, WEB, comes_from},
    payload,
    peers::{association::Association, far::Echo},
    proxy,
    site::{PAGE, Site},
};

/// How long anything may take: more than each limit of the proxy.
const LIMIT: Duration = Duration::from_secs(170);
/// How long a stream is held without a byte; the site itself gives up after 120 s.
const HELD: Duration = Duration::from_secs(90);
/// How long the proxy may keep a client that does not say what it wants; its limit is 30 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the tunnel listens that asks for passwords, and the one user that it lets in.
pub(super) const USERS_ADDRESS: &str = "127.0.0.1:4451";
pub(super) const USER: &str = "carol";
pub(super) const PASSWORD: &str = "open-sesame";
/// Datagrams of one client, how long one may take to come back, and how often the first one is sent.
const DATAGRAMS: usize = 20;
const FIRST: usize = 30;
const DATAGRAM: Duration = Duration::from_secs(2);
/// A page's request, after which the far end waits for us to close.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n";

/// What a client does.
#[derive(Clone, Copy)]
pub(super) enum Client {
    Socks5,
    Socks4a,
    Connect,
    Alice,
    Bob,
    VirtualAddress,
    UnknownName,
    ClearNet,
    Outproxy,
    Download,
    Upload,
    HalfClosed,
    Reset,
    Held,
    Garbage,
    Slow,
    Silent,
    Storm,
    Datagrams,
    Password,
}

impl Client {
    /// All of them.
    pub(super) const ALL: [Self; 20] = [
        Self::Socks5,
        Self::Socks4a,
        Self::Connect,
        Self::Alice,
        Self::Bob,
        Self::VirtualAddress,
        Self::UnknownName,
        Self::ClearNet,
        Self::Outproxy,
        Self::Download,
        Self::Upload,
        Self::HalfClosed,
        Self::Reset,
        Self::Held,
        Self::Garbage,
        Self::Slow,
        Self::Silent,
        Self::Storm,
        Self::Datagrams,
        Self::Password,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Socks5 => "SOCKS5, page",
            Self::Socks4a => "SOCKS4a, page",
            Self::Connect => "HTTP CONNECT, page",
            Self::Alice => "SOCKS5, one user's page",
            Self::Bob => "HTTP CONNECT, another user's page",
            Self::VirtualAddress => "RESOLVE, RESOLVE_PTR, page by the address",
            Self::UnknownName => "unknown name, refused",
            Self::ClearNet => "clear net, refused",
            Self::Outproxy => "page by an outproxy",
            Self::Download => "5 MB down",
            Self::Upload => "5 MB up",
            Self::HalfClosed => "half-closed after the request",
            Self::Reset => "reset in the middle of a download",
            Self::Held => "held open without a byte",
            Self::Garbage => "garbage, closed",
            Self::Slow => "slow handshake, page",
            Self::Silent => "silent, closed",
            Self::Storm => "twenty connections, dropped",
            Self::Datagrams => "UDP ASSOCIATE, twenty datagrams there and back",
            Self::Password => "wrong password, refused; right one, page",
        }
    }

    /// How many of them there are at one time.
    pub(super) fn copies(self) -> usize {
        match self {
            Self::Held => 4,
            Self::Silent | Self::Slow | Self::Socks5 => 2,
            _ => 1,
        }
    }

    /// How long it waits before it comes again.
    fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Self::Download | Self::Upload => 15_000,
            Self::Storm => 10_000,
            Self::HalfClosed | Self::Reset | Self::VirtualAddress | Self::Outproxy | Self::Datagrams => 4_000,
            _ => 2_000,
        })
    }

    /// Whether it may fail while the router is away.
    fn needs_router(self) -> bool {
        !matches!(self, Self::ClearNet | Self::Garbage | Self::Silent | Self::Storm)
    }
}

/// What clients need, and what is known of them.
pub(super) struct Surroundings {
    curl: Curl,
    site: Site,
    echo: Echo,
    router: RouterState,
    requests: Requests,
    diary: Diary,
}

impl Surroundings {
    /// With a router that has just been started.
    pub(super) fn new(curl: Curl, site: Site, echo: Echo, diary: Diary) -> Self {
        let router = RouterState::default();
        router.is_up();
        Self { curl, site, echo, router, requests: Requests::default(), diary }
    }

    pub(super) fn curl(&self) -> &Curl {
        &self.curl
    }

    pub(super) fn router(&self) -> &RouterState {
        &self.router
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The life of a client: it ends when it is dropped.
    pub(super) async fn come_again_and_again(self: Arc<Self>, client: Client) {
        loop {
            let start = self.router.now();
            let outcome = match timeout(LIMIT, self.work(client)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(anyhow!("not within {} s", LIMIT.as_secs())),
            };
            let excused = client.needs_router() && !self.router.was_there(start);
            self.requests.record(client.title(), outcome.is_ok(), excused);
            if let Err(error) = outcome
                && !excused
            {
                self.diary.tell(format_args!("failed: {}: {error:#}", client.title()));
            }
            sleep(client.pause()).await;
        }
    }

    async fn work(&self, client: Client) -> Result<()> {
        let Self { curl, site, echo, .. } = self;
        let connect = ["--proxytunnel", "--proxy"];
        match client {
            Client::Socks5 => page(curl, &[SOCKS5_NAME], &site.host).await,
            Client::Socks4a => page(curl, &[SOCKS4A], &site.b32).await,
            Client::Connect => page(curl, &connect, &site.host).await,
            Client::Alice => page(curl, &["--proxy-user", "alice:x", SOCKS5_NAME], &site.host).await,
            Client::Bob => page(curl, &[&["--proxy-user", "bob:x"][..], &connect].concat(), &site.b32).await,
            Client::VirtualAddress => by_virtual_address(curl, "--socks5", &site.host).await,
            Client::UnknownName => {
                refused(curl, SOCKS5_NAME, "http://nosuch.i2p/", &[HOST_UNREACHABLE]).await
            }
            Client::ClearNet => refused(curl, SOCKS5_NAME, "http://example.com/", &[NOT_ALLOWED]).await,
            Client::Outproxy => comes_from(curl, &format!("http://{WEB}:80/"), BY_SOCKS).await,
            Client::Download => download(curl, site).await,
            Client::Upload => upload(curl, site).await,
            Client::HalfClosed => half_closed(&site.host).await,
            Client::Reset => reset(&site.host).await,
            Client::Held => held(&site.host).await,
            Client::Garbage => garbage().await,
            Client::Slow => slow(&site.host).await,
            Client::Silent => closed(TcpStream::connect(proxy::ADDRESS).await?).await,
            Client::Storm => storm().await,
            Client::Datagrams => datagrams(&echo.b32.to_string()).await,
            Client::Password => password(curl, &site.host).await,
        }
    }
}

/// What a SOCKS5 client says (RFC 1928): no authentication, CONNECT to port 80 of the host.
fn handshake(host: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(host.len()).context("a long name")?;
    Ok([&[5, 1, 0, 5, 1, 0, 3, length], host.as_bytes(), &[0, 80]].concat())
}

/// The two replies to it.
async fn replies(stream: &mut (impl AsyncRead + Unpin)) -> Result<()> {
    let mut method = [0; 2];
    stream.read_exact(&mut method).await.context("no method")?;
    ensure!(method == [5, 0], "the proxy chose {method:?}");
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.context("no reply")?;
    let [5, 0, 0, kind] = head else { bail!("the proxy answered {head:?}") };
    let rest = match kind {
        1 => 4 + 2,
        4 => 16 + 2,
        _ => bail!("the proxy answered with an address of type {kind}"),
    };
    stream.read_exact(&mut vec![0; rest]).await.context("half a reply")?;
    Ok(())
}

async fn stream(host: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy::ADDRESS).await.context("the proxy does not accept")?;
    stream.write_all(&handshake(host)?).await?;
    replies(&mut stream).await?;
    Ok(stream)
}

async fn ask_for_page(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(PAGE.as_bytes()) {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the stream ends before the page does");
    }
    Ok(())
}

/// What of the answer still comes is the router's choice: the end of one direction is the end of both in i2pd. The
/// stream has to end.
async fn half_closed(host: &str) -> Result<()> {
    let mut stream = stream(host).await?;
    stream.write_all(REQUEST).await?;
    stream.shutdown().await?;
    // An end with a reset is one as well.
    let _ = stream.read_to_end(&mut Vec::new()).await;
    Ok(())
}

async fn reset(host: &str) -> Result<()> {
    let mut stream = stream(host).await?;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: site\r\n\r\n").await?;
    stream.read_exact(&mut vec![0; 100_000]).await.context("the download ends early")?;
    reset_at_end(&stream)
}

/// Closing sends RST and forgets what was not sent.
fn reset_at_end(stream: &TcpStream) -> Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).context("no reset")
}

async fn held(host: &str) -> Result<()> {
    let mut stream = stream(host).await?;
    ask_for_page(&mut stream).await?;
    match timeout(HELD, stream.read(&mut [0])).await {
        Err(_) => Ok(()),
        Ok(Ok(0)) => bail!("a silent stream was ended"),
        Ok(Ok(_)) => bail!("more than a page"),
        Ok(Err(error)) => Err(error).context("a silent stream was cut"),
    }
}

/// Each of these is no handshake, and ends the connection.
async fn garbage() -> Result<()> {
    for seed in ["one", "two", "three", "four"] {
        let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
        // It may be refused before it is whole.
        let _ = stream.write_all(&payload::bytes(seed, 20_000)).await;
        closed(stream).await?;
    }
    let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
    let _ = stream.write_all(&[&b"CONNECT "[..], &[b'a'; 100_000]].concat()).await;
    closed(stream).await
}

/// Comes back when the proxy has closed the connection.
async fn closed(mut stream: TcpStream) -> Result<()> {
    let mut said = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    ensure!(end.is_ok(), "still open after {} s", PATIENCE.as_secs());
    Ok(())
}

/// A byte at a time, within the limit.
async fn slow(host: &str) -> Result<()> {
    let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
    stream.set_nodelay(true)?;
    for byte in handshake(host)? {
        stream.write_all(&[byte]).await?;
        sleep(Duration::from_millis(300)).await;
    }
    replies(&mut stream).await?;
    ask_for_page(&mut stream).await
}

/// Clients that go in each state of a handshake, half of them with a reset.
async fn storm() -> Result<()> {
    let whole = handshake("nosuch.i2p")?;
    let mut streams = Vec::new();
    for number in 0..20 {
        let mut stream = TcpStream::connect(proxy::ADDRESS).await?;
        stream.write_all(whole.get(..number).unwrap_or(&whole)).await?;
        if number % 2 == 0 {
            reset_at_end(&stream)?;
        }
        streams.push(stream);
    }
    Ok(())
}

/// A relay with datagrams, of which I2P may lose some.
async fn datagrams(echo: &str) -> Result<()> {
    let mut client = Association::open(proxy::ADDRESS, echo).await?;
    // i2pd loses what is sent to a destination before it has found its lease set.
    let mut attempts = 0;
    loop {
        client.send(b"first").await?;
        if client.receive(DATAGRAM).await?.is_some() {
            break;
        }
        attempts += 1;
        ensure!(attempts < FIRST, "nothing came back, {FIRST} times");
    }
    let mut answered = 0;
    for number in 0..DATAGRAMS {
        client.send(&payload::bytes("datagram", 100 * (1 + number))).await?;
        answered += usize::from(client.receive(DATAGRAM).await?.is_some());
    }
    ensure!(answered * 2 > DATAGRAMS, "{answered} of {DATAGRAMS} datagrams came back");
    Ok(())
}

async fn password(curl: &Curl, host: &str) -> Result<()> {
    let user = |password| format!("{USER}:{password}");
    let wrong = user("wrong");
    let url = format!("http://{host}/");
    let outcome = curl.run(&["--proxy-user", &wrong, SOCKS5_NAME, USERS_ADDRESS, &url]).await?;
    ensure!(outcome.code == REFUSED_BY_PROXY, "a wrong password: curl ended with {}", outcome.code);
    page_by(curl, &["--proxy-user", &user(PASSWORD), SOCKS5_NAME], USERS_ADDRESS, host).await
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[test]
    fn a_handshake_is_what_rfc_1928_says() {
        let bytes = handshake("a.i2p").unwrap();
        assert_eq!(bytes, b"\x05\x01\x00\x05\x01\x00\x03\x05a.i2p\x00\x50");
        assert!(handshake(&"a".repeat(256)).is_err());
    }

    #[tokio::test]
    async fn replies_are_read_to_their_end_and_refusals_are_errors() {
        for (said, left) in [
            (&b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00rest"[..], Some("rest")),
            (b"\x05\x00\x05\x00\x00\x04aaaabbbbccccddddpp", Some("")),
            (b"\x05\x00\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00", None),
            (b"\x05\xff", None),
            (b"\x05\x00\x05\x00\x00\x01\x00\x00", None),
        ] {
            let (mut ours, mut theirs) = duplex(64);
            theirs.write_all(said).await.unwrap();
            drop(theirs);
            let outcome = replies(&mut ours).await;
            assert_eq!(outcome.is_ok(), left.is_some(), "{said:?}");
            if let Some(left) = left {
                let mut rest = String::new();
                ours.read_to_string(&mut rest).await.unwrap();
                assert_eq!(rest, left);
            }
        }
    }
}
