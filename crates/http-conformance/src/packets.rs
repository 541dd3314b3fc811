//! What leaves the machine when a page in I2P is opened that refers to everything outside: nothing but what the proxy sends to its
//! bridge and to an outproxy.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use i2p_sam::Bridge;
use lab::{namespace, ports::free_port, proxy::Proxy};
use programs::Workspace;
use sam_testkit::{Act, TestBridge, destination};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::Mutex,
    time::{sleep, timeout},
};

use crate::counter::Counter;

/// How long a program may take.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(40);
/// How long what a page refers to may still be on its way.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// The site, in I2P.
const HOST: &str = "far.i2p";
/// A page that makes a browser load things, or prepare to: of a host without a route, of one with an outproxy, and of an address.
const PAGE: &str = "<!doctype html><html><head>\
    <link rel=dns-prefetch href='//prefetch.example.com'><link rel=preconnect href='http://connect.example.com'>\
    <link rel=prefetch href='http://outside.example.com/prefetch'><link rel=prerender href='http://outside.example.com/page'>\
    <link rel=stylesheet href='http://outside.example.com/style.css'><link rel=icon href='http://outside.example.com/icon.png'>\
    <link rel=preload as=image href='http://198.51.100.7/preload.png'></head><body>\
    <a href='http://link.example.com/'>outside</a><a href='http://link.example.com/' ping='http://ping.example.com/'>ping</a>\
    <img src='http://outside.example.com/a.png'><img src='https://secure.example.com/a.png'>\
    <img src='http://through.example.net/a.png'><img src='http://198.51.100.7/a.png'><img src='http://[2001:db8::7]/a.png'>\
    <img src='http://nobody.i2p/a.png'><img src='http://localhost:81/a.png'><img src='/picture'>\
    <iframe src='http://outside.example.com/frame'></iframe><object data='http://outside.example.com/object'></object>\
    <video src='http://outside.example.com/video.mp4'></video>\
    <style>body{background:url(http://outside.example.com/background.png)}@font-face{font-family:x;\
    src:url(http://outside.example.com/font.woff)}body{font-family:x}</style>\
    <script src='http://outside.example.com/script.js'></script>\
    <script>fetch('http://outside.example.com/fetch').catch(()=>0);new WebSocket('ws://outside.example.com/');\
    navigator.sendBeacon('http://outside.example.com/beacon');new EventSource('http://outside.example.com/events')</script>\
    <p>the page</body></html>";

/// What is asked for without a browser: other hosts, by every protocol of the port.
const REQUESTS: [&str; 5] = [
    "GET http://outside.example.com/ HTTP/1.1\r\nHost: outside.example.com\r\nConnection: close\r\n\r\n",
    "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET http://198.51.100.7/ HTTP/1.1\r\nHost: 198.51.100.7\r\nConnection: close\r\n\r\n",
    "CONNECT outside.example.com:443 HTTP/1.1\r\nHost: outside.example.com:443\r\n\r\n",
    "GET http://through.example.net/ HTTP/1.1\r\nHost: through.example.net\r\nConnection: close\r\n\r\n",
];

