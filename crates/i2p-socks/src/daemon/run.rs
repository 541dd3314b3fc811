//! `run`: listeners, a router, a session, and then clients until told to stop.

use std::{io::Write, sync::Arc, time::Duration};

use i2p_tunnel::InheritedSockets;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    home::Home,
    notify::Manager,
    preflight,
    router::Router,
    routing,
    running::Running,
    sessions::Sessions,
    signals::Signals,
    tunnels::{Bound, Tunnels},
};
use crate::{
    admin::{
        listen::AdminEndpoint,
        routes::{Visitors, pages},
    },
    config::{Config, options::Options},
    control::routes::Routes,
    failure::Failure,
    names::{handlers, service::Names},
    pac::ProxyAutoConfig,
    place::Place,
    status::board::{Board, Stage},
    terminal::{
        log::Log,
        progress::{BUILDING, Progress},
    },
};

/// How often the service manager is told how the proxy does, if that has changed.
const TELL: Duration = Duration::from_secs(5);

/// Runs the proxy until SIGINT or SIGTERM.
pub(crate) async fn run(
    config: Config,
    inherited: InheritedSockets,
    options: &Options,
    progress: &Progress,
    log: &Log,
) -> Result<(), Failure> {
    preflight::files(&config)?;
    let mut signals = Signals::catch()?;
    let stop = signals.stop.clone();
    // First what fails at once: a taken port is known before minutes of building tunnels.
    let inherited = Arc::new(inherited);
    let bound = Bound::all(&config, &inherited).await?;
    let places: Vec<_> = bound.iter().flat_map(Bound::places).collect();
    let board = Board::new(places.clone(), ProxyAutoConfig::of(&config));
    let mut admin = AdminEndpoint::bind(&config.admin.listen).await?;
    // What is said of the proxy is said up to its end, while it drains too.
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    if let Some(admin) = &mut admin {
        admin.serve(&board, &ended);
    }
    let mut home = Home::take(&config, admin.as_ref().map(AdminEndpoint::at))?;
    let open = Names::open(&config, home.state_dir());
    let Some(names) = stop.run_until_cancelled(open).await else { return Ok(()) };
    let routes = pages(handlers::add(&names, Routes::default()), &board, Visitors::OfASocket);
    home.serve(routes, &places, &ended);
    tokio::spawn(ended.clone().run_until_cancelled_owned(tell(Manager, board.clone())));
    routing::warn(&config);
    let found = stop.run_until_cancelled(Router::find(&config, progress, &names)).await;
    let Some(router) = found else { return Ok(()) };
    let router = router?;
    progress.step(3, BUILDING);
    let sessions = Sessions::open(&config, router.bridge(), names.resolver().clone()).await?;
    names.connect(router.bridge(), &config.session);
    let tunnels = Tunnels::serve(bound, &config, inherited, &sessions, board.metrics())?;
    // From here on clients are served: until there is a session, they wait, and are told why when they have waited for long.
    let mut running = Running { config, sessions, tunnels };
    running.show_on(&board);
    let surroundings = Surroundings { options, log, board: &board, home: &home, progress };
    let ended = serve(&mut running, &mut signals, router.stopped(), &surroundings).await;
    board.set_stage(Stage::Stopping);
    Manager.stopping(&board.line());
    if ended.is_ok() {
        drain(running, &signals.stop_now).await;
    } else {
        // Nothing that goes on is worth a grace in which nobody is served: the next start is what helps.
        running.tunnels.drain(Duration::ZERO, Duration::ZERO, &signals.stop_now).await;
    }
    ended
}

/// What a reload reads from and tells.
struct Surroundings<'a> {
    options: &'a Options,
    log: &'a Log,
    board: &'a Board,
    home: &'a Home,
    progress: &'a Progress,
}

