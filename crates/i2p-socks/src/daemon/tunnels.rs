//! The listeners of all tunnels: bound at the start, changed by a reload, drained at the end.

use std::{path::Path, sync::Arc};

use i2p_tunnel::{
    AddressPool, Admission, BoundAddress, Caps, InheritedSockets, JumpService, ListenAt, Listeners, Metrics,
    NameBook, OwnMachine, Service, SocketPermissions, Stop, serve,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    connections::Connections,
    exec_directory::ExecDirectory,
    file_descriptors, listen,
    sessions::{Dialler, Sessions},
};
use crate::{
    command_error::CommandError,
    config::{Config, tunnel::TunnelConfig, virtual_addresses::VirtualAddressesConfig},
    listener::Listener,
    own_machine,
};

/// Serves the clients of a tunnel.
type TunnelService = Service<Dialler>;

/// A listener that is open but not served yet. Clients that connect already wait.
pub(crate) struct BoundListener {
    tunnel: TunnelConfig,
    place: Place,
    /// The actual addresses. systemd can pass several sockets under one name.
    addresses: Vec<BoundAddress>,
    listeners: Listeners,
}

/// Where a listener is, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// For everybody, at this address of the configuration, perhaps with port 0.
    Configured(ListenAt),
    /// For contained programs, in the [`ExecDirectory`].
    OfExec(ListenAt),
}

impl Place {
    #[cfg(unix)]
    fn of_exec(path: &Path) -> Self {
        Self::OfExec(ListenAt::Unix(i2p_tunnel::SocketFile::new(path)))
    }

    /// There are none.
    #[cfg(not(unix))]
    fn of_exec(path: &Path) -> Self {
        Self::OfExec(ListenAt::Inherited(path.display().to_string()))
    }

    fn at(&self) -> &ListenAt {
        match self {
            Self::Configured(at) | Self::OfExec(at) => at,
        }
    }

    fn is_of_exec(&self) -> bool {
        matches!(self, Self::OfExec(_))
    }

    /// Whether a listener at this place stays if the configuration has that one. Permissions are not compared.
    fn is_kept_for(&self, other: &Self) -> bool {
        self.is_of_exec() == other.is_of_exec() && self.at().is_same_place(other.at())
    }
}

impl BoundListener {
    /// Opens every listener of the configuration, or none.
    pub(crate) async fn bind_all(
        config: &Config,
        inherited: &InheritedSockets,
    ) -> Result<Vec<Self>, CommandError> {
        let (mut bound, tunnels) = (Vec::new(), config.tunnels());
        for tunnel in &tunnels {
            // Mistakes in a users file are reported before the first port is taken.
            tunnel.access_policy()?;
            for configured in tunnel.listen()? {
                bound.push(Self::bind((tunnel, tunnels.len() == 1), configured, inherited, &[]).await?);
            }
        }
        Ok(bound)
    }

    async fn bind(
        (tunnel, only): (&TunnelConfig, bool),
        configured: ListenAt,
        inherited: &InheritedSockets,
        ours: &[BoundAddress],
    ) -> Result<Self, CommandError> {
        let listeners = listen::bind((tunnel, only), &configured, inherited, ours).await?;
        Self::of(tunnel, Place::Configured(configured), listeners)
    }

    /// Opens the sockets for `exec`. A failure is warned of.
    pub(crate) async fn bind_for_exec(config: &Config, directory: &ExecDirectory) -> Vec<Self> {
        let mut bound = Vec::new();
        for tunnel in config.tunnels() {
            bound.extend(Self::bind_one_for_exec(&tunnel, directory).await);
        }
        bound
    }

    async fn bind_one_for_exec(tunnel: &TunnelConfig, directory: &ExecDirectory) -> Option<Self> {
        let (path, listeners) = directory.bind(tunnel).await?;
        Self::of(tunnel, Place::of_exec(&path), listeners).ok()
    }

    fn of(tunnel: &TunnelConfig, place: Place, listeners: Listeners) -> Result<Self, CommandError> {
        let addresses = listeners.addresses().map_err(CommandError::run_time)?;
        Ok(Self { tunnel: tunnel.clone(), place, addresses, listeners })
    }

    /// Its addresses.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        listeners(self.tunnel.name(), &self.addresses)
    }
}

fn listeners(tunnel: &str, addresses: &[BoundAddress]) -> Vec<Listener> {
    let place = |address: &BoundAddress| Listener { tunnel: tunnel.to_owned(), address: address.clone() };
    addresses.iter().map(place).collect()
}

