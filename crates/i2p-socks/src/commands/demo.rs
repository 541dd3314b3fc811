//! `demo`: a private I2P network in this process with one page, and the proxy in front of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use i2p_embedded::PrivateNetwork;
use i2p_name::{B32, Destination, HostName, I2pName};
use i2p_sam::{Bridge, PrivateKey, SessionOptions};
use i2p_tunnel::{InheritedSockets, Resolver};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{demo_page::host_page, reload::DEMO_RELOADS_NOTHING};
use crate::{
    admin::routes::{Visitors, pages},
    command_error::CommandError,
    config::{Config, admin::AdminListen, names::NamesConfig, tunnel::TunnelConfig},
    control::{DEMO_DIRECTORY, routes::Routes},
    daemon::{
        exec_directory::ExecDirectory,
        home::StateDirectory,
        orders::{self, Order},
        run::{announce, drain, renew_identities},
        running::Running,
        sessions::Sessions,
        signals::Signals,
        tunnels::{BoundListener, Tunnels},
    },
    listener::Listener,
    names::{handlers, service::NameService},
    pac::ProxyAutoConfig,
    status::{
        active::ActiveParts,
        board::{Board, Stage},
    },
    terminal::{output, panics, progress::Progress},
};

/// The host name of the page on the private network.
const HOST: &str = "demo.i2p";
/// How long it may take until the page can be reached. On two cores it takes about 12 s.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The warning in the status.
const NOT_ANONYMOUS: &str =
    "this is the demo: a private network inside one process, without anonymity and without the rest of I2P";

/// Runs the demonstration until SIGINT or SIGTERM.
pub(crate) async fn run(
    config: Config,
    inherited: InheritedSockets,
    progress: &Progress,
) -> Result<(), CommandError> {
    refuse_admin_endpoint(&config)?;
    refuse_routes(&config)?;
    refuse_dedicated_sessions(&config)?;
    let mut signals = Signals::catch()?;
    let stop = signals.stop.clone();
    let inherited = Arc::new(inherited);
    let bound = BoundListener::bind_all(&config, &inherited).await?;
    let listeners: Vec<_> = bound.iter().flat_map(BoundListener::listeners).collect();
    let with_port = |listener: &Listener| Some((listener.tunnel.clone(), listener.address.tcp()?));
    let Some((tunnel, address)) = listeners.iter().filter(|listener| listener.is_proxy()).find_map(with_port)
    else {
        return Err(CommandError::usage(
            "the curl commands of the demo need a port: give it one with --listen IP:PORT",
        ));
    };
    let asks_for_password = |its: &TunnelConfig| its.name() == tunnel && its.requires_password();
    let needs_password = config.tunnels().iter().any(asks_for_password);
    // The proxy that may be running keeps its own.
    let mut control = Control::open(config.within_state_dir(DEMO_DIRECTORY), listeners.clone())?;
    let start = async {
        let network = Network::start(progress).await?;
        let (names, orders) = control.serve(&network, &listeners).await?;
        let demo = network.publish(names.resolver().clone(), progress).await?;
        demo.wait_for_page(progress).await;
        Ok((demo, names, orders))
    };
    let Some(started) = stop.run_until_cancelled(timeout(START_TIMEOUT, start)).await else { return Ok(()) };
    let (demo, names, orders) = started.unwrap_or_else(|_| Err(too_slow()))?;
    progress.finish();
    let Demo { _network, page, visitors: sessions } = demo;
    let Control { config, board, state_directory: _state_directory, ended } = control;
    let _ended = ended.drop_guard();
    // Its network is no I2P, so no program is contained with it.
    let sockets = (inherited, ExecDirectory::none());
    let tunnels = Tunnels::serve(bound, &config, sockets, &sessions, board.metrics(), names)?;
    let risks = vec![NOT_ANONYMOUS.to_owned()];
    let running = Running { config, sessions, tunnels, own_router: None, address_book: None, risks };
    running.update_status(&board);
    board.set_stage(Stage::Running { starting: Vec::new() });
    announce(&listeners);
    let commands = commands_to_try(address, &page.b32(), needs_password);
    output::announce(commands, |error| tracing::warn!("cannot write to stdout: {error}. The demo goes on"));
    obey(&running, &mut signals, orders).await;
    board.set_stage(Stage::Stopping);
    drain(running, &signals.stop_now).await;
    Ok(())
}

