//! What listens, for which tunnel, and what is done for its clients: bound at the start, changed by a reload, drained at the
//! end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use i2p_tunnel::{AddressPool, BindError, Listeners, Metrics, RoutedDialler, Service, Stop, serve};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, TunnelConfig, VirtualAddressesConfig},
    exit::Failure,
    sessions::Sessions,
};

/// Something that a tunnel's clients are served with.
type TunnelService = Service<RoutedDialler>;

/// A listener that is bound and not served yet. Clients that connect in between wait.
pub(crate) struct Bound {
    tunnel: TunnelConfig,
    /// As the configuration has it: with port 0 where any will do.
    asked: SocketAddr,
    /// As it is.
    address: SocketAddr,
    listeners: Listeners,
}

impl Bound {
    /// Every listener of the configuration, or none.
    pub(crate) async fn all(config: &Config) -> Result<Vec<Self>, Failure> {
        let mut bound = Vec::new();
        for tunnel in config.tunnels() {
            for asked in tunnel.listen() {
                bound.push(Self::one(&tunnel, asked).await?);
            }
        }
        Ok(bound)
    }

    async fn one(tunnel: &TunnelConfig, asked: SocketAddr) -> Result<Self, Failure> {
        if !asked.ip().is_loopback() {
            tracing::warn!(
                "{asked} can be reached from other machines: whoever reaches it uses I2P in your name, and what they send to \
                 it is not encrypted on the way"
            );
        }
        let listeners = Listeners::bind(&[asked]).await.map_err(|error| cannot_listen(&error))?;
        let address = listeners.addresses().map_err(Failure::run_time)?.first().copied().unwrap_or(asked);
        Ok(Self { tunnel: tunnel.clone(), asked, address, listeners })
    }

    /// Where it listens.
    pub(crate) fn place(&self) -> Place {
        Place { tunnel: self.tunnel.name().to_owned(), address: self.address }
    }
}

/// Where a tunnel listens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Place {
    /// The tunnel's name.
    pub(crate) tunnel: String,
    /// The address, with the port that the system chose where any would do.
    pub(crate) address: SocketAddr,
}

/// All listeners while they are served.
pub(crate) struct Tunnels {
    serving: Vec<Serving>,
    metrics: Metrics,
    virtual_addresses: VirtualAddressesConfig,
    addresses: AddressPool,
    tasks: TaskTracker,
    /// Those whose listener is gone and whose connections may not be.
    closed: Vec<Stop>,
}

/// One listener while it is served.
struct Serving {
    tunnel: String,
    asked: SocketAddr,
    address: SocketAddr,
    service: watch::Sender<Arc<TunnelService>>,
    stop: Stop,
}

impl Serving {
    fn place(&self) -> Place {
        Place { tunnel: self.tunnel.clone(), address: self.address }
    }
}

/// What a reload would do to the listeners; dropped, it has done nothing.
pub(crate) struct Change {
    kept: Vec<GoesOn>,
    opened: Vec<(Bound, Arc<TunnelService>)>,
    addresses: AddressPool,
}

/// Which listener goes on, for which tunnel, and with what.
struct GoesOn {
    index: usize,
    tunnel: TunnelConfig,
    service: Arc<TunnelService>,
}

/// What a reload did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changed {
    /// Listeners that went on.
    pub(crate) kept: usize,
    /// New ones.
    pub(crate) opened: Vec<Place>,
    /// Listeners that are gone.
    pub(crate) closed: Vec<Place>,
}

impl Tunnels {
    /// Serves what is bound.
    pub(crate) fn serve(
        bound: Vec<Bound>,
        config: &Config,
        sessions: &Sessions,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let mut tunnels = Self {
            serving: Vec::with_capacity(bound.len()),
            metrics: metrics.clone(),
            virtual_addresses: config.virtual_addresses.clone(),
            addresses: address_pool(&config.virtual_addresses)?,
            tasks: TaskTracker::new(),
            closed: Vec::new(),
        };
        for bound in bound {
            let service = tunnels.service(&bound.tunnel, sessions, &tunnels.addresses)?;
            tunnels.add(bound, service);
        }
        Ok(tunnels)
    }

    fn add(&mut self, bound: Bound, service: Arc<TunnelService>) {
        let Bound { tunnel, asked, address, listeners } = bound;
        let (service, served) = watch::channel(service);
        let stop = Stop::new();
        self.tasks.spawn(serve(listeners, served, stop.clone()));
        self.serving.push(Serving { tunnel: tunnel.name().to_owned(), asked, address, service, stop });
    }