/// Says when the first sessions are ready, and does what signals ask for, before and after that, until told to stop.
///
/// # Errors
/// The embedded router has stopped, which nothing but a new start mends; or nobody reads stdout.
async fn serve(
    running: &mut Running,
    signals: &mut Signals,
    router_stopped: impl Future<Output = String>,
    &Surroundings { options, log, board, home, progress }: &Surroundings<'_>,
) -> Result<(), Failure> {
    tokio::pin!(router_stopped);
    let mut ready = Box::pin(running.sessions.ready());
    let mut starting = true;
    loop {
        tokio::select! {
            () = signals.stop.cancelled() => return Ok(()),
            reason = &mut router_stopped => return Err(Failure::run_time(format_args!(
                "{reason}. Without it nothing in I2P can be reached, so i2p-socks has ended, for a service manager to start \
                 it again; where there is none, start it again yourself."
            ))),
            () = &mut ready, if starting => {
                starting = false;
                progress.finish();
                board.set_stage(Stage::Running);
                announce(&running.tunnels.places())?;
                Manager.ready(&board.line());
            }
            Some(()) = signals.new_identity.recv() => {
                running.sessions.renew();
                tracing::info!("new identities, as asked for: open streams stay on the old ones");
            }
            Some(()) = signals.reload.recv() => {
                // Who waits for the start is told of its end alone.
                if !starting {
                    Manager.reloading();
                }
                let reloaded = running.reload(options);
                let Some(result) = signals.stop.run_until_cancelled(reloaded).await else { return Ok(()) };
                match result {
                    Ok(changed) => {
                        running.show_on(board);
                        log.change(running.config.log);
                        home.write_ports(&running.tunnels.places());
                        if starting {
                            ready = Box::pin(running.sessions.ready());
                        } else {
                            announce(&changed.opened)?;
                        }
                        for gone in &changed.closed {
                            tracing::info!("{} takes no more clients; open streams go on", gone.address);
                        }
                        tracing::info!(
                            kept = changed.kept,
                            opened = changed.opened.len(),
                            closed = changed.closed.len(),
                            "the new configuration is in force"
                        );
                        if !starting {
                            Manager.ready(&board.line());
                        }
                    }
                    Err(failure) => {
                        tracing::error!("the configuration was read again and nothing of it is in force: {failure}");
                        if !starting {
                            Manager.ready("The last reload was refused; the configuration before it is in force");
                        }
                    }
                }
            }
        }
    }
}

/// The end: what is under way may go on for its time, or until it is told `now`.
pub(crate) async fn drain(running: Running, now: &CancellationToken) {
    let Running { config, tunnels, sessions: _sessions } = running;
    let (grace, idle) = (config.shutdown.grace(), config.shutdown.idle());
    tracing::info!(
        "told to stop: no more clients; what is under way may go on for {} s; a second signal ends it at once",
        grace.as_secs()
    );
    if tunnels.drain(grace, idle, now).await {
        tracing::warn!("some transfers had not come to their end and were cut: all connections are closed");
    } else {
        tracing::info!("all connections are closed");
    }
}

/// Tells the service manager, again and again, that this lives and how it does.
async fn tell(manager: Manager, board: Board) {
    let mut tick = interval(manager.watchdog().map_or(TELL, |limit| limit.min(TELL)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        tick.tick().await;
        if manager.watchdog().is_some() {
            manager.alive();
        }
        board.look().await;
        let line = board.line();
        if line != said {
            manager.status(&line);
            said = line;
        }
    }
}

/// Says on stdout that clients can come: the lines that scripts wait for.
pub(crate) fn announce(places: &[Place]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut lines = places.iter().map(|place| writeln!(out, "socks {} ready", place.address));
    lines.try_for_each(|result| result).and_then(|()| out.flush()).map_err(|error| {
        Failure::run_time(format_args!("cannot say on stdout that the proxy is ready: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use i2p_tunnel::Resolver;
    use sam_testkit::{Act, TestBridge};

    use super::*;
    use crate::cli::Cli;

    /// A service manager sees it by the exit code, also before the first session is ready.
    #[tokio::test]
    async fn the_end_of_the_embedded_router_is_the_end_of_the_proxy() {
        let bridge = TestBridge::start().await;
        bridge.on("SESSION CREATE", [Act::Hang]);
        let cli = Cli::parse_from(["i2p-socks", "--listen", "127.0.0.1:0", "--sam", &bridge.address()]);
        let config = Config::load(&cli.options).unwrap();
        let progress = Progress::new(cli.options.verbosity());
        let log = Log::start(config.log, cli.options.verbosity(), &progress);
        let inherited = Arc::new(InheritedSockets::none());
        let bound = Bound::all(&config, &inherited).await.unwrap();
        let board = Board::new(Vec::new(), ProxyAutoConfig::of(&config));
        let sam = i2p_sam::Bridge::new(bridge.address());
        let sessions = Sessions::open(&config, &sam, Resolver::default()).await.unwrap();
        let tunnels = Tunnels::serve(bound, &config, inherited, &sessions, board.metrics()).unwrap();
        let mut running = Running { config, sessions, tunnels };
        let mut signals = Signals::catch().unwrap();
        let home = Home::without_state_dir();
        let surroundings = Surroundings {
            options: &cli.options,
            log: &log,
            board: &board,
            home: &home,
            progress: &progress,
        };
        let stopped = std::future::ready("the router is gone".to_owned());
        let failure = serve(&mut running, &mut signals, stopped, &surroundings).await.unwrap_err();
        assert!(format!("{failure:?}").contains("code: 1"), "{failure:?}");
        for part in ["the router is gone. ", "nothing in I2P can be reached", "start it again"] {
            assert!(failure.to_string().contains(part), "{part} is not in {failure}");
        }
    }
}