/// What the demo says to a command that wants an identity.
const DEMO_KEEPS_NO_KEYS: &str = "the demo keeps no identities";

/// Follows signals and orders until the demo is told to stop.
async fn obey(running: &Running, signals: &mut Signals, mut orders: mpsc::Receiver<Order>) {
    let stop = signals.stop.clone();
    loop {
        // A command that has ended needs no reply.
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = signals.new_identity.recv() => drop(renew_identities(running, None)),
            Some(()) = signals.reload.recv() => tracing::warn!("{DEMO_RELOADS_NOTHING}"),
            Some(order) = orders.recv() => match order {
                Order::NewIdentity(user, reply) => drop(reply.send(renew_identities(running, user.as_deref()))),
                Order::Reload(reply) => drop(reply.send(Err(DEMO_RELOADS_NOTHING.to_owned()))),
                Order::NewKeys(_, reply) => drop(reply.send(Err(DEMO_KEEPS_NO_KEYS.to_owned()))),
                Order::Routing(reply) => drop(reply.send(running.config.routing_number())),
            }
        }
    }
}

/// What commands ask the demo through.
struct Control {
    config: Config,
    state_directory: StateDirectory,
    board: Board,
    ended: CancellationToken,
}

impl Control {
    /// Takes the state directory of the demo. Commands wait for [`Control::serve`].
    fn open(mut config: Config, listeners: Vec<Listener>) -> Result<Self, CommandError> {
        // Its routers answer lookups only within sessions, and know no name.
        config.names = NamesConfig { book: false, router: false, ..NamesConfig::default() };
        let proxy_auto_config = ProxyAutoConfig::of(&config);
        let board = Board::new(listeners.clone(), proxy_auto_config.clone(), panics::count);
        let warnings = vec![NOT_ANONYMOUS.to_owned()];
        board.set_active(ActiveParts { listeners, warnings, proxy_auto_config, ..ActiveParts::default() });
        let state_directory = StateDirectory::take(&config, None)?;
        Ok(Self { config, state_directory, board, ended: CancellationToken::new() })
    }

