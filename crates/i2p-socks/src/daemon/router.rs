//! Which router carries us: one that runs already, or one of our own.

use std::time::Duration;

use i2p_sam::{Bridge, Capabilities, Error};
use tokio::time::{Instant, sleep};

use super::{
    bridge::{SPARES, bridge},
    notify::Manager,
};
use crate::{
    config::{Config, values::Backend},
    failure::Failure,
    names::service::Names,
    terminal::progress::Progress,
};

/// How long `auto` looks for a bridge before it starts the embedded router.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same for a service: at boot a router starts at the same time, and its bridge answers when the router is up, which takes
/// Java I2P minutes.
const PATIENCE_OF_A_SERVICE: Duration = Duration::from_secs(180);
/// Until it looks again.
const PAUSE: Duration = Duration::from_secs(1);

/// A router, and where its SAM bridge is.
pub(crate) struct Router {
    bridge: Bridge,
    #[cfg(feature = "embedded")]
    embedded: Option<i2p_embedded::EmbeddedRouter>,
}

impl Router {
    /// Finds a router or starts one.
    pub(crate) async fn find(config: &Config, progress: &Progress, names: &Names) -> Result<Self, Failure> {
        let bridge = bridge(config)?;
        match config.router.backend {
            Backend::Embedded => Self::embed(config, progress, names).await,
            Backend::Sam => match probe(&bridge, progress).await {
                Ok(()) => Ok(Self::external(bridge)),
                Err(error) => Err(Failure::run_time(format_args!(
                    "{error}. Without a router nothing in I2P can be reached. Start i2pd, or Java I2P with its SAM \
                     bridge switched on, or say where the bridge is with --sam HOST:PORT{}.",
                    if cfg!(feature = "embedded") { ", or use --router embedded" } else { "" }
                ))),
            },
            Backend::Auto => match wait_for(&bridge, progress).await {
                Ok(()) => Ok(Self::external(bridge)),
                Err(error) if cfg!(feature = "embedded") => {
                    tracing::warn!(
                        "{error}; starting the embedded router, which carries all until i2p-socks is restarted"
                    );
                    Self::embed(config, progress, names).await
                }
                Err(error) => Err(Failure::run_time(format_args!(
                    "{error}, and this build has no embedded router. Start i2pd, or Java I2P with its SAM bridge \
                     switched on, or say where the bridge is with --sam HOST:PORT."
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
    async fn embed(_: &Config, _: &Progress, _: &Names) -> Result<Self, Failure> {
        std::future::ready(Err(Failure::usage(super::bridge::NO_EMBEDDED_ROUTER))).await
    }

    #[cfg(not(feature = "embedded"))]
    /// Why the embedded router stopped; there is none, so never.
    pub(crate) async fn stopped(&self) -> String {
        std::future::pending().await
    }
}

#[cfg(feature = "embedded")]
impl Router {
    async fn embed(config: &Config, progress: &Progress, names: &Names) -> Result<Self, Failure> {
        use i2p_embedded::EmbeddedRouter;

        use crate::config::PUBLIC_NETWORK;

        let state_dir = config.state_dir()?;
        let report = progress.clone();
        let network_id = config.router.network_id;
        if network_id != PUBLIC_NETWORK {
            tracing::warn!(
                "network {network_id} is not I2P but a private network: nothing in it is anonymous"
            );
        }
        let mut builder = EmbeddedRouter::builder(state_dir.join("router"))
            .network_id(network_id)
            .on_progress(move |event| say(&report, event));
        // A lookup of ours has asked the book before; programs that speak to the router's own bridge have not.
        match names.book() {
            Ok(book) => {
                if book.file().is_empty().unwrap_or(true) {
                    tracing::warn!(
                        "the address book is empty, so that no host names are known, only .b32.i2p addresses: put a hosts.txt, \
                         such as another router has, into {} and start again, or see i2p-socks names subscribe",
                        state_dir.display()
                    );
                }
                builder = builder.host_names(book.clone());
            }
            Err(why) => {
                tracing::warn!("{why}: the embedded router knows no host names, only .b32.i2p addresses");
            }
        }
        if let Some(file) = &config.router.reseed_file {
            builder = builder.reseed_file(file);
        }
        let router = builder.start().await.map_err(Failure::run_time)?;
        // Both ports are whatever was free: the one for datagrams does not follow from the other.
        let bridge = Bridge::new(router.sam_address().to_string())
            .with_udp_address(router.sam_udp_address())
            .with_spares(SPARES);
        Ok(Self { bridge, embedded: Some(router) })
    }

    /// Why the embedded router stopped, once it has stopped by itself.
    pub(crate) async fn stopped(&self) -> String {
        match &self.embedded {
            Some(router) => router.stopped().await.to_string(),
            None => std::future::pending().await,
        }
    }
}

#[cfg(feature = "embedded")]
fn say(progress: &Progress, event: i2p_embedded::Progress) {
    use i2p_embedded::Progress as Event;
    match event {
        Event::AskingReseedServers => {
            progress.step(1, "asking reseed servers on the internet for routers to start from");
        }
        Event::ReadingReseedFile => progress.step(1, "reading the reseed file"),
        Event::Reseeded { routers } => progress.step(2, &format!("{routers} routers to start from")),
        Event::Started { known_routers } => {
            progress.step(2, &format!("embedded router runs, {known_routers} routers known"));
        }
        Event::Status { connected_peers, tunnels_built } => progress.update(
            3,
            &format!("building tunnels: {connected_peers} routers connected, {tunnels_built} tunnels built"),
        ),
        _ => {}
    }
}

/// Looks for a bridge until one answers or a router of its own is better than none: there is no way back from that one.
async fn wait_for(bridge: &Bridge, progress: &Progress) -> Result<(), Error> {
    let limit = if Manager.is_there() { PATIENCE_OF_A_SERVICE } else { PATIENCE };
    let until = Instant::now() + limit;
    let mut outcome = probe(bridge, progress).await;
    if let Err(error) = &outcome
        && cfg!(feature = "embedded")
    {
        tracing::info!(
            "{error}; it is looked for, for {} s, and then the embedded router is started (--router embedded: at once; --router \
             sam: never)",
            limit.as_secs()
        );
        while outcome.is_err() && Instant::now() < until {
            sleep(PAUSE).await;
            outcome = bridge.capabilities().await.map(|found| say_found(bridge, found, progress));
        }
    }
    outcome
}

async fn probe(bridge: &Bridge, progress: &Progress) -> Result<(), Error> {
    progress.step(1, &format!("looking for a SAM bridge at {}", bridge.address()));
    say_found(bridge, bridge.capabilities().await?, progress);
    Ok(())
}

fn say_found(bridge: &Bridge, found: Capabilities, progress: &Progress) {
    progress.step(2, &format!("SAM {} bridge found at {}", found.version(), bridge.address()));
}
