//! What listens, for which tunnel, and what is done for its clients: bound at the start, changed by a reload, drained at the
//! end.

use std::{sync::Arc, time::Duration};

use i2p_tunnel::{
    AddressPool, Admission, BoundAddress, Caps, Inherited, ListenAt, Listeners, Metrics, RoutedDialler,
    Service, Stop, serve,
};
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Backend, Config, TunnelConfig, VirtualAddressesConfig},
    exit::Failure,
    file_descriptors, listening,
    sessions::Sessions,
};

/// Something that a tunnel's clients are served with.
type TunnelService = Service<RoutedDialler>;

/// A place that is listened at and not served yet. Clients that connect in between wait.
pub(crate) struct Bound {
    tunnel: TunnelConfig,
    /// As the configuration has it: with port 0 where any will do.
    asked: ListenAt,
    /// As it is; several sockets can be handed down by one name.
    addresses: Vec<BoundAddress>,
    listeners: Listeners,
}

impl Bound {
    /// Every listener of the configuration, or none.
    pub(crate) async fn all(config: &Config, inherited: &Inherited) -> Result<Vec<Self>, Failure> {
        let mut bound = Vec::new();
        for tunnel in config.tunnels() {
            // What is wrong with the users of a tunnel is known before its first port is taken.
            tunnel.terms()?;
            for asked in tunnel.listen()? {
                bound.push(Self::one(&tunnel, asked, inherited).await?);
            }
        }
        Ok(bound)
    }

    async fn one(tunnel: &TunnelConfig, asked: ListenAt, inherited: &Inherited) -> Result<Self, Failure> {
        let listeners = listening::bind(tunnel, &asked, inherited).await?;
        let addresses = listeners.addresses().map_err(Failure::run_time)?;
        Ok(Self { tunnel: tunnel.clone(), asked, addresses, listeners })
    }

    /// Where it listens.
    pub(crate) fn places(&self) -> Vec<Place> {
        places(self.tunnel.name(), &self.addresses)
    }
}

fn places(tunnel: &str, addresses: &[BoundAddress]) -> Vec<Place> {
    let place = |address: &BoundAddress| Place { tunnel: tunnel.to_owned(), address: address.clone() };
    addresses.iter().map(place).collect()
}

/// Where a tunnel listens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Place {
    /// The tunnel's name.
    pub(crate) tunnel: String,
    /// The address, with the port that the system chose where any would do.
    #[serde(serialize_with = "as_text")]
    pub(crate) address: BoundAddress,
}

fn as_text<S: serde::Serializer>(address: &BoundAddress, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(address)
}

/// All listeners while they are served.
pub(crate) struct Tunnels {
    serving: Vec<Serving>,
    metrics: Metrics,
    admission: Admission,
    inherited: Arc<Inherited>,
    virtual_addresses: VirtualAddressesConfig,
    addresses: AddressPool,
    tasks: TaskTracker,
    /// Those whose listener is gone and whose connections may not be.
    closed: Vec<Stop>,
}

/// One listener while it is served.
struct Serving {
    tunnel: String,
    asked: ListenAt,
    addresses: Vec<BoundAddress>,
    service: watch::Sender<Arc<TunnelService>>,
    stop: Stop,
}

impl Serving {
    fn places(&self) -> Vec<Place> {
        places(&self.tunnel, &self.addresses)
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
        inherited: Arc<Inherited>,
        sessions: &Sessions,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let mut tunnels = Self {
            serving: Vec::with_capacity(bound.len()),
            metrics: metrics.clone(),
            admission: Admission::new(caps(config)),
            inherited,
            virtual_addresses: config.virtual_addresses.clone(),
            addresses: address_pool(&config.virtual_addresses)?,
            tasks: TaskTracker::new(),
            closed: Vec::new(),
        };
        for bound in bound {
            let service = tunnels.service(&bound.tunnel, config, sessions, &tunnels.addresses)?;
            tunnels.add(bound, service);
        }
        Ok(tunnels)
    }

    fn add(&mut self, bound: Bound, service: Arc<TunnelService>) {
        let Bound { tunnel, asked, addresses, listeners } = bound;
        let (service, served) = watch::channel(service);
        let stop = Stop::new();
        self.tasks.spawn(serve(listeners, served, stop.clone()));
        self.serving.push(Serving { tunnel: tunnel.name().to_owned(), asked, addresses, service, stop });
    }

    fn service(
        &self,
        tunnel: &TunnelConfig,
        config: &Config,
        sessions: &Sessions,
        addresses: &AddressPool,
    ) -> Result<Arc<TunnelService>, Failure> {
        let mut terms = tunnel.terms()?;
        let before = self.serving.iter().find(|serving| serving.tunnel == tunnel.name());
        if let Some(before) = before {
            let authentication = &before.service.borrow().terms.authentication;
            terms.authentication = terms.authentication.in_place_of(authentication);
        }
        terms.status_page = config.admin.url().map(Into::into);
        let service = Service::new(tunnel.name(), sessions.dialler(tunnel)?, addresses.clone())
            .with_limits(config.limits.times())
            .with_terms(terms)
            .with_admission(self.admission.clone())
            .with_account(self.metrics.account(tunnel.name()))
            .with_datagrams(tunnel.datagrams());
        Ok(service.into())
    }

    /// Where clients can come, in the order of the configuration.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.serving.iter().flat_map(Serving::places).collect()
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
            let service = self.service(&tunnel, config, sessions, &addresses)?;
            for asked in tunnel.listen()? {
                let service = Arc::clone(&service);
                // A port that the system chose belongs to its tunnel; one that was asked for can go to another.
                let goes_on = |(index, serving): &(usize, &Serving)| {
                    serving.asked == asked
                        && (!is_any_port(&asked) || serving.tunnel == tunnel.name())
                        && kept.iter().all(|kept| kept.index != *index)
                };
                match self.serving.iter().enumerate().find(goes_on) {
                    Some((index, serving)) => {
                        // It may go on for a tunnel that lets in more than the one before, and what was handed down is not known
                        // from the configuration.
                        listening::judge(&tunnel, &serving.addresses)?;
                        kept.push(GoesOn { index, tunnel: tunnel.clone(), service });
                    }
                    None => opened.push((Bound::one(&tunnel, asked, &self.inherited).await?, service)),
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
        self.admission.set_caps(caps(config));
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
            changed.closed.extend(gone.places());
            self.closed.push(gone.stop);
        }
        for (bound, service) in opened {
            changed.opened.extend(bound.places());
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

/// Whether the system chooses the port.
fn is_any_port(at: &ListenAt) -> bool {
    matches!(at, ListenAt::Tcp(address) if address.port() == 0)
}

/// How many connections there may be, by the configuration and by what this process has file descriptors for.
fn caps(config: &Config) -> Caps {
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
    caps
}