/// All listeners, served.
pub(crate) struct Tunnels {
    served: Vec<ServedListener>,
    metrics: Metrics,
    /// The names that pages show.
    name_book: Arc<dyn NameBook>,
    admission: Admission,
    inherited: Arc<InheritedSockets>,
    exec_directory: ExecDirectory,
    virtual_addresses: VirtualAddressesConfig,
    addresses: AddressPool,
    /// What leak guards look for.
    machine: OwnMachine,
    _machine_watch: AbortOnDropHandle<()>,
    tasks: TaskTracker,
    /// The tasks of closed listeners that may still have connections.
    closed: Vec<ListenerTask>,
}

/// One listener, served.
struct ServedListener {
    tunnel: String,
    place: Place,
    addresses: Vec<BoundAddress>,
    permissions: SocketPermissions,
    service: watch::Sender<Arc<TunnelService>>,
    task: ListenerTask,
}

/// The task that serves a listener. It ends when the listener is closed and its last client is gone.
struct ListenerTask {
    stop: Stop,
    task: JoinHandle<()>,
}

impl ListenerTask {
    fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl ServedListener {
    fn listeners(&self) -> Vec<Listener> {
        listeners(&self.tunnel, &self.addresses)
    }
}

/// The changes that a reload is about to make. New listeners are open already; dropping this closes them.
pub(crate) struct ListenerChanges {
    kept: Vec<KeptListener>,
    opened: Vec<(BoundListener, Arc<TunnelService>)>,
    addresses: AddressPool,
}

/// A listener that stays, with the tunnel and the service that it gets.
struct KeptListener {
    index: usize,
    tunnel: TunnelConfig,
    /// The same address, perhaps with other permissions.
    place: Place,
    service: Arc<TunnelService>,
}

/// The result of a reload.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListenerReload {
    /// How many listeners stayed.
    pub(crate) kept: usize,
    /// New listeners.
    pub(crate) opened: Vec<Listener>,
    /// Closed listeners.
    pub(crate) closed: Vec<Listener>,
}

impl Tunnels {
    /// Serves the open listeners, among them those in `exec_directory`.
    pub(crate) fn serve(
        bound: Vec<BoundListener>,
        config: &Config,
        (inherited, exec_directory): (Arc<InheritedSockets>, ExecDirectory),
        sessions: &Sessions,
        metrics: &Metrics,
        name_book: Arc<dyn NameBook>,
    ) -> Result<Self, CommandError> {
        let (machine, machine_watch) = own_machine::watch();
        let mut tunnels = Self {
            machine,
            _machine_watch: machine_watch,
            served: Vec::with_capacity(bound.len()),
            metrics: metrics.clone(),
            name_book,
            admission: Admission::new(caps(config)),
            inherited,
            exec_directory,
            virtual_addresses: config.virtual_addresses.clone(),
            addresses: address_pool(&config.virtual_addresses)?,
            tasks: TaskTracker::new(),
            closed: Vec::new(),
        };
        for bound in bound {
            let mut service = tunnels.service(&bound.tunnel, config, sessions, &tunnels.addresses)?;
            if bound.place.is_of_exec() {
                service = service.for_contained_programs();
            }
            tunnels.add(bound, service.into());
        }
        Ok(tunnels)
    }

    fn add(&mut self, bound: BoundListener, service: Arc<TunnelService>) {
        let BoundListener { tunnel, place, addresses, listeners } = bound;
        let permissions = listeners.permissions();
        let (service, receiver) = watch::channel(service);
        let stop = Stop::new();
        let task = self.tasks.spawn(serve(listeners, receiver, stop.clone()));
        let (tunnel, task) = (tunnel.name().to_owned(), ListenerTask { stop, task });
        self.served.push(ServedListener { tunnel, place, addresses, permissions, service, task });
    }

    fn service(
        &self,
        tunnel: &TunnelConfig,
        config: &Config,
        sessions: &Sessions,
        addresses: &AddressPool,
    ) -> Result<TunnelService, CommandError> {
        let mut access = tunnel.access_policy()?;
        let before = self.configured().find(|served| served.tunnel == tunnel.name());
        if let Some(before) = before {
            let authentication = &before.service.borrow().access.authentication;
            access.authentication = access.authentication.with_verified_from(authentication);
        }
        let chosen_names = before.map(|before| before.service.borrow().chosen_names.clone());
        access.status_page = config.admin.url().map(Into::into);
        let limits = config.limits.times();
        let dialler = sessions.dialler(tunnel, limits.dial);
        Ok(Service::new(tunnel.name(), dialler, addresses.clone())
            .with_routing(sessions.routing().clone())
            .with_sessions(tunnel.session_policy())
            .with_limits(limits)
            .with_access(access)
            .with_admission(self.admission.clone())
            .with_account(self.metrics.account(tunnel.name()))
            .with_datagrams(tunnel.datagrams())
            .with_headers(tunnel.headers())
            .with_filtering(config.filtering(tunnel, &self.machine))
            .with_jump_services(jump_services(config))
            .with_name_book(Arc::clone(&self.name_book), tunnel.book_access())
            .with_chosen_names(chosen_names.unwrap_or_default()))
    }

