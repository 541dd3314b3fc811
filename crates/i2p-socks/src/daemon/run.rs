//! `run`: starts the proxy, serves clients, reloads, and stops.

use std::{path::PathBuf, sync::Arc, time::Duration};

use i2p_sam::Bridge;
use i2p_tunnel::InheritedSockets;
use restart_schedule::again_after_panics;
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    datagram_support,
    exec_directory::ExecDirectory,
    home::StateDirectory,
    identities::{self, StoredIdentity},
    notify::ServiceManager,
    orders::{self, NewIdentityReply, Order, ReloadReply},
    preflight,
    router_search::{RouterEvent, RouterSearch},
    routing,
    running::{Changes, Running, warn_of_new_risks},
    sessions::Sessions,
    signals::Signals,
    start::Start,
    tunnels::{BoundListener, Tunnels},
};
use crate::{
    admin::{
        listen::AdminEndpoint,
        routes::{Visitors, pages},
    },
    command_error::CommandError,
    config::{Config, options::Options, tunnel::TunnelName},
    control::routes::Routes,
    listener::Listener,
    names::{handlers, service::NameService},
    pac::ProxyAutoConfig,
    status::{
        active::ActiveParts,
        address_book::AddressBookSource,
        board::{Board, Stage},
    },
    terminal::{
        log::Log,
        output, panics,
        progress::{BUILDING_TUNNELS, Progress},
    },
};

/// How long the second signal may take to end the proxy in good order.
const AT_ONCE: Duration = Duration::from_millis(500);

/// How often the service manager gets the status, if it has changed.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the proxy until SIGINT or SIGTERM.
pub(crate) async fn run(
    config: Config,
    inherited: InheritedSockets,
    options: &Options,
    progress: &Progress,
    log: &Log,
) -> Result<(), CommandError> {
    preflight::check_files(&config)?;
    let mut signals = Signals::catch()?;
    let stop = signals.stop.clone();
    tokio::spawn(end_at_once(signals.stop_now.clone()));
    tokio::spawn(finish_when_stopped(progress.clone(), stop.clone()));
    // Listeners first: a taken port is reported at once, not after minutes of building tunnels.
    let inherited = Arc::new(inherited);
    let bound = match BoundListener::bind_all(&config, &inherited).await {
        Ok(bound) => bound,
        Err(error) => return Err(StateDirectory::with_running_proxy(error, &config).await),
    };
    let listeners: Vec<_> = bound.iter().flat_map(BoundListener::listeners).collect();
    let board = Board::new(listeners.clone(), ProxyAutoConfig::of(&config), panics::count);
    let mut admin = AdminEndpoint::bind(&config.admin.listen).await?;
    // Status pages are served to the very end, even while the proxy drains.
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    if let Some(admin) = &mut admin {
        admin.serve(&board, &ended);
    }
    let mut state_directory = StateDirectory::take(&config, admin.as_ref().map(AdminEndpoint::address))?;
    let exec_directory = ExecDirectory::open(state_directory.path());
    let for_exec = BoundListener::bind_for_exec(&config, &exec_directory).await;
    let exec_sockets: Vec<_> = for_exec.iter().flat_map(BoundListener::listeners).collect();
    let bound: Vec<_> = bound.into_iter().chain(for_exec).collect();
    let open = NameService::open(&config, state_directory.path());
    let Some(names) = stop.run_until_cancelled(open).await else { return Ok(()) };
    let (routes, orders) = orders::add(handlers::add(&names, Routes::default()));
    let routes = pages(routes, &board, Visitors::OfUnixSocket);
    state_directory.serve(routes, &listeners, &exec_sockets, &ended);
    // Nothing is known of the router yet.
    ServiceManager.status("Starting: looking for an I2P router");
    tokio::spawn(ended.clone().run_until_cancelled_owned(report_to_service_manager(board.clone())));
    routing::warn_of_risks(&config);
    let risks = config.risks();
    warn_of_new_risks(&risks, &[]);
    let at_start = config.clone();
    let mut router = RouterSearch::new(&at_start, progress, &names, state_directory.refuses_router());
    if let Some(why) = lack_of_keys(&config) {
        // The router makes their keys. Without them, their tunnels would be served with other identities.
        tracing::info!("{why}");
        let (listeners, proxy_auto_config) = (listeners.clone(), ProxyAutoConfig::of(&config));
        let warnings = risks.iter().cloned().chain([why]).collect();
        board.set_active(ActiveParts { listeners, warnings, proxy_auto_config, ..ActiveParts::default() });
        let Some(found) = stop.run_until_cancelled(router.next()).await else {
            router.end(&signals.stop_now).await;
            return Ok(());
        };
        found?;
    }
    let sessions = Sessions::open(&config, router.bridge(), names.resolver().clone()).await?;
    let sockets = (inherited, exec_directory);
    let tunnels = Tunnels::serve(bound, &config, sockets, &sessions, board.metrics(), names.clone())?;
    // Clients are served from here on. Until there is a session, they wait, and those who wait too long get an error with the reason.
    let address_book = AddressBookSource::new({
        let names = Arc::clone(&names);
        move || names.book_failure()
    });
    let mut running =
        Running { config, sessions, tunnels, own_router: None, address_book: Some(address_book), risks };
    let context = RunContext {
        options,
        log,
        board: &board,
        state_directory: &state_directory,
        progress,
        names: &names,
    };
    let served = match context.update_router(&mut running, &router) {
        Ok(()) => {
            let mut controls = Controls { signals: &mut signals, orders, router: &mut router };
            serve(&mut running, &mut controls, &context).await
        }
        failed => failed,
    };
    board.set_stage(Stage::Stopping);
    ServiceManager.stopping(&board.summary());
    names.stop_reading();
    match &served {
        Ok(()) => drain(running, &signals.stop_now).await,
        Err(_) => end(running).await,
    }
    router.end(&signals.stop_now).await;
    served
}

