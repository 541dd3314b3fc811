//! `demo`: a private I2P network in this process with one page, and the proxy in front of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use i2p_embedded::{HostTable, PrivateNetwork};
use i2p_name::{B32, HostName, I2pName};
use i2p_sam::{Bridge, SamStream, Session, SessionOptions};
use i2p_tunnel::{InheritedSockets, Metrics};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::{sleep, timeout},
};

use crate::{
    command_error::CommandError,
    config::{Config, admin::AdminListen},
    daemon::{
        run::{announce, drain},
        running::Running,
        sessions::Sessions,
        signals::Signals,
        tunnels::{BoundListener, Tunnels},
    },
    terminal::{
        output::print,
        progress::{BUILDING_TUNNELS, Progress},
    },
};

/// The host name of the page on the private network.
const HOST: &str = "demo.i2p";
/// How long it may take until the page can be reached. On two cores it takes about 12 s.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one visit to the page may take.
const VISIT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait for the client to close after it got the page.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A longer request head is cut off.
const MAX_REQUEST_BYTES: u64 = 8 * 1024;

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
) -> Result<(), CommandError> {
    refuse_admin_endpoint(&config)?;
    refuse_dedicated_sessions(&config)?;
    let signals = Signals::catch()?;
    let stop = &signals.stop;
    let inherited = Arc::new(inherited);
    let bound = BoundListener::bind_all(&config, &inherited).await?;
    let listeners: Vec<_> = bound.iter().flat_map(BoundListener::listeners).collect();
    let Some(address) = listeners.iter().find_map(|listener| listener.address.tcp()) else {
        return Err(CommandError::usage(
            "the curl commands of the demo need a port: give it one with --listen IP:PORT",
        ));
    };
    let start = async {
        let demo = Demo::start(progress).await?;
        demo.wait_for_page(progress).await;
        Ok(demo)
    };
    let Some(demo) = stop.run_until_cancelled(timeout(START_TIMEOUT, start)).await else { return Ok(()) };
    let demo = demo.unwrap_or_else(|_| Err(too_slow()))?;
    progress.finish();
    announce(&listeners);
    if let Err(error) = demo.print_commands_to_try(address) {
        tracing::warn!("{error}. The demo goes on");
    }
    let Demo { _network, visitors: sessions, .. } = demo;
    let tunnels = Tunnels::serve(bound, &config, inherited, &sessions, &Metrics::new())?;
    stop.cancelled().await;
    drain(Running { config, sessions, tunnels, own_router: None, risks: Vec::new() }, &signals.stop_now)
        .await;
    Ok(())
}

/// Refuses an admin endpoint, which the demo does not serve.
fn refuse_admin_endpoint(config: &Config) -> Result<(), CommandError> {
    match config.admin.listen {
        AdminListen::Off => Ok(()),
        _ => Err(CommandError::usage(
            "the demo has no admin endpoint: leave listen under [admin] out, or use i2p-socks run",
        )),
    }
}

/// Refuses tunnels that need I2P sessions of their own: all tunnels of the demo share one pool, and its routers carry no UDP.
fn refuse_dedicated_sessions(config: &Config) -> Result<(), CommandError> {
    match config.tunnels().iter().find(|tunnel| tunnel.dedicated_sessions().is_some()) {
        Some(tunnel) => Err(CommandError::usage(format_args!(
            "tunnel {} has settings for I2P sessions of its own (udp, incoming, key, length, quantity or early-data), which the demo \
             does not have. Leave them out, or use i2p-socks run",
            tunnel.name()
        ))),
        None => Ok(()),
    }
}

struct Demo {
    _network: PrivateNetwork,
    page: B32,
    /// The sessions that the proxy uses for its clients.
    visitors: Sessions,
}

impl Demo {
    async fn start(progress: &Progress) -> Result<Self, CommandError> {
        let host: HostName = HOST.parse().map_err(CommandError::run_time)?;
        let host_names = HostTable::new();
        progress.step(1, "starting a private I2P network of four routers in this process");
        let network = PrivateNetwork::builder()
            .host_names(host_names.clone())
            .start()
            .await
            .map_err(CommandError::run_time)?;
        let &[page_side, visitor_side, ..] = network.sam_addresses() else {
            return Err(CommandError::run_time("the private network has fewer SAM bridges than expected"));
        };
        progress.step(2, "the private network is running");
        // Four routers allow one hop, and nobody here needs anonymity.
        let options = SessionOptions::default().length(1);
        let published = options.clone().publish(true);
        let (page_bridge, visitor_bridge) =
            (Bridge::new(page_side.to_string()), Bridge::new(visitor_side.to_string()));
        progress.step(3, BUILDING_TUNNELS);
        let visitors = Sessions::shared_only(visitor_bridge, options);
        let page = page_bridge.create_session(&published).await.map_err(|error| {
            CommandError::run_time(format_args!(
                "cannot open a session for the page on the private network: {error}"
            ))
        })?;
        host_names.insert(host, page.destination().clone());
        let b32 = page.destination().b32();
        tokio::spawn(host_page(page));
        Ok(Self { _network: network, page: b32, visitors })
    }

    /// Connects to the page until it succeeds: it takes a moment until all routers know a new destination.
    async fn wait_for_page(&self, progress: &Progress) {
        progress.step(3, "waiting until the page can be reached");
        let page = I2pName::from(self.page);
        let Some(visitor) = self.visitors.shared().first_ready().await else { return };
        while visitor.connect(&page, 80).await.is_err() {
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn print_commands_to_try(&self, proxy: SocketAddr) -> Result<(), CommandError> {
        let text = format!(
            "This process runs a private I2P network with one page. Try these commands in another shell:\n\n\
             \x20 curl --socks4a {proxy} http://{HOST}/\n\
             \x20 curl --socks5-hostname {proxy} http://{HOST}/\n\
             \x20 curl --socks5-hostname {proxy} http://{}/\n\n\
             Ctrl-C ends the demo.\n",
            self.page
        );
        print(&text)
    }
}

fn too_slow() -> CommandError {
    CommandError::run_time(format_args!(
        "the page could not be reached through the private network within {} s. The machine may be too busy: start the demo \
         again.",
        START_TIMEOUT.as_secs()
    ))
}

/// Serves the page to every visitor, as long as the session lasts.
async fn host_page(session: Session) {
    while session.is_alive() {
        match session.accept().await {
            Ok(accepted) => {
                tokio::spawn(timeout(VISIT_TIMEOUT, answer(accepted.stream)));
            }
            // Accepting can fail for a moment. The pause keeps it from failing in a tight loop.
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Reads the head of a request, whatever it asks for, and sends the page.
async fn answer(stream: SamStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = (&mut stream).take(MAX_REQUEST_BYTES);
    let mut line = Vec::new();
    while head.read_until(b'\n', &mut line).await? > 0 && !matches!(line.as_slice(), b"\r\n" | b"\n") {
        line.clear();
    }
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
        PAGE.len()
    );
    stream.write_all(response.as_bytes()).await?;
    // If we close first, the router drops data that it has not sent yet. So wait until the client closes.
    let mut rest = [0; 256];
    let client_closes = async { while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    let _ = timeout(CLOSE_TIMEOUT, client_closes).await;
    Ok(())
}