    /// The listeners of the configuration.
    fn configured(&self) -> impl Iterator<Item = &ServedListener> {
        self.served.iter().filter(|served| !served.place.is_of_exec())
    }

    /// The addresses of all listeners, in the order of their tunnels in the configuration.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        self.configured().flat_map(ServedListener::listeners).collect()
    }

    /// The sockets for `exec`, in the order of their tunnels.
    pub(crate) fn exec_sockets(&self) -> Vec<Listener> {
        let of_exec = self.served.iter().filter(|served| served.place.is_of_exec());
        of_exec.flat_map(ServedListener::listeners).collect()
    }

    /// The names of all tunnels, each once.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.served.iter().map(|served| served.tunnel.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The pool of virtual addresses.
    pub(crate) fn addresses(&self) -> &AddressPool {
        &self.addresses
    }

    /// Opens the listeners that are new in a configuration. Nothing else changes yet.
    ///
    /// # Errors
    /// A listener cannot be opened.
    pub(crate) async fn prepare(
        &self,
        config: &Config,
        sessions: &Sessions,
    ) -> Result<ListenerChanges, CommandError> {
        let addresses = if config.virtual_addresses == self.virtual_addresses {
            self.addresses.clone()
        } else {
            address_pool(&config.virtual_addresses)?
        };
        let ours: Vec<_> = self.listeners().into_iter().map(|listener| listener.address).collect();
        let (mut kept, mut opened) = (Vec::<KeptListener>::new(), Vec::new());
        let tunnels = config.tunnels();
        let only = tunnels.len() == 1;
        for tunnel in tunnels {
            let service = Arc::new(self.service(&tunnel, config, sessions, &addresses)?);
            for configured in tunnel.listen()? {
                let service = Arc::clone(&service);
                let place = Place::Configured(configured.clone());
                // A port that the system chose stays with its tunnel. A configured port can move to another tunnel.
                let stays = |(index, served): &(usize, &ServedListener)| {
                    served.place.is_kept_for(&place)
                        && (!is_any_port(&configured) || served.tunnel == tunnel.name())
                        && kept.iter().all(|kept| kept.index != *index)
                };
                match self.served.iter().enumerate().find(stays) {
                    Some((index, served)) => {
                        // It may now serve a tunnel that accepts fewer clients, and the configuration does not show the addresses of
                        // inherited sockets.
                        listen::refuse_or_warn_if_exposed(&tunnel, &served.addresses)?;
                        kept.push(KeptListener { index, tunnel: tunnel.clone(), place, service });
                    }
                    None => {
                        opened.push((
                            BoundListener::bind((&tunnel, only), configured, &self.inherited, &ours).await?,
                            service,
                        ));
                    }
                }
            }
            let Some(path) = self.exec_directory.path_of(&tunnel) else { continue };
            let service =
                self.service(&tunnel, config, sessions, &addresses)?.for_contained_programs().into();
            let place = Place::of_exec(&path);
            match self.served.iter().position(|served| served.place.is_kept_for(&place)) {
                Some(index) => kept.push(KeptListener { index, tunnel, place, service }),
                None => {
                    let bound = BoundListener::bind_one_for_exec(&tunnel, &self.exec_directory).await;
                    opened.extend(bound.map(|bound| (bound, service)));
                }
            }
        }
        Ok(ListenerChanges { kept, opened, addresses })
    }

    /// Makes the prepared changes. Open connections continue.
    ///
    /// # Errors
    /// The permissions of a Unix socket cannot be changed. Then nothing is changed.
    pub(crate) fn apply(
        &mut self,
        changes: ListenerChanges,
        config: &Config,
    ) -> Result<ListenerReload, CommandError> {
        let ListenerChanges { kept, opened, addresses } = changes;
        self.change_permissions(&kept)?;
        // Nothing fails from here on.
        self.virtual_addresses = config.virtual_addresses.clone();
        self.addresses = addresses;
        self.admission.set_caps(caps(config));
        let mut before: Vec<_> = std::mem::take(&mut self.served).into_iter().map(Some).collect();
        let of_configuration = kept.iter().filter(|kept| !kept.place.is_of_exec());
        let mut changed = ListenerReload { kept: of_configuration.count(), ..ListenerReload::default() };
        for KeptListener { index, tunnel, place, service } in kept {
            let Some(mut served) = before.get_mut(index).and_then(Option::take) else { continue };
            served.tunnel = tunnel.name().to_owned();
            served.place = place;
            served.service.send_replace(service);
            self.served.push(served);
        }
        // Tasks that have ended are not needed for draining.
        self.closed.retain(|closed| !closed.has_ended());
        for gone in before.into_iter().flatten() {
            gone.task.stop.close();
            if !gone.place.is_of_exec() {
                changed.closed.extend(gone.listeners());
            }
            self.closed.push(gone.task);
        }
        for (bound, service) in opened {
            if !bound.place.is_of_exec() {
                changed.opened.extend(bound.listeners());
            }
            self.add(bound, service);
        }
        // Commands use the first tunnel of the configuration.
        let names: Vec<_> = config.tunnels().iter().map(|tunnel| tunnel.name().to_owned()).collect();
        self.served.sort_by_key(|served| names.iter().position(|name| *name == served.tunnel));
        Ok(changed)
    }

    /// Sets the permissions of Unix sockets as configured: of all, or of none if one fails.
    fn change_permissions(&self, kept: &[KeptListener]) -> Result<(), CommandError> {
        let mut done: Vec<&ServedListener> = Vec::new();
        for KeptListener { index, place, .. } in kept {
            let Some(served) = self.served.get(*index).filter(|served| served.place != *place) else {
                continue;
            };
            let configured = place.at();
            if let Err(error) = served.permissions.change(configured) {
                for undone in done {
                    // The first error is the one to report.
                    let _ = undone.permissions.change(undone.place.at());
                }
                return Err(CommandError::run_time(format_args!(
                    "cannot change the permissions of {configured}: {error}. The user that the program runs as must be a member of its \
                     unix-group. If the socket file is gone, a restart creates it again."
                )));
            }
            done.push(served);
        }
        Ok(())
    }

    /// All connections, to end them.
    pub(crate) fn into_connections(self) -> Connections {
        let tasks = self.served.into_iter().map(|listener| listener.task).chain(self.closed);
        Connections::new(tasks.map(|task| task.stop).collect(), self.tasks, self.exec_directory)
    }
}

