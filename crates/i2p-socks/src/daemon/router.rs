//! The router: a running one with a SAM bridge, or the embedded one.

use std::time::Duration;

use i2p_sam::{Bridge, Capabilities, Error};
use tokio::time::{Instant, sleep};

use super::{
    bridge::{advice, bridge},
    notify::ServiceManager,
};
use crate::{
    command_error::CommandError,
    config::{Config, values::Backend},
    names::service::NameService,
    terminal::progress::Progress,
};

/// How long `auto` looks for a bridge before it starts the embedded router.
const AUTO_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a service. At boot, the router starts at the same time, and Java I2P needs minutes until its bridge answers.
const AUTO_TIMEOUT_OF_SERVICE: Duration = Duration::from_secs(180);
/// The time between two attempts.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A router with its SAM bridge.
pub(crate) struct Router {
    bridge: Bridge,
    #[cfg(feature = "embedded")]
    embedded: Option<i2p_embedded::EmbeddedRouter>,
}

impl Router {
    /// Finds a router or starts the embedded one.
    pub(crate) async fn find_or_start(
        config: &Config,
        progress: &Progress,
        names: &NameService,
    ) -> Result<Self, CommandError> {
        let bridge = bridge(config)?;
        match config.router.backend {
            Backend::Embedded => Self::start_embedded(config, progress, names).await,
            Backend::Sam => match probe(&bridge, progress).await {
                Ok(()) => Ok(Self::external(bridge)),
                Err(error) => Err(CommandError::run_time(format_args!(
                    "{error}. Without a router, nothing in I2P can be reached. {}{}.",
                    advice(&error),
                    if cfg!(feature = "embedded") { ", or use --router embedded" } else { "" }
                ))),
            },
            Backend::Auto => match wait_for(&bridge, progress).await {
                Ok(()) => Ok(Self::external(bridge)),
                Err(error) if cfg!(feature = "embedded") => {
                    tracing::warn!(
                        "{error}; starting the embedded router, which is used until i2p-socks is restarted"
                    );
                    Self::start_embedded(config, progress, names).await
                }
                Err(error) => Err(CommandError::run_time(format_args!(
                    "{error}, and this build has no embedded router. {}.",
                    advice(&error)
                ))),
            },
        }
    }

    fn external(bridge: Bridge) -> Self {
        Self {
            bridge,
            #[cfg(feature = "embedded")]
            embedded: None,
        }
    }

    /// Its SAM bridge.
    pub(crate) fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    #[cfg(not(feature = "embedded"))]
    async fn start_embedded(_: &Config, _: &Progress, _: &NameService) -> Result<Self, CommandError> {
        std::future::ready(Err(CommandError::usage(super::bridge::NO_EMBEDDED_ROUTER))).await
    }

    /// Never returns: there is no embedded router that could stop.
    #[cfg(not(feature = "embedded"))]
    pub(crate) async fn stopped(&self) -> String {
        std::future::pending().await
    }
}

#[cfg(feature = "embedded")]
impl Router {
    async fn start_embedded(
        config: &Config,
        progress: &Progress,
        names: &NameService,
    ) -> Result<Self, CommandError> {
        use i2p_embedded::EmbeddedRouter;

        use crate::config::PUBLIC_NETWORK;

        // With backend = "auto" or a command's own sessions, this shows only now.
        let refused = config.refused_by_embedded_router();
        if !refused.is_empty() {
            return Err(CommandError::usage(refused.join("\n")));
        }
        let state_dir = config.state_dir()?;
        let report = progress.clone();
        let network_id = config.router.network_id;
        if network_id != PUBLIC_NETWORK {
            tracing::warn!("network {network_id} is a private network, not I2P: nothing in it is anonymous");
        }
        let mut builder = EmbeddedRouter::builder(state_dir.join("router"))
            .network_id(network_id)
            .on_progress(move |event| show(&report, event));
        // For other programs that use the bridge of this router. Our own lookups ask the address book first anyway.
        match names.book() {
            Ok(book) => {
                if book.file().is_empty().unwrap_or(true) {
                    tracing::warn!(
                        "the address book is empty, so only .b32.i2p addresses can be reached: put a hosts.txt of another router \
                         into {} and restart, or use i2p-socks names subscribe",
                        state_dir.display()
                    );
                }
                builder = builder.host_names(book.clone());
            }
            Err(why) => {
                tracing::warn!("{why}: the embedded router knows only .b32.i2p addresses");
            }
        }
        if let Some(file) = &config.router.reseed_file {
            builder = builder.reseed_file(file);
        }
        let router = builder.start().await.map_err(CommandError::run_time)?;
        // Both ports are random, so the one for datagrams does not follow from the other.
        let bridge = Bridge::new(router.sam_address().to_string())
            .with_udp_address(router.sam_udp_address())
            .with_spares(super::bridge::SPARE_CONNECTIONS);
        Ok(Self { bridge, embedded: Some(router) })
    }

    /// Returns once the embedded router has stopped by itself, with the reason.
    pub(crate) async fn stopped(&self) -> String {
        match &self.embedded {
            Some(router) => router.stopped().await.to_string(),
            None => std::future::pending().await,
        }
    }
}

#[cfg(feature = "embedded")]
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

/// Looks for a bridge until one answers or the time is over. The embedded router that starts then stays until the next restart.
async fn wait_for(bridge: &Bridge, progress: &Progress) -> Result<(), Error> {
    let limit = if ServiceManager.exists() { AUTO_TIMEOUT_OF_SERVICE } else { AUTO_TIMEOUT };
    let until = Instant::now() + limit;
    let mut outcome = probe(bridge, progress).await;
    if let Err(error) = &outcome
        && cfg!(feature = "embedded")
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

async fn probe(bridge: &Bridge, progress: &Progress) -> Result<(), Error> {
    progress.step(1, &format!("looking for a SAM bridge at {}", bridge.address()));
    show_found(bridge, bridge.capabilities().await?, progress);
    Ok(())
}

fn show_found(bridge: &Bridge, found: Capabilities, progress: &Progress) {
    progress.step(2, &format!("SAM {} bridge found at {}", found.version(), bridge.address()));
}