/// That clients wait until a router has made the keys of tunnels, if it has to.
fn lack_of_keys(config: &Config) -> Option<String> {
    let which = identities::tunnels_without_keys(config)?;
    Some(format!(
        "{which}: a router makes them. Until one answers, no client is served, of these and of other tunnels"
    ))
}

/// Creates an identity for a command, which may have ended by then.
async fn new_keys(
    state_dir: Result<PathBuf, CommandError>,
    bridge: Bridge,
    name: TunnelName,
    reply: oneshot::Sender<Result<String, String>>,
) {
    let made = async { StoredIdentity::of(&state_dir?, name.as_str()).load_or_generate(&bridge).await };
    let address = made.await.map(|key| key.destination().b32().to_string());
    let _ = reply.send(address.map_err(|error| error.to_string()));
}

/// Ends this process if the second signal has not done so within a moment: a router that is being started ends in its own time, which
/// is waited for elsewhere.
async fn end_at_once(now: CancellationToken) {
    now.cancelled().await;
    sleep(AT_ONCE).await;
    output::flush(Some(AT_ONCE));
    std::process::exit(0);
}

/// Ends the display of the start with the start.
async fn finish_when_stopped(progress: Progress, stop: CancellationToken) {
    stop.cancelled().await;
    progress.finish();
}

/// What tells the running proxy to do something.
struct Controls<'a, 'b> {
    signals: &'a mut Signals,
    orders: mpsc::Receiver<Order>,
    router: &'a mut RouterSearch<'b>,
}