fn address_pool(config: &VirtualAddressesConfig) -> Result<AddressPool, CommandError> {
    AddressPool::new(config.options()?).map_err(|error| {
        CommandError::run_time(format_args!("the operating system provides no random numbers: {error}"))
    })
}

/// Whether the system chooses the port.
fn is_any_port(at: &ListenAt) -> bool {
    at.socket_address().is_some_and(|address| address.port() == 0)
}

/// The caps on connections, from the configuration and the file descriptors of this process.
fn caps(config: &Config) -> Caps {
    let descriptors = file_descriptors::raise_limit();
    let datagrams = config.datagram_descriptors();
    let possible = file_descriptors::max_connections(descriptors, datagrams);
    if datagrams > descriptors / 2 {
        tracing::warn!(
            "clients with datagrams may need {datagrams} of {descriptors} file descriptors, which leaves room for {possible} \
             connections: raise the limit of the process (LimitNOFILE= in systemd, ulimit -n), or lower max-sessions under [session]"
        );
    }
    let (caps, configured) = config.limits.caps(possible);
    if let Some(configured) = configured {
        tracing::warn!(
            "connections under [limits] is {configured}, but {descriptors} file descriptors allow only {}: raise the limit of the \
             process (LimitNOFILE= in systemd, ulimit -n)",
            caps.connections
        );
    }
    caps
}

/// The jump services of a configuration, for links on error pages.
fn jump_services(config: &Config) -> Arc<[JumpService]> {
    let services = config.names.jump.iter();
    services.map(|url| JumpService { host: url.host().to_string(), url: url.text() }).collect()
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn the_task_of_a_closed_listener_ends_with_its_last_client() {
        let (stop, last) = (Stop::new(), CancellationToken::new());
        let task = ListenerTask { stop, task: tokio::spawn(last.clone().cancelled_owned()) };
        task.stop.close();
        tokio::task::yield_now().await;
        assert!(!task.has_ended(), "it still has a client to drain");
        last.cancel();
        while !task.has_ended() {
            tokio::task::yield_now().await;
        }
    }
}