/// Opens the page in Chromium, and counts.
pub(crate) async fn check(workspace: &Workspace, lab: &Path) -> Result<()> {
    // What is sent elsewhere is lost, but is a packet.
    namespace::add_default_route()?;
    let site = Recorder::start(PAGE).await?;
    let outproxy = Recorder::start("").await?;
    let bridge = TestBridge::start().await;
    let known = format!("NAMING REPLY RESULT=OK NAME={HOST} VALUE={}", destination());
    bridge.on(&format!("NAMING LOOKUP NAME={HOST}"), [Act::line(&known)]);
    bridge.on("STREAM CONNECT", [Act::Dial]);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let configuration = format!(
        "[[outproxy]]\nname = \"out\"\nat = \"127.0.0.1:{}\"\nvia = \"tcp\"\nprotocol = \"http-connect\"\n\
         [[route]]\nhost = \"*.example.net\"\nvia = [\"out\"]\n",
        outproxy.port
    );
    let directory = lab.join("packets");
    std::fs::create_dir_all(&directory)?;
    let sam = Bridge::new(bridge.address());
    let _proxy =
        Proxy::start(&workspace.proxy(), &directory, &sam, &address.to_string(), &configuration).await?;
    let ports = [address.port(), bridge.address().parse::<SocketAddr>()?.port(), site.port, outproxy.port];

    let control = Counter::start()?;
    ask_dns().await?;
    let (_, others) = control.others(&ports)?;
    ensure!(
        others.contains_key("UDP to 127.0.0.1:53"),
        "the counter does not see a query to DNS: {others:?}"
    );

    let counter = Counter::start()?;
    for request in REQUESTS {
        exchange(address, request)
            .await
            .with_context(|| request.lines().next().unwrap_or_default().to_owned())?;
    }
    let (all, others) = counter.others(&ports)?;
    ensure!(all > 50, "the counter sees {all} packets only");
    ensure!(
        others.is_empty(),
        "requests of programs make other packets than of the bridge and the outproxy: {others:?}"
    );

    let counter = Counter::start()?;
    let url = format!("http://{HOST}:{}/", site.port);
    let dom = browse(&directory, address, &url).await?;
    ensure!(dom.contains("the page"), "Chromium does not show the page: {dom}");
    sleep(AFTERWARDS).await;
    let (all, others) = counter.others(&ports)?;
    let of_site = site.received().await;
    ensure!(of_site.contains("GET /picture "), "the page was not loaded whole: {of_site}");
    let asked = outproxy.received().await;
    ensure!(asked.contains("CONNECT through.example.net:80 "), "the outproxy was not asked: {asked}");
    ensure!(!asked.contains("outside.example.com"), "the outproxy was asked for what has no route: {asked}");
    ensure!(others.is_empty(), "a page makes other packets than of the bridge and the outproxy: {others:?}");
    println!(
        "     ok: a page that refers to everything outside makes {all} packets, none of DNS and none that leaves the machine"
    );
    Ok(())
}

/// Sends a query to where name servers listen, to see whether it is counted.
async fn ask_dns() -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.send_to(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01", (Ipv4Addr::LOCALHOST, 53)).await?;
    Ok(())
}

async fn exchange(proxy: SocketAddr, request: &str) -> Result<()> {
    let mut client = TcpStream::connect(proxy).await?;
    client.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(PROGRAM_TIMEOUT, client.read_to_end(&mut answer)).await.context("no answer")??;
    ensure!(answer.starts_with(b"HTTP/1.1 "), "answered {:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Has Chromium show a page, and returns its DOM.
async fn browse(directory: &Path, proxy: SocketAddr, url: &str) -> Result<String> {
    let mut command = Command::new(programs::find("chromium").context("chromium is missing")?);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"])
        .arg(format!("--user-data-dir={}", directory.join("profile").display()))
        // Loopback is no exception.
        .arg(format!("--proxy-server=http://{proxy}"))
        .arg("--proxy-bypass-list=<-loopback>")
        .arg(url)
        .env("HOME", directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PROGRAM_TIMEOUT, command.output()).await.context("Chromium takes too long")??;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A server that records what it gets, and answers each head with a page.
struct Recorder {
    port: u16,
    received: Arc<Mutex<String>>,
}

impl Recorder {
    async fn start(page: &'static str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let received = Arc::<Mutex<String>>::default();
        let recorded = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, page, Arc::clone(&recorded)));
            }
        });
        Ok(Self { port, received })
    }

    async fn received(&self) -> String {
        self.received.lock().await.clone()
    }
}

async fn serve(mut stream: TcpStream, page: &str, received: Arc<Mutex<String>>) {
    let mut head = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut head).await {
        if head.ends_with(b"\r\n\r\n") {
            received.lock().await.push_str(&String::from_utf8_lossy(&head));
            head.clear();
            let status = if page.is_empty() { "502 No" } else { "200 OK" };
            let length = page.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{page}"
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