/// Announces each tunnel when its first session is ready, and handles signals and orders until the proxy is told to stop.
///
/// # Errors
/// There is no router, and why.
async fn serve(
    running: &mut Running,
    Controls { signals, orders, router }: &mut Controls<'_, '_>,
    context: &RunContext<'_>,
) -> Result<(), CommandError> {
    let stop = signals.stop.clone();
    let mut start = Start::of(running.tunnels.names(), &running.sessions);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            event = router.next() => match event? {
                RouterEvent::Found => context.update_router(running, router)?,
                // Identities that ended in the same instant are known to belong together, so none comes back. Sessions without a
                // client are built again when one needs them.
                RouterEvent::Died => {
                    running.sessions.renew_identities(None);
                    start.go_on_with(running.tunnels.names(), &running.sessions);
                }
            },
            // Pools without a session are ready at once, also without a router.
            started = start.next(), if router.is_over() => context.tunnels_started(running, &started, &start),
            Some(()) = signals.new_identity.recv() => {
                renew_identities(running, None);
            }
            Some(()) = signals.reload.recv() => {
                if stop.run_until_cancelled(context.reload(running, &mut start)).await.is_none() {
                    return Ok(());
                }
            }
            Some(order) = orders.recv() => match order {
                Order::NewIdentity(user, reply) => {
                    // The command may have ended.
                    let _ = reply.send(renew_identities(running, user.as_deref()));
                }
                Order::NewKeys(name, reply) => {
                    tokio::spawn(new_keys(running.config.state_dir(), router.bridge().clone(), name, reply));
                }
                Order::Routing(reply) => {
                    let _ = reply.send(running.config.routing_number());
                }
                Order::Reload(reply) => {
                    let reloaded = context.reload(running, &mut start);
                    let Some(outcome) = stop.run_until_cancelled(reloaded).await else { return Ok(()) };
                    let _ = reply.send(outcome);
                }
            }
        }
    }
}

/// Uses new identities for all requests from now on, or for those of clients that send this username.
pub(crate) fn renew_identities(running: &Running, of: Option<&str>) -> NewIdentityReply {
    let renewed = running.sessions.renew_identities(of);
    match renewed {
        0 => tracing::info!("new identities were asked for, but none that can change was in use"),
        _ => tracing::info!(renewed, "switched to new identities; open streams keep the old ones"),
    }
    NewIdentityReply { renewed }
}

/// What a reload and the end of the search for a router need besides the running parts.
struct RunContext<'a> {
    options: &'a Options,
    log: &'a Log,
    board: &'a Board,
    state_directory: &'a StateDirectory,
    progress: &'a Progress,
    names: &'a NameService,
}

