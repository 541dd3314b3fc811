//! `run`: starts the proxy, serves clients, reloads, and stops.

use std::{io::Write, sync::Arc, time::Duration};

use i2p_tunnel::InheritedSockets;
use restart_schedule::again_after_panics;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    datagram_support,
    home::StateDirectory,
    notify::ServiceManager,
    own_router::Deaths,
    preflight,
    router::Router,
    router_user::RouterUser,
    routing,
    running::Running,
    sessions::Sessions,
    signals::Signals,
    tunnels::{BoundListener, Tunnels},
};
use crate::{
    admin::{
        listen::AdminEndpoint,
        routes::{Visitors, pages},
    },
    command_error::CommandError,
    config::{Config, options::Options},
    control::routes::Routes,
    listener::Listener,
    names::{handlers, service::NameService},
    pac::ProxyAutoConfig,
    status::board::{Board, Stage},
    terminal::{
        log::Log,
        panics,
        progress::{BUILDING_TUNNELS, Progress},
    },
};

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
    // Listeners first: a taken port is reported at once, not after minutes of building tunnels.
    let inherited = Arc::new(inherited);
    let bound = BoundListener::bind_all(&config, &inherited).await?;
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
    let open = NameService::open(&config, state_directory.path());
    let Some(names) = stop.run_until_cancelled(open).await else { return Ok(()) };
    let routes = pages(handlers::add(&names, Routes::default()), &board, Visitors::OfUnixSocket);
    state_directory.serve(routes, &listeners, &ended);
    tokio::spawn(ended.clone().run_until_cancelled_owned(report_to_service_manager(board.clone())));
    routing::warn_of_risks(&config);
    let found =
        stop.run_until_cancelled(Router::find_or_start(RouterUser::Proxy, &config, progress, &names)).await;
    let Some(router) = found else { return Ok(()) };
    let router = router?;
    progress.step(3, BUILDING_TUNNELS);
    let sessions = Sessions::open(&config, router.bridge(), names.resolver().clone()).await?;
    datagram_support::warn_of_refused(router.bridge(), &config);
    names.start_fetching(router.bridge(), &config.session);
    let tunnels = Tunnels::serve(bound, &config, inherited, &sessions, board.metrics())?;
    // Clients are served from here on. Until there is a session, they wait, and those who wait too long get an error with the reason.
    let mut running = Running { config, sessions, tunnels, own_router: router.status() };
    running.update_status(&board);
    let context = ReloadContext { options, log, board: &board, state_directory: &state_directory, progress };
    let ended = serve(&mut running, &mut signals, router.deaths(), &context).await;
    board.set_stage(Stage::Stopping);
    ServiceManager.stopping(&board.summary());
    if ended.is_ok() {
        drain(running, &signals.stop_now).await;
    } else {
        // No grace period: the proxy ends because of an error.
        running.tunnels.drain(Duration::ZERO, Duration::ZERO, &signals.stop_now).await;
    }
    ended
}

/// What a reload needs besides the running parts.
struct ReloadContext<'a> {
    options: &'a Options,
    log: &'a Log,
    board: &'a Board,
    state_directory: &'a StateDirectory,
    progress: &'a Progress,
}

/// Announces the first sessions, and handles signals until the proxy is told to stop.
///
/// # Errors
/// Stdout cannot be written.
async fn serve(
    running: &mut Running,
    signals: &mut Signals,
    mut router_deaths: Deaths,
    &ReloadContext { options, log, board, state_directory, progress }: &ReloadContext<'_>,
) -> Result<(), CommandError> {
    let mut ready = Box::pin(running.sessions.ready());
    let mut starting = true;
    loop {
        tokio::select! {
            () = signals.stop.cancelled() => return Ok(()),
            // Identities that ended in the same instant are known to belong together, so none comes back. Sessions without a client
            // are built again when one needs them.
            () = router_deaths.next() => {
                running.sessions.renew_identities();
                if starting {
                    ready = Box::pin(running.sessions.ready());
                }
            }
            () = &mut ready, if starting => {
                starting = false;
                progress.finish();
                board.set_stage(Stage::Running);
                print_ready_lines(&running.tunnels.listeners())?;
                ServiceManager.ready(&board.summary());
            }
            Some(()) = signals.new_identity.recv() => {
                running.sessions.renew_identities();
                tracing::info!("switched to new identities; open streams keep the old ones");
            }
            Some(()) = signals.reload.recv() => {
                // During the start, the manager waits for its end and nothing else.
                if !starting {
                    ServiceManager.reloading();
                }
                let reloaded = running.reload(options);
                let Some(result) = signals.stop.run_until_cancelled(reloaded).await else { return Ok(()) };
                match result {
                    Ok(changed) => {
                        running.update_status(board);
                        log.change(running.config.log);
                        state_directory.write_ports(&running.tunnels.listeners());
                        if starting {
                            ready = Box::pin(running.sessions.ready());
                        } else {
                            print_ready_lines(&changed.opened)?;
                        }
                        for gone in &changed.closed {
                            tracing::info!("{} accepts no more clients; open streams continue", gone.address);
                        }
                        tracing::info!(
                            kept = changed.kept,
                            opened = changed.opened.len(),
                            closed = changed.closed.len(),
                            "the new configuration is in effect"
                        );
                        if !starting {
                            ServiceManager.ready(&board.summary());
                        }
                    }
                    Err(error) => {
                        tracing::error!(
                            "the new configuration was refused, and the old one stays in effect: {}",
                            error.for_log()
                        );
                        if !starting {
                            ServiceManager.ready("The last reload was refused; the old configuration stays in effect");
                        }
                    }
                }
            }
        }
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
    if tunnels.drain(grace, idle, now).await {
        tracing::warn!("all connections are closed; some transfers were cut off before they ended");
    } else {
        tracing::info!("all connections are closed");
    }
    // Before a router of our own ends, which would be told as the loss of these sessions.
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

/// Prints the line `socks ADDRESS ready` for each listener. Scripts wait for these lines.
pub(crate) fn print_ready_lines(listeners: &[Listener]) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    let mut lines = listeners.iter().map(|listener| writeln!(out, "socks {} ready", listener.address));
    lines.try_for_each(|result| result).and_then(|()| out.flush()).map_err(|error| {
        CommandError::run_time(format_args!("cannot write to stdout that the proxy is ready: {error}"))
    })
}
