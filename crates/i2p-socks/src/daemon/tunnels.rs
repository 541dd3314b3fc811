//! What listens, for which tunnel, and what is done for its clients: bound at the start, changed by a reload, drained at the
//! end.

use std::{sync::Arc, time::Duration};

use i2p_tunnel::{
    AddressPool, Admission, BoundAddress, Caps, InheritedSockets, ListenAt, Listeners, Metrics, SamDialler,
    Service, SocketPermissions, Stop, serve,
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{file_descriptors, listen, sessions::Sessions};
use crate::{
    config::{Config, tunnel::TunnelConfig, values::Backend, virtual_addresses::VirtualAddressesConfig},
    failure::Failure,
    place::Place,
};

/// Something that a tunnel's clients are served with.
type TunnelService = Service<SamDialler>;

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
    pub(crate) async fn all(config: &Config, inherited: &InheritedSockets) -> Result<Vec<Self>, Failure> {
        let mut bound = Vec::new();
        for tunnel in config.tunnels() {
            // What is wrong with the users of a tunnel is known before its first port is taken.
            tunnel.access_policy()?;
            for asked in tunnel.listen()? {
                bound.push(Self::one(&tunnel, asked, inherited, &[]).await?);
            }
        }
        Ok(bound)
    }

    async fn one(
        tunnel: &TunnelConfig,
        asked: ListenAt,
        inherited: &InheritedSockets,
        ours: &[BoundAddress],
    ) -> Result<Self, Failure> {
        let listeners = listen::bind(tunnel, &asked, inherited, ours).await?;
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

/// All listeners while they are served.
pub(crate) struct Tunnels {
    serving: Vec<Serving>,
    metrics: Metrics,
    admission: Admission,
    inherited: Arc<InheritedSockets>,
    virtual_addresses: VirtualAddressesConfig,
    addresses: AddressPool,
    tasks: TaskTracker,
    /// Those whose listener is gone and whose connections may not be.
    closed: Vec<Served>,
}

/// One listener while it is served.
struct Serving {
    tunnel: String,
    asked: ListenAt,
    addresses: Vec<BoundAddress>,
    permissions: SocketPermissions,
    service: watch::Sender<Arc<TunnelService>>,
    served: Served,
}

/// The clients of a listener, until it is closed and the last of them is gone.
struct Served {
    stop: Stop,
    task: JoinHandle<()>,
}

impl Served {
    fn is_over(&self) -> bool {
        self.task.is_finished()
    }
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
    /// The same place, and perhaps for others than before.
    asked: ListenAt,
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
        inherited: Arc<InheritedSockets>,
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
        let permissions = listeners.permissions();
        let (service, receiver) = watch::channel(service);
        let stop = Stop::new();
        let task = self.tasks.spawn(serve(listeners, receiver, stop.clone()));
        let (tunnel, served) = (tunnel.name().to_owned(), Served { stop, task });
        self.serving.push(Serving { tunnel, asked, addresses, permissions, service, served });
    }

    fn service(
        &self,
        tunnel: &TunnelConfig,
        config: &Config,
        sessions: &Sessions,
        addresses: &AddressPool,
    ) -> Result<Arc<TunnelService>, Failure> {
        let mut access = tunnel.access_policy()?;
        let before = self.serving.iter().find(|serving| serving.tunnel == tunnel.name());
        if let Some(before) = before {
            let authentication = &before.service.borrow().access.authentication;
            access.authentication = access.authentication.with_verified_from(authentication);
        }
        access.status_page = config.admin.url().map(Into::into);
        let service = Service::new(tunnel.name(), sessions.dialler(tunnel), addresses.clone())
            .with_routing(sessions.routing().clone())
            .with_sessions(tunnel.session_policy())
            .with_limits(config.limits.times())
            .with_access(access)
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
        let ours: Vec<_> = self.places().into_iter().map(|place| place.address).collect();
        let (mut kept, mut opened) = (Vec::<GoesOn>::new(), Vec::new());
        for tunnel in config.tunnels() {
            let service = self.service(&tunnel, config, sessions, &addresses)?;
            for asked in tunnel.listen()? {
                let service = Arc::clone(&service);
                // A port that the system chose belongs to its tunnel; one that was asked for can go to another.
                let goes_on = |(index, serving): &(usize, &Serving)| {
                    serving.asked.is_same_place(&asked)
                        && (!is_any_port(&asked) || serving.tunnel == tunnel.name())
                        && kept.iter().all(|kept| kept.index != *index)
                };
                match self.serving.iter().enumerate().find(goes_on) {
                    Some((index, serving)) => {
                        // It may go on for a tunnel that lets in more than the one before, and what was handed down is not known
                        // from the configuration.
                        listen::judge(&tunnel, &serving.addresses)?;
                        kept.push(GoesOn { index, tunnel: tunnel.clone(), asked, service });
                    }
                    None => {
                        opened.push((Bound::one(&tunnel, asked, &self.inherited, &ours).await?, service));
                    }
                }
            }
        }
        Ok(Change { kept, opened, addresses })
    }

    /// Does what was prepared. Connections that are open are not touched.
    ///
    /// # Errors
    /// Who may connect to a Unix socket cannot be changed; then nothing is.
    pub(crate) fn apply(&mut self, change: Change, config: &Config) -> Result<Changed, Failure> {
        let Change { kept, opened, addresses } = change;
        self.change_permissions(&kept)?;
        // From here on nothing fails.
        self.virtual_addresses = config.virtual_addresses.clone();
        self.addresses = addresses;
        self.admission.set_caps(caps(config));
        let mut before: Vec<_> = std::mem::take(&mut self.serving).into_iter().map(Some).collect();
        let mut changed = Changed { kept: kept.len(), ..Changed::default() };
        for GoesOn { index, tunnel, asked, service } in kept {
            let Some(mut serving) = before.get_mut(index).and_then(Option::take) else { continue };
            serving.tunnel = tunnel.name().to_owned();
            serving.asked = asked;
            serving.service.send_replace(service);
            self.serving.push(serving);
        }
        // Each reload can close listeners, and what is over needs no end.
        self.closed.retain(|closed| !closed.is_over());
        for gone in before.into_iter().flatten() {
            gone.served.stop.close();
            changed.closed.extend(gone.places());
            self.closed.push(gone.served);
        }
        for (bound, service) in opened {
            changed.opened.extend(bound.places());
            self.add(bound, service);
        }
        Ok(changed)
    }

    /// Lets in at Unix sockets whom they are to let in now: at all of them, or, after an error, at each whom it let in before.
    fn change_permissions(&self, kept: &[GoesOn]) -> Result<(), Failure> {
        let mut done: Vec<&Serving> = Vec::new();
        for GoesOn { index, asked, .. } in kept {
            let Some(serving) = self.serving.get(*index).filter(|serving| serving.asked != *asked) else {
                continue;
            };
            if let Err(error) = serving.permissions.change(asked) {
                for undone in done {
                    // What is said is why it had to be undone.
                    let _ = undone.permissions.change(&undone.asked);
                }
                return Err(Failure::run_time(format_args!(
                    "cannot change who may connect to {asked}: {error}. The user that the program runs as has to be a member of \
                     its unix-group; if its file is gone, a restart makes it again."
                )));
            }
            done.push(serving);
        }
        Ok(())
    }

    /// Takes no more clients, lets what is under way go on for `grace` or until it is told `now`, and comes back when every
    /// connection is gone. Whether that had to be forced.
    pub(crate) async fn drain(self, grace: Duration, quiet: Duration, now: &CancellationToken) -> bool {
        let served = self.serving.into_iter().map(|serving| serving.served).chain(self.closed);
        let stops: Vec<_> = served.map(|served| served.stop).collect();
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
    let datagrams = config.datagram_descriptors();
    let possible = file_descriptors::connections(descriptors, with_router, datagrams);
    if datagrams > descriptors / 2 {
        tracing::warn!(
            "clients with datagrams may need {datagrams} of {descriptors} file descriptors, which leaves room for {possible} \
             connections: raise the limit of the process (LimitNOFILE= in systemd, ulimit -n), or lower [session] max-sessions"
        );
    }
    let (caps, asked) = config.limits.caps(possible);
    if let Some(asked) = asked {
        tracing::warn!(
            "[limits] connections is {asked}, and with {descriptors} file descriptors there can be {}: raise the limit of the \
             process (LimitNOFILE= in systemd, ulimit -n)",
            caps.connections
        );
    }
    caps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clients_of_a_closed_listener_are_over_when_the_last_has_gone() {
        let (stop, last) = (Stop::new(), CancellationToken::new());
        let served = Served { stop, task: tokio::spawn(last.clone().cancelled_owned()) };
        served.stop.close();
        tokio::task::yield_now().await;
        assert!(!served.is_over(), "it has to be told when all comes to its end");
        last.cancel();
        while !served.is_over() {
            tokio::task::yield_now().await;
        }
    }
}
