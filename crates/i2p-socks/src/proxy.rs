//! `run`: listeners, a router, a session, and then clients until told to stop.

use std::{io::Write, sync::Arc};

use i2p_tunnel::{AddressPool, Admission, BoundAddress, Inherited, Limits, Listeners, Service, Terms, serve};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Backend, Config, TunnelConfig},
    exit::Failure,
    file_descriptors, listening,
    progress::Progress,
    router::Router,
    sessions::Sessions,
    signals::{at_new_identity, stop_token},
};

/// What the third step of a start is.
pub(crate) const BUILDING: &str = "building tunnels; on a router that has just started this takes minutes";

/// Runs the proxy until SIGINT or SIGTERM.
pub(crate) async fn run(config: &Config, inherited: &Inherited, progress: &Progress) -> Result<(), Failure> {
    let stop = stop_token()?;
    // First what fails at once: a taken port is known before minutes of building tunnels.
    let proxy = Proxy::bind(config, inherited).await?;
    let Some(router) = stop.run_until_cancelled(Router::find(config, progress)).await else { return Ok(()) };
    let router = router?;
    progress.step(3, BUILDING);
    let sessions = Sessions::open(config, router.bridge()).await?;
    let pool = sessions.shared().clone();
    at_new_identity(move || {
        pool.renew_all();
        tracing::info!("new identities, as asked for: open streams stay on the old ones");
    })?;
    let addresses = proxy.addresses().to_vec();
    // From here on clients are served: until there is a session, they wait, and are told why when they have waited for long.
    let serving = proxy.serve(&sessions, &stop);
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return Ok(()),
        () = sessions.ready() => {}
    }
    progress.finish();
    announce(&addresses)?;
    tokio::select! {
        () = &mut serving => return Ok(()),
        reason = router.stopped() => {
            tracing::error!("{reason}: clients are told \"general failure\" (01) from now on; restart i2p-socks");
        }
    }
    serving.await;
    Ok(())
}

/// A proxy that has its ports and not yet its way into I2P. Clients that connect in between wait.
pub(crate) struct Proxy {
    tunnels: Vec<(TunnelConfig, Terms, Listeners)>,
    addresses: Vec<BoundAddress>,
    virtual_addresses: AddressPool,
    limits: Limits,
    admission: Admission,
}

impl Proxy {
    pub(crate) async fn bind(config: &Config, inherited: &Inherited) -> Result<Self, Failure> {
        let virtual_addresses = AddressPool::new(config.virtual_addresses.options()?).map_err(|error| {
            Failure::run_time(format_args!("the operating system gives no random numbers: {error}"))
        })?;
        let tunnels = config.tunnels();
        // All that can be wrong with the configuration comes before the first port is taken.
        let terms = tunnels.iter().map(TunnelConfig::terms).collect::<Result<Vec<_>, _>>()?;
        let mut bound = Self {
            tunnels: Vec::with_capacity(tunnels.len()),
            addresses: Vec::new(),
            virtual_addresses,
            limits: config.limits.times(),
            admission: admission(config),
        };
        for (tunnel, terms) in tunnels.into_iter().zip(terms) {
            let listeners = listening::bind(&tunnel, inherited).await?;
            bound.addresses.extend(listeners.addresses().map_err(Failure::run_time)?);
            bound.tunnels.push((tunnel, terms, listeners));
        }
        Ok(bound)
    }

    /// The addresses listened on.
    pub(crate) fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// Serves clients until told to stop.
    pub(crate) fn serve(
        self,
        sessions: &Sessions,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let serving = self.tunnels.into_iter().map(|(tunnel, terms, listeners)| {
            let addresses = self.virtual_addresses.clone();
            let service = Service::new(tunnel.name(), sessions.dialler(&tunnel), addresses)
                .with_limits(self.limits)
                .with_terms(terms)
                .with_admission(self.admission.clone());
            let (_, service) = watch::channel(Arc::new(service));
            serve(listeners, service, stop.clone())
        });
        let serving: JoinSet<()> = serving.collect();
        async move {
            serving.join_all().await;
            tracing::info!("told to stop: all connections are closed");
        }
    }
}

/// How many connections there may be, by the configuration and by what this process has file descriptors for.
fn admission(config: &Config) -> Admission {
    let descriptors = file_descriptors::raise();
    let with_router = cfg!(feature = "embedded") && config.router.backend != Backend::Sam;
    let (caps, asked) = config.limits.caps(file_descriptors::connections(descriptors, with_router));
    if let Some(asked) = asked {
        tracing::warn!(
            "[limits] connections is {asked}, and with {descriptors} file descriptors there can be {}: raise the limit of the \
             process (LimitNOFILE= in systemd, ulimit -n)",
            caps.connections
        );
    }
    Admission::new(caps)
}

/// Says on stdout that clients can come: the lines that scripts wait for.
pub(crate) fn announce(addresses: &[BoundAddress]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut lines = addresses.iter().map(|address| writeln!(out, "socks {address} ready"));
    lines.try_for_each(|result| result).and_then(|()| out.flush()).map_err(|error| {
        Failure::run_time(format_args!("cannot say on stdout that the proxy is ready: {error}"))
    })
}
