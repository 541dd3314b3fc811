//! The router: a running one with a SAM bridge, or the embedded one.

use std::{path::Path, time::Duration};

use i2p_sam::{Bridge, Capabilities, Error};
use tokio::time::{Instant, sleep};

use super::{
    bridge::{advice, bridge},
    notify::ServiceManager,
    used_bridge::UsedBridge,
};
use crate::{
    command_error::CommandError,
    config::{Config, values::Backend},
    names::service::NameService,
    status::own_router::OwnRouterSource,
    terminal::progress::Progress,
};
#[cfg(all(unix, feature = "embedded"))]
use crate::{
    config::PUBLIC_NETWORK,
    status::own_router::{OwnRouterState, OwnRouterStatus},
};

/// How long `auto` looks for a bridge before it starts the embedded router.
const AUTO_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a service. At boot, the router starts at the same time, and Java I2P needs minutes until its bridge answers.
const AUTO_TIMEOUT_OF_SERVICE: Duration = Duration::from_secs(180);
/// The time between two attempts.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Why commands that need incoming streams or datagrams do not start the embedded router.
#[cfg(all(unix, feature = "embedded"))]
const REFUSED_COMMAND: &str = "The embedded router accepts no streams and carries no datagrams, because a stranger who can send to \
                               it can end it. Use i2pd or Java I2P: --router sam";

/// Who needs a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterUser {
    /// The proxy, which can wait.
    Proxy,
    /// A command that a person or a program waits for.
    Command,
}

/// A router with its SAM bridge.
pub(crate) struct Router {
    bridge: Bridge,
    #[cfg(all(unix, feature = "embedded"))]
    embedded: Option<i2p_embedded::RouterProcess>,
}

/// The deaths of the router, if the proxy runs it itself.
pub(crate) struct Deaths {
    #[cfg(all(unix, feature = "embedded"))]
    status: Option<(tokio::sync::watch::Receiver<i2p_embedded::ProcessStatus>, u64)>,
}

impl Router {
    /// Finds a router or starts the embedded one.
    pub(crate) async fn find_or_start(
        user: RouterUser,
        config: &Config,
        progress: &Progress,
        names: &NameService,
    ) -> Result<Self, CommandError> {
        let bridge = bridge(config)?;
        match config.router.backend {
            Backend::Embedded => Self::start_embedded(user, config, progress, names).await,
            Backend::Sam => match probe(&bridge, progress).await {
                Ok(()) => Ok(Self::external(bridge, config)),
                Err(error) => Err(CommandError::run_time(format_args!(
                    "{error}. Without a router, nothing in I2P can be reached. {}{}.",
                    advice(&error),
                    if cfg!(feature = "embedded") { ", or use --router embedded" } else { "" }
                ))),
            },
            Backend::Auto => match wait_for(&bridge, &UsedBridge::of(config), user, progress).await {
                Ok(()) => Ok(Self::external(bridge, config)),
                Err(error) if cfg!(feature = "embedded") && UsedBridge::of(config).file().is_some() => {
                    Err(CommandError::run_time(format_args!(
                        "{error}. The proxy has used a router's SAM bridge before, so no embedded router is started. {}, or use \
                         --router embedded.",
                        advice(&error)
                    )))
                }
                Err(error) if cfg!(feature = "embedded") => {
                    tracing::warn!(
                        "{error}; starting the embedded router, which is used until i2p-socks is restarted"
                    );
                    Self::start_embedded(user, config, progress, names).await
                }
                Err(error) => Err(CommandError::run_time(format_args!(
                    "{error}, and this build has no embedded router. {}.",
                    advice(&error)
                ))),
            },
        }
    }

    fn external(bridge: Bridge, config: &Config) -> Self {
        UsedBridge::of(config).mark(bridge.address());
        Self {
            bridge,
            #[cfg(all(unix, feature = "embedded"))]
            embedded: None,
        }
    }

