//! `demo`: a private I2P network in this process, a page on it, and the proxy of `run` in front of it.

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use i2p_embedded::{AddressBook, PrivateNetwork};
use i2p_name::{B32, HostName, I2pName};
use i2p_sam::{Bridge, Session, SessionOptions};
use i2p_tunnel::{InheritedSockets, Metrics};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    config::Config,
    daemon::{
        run::{announce, drain},
        running::Running,
        sessions::Sessions,
        signals::Signals,
        tunnels::{Bound, Tunnels},
    },
    failure::Failure,
    terminal::progress::{BUILDING, Progress},
};

/// The page's name on the private network.
const HOST: &str = "demo.i2p";
/// How long it may take until the page can be reached; 12 s are usual on two cores.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a visitor of the page may take.
const VISIT: Duration = Duration::from_secs(60);
/// How long to wait for a client that has its page to close.
const LINGER: Duration = Duration::from_secs(5);
/// A request line or header longer than this is cut off.
const MAX_REQUEST: u64 = 8 * 1024;

const PAGE: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>It works</title>
<h1>It works</h1>
<p>This page came through a SOCKS proxy and over a private I2P network, all inside one process.</p>
";

/// Runs the demonstration until SIGINT or SIGTERM.
pub(crate) async fn run(
    config: Config,
    inherited: InheritedSockets,
    progress: &Progress,
) -> Result<(), Failure> {
    let signals = Signals::catch()?;
    let stop = &signals.stop;
    let inherited = Arc::new(inherited);
    let bound = Bound::all(&config, &inherited).await?;
    let places: Vec<_> = bound.iter().flat_map(Bound::places).collect();
    let Some(address) = places.iter().find_map(|place| place.address.tcp()) else {
        return Err(Failure::usage(
            "the demo's curl lines are for a port: give it one with --listen IP:PORT",
        ));
    };
    let start = async {
        let demo = Demo::start(progress).await?;
        demo.wait_for_page(progress).await;
        Ok(demo)
    };
    let Some(demo) = stop.run_until_cancelled(timeout(PATIENCE, start)).await else { return Ok(()) };
    let demo = demo.unwrap_or_else(|_| Err(too_slow()))?;
    progress.finish();
    announce(&places)?;
    demo.say_what_to_try(address)?;
    let Demo { _network, visitors: sessions, .. } = demo;
    let tunnels = Tunnels::serve(bound, &config, inherited, &sessions, &Metrics::new())?;
    stop.cancelled().await;
    drain(Running { config, sessions, tunnels }, &signals.stop_now).await;
    Ok(())
}

struct Demo {
    _network: PrivateNetwork,
    page: B32,
    /// The sessions of the proxy's clients.
    visitors: Sessions,
}

impl Demo {
    async fn start(progress: &Progress) -> Result<Self, Failure> {
        let host: HostName = HOST.parse().map_err(Failure::run_time)?;
        let address_book = AddressBook::new();
        progress.step(1, "starting a private I2P network of four routers in this process");
        let network = PrivateNetwork::builder()
            .address_book(address_book.clone())
            .start()
            .await
            .map_err(Failure::run_time)?;
        let &[page_side, visitor_side, ..] = network.sam_addresses() else {
            return Err(Failure::run_time(
                "the private network has fewer SAM bridges than it was told to have",
            ));
        };
        progress.step(2, "the private network runs");
        // One hop is all that four routers can offer, and nobody has to be anonymous to himself.
        let options = SessionOptions::default().length(1);
        let published = options.clone().publish(true);
        let (page_bridge, visitor_bridge) =
            (Bridge::new(page_side.to_string()), Bridge::new(visitor_side.to_string()));
        progress.step(3, BUILDING);
        let visitors = Sessions::like(visitor_bridge, options);
        let page = page_bridge.create_session(&published).await.map_err(|error| {
            Failure::run_time(format_args!("the private network gives no session for the page: {error}"))
        })?;
        address_book.insert(host, page.destination().clone());
        let b32 = page.destination().b32();
        tokio::spawn(host_page(page));
        Ok(Self { _network: network, page: b32, visitors })
    }

    /// Connects to the page until it can be reached: a new destination is not known everywhere at once.
    async fn wait_for_page(&self, progress: &Progress) {
        progress.step(3, "waiting until the page can be reached");
        let page = I2pName::from(self.page);
        let Some(visitor) = self.visitors.shared().first_ready().await else { return };
        while visitor.connect(&page, 80).await.is_err() {
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn say_what_to_try(&self, proxy: SocketAddr) -> Result<(), Failure> {
        let text = format!(
            "A page is on a private I2P network in this process. In another shell:\n\n\
             \x20 curl --socks4a {proxy} http://{HOST}/\n\
             \x20 curl --socks5-hostname {proxy} http://{HOST}/\n\
             \x20 curl --socks5-hostname {proxy} http://{}/\n\n\
             Ctrl-C ends the demo.\n",
            self.page
        );
        std::io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::run_time(format_args!("cannot say on stdout what to try: {error}")))
    }
}

fn too_slow() -> Failure {
    Failure::run_time(format_args!(
        "the page could not be reached through the private network within {} s. This machine may be too busy for it; \
         start the demo again.",
        PATIENCE.as_secs()
    ))
}

/// Answers whoever comes to the page's session, for as long as it lasts.
async fn host_page(session: Session) {
    while session.is_alive() {
        match session.accept().await {
            Ok(accepted) => {
                tokio::spawn(timeout(VISIT, answer(accepted.stream)));
            }
            // Accepting can fail for a moment; without a pause it would fail in a loop.
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Reads a request's head and sends the page, whatever was asked for.
async fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = (&mut stream).take(MAX_REQUEST);
    let mut line = Vec::new();
    while head.read_until(b'\n', &mut line).await? > 0 && !matches!(line.as_slice(), b"\r\n" | b"\n") {
        line.clear();
    }
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
        PAGE.len()
    );
    stream.write_all(response.as_bytes()).await?;
    // The router drops what it has not sent when we close first: let the client close, if it does.
    let mut rest = [0; 256];
    let client_closes = async { while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    let _ = timeout(LINGER, client_closes).await;
    Ok(())
}
