//! `run`: listeners, a router, a session, and then clients until told to stop.

use std::{io::Write, net::SocketAddr, path::PathBuf, sync::Arc};

use i2p_tunnel::{AddressPool, BindError, Listeners, Service, serve};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, TunnelConfig},
    control::{Control, Routes},
    exit::Failure,
    names::Names,
    progress::Progress,
    router::Router,
    sessions::Sessions,
    signals::{at_new_identity, stop_token},
};

/// What the third step of a start is.
pub(crate) const BUILDING: &str = "building tunnels; on a router that has just started this takes minutes";

/// Runs the proxy until SIGINT or SIGTERM.
pub(crate) async fn run(config: &Config, progress: &Progress) -> Result<(), Failure> {
    let stop = stop_token()?;
    // First what fails at once: a taken port is known before minutes of building tunnels.
    let proxy = Proxy::bind(config).await?;
    let mut state = StateDir::take(config)?;
    let open = Names::open(config, state.as_ref().map(|state| state.path.as_path()));
    let Some(names) = stop.run_until_cancelled(open).await else { return Ok(()) };
    if let Some(state) = &mut state {
        state.control.serve(names.routes(Routes::default()), &stop);
    }
    let found = stop.run_until_cancelled(Router::find(config, progress, &names)).await;
    let Some(router) = found else { return Ok(()) };
    let router = router?;
    progress.step(3, BUILDING);
    let sessions = Sessions::open(config, router.bridge(), names.resolver().clone()).await?;
    names.connect(router.bridge(), &config.session);
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

/// The state directory, for as long as this process has it.
struct StateDir {
    path: PathBuf,
    control: Control,
}

impl StateDir {
    /// Takes the state directory for this proxy. Without it there is no address book and no control socket, which a proxy can
    /// do without unless its configuration says otherwise.
    fn take(config: &Config) -> Result<Option<Self>, Failure> {
        let taken = config.state_dir().map_err(|failure| failure.to_string()).and_then(|path| {
            let control = Control::take(&path)
                .map_err(|error| format!("the state directory {} cannot be used: {error}", path.display()))?;
            Ok(Self { path, control })
        });
        let error = match taken {
            Ok(taken) => return Ok(Some(taken)),
            Err(error) => error,
        };
        let advice = "say with --state-dir DIR which directory to use";
        if !config.names.subscriptions.is_empty() || !config.names.jump.is_empty() {
            return Err(Failure::run_time(format_args!(
                "{error}. The subscriptions and jump services under [names] need it for their names: {advice}"
            )));
        }
        tracing::warn!(
            "{error}. So this proxy has no address book of its own, and no command can speak to it; {advice}"
        );
        Ok(None)
    }
}

/// A proxy that has its ports and not yet its way into I2P. Clients that connect in between wait.
pub(crate) struct Proxy {
    tunnels: Vec<(TunnelConfig, Listeners)>,
    addresses: Vec<SocketAddr>,
    virtual_addresses: AddressPool,
}

impl Proxy {
    pub(crate) async fn bind(config: &Config) -> Result<Self, Failure> {
        let virtual_addresses = AddressPool::new(config.virtual_addresses.options()?).map_err(|error| {
            Failure::run_time(format_args!("the operating system gives no random numbers: {error}"))
        })?;
        let tunnels = config.tunnels();
        let mut bound =
            Self { tunnels: Vec::with_capacity(tunnels.len()), addresses: Vec::new(), virtual_addresses };
        for tunnel in tunnels {
            for address in tunnel.listen().iter().filter(|address| !address.ip().is_loopback()) {
                tracing::warn!(
                    "{address} can be reached from other machines: whoever reaches it uses I2P in your name, and what they \
                     send to it is not encrypted on the way"
                );
            }
            let listeners = Listeners::bind(&tunnel.listen()).await.map_err(|error| cannot_listen(&error))?;
            bound.addresses.extend(listeners.addresses().map_err(Failure::run_time)?);
            bound.tunnels.push((tunnel, listeners));
        }
        Ok(bound)
    }

    /// The addresses listened on.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves clients until told to stop.
    pub(crate) fn serve(
        self,
        sessions: &Sessions,
        stop: &CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let serving = self.tunnels.into_iter().map(|(tunnel, listeners)| {
            let addresses = self.virtual_addresses.clone();
            let service = Service::new(tunnel.name(), sessions.dialler(&tunnel), addresses);
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

/// Says on stdout that clients can come: the lines that scripts wait for.
pub(crate) fn announce(addresses: &[SocketAddr]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut lines = addresses.iter().map(|address| writeln!(out, "socks {address} ready"));
    lines.try_for_each(|result| result).and_then(|()| out.flush()).map_err(|error| {
        Failure::run_time(format_args!("cannot say on stdout that the proxy is ready: {error}"))
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