    /// Its SAM bridge.
    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    #[cfg(not(all(unix, feature = "embedded")))]
    async fn start_embedded(
        _: RouterUser,
        _: &Config,
        _: &Progress,
        _: &NameService,
    ) -> Result<Self, CommandError> {
        std::future::ready(Err(CommandError::usage(super::bridge::NO_EMBEDDED_ROUTER))).await
    }

    /// Where its state is read from, if the proxy runs it itself.
    #[cfg(not(all(unix, feature = "embedded")))]
    pub(crate) fn status(&self) -> Option<OwnRouterSource> {
        None
    }

    /// Its deaths, if the proxy runs it itself.
    #[cfg(not(all(unix, feature = "embedded")))]
    pub(crate) fn deaths(&self) -> Deaths {
        Deaths {}
    }
}

#[cfg(not(all(unix, feature = "embedded")))]
impl Deaths {
    /// Never returns: there is no router of our own that could die.
    pub(crate) async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(all(unix, feature = "embedded"))]
impl Deaths {
    /// Returns after the next death. Cancel-safe.
    pub(crate) async fn next(&mut self) {
        let Some((status, seen)) = &mut self.status else { return std::future::pending().await };
        match status.wait_for(|status| status.deaths > *seen).await {
            Ok(status) => *seen = status.deaths,
            // The router has ended with the proxy.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(all(unix, feature = "embedded"))]
impl Router {
    async fn start_embedded(
        user: RouterUser,
        config: &Config,
        progress: &Progress,
        names: &NameService,
    ) -> Result<Self, CommandError> {
        use i2p_embedded::RouterProcess;
        use i2p_sam::Connector;

        // With backend = "auto" or a command's own sessions, this shows only now.
        let refused = config.refused_by_embedded_router();
        if !refused.is_empty() {
            let why = match user {
                RouterUser::Proxy => refused.join("\n"),
                // Its tunnel is not one that the user has configured.
                RouterUser::Command => REFUSED_COMMAND.to_owned(),
            };
            // With "auto", the router may be there at the next start, so a service manager should try again.
            return Err(match config.router.backend {
                Backend::Embedded => CommandError::usage(why),
                _ => CommandError::run_time(format_args!("no running router was found. {why}")),
            });
        }
        let state_dir = config.private_state_dir()?;
        let network_id = config.router.network_id;
        if network_id != PUBLIC_NETWORK {
            tracing::warn!("network {network_id} is a private network, not I2P: nothing in it is anonymous");
        }
        warn_of_unknown_names(names, &state_dir);
        let report = progress.clone();
        let mut builder = RouterProcess::builder(state_dir.join("router"))
            .network_id(network_id)
            .on_progress(move |event| show(&report, event));
        if let Some(file) = &config.router.reseed_file {
            builder = builder.reseed_file(file);
        }
        let router = builder.start().await.map_err(CommandError::run_time)?;
        let sam = router.sam();
        let connector = Connector::new("the embedded router", move || {
            let sam = sam.clone();
            async move { sam.connect().await }
        });
        let bridge = Bridge::new(connector).with_spares(super::bridge::SPARE_CONNECTIONS);
        Ok(Self { bridge, embedded: Some(router) })
    }

    /// Where its state is read from, if the proxy runs it itself.
    pub(crate) fn status(&self) -> Option<OwnRouterSource> {
        let status = self.embedded.as_ref()?.status();
        Some(OwnRouterSource::new(move || own_router(*status.borrow())))
    }

    /// Its deaths, if the proxy runs it itself.
    pub(crate) fn deaths(&self) -> Deaths {
        let status = self.embedded.as_ref().map(i2p_embedded::RouterProcess::status);
        Deaths {
            status: status.map(|status| {
                let seen = status.borrow().deaths;
                (status, seen)
            }),
        }
    }
}

/// The state of the embedded router in the words of the status.
#[cfg(all(unix, feature = "embedded"))]
fn own_router(status: i2p_embedded::ProcessStatus) -> OwnRouterStatus {
    use i2p_embedded::ProcessCondition;

    let state = match status.condition {
        ProcessCondition::Running => OwnRouterState::Running,
        ProcessCondition::Down { until } => {
            OwnRouterState::Down(until.saturating_duration_since(std::time::Instant::now()))
        }
        _ => OwnRouterState::Starting,
    };
    OwnRouterStatus { state, deaths: status.deaths }
}

/// Warns if host names will not be found: the embedded router knows none.
#[cfg(all(unix, feature = "embedded"))]
fn warn_of_unknown_names(names: &NameService, state_dir: &Path) {
    match names.book() {
        Ok(book) if book.file().is_empty().unwrap_or(true) => tracing::warn!(
            "the address book is empty, so only .b32.i2p addresses can be reached: put a hosts.txt of another router into {} and \
             restart, or use i2p-socks names subscribe",
            state_dir.display()
        ),
        Ok(_) => {}
        Err(why) => tracing::warn!(
            "{why}, and the embedded router has none, so only .b32.i2p addresses can be reached"
        ),
    }
}

#[cfg(all(unix, feature = "embedded"))]
fn show(progress: &Progress, event: i2p_embedded::Progress) {
    use i2p_embedded::Progress as Event;
    match event {
        Event::AskingReseedServers => {
            progress.step(1, "asking reseed servers on the internet for a first list of routers");
        }
        Event::ReadingReseedFile => progress.step(1, "reading the reseed file"),
        Event::Reseeded { routers } => progress.step(2, &format!("got a list of {routers} routers")),
        Event::Started { known_routers } => {
            progress.step(2, &format!("embedded router is running, {known_routers} routers known"));
        }
        Event::Status { connected_peers, tunnels_built } => progress.update(
            3,
            &format!(
                "building I2P tunnels: {connected_peers} routers connected, {tunnels_built} tunnels built"
            ),
        ),
        _ => {}
    }
}

/// Looks for a bridge until one answers or the time is over. The embedded router that starts then stays until the next restart. If a
/// bridge has been used before, the proxy waits without a limit.
async fn wait_for(
    bridge: &Bridge,
    used: &UsedBridge,
    user: RouterUser,
    progress: &Progress,
) -> Result<(), Error> {
    let used = used.file();
    if user == RouterUser::Proxy
        && cfg!(feature = "embedded")
        && let Some(file) = used
    {
        return wait_for_used(bridge, file, progress).await;
    }
    let limit = if ServiceManager.exists() { AUTO_TIMEOUT_OF_SERVICE } else { AUTO_TIMEOUT };
    let until = Instant::now() + limit;
    let mut outcome = probe(bridge, progress).await;
    if let Err(error) = &outcome
        && cfg!(feature = "embedded")
        && used.is_none()
    {
        tracing::info!(
            "{error}; trying for {} s before the embedded router is started (--router embedded: start it at once; --router sam: \
             never)",
            limit.as_secs()
        );
        while outcome.is_err() && Instant::now() < until {
            sleep(PROBE_INTERVAL).await;
            outcome = bridge.capabilities().await.map(|found| show_found(bridge, found, progress));
        }
    }
    outcome
}

/// Looks for a bridge until one answers.
async fn wait_for_used(bridge: &Bridge, used: &Path, progress: &Progress) -> Result<(), Error> {
    let mut outcome = probe(bridge, progress).await;
    if let Err(error) = &outcome {
        tracing::warn!(
            "{error}. This proxy has used a router's SAM bridge before, so it waits for it and starts no embedded router. {}. To use \
             the embedded router from now on, use --router embedded, or remove {} and restart",
            advice(error),
            used.display()
        );
    }
    while outcome.is_err() {
        sleep(PROBE_INTERVAL).await;
        outcome = bridge.capabilities().await.map(|found| show_found(bridge, found, progress));
    }
    outcome
}

async fn probe(bridge: &Bridge, progress: &Progress) -> Result<(), Error> {
    progress.step(1, &format!("looking for a SAM bridge at {}", bridge.address()));
    show_found(bridge, bridge.capabilities().await?, progress);
    Ok(())
}

fn show_found(bridge: &Bridge, found: Capabilities, progress: &Progress) {
    progress.step(2, &format!("SAM {} bridge found at {}", found.version(), bridge.address()));
}