    fn service(
        &self,
        tunnel: &TunnelConfig,
        sessions: &Sessions,
        addresses: &AddressPool,
    ) -> Result<Arc<TunnelService>, Failure> {
        let service = Service::new(tunnel.name(), sessions.dialler(tunnel)?, addresses.clone());
        Ok(service.with_account(self.metrics.account(tunnel.name())).into())
    }

    /// Where clients can come, in the order of the configuration.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.serving.iter().map(Serving::place).collect()
    }

    /// What clients have got addresses from.
    pub(crate) fn addresses(&self) -> &AddressPool {
        &self.addresses
    }

    /// Binds what a configuration has and this has not. Nothing else is changed yet.
    ///
    /// # Errors
    /// A listener cannot be had.
    pub(crate) async fn prepare(&self, config: &Config, sessions: &Sessions) -> Result<Change, Failure> {
        let addresses = if config.virtual_addresses == self.virtual_addresses {
            self.addresses.clone()
        } else {
            address_pool(&config.virtual_addresses)?
        };
        let (mut kept, mut opened) = (Vec::<GoesOn>::new(), Vec::new());
        for tunnel in config.tunnels() {
            let service = self.service(&tunnel, sessions, &addresses)?;
            for asked in tunnel.listen() {
                let service = Arc::clone(&service);
                // A port that the system chose belongs to its tunnel; one that was asked for can go to another.
                let goes_on = |(index, serving): &(usize, &Serving)| {
                    serving.asked == asked
                        && (asked.port() != 0 || serving.tunnel == tunnel.name())
                        && kept.iter().all(|kept| kept.index != *index)
                };
                match self.serving.iter().enumerate().find(goes_on) {
                    Some((index, _)) => kept.push(GoesOn { index, tunnel: tunnel.clone(), service }),
                    None => opened.push((Bound::one(&tunnel, asked).await?, service)),
                }
            }
        }
        Ok(Change { kept, opened, addresses })
    }

    /// Does what was prepared. Connections that are open are not touched.
    pub(crate) fn apply(&mut self, change: Change, config: &Config) -> Changed {
        let Change { kept, opened, addresses } = change;
        self.virtual_addresses = config.virtual_addresses.clone();
        self.addresses = addresses;
        let mut before: Vec<_> = std::mem::take(&mut self.serving).into_iter().map(Some).collect();
        let mut changed = Changed { kept: kept.len(), ..Changed::default() };
        for GoesOn { index, tunnel, service } in kept {
            let Some(mut serving) = before.get_mut(index).and_then(Option::take) else { continue };
            serving.tunnel = tunnel.name().to_owned();
            serving.service.send_replace(service);
            self.serving.push(serving);
        }
        for gone in before.into_iter().flatten() {
            gone.stop.close();
            changed.closed.push(gone.place());
            self.closed.push(gone.stop);
        }
        for (bound, service) in opened {
            changed.opened.push(bound.place());
            self.add(bound, service);
        }
        changed
    }

    /// Takes no more clients, lets what is under way go on for `grace` or until it is told `now`, and comes back when every
    /// connection is gone. Whether that had to be forced.
    pub(crate) async fn drain(self, grace: Duration, quiet: Duration, now: &CancellationToken) -> bool {
        let stops: Vec<_> = self.serving.into_iter().map(|serving| serving.stop).chain(self.closed).collect();
        stops.iter().for_each(|stop| stop.drain(quiet));
        self.tasks.close();
        let by_itself = now.run_until_cancelled(timeout(grace, self.tasks.wait())).await;
        let forced = !matches!(by_itself, Some(Ok(())));
        stops.iter().for_each(Stop::end);
        self.tasks.wait().await;
        forced
    }
}

fn address_pool(config: &VirtualAddressesConfig) -> Result<AddressPool, Failure> {
    AddressPool::new(config.options()?).map_err(|error| {
        Failure::run_time(format_args!("the operating system gives no random numbers: {error}"))
    })
}

fn cannot_listen(error: &BindError) -> Failure {
    use std::io::ErrorKind;
    let advice = match error.source.kind() {
        ErrorKind::AddrInUse if error.address.port() == 4447 => {
            "Another program has this port, probably i2pd, whose own SOCKS proxy listens there; choose another one with \
             --listen IP:PORT."
        }
        ErrorKind::AddrInUse => {
            "Another program has this port, perhaps another i2p-socks; stop it, or choose another port with --listen \
             IP:PORT."
        }
        ErrorKind::AddrNotAvailable => {
            "This machine has no such address; choose one of its own with --listen IP:PORT."
        }
        ErrorKind::PermissionDenied => {
            "Ports below 1024 need privileges; choose a higher one with --listen IP:PORT."
        }
        _ => "Choose another address with --listen IP:PORT.",
    };
    Failure::run_time(format_args!("{error}. {advice}"))
}