impl RunContext<'_> {
    /// Tells everything else of the router, if there is one.
    ///
    /// # Errors
    /// A reload during the search has brought tunnels that the router cannot carry.
    fn update_router(&self, running: &mut Running, router: &RouterSearch<'_>) -> Result<(), CommandError> {
        running.own_router = router.own_router();
        running.update_status(self.board);
        if router.is_over() {
            running.refuse_what_the_router_lacks(&running.config)?;
            self.progress.step(3, BUILDING_TUNNELS);
            datagram_support::warn_of_refused(router.bridge(), &running.config);
            self.names.start_fetching(router.bridge(), &running.config.session);
        }
        Ok(())
    }

    /// Announces tunnels whose first session is ready. Clients are served from the first one on.
    fn tunnels_started(&self, running: &Running, started: &[String], start: &Start) {
        let is_first = self.board.is_starting();
        self.progress.finish();
        self.board.set_stage(Stage::Running { starting: start.waiting() });
        let of_started = |listener: &Listener| started.contains(&listener.tunnel);
        announce(&running.tunnels.listeners().into_iter().filter(of_started).collect::<Vec<_>>());
        if is_first {
            ServiceManager.ready(&self.board.summary());
        }
    }

    /// Reloads the configuration, and logs the outcome. Before the first tunnel has started, the service manager and scripts wait for
    /// that, and for nothing else.
    async fn reload(&self, running: &mut Running, start: &mut Start) -> Result<ReloadReply, String> {
        if start.has_begun() {
            ServiceManager.reloading();
        }
        let outcome = running.reload(self.options, self.state_directory).await;
        let status = match &outcome {
            Ok(changed) => {
                // Before the log tells of it, because readers of the log look at the status next.
                self.board.reload_applied();
                start.go_on_with(running.tunnels.names(), &running.sessions);
                self.apply(running, changed, start);
                self.board.summary()
            }
            Err(error) => {
                self.board.reload_refused(error.for_log());
                tracing::error!(
                    "the new configuration was refused, and the old one stays in effect: {}",
                    error.for_log()
                );
                "The last reload was refused; the old configuration stays in effect".to_owned()
            }
        };
        if start.has_begun() {
            ServiceManager.ready(&status);
        }
        outcome
            .map(|changed| ReloadReply::new(changed, running.config.file()))
            .map_err(|error| error.to_string())
    }

    /// Brings everything else in line with the new configuration.
    fn apply(&self, running: &Running, Changes { settings, listeners }: &Changes, start: &Start) {
        running.update_status(self.board);
        if start.has_begun() {
            self.board.set_stage(Stage::Running { starting: start.waiting() });
        }
        self.log.change(running.config.log);
        self.state_directory.write_ports(&running.tunnels.listeners(), &running.tunnels.exec_sockets());
        let opened = listeners.opened.iter().filter(|listener| !start.waits(&listener.tunnel));
        announce(&opened.cloned().collect::<Vec<_>>());
        for gone in &listeners.closed {
            tracing::info!("{} accepts no more clients; open streams continue", gone.address);
        }
        tracing::info!(
            kept = listeners.kept,
            opened = listeners.opened.len(),
            closed = listeners.closed.len(),
            changed = settings.join(", "),
            "the new configuration is in effect"
        );
    }
}

/// Stops: requests and transfers in progress may continue for the grace period, or until `now` is cancelled.
pub(crate) async fn drain(running: Running, now: &CancellationToken) {
    let Running { config, tunnels, sessions, .. } = running;
    let (grace, idle) = (config.shutdown.grace(), config.shutdown.idle());
    tracing::info!(
        "stopping: no more clients are accepted; requests and transfers in progress may continue for {} s; a second signal ends \
         them at once",
        grace.as_secs()
    );
    if tunnels.into_connections().drain(grace, idle, now).await {
        tracing::warn!(
            "all connections are closed; some requests or transfers were cut off before they ended"
        );
    } else {
        tracing::info!("all connections are closed");
    }
    // Before a router of our own ends, which would be told as the loss of these sessions.
    sessions.retire();
}

/// Stops after a failure: without a grace period.
async fn end(running: Running) {
    let Running { tunnels, sessions, .. } = running;
    tunnels.into_connections().end().await;
    sessions.retire();
}

/// Keeps the watchdog and the status line of the service manager up to date, for ever.
async fn report_to_service_manager(board: Board) {
    again_after_panics("the task that reports to the service manager", || report_for_ever(&board)).await;
}

async fn report_for_ever(board: &Board) {
    let mut tick =
        interval(ServiceManager.watchdog().map_or(STATUS_INTERVAL, |limit| limit.min(STATUS_INTERVAL)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = String::new();
    loop {
        tick.tick().await;
        if ServiceManager.watchdog().is_some() {
            ServiceManager.alive();
        }
        board.check_router().await;
        let line = board.summary();
        if line != reported {
            ServiceManager.status(&line);
            reported = line;
        }
    }
}

/// Prints a line for each listener: `socks ADDRESS ready`, or `redirect`, `tproxy` or `dns` in place of `socks`. Scripts wait for these
/// lines. The proxy also serves if nobody can read them: a script may have closed the pipe after the first one, or the disk of the file may be full.
pub(crate) fn announce(listeners: &[Listener]) {
    let lines = listeners.iter().map(Listener::ready_line).collect();
    output::announce(lines, |error| {
        tracing::warn!(
            "cannot write to stdout that listeners are ready: {error}. They are served; i2p-socks status lists them"
        );
    });
}
