//! `run`: listeners, a router, a session, and then clients until told to stop.

use std::{io::Write, path::PathBuf, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{AdminEndpoint, Visitors, pages},
    check,
    cli::Options,
    config::Config,
    control::{Control, Routes},
    exit::Failure,
    log::Log,
    notify::Manager,
    ports::PortsFile,
    progress::Progress,
    reload::Running,
    router::Router,
    sessions::Sessions,
    signals::Signals,
    status::{Board, Stage},
    tunnels::{Bound, Place, Tunnels},
};

/// What the third step of a start is.
pub(crate) const BUILDING: &str = "building tunnels; on a router that has just started this takes minutes";
/// How often the service manager is told how the proxy does, if that has changed.
const TELL: Duration = Duration::from_secs(5);

/// Runs the proxy until SIGINT or SIGTERM.
pub(crate) async fn run(
    config: Config,
    options: &Options,
    progress: &Progress,
    log: &Log,
) -> Result<(), Failure> {
    check::files(&config)?;
    let mut signals = Signals::catch()?;
    let stop = signals.stop.clone();
    // First what fails at once: a taken port is known before minutes of building tunnels.
    let bound = Bound::all(&config).await?;
    let places: Vec<_> = bound.iter().map(Bound::place).collect();
    let board = Board::new(places.clone());
    let mut admin = AdminEndpoint::bind(&config.admin.listen).await?;
    // What is said of the proxy is said up to its end, while it drains too.
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    if let Some(admin) = &mut admin {
        admin.serve(&board, &ended);
    }
    let mut home = Home::take(&config, admin.as_ref().map(AdminEndpoint::at));
    home.serve(pages(Routes::default(), &board, Visitors::OfASocket), &places, &ended);
    tokio::spawn(ended.clone().run_until_cancelled_owned(tell(Manager, board.clone())));
    let Some(router) = stop.run_until_cancelled(Router::find(&config, progress)).await else { return Ok(()) };
    let router = router?;
    progress.step(3, BUILDING);
    let sessions = Sessions::open(&config, router.bridge()).await?;
    let tunnels = Tunnels::serve(bound, &config, &sessions, board.metrics())?;
    // From here on clients are served: until there is a session, they wait, and are told why when they have waited for long.
    let mut running = Running { config, sessions, tunnels };
    running.show_on(&board);
    if stop.run_until_cancelled(running.sessions.ready()).await.is_some() {
        progress.finish();
        board.set_stage(Stage::Running);
        announce(&places)?;
        Manager.ready(&board.line());
        let surroundings = Surroundings { options, log, board: &board, home: &home };
        serve(&mut running, &mut signals, &router, &surroundings).await?;
    }
    board.set_stage(Stage::Stopping);
    Manager.stopping(&board.line());
    drain(running, &signals.stop_now).await;
    Ok(())
}

/// What a reload reads from and tells.
struct Surroundings<'a> {
    options: &'a Options,
    log: &'a Log,
    board: &'a Board,
    home: &'a Home,
}

/// Does what signals ask for, until told to stop.
async fn serve(
    running: &mut Running,
    signals: &mut Signals,
    router: &Router,
    &Surroundings { options, log, board, home }: &Surroundings<'_>,
) -> Result<(), Failure> {
    let stopped = router.stopped();
    tokio::pin!(stopped);
    let mut router_runs = true;
    loop {
        tokio::select! {
            () = signals.stop.cancelled() => return Ok(()),
            reason = &mut stopped, if router_runs => {
                router_runs = false;
                tracing::error!("{reason}: clients are told \"general failure\" (01) from now on; restart i2p-socks");
            }
            Some(()) = signals.new_identity.recv() => {
                running.sessions.shared().renew_all();
                tracing::info!("new identities, as asked for: open streams stay on the old ones");
            }
            Some(()) = signals.reload.recv() => {
                Manager.reloading();
                let reloaded = running.reload(options);
                let Some(result) = signals.stop.run_until_cancelled(reloaded).await else { return Ok(()) };
                match result {
                    Ok(changed) => {
                        running.show_on(board);
                        log.change(running.config.log);
                        home.write_ports(&running.tunnels.places());
                        announce(&changed.opened)?;
                        for gone in &changed.closed {
                            tracing::info!("{} takes no more clients; open streams go on", gone.address);
                        }
                        tracing::info!(
                            kept = changed.kept,
                            opened = changed.opened.len(),
                            closed = changed.closed.len(),
                            "the new configuration is in force"
                        );
                        Manager.ready(&board.line());
                    }
                    Err(failure) => {
                        tracing::error!("the configuration was read again and nothing of it is in force: {failure}");
                        Manager.ready("The last reload was refused; the configuration before it is in force");
                    }
                }
            }
        }
    }
}

/// The end: what is under way may go on for its time.
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
        let line = board.line();
        if line != said {
            manager.status(&line);
            said = line;
        }
    }
}

/// The state directory, if it can be used: the control socket and the file of ports.
struct Home {
    control: Option<Control>,
    ports: Option<PortsFile>,
    /// Where the admin endpoint is, if there is one.
    admin: Option<String>,
}

impl Home {
    /// Takes the state directory for this proxy. Without it there is no book of names and no control socket, which most can
    /// do without.
    fn take(config: &Config, admin: Option<&str>) -> Self {
        let admin = admin.map(str::to_owned);
        let take = |state_dir: PathBuf| match Control::take(&state_dir) {
            Ok(control) => Ok((control, PortsFile::new(&state_dir))),
            Err(error) => Err(format!("the state directory {} cannot be used: {error}", state_dir.display())),
        };
        match config.state_dir().map_err(|failure| failure.to_string()).and_then(take) {
            Ok((control, ports)) => Self { control: Some(control), ports: Some(ports), admin },
            Err(error) => {
                tracing::warn!(
                    "{error}. So this proxy has no address book of its own, and no command can speak to it; say with \
                     --state-dir DIR which directory to use"
                );
                Self { control: None, ports: None, admin }
            }
        }
    }

    fn serve(&mut self, routes: Routes, places: &[Place], stop: &CancellationToken) {
        if let Some(control) = &mut self.control {
            control.serve(routes, stop);
        }
        self.write_ports(places);
    }

    fn write_ports(&self, places: &[Place]) {
        if let Some(ports) = &self.ports {
            ports.write(places, self.admin.as_deref());
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