    /// Serves commands. Returns the names of the demo, which include its page, and what commands order.
    async fn serve(
        &mut self,
        network: &Network,
        listeners: &[Listener],
    ) -> Result<(Arc<NameService>, mpsc::Receiver<Order>), CommandError> {
        let host: HostName = HOST.parse().map_err(CommandError::run_time)?;
        let page = I2pName::from(network.key.destination().clone());
        self.config.names.fixed = [(host, page)].into();
        let names = NameService::open(&self.config, self.state_directory.path()).await;
        let (routes, orders) = orders::add(handlers::add(&names, Routes::default()));
        let routes = pages(routes, &self.board, Visitors::OfUnixSocket);
        self.state_directory.serve(routes, listeners, &[], &self.ended);
        Ok((names, orders))
    }
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

/// Refuses outproxies and routes, which lead out of the private network.
fn refuse_routes(config: &Config) -> Result<(), CommandError> {
    match (config.outproxy.as_slice(), config.route.as_slice()) {
        ([], []) => Ok(()),
        _ => Err(CommandError::usage(
            "the demo has no way out of its private network: leave [[outproxy]] and [[route]] out, or use i2p-socks run",
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

/// The private network, before anybody uses it.
struct Network {
    network: PrivateNetwork,
    page_bridge: Bridge,
    visitor_bridge: Bridge,
    /// The keys of the page.
    key: PrivateKey,
}

impl Network {
    async fn start(progress: &Progress) -> Result<Self, CommandError> {
        progress.step(1, "starting a private I2P network of four routers in this process");
        let network = PrivateNetwork::builder().start().await.map_err(CommandError::run_time)?;
        let &[page_side, visitor_side, ..] = network.sam_addresses() else {
            return Err(CommandError::run_time("the private network has fewer SAM bridges than expected"));
        };
        let (page_bridge, visitor_bridge) =
            (Bridge::new(page_side.to_string()), Bridge::new(visitor_side.to_string()));
        // The log names the router that a session is opened on, unless it was asked before. One of the two sides is enough.
        page_bridge.probe().await.map_err(CommandError::run_time)?;
        let key = page_bridge.generate_keys().await.map_err(CommandError::run_time)?;
        progress.step(2, "the private network is running");
        Ok(Self { network, page_bridge, visitor_bridge, key })
    }

    /// Publishes the page, and opens sessions for its visitors, who resolve names with this resolver.
    async fn publish(self, resolver: Resolver, progress: &Progress) -> Result<Demo, CommandError> {
        progress.step(3, "building I2P tunnels in the private network, which takes about 15 s");
        // Four routers allow one hop, and nobody here needs anonymity.
        let options = SessionOptions::default().length(1);
        let published = options.clone().publish(true).private_key(self.key);
        let visitors = Sessions::shared_only(self.visitor_bridge, options, resolver);
        let page = self.page_bridge.create_session(&published).await.map_err(|error| {
            CommandError::run_time(format_args!(
                "cannot open a session for the page on the private network: {error}"
            ))
        })?;
        let destination = page.destination().clone();
        tokio::spawn(host_page(page));
        Ok(Demo { _network: self.network, page: destination, visitors })
    }
}

struct Demo {
    _network: PrivateNetwork,
    page: Destination,
    /// The sessions that the proxy uses for its clients.
    visitors: Sessions,
}

impl Demo {
    /// Connects to the page until it succeeds: it takes a moment until all routers know a new destination.
    async fn wait_for_page(&self, progress: &Progress) {
        progress.step(3, "waiting until the page can be reached");
        let page = I2pName::from(self.page.b32());
        let Some(visitor) = self.visitors.shared().first_ready().await else { return };
        while visitor.connect(&page, 80).await.is_err() {
            sleep(Duration::from_millis(500)).await;
        }
    }
}

fn commands_to_try(proxy: SocketAddr, page: &B32, needs_password: bool) -> String {
    let (first, user) = match needs_password {
        // SOCKS4a has no passwords.
        true => (format!("curl -x http://{proxy} -U USER:PASSWORD"), " -U USER:PASSWORD"),
        false => (format!("curl --socks4a {proxy}"), ""),
    };
    format!(
        "This process runs a private I2P network with one page. Try these commands in another shell:\n\n\
         \x20 {first} http://{HOST}/\n\
         \x20 curl --socks5-hostname {proxy}{user} http://{HOST}/\n\
         \x20 curl --socks5-hostname {proxy}{user} http://{page}/\n\n\
         Ctrl-C ends the demo.\n"
    )
}

fn too_slow() -> CommandError {
    CommandError::run_time(format_args!(
        "the page could not be reached through the private network within {} s. The machine may be too busy: start the demo \
         again.",
        START_TIMEOUT.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_to_try_have_a_password_if_the_tunnel_requires_one() {
        let proxy = "127.0.0.1:4450".parse().unwrap();
        let page = format!("{}.b32.i2p", "a".repeat(52)).parse().unwrap();
        let with = commands_to_try(proxy, &page, true);
        assert_eq!(with.matches(" -U USER:PASSWORD http://").count(), 3, "{with}");
        assert!(!with.contains("socks4"), "SOCKS4a has no passwords: {with}");
        let without = commands_to_try(proxy, &page, false);
        assert!(without.contains("--socks4a") && !without.contains("-U"), "{without}");
    }
}
