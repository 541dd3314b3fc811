//! Sessions of this process, used if no proxy is running.

use std::sync::Arc;

use i2p_name::{NamedTarget, Target};
use i2p_tunnel::{
    Account, Client, ClientAddress, ClientCredentials, ClientProtocol, Dial, Failure, Filtering,
    IsolationKey, Limits, Listening, OpenStream, OutproxyDatagrams, Routing, SessionPolicy, SharedStage,
};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{asked::ConnectTarget, reply, stdio::PeerStream};
use crate::{
    command_error::CommandError,
    config::{
        Config,
        tunnel::{SessionPurpose, TunnelName},
    },
    daemon::{
        router::Router,
        router_user::RouterUser,
        sessions::{Dialler, Sessions},
    },
    names::service::NameService,
    own_machine,
    terminal::progress::{BUILDING_TUNNELS, Progress},
};

/// A router with sessions of this process, which dial like the sessions of a proxy.
pub(in crate::commands) struct OwnSessions {
    dialler: Dialler,
    routing: Routing,
    policy: SessionPolicy,
    client: Client,
    limits: Limits,
    filtering: Filtering,
    account: Arc<Account>,
    carries_datagrams: bool,
    _machine_watch: AbortOnDropHandle<()>,
    _sessions: Sessions,
    _router: Router,
    _names: Arc<NameService>,
}

impl OwnSessions {
    /// Finds a router, or starts the one that the configuration names, and begins to build sessions. Says so first.
    pub(in crate::commands) async fn open(
        config: Config,
        tunnel: Option<&TunnelName>,
        purpose: SessionPurpose,
        progress: &Progress,
    ) -> Result<Self, CommandError> {
        let user = match purpose {
            SessionPurpose::Program => RouterUser::Program,
            _ => RouterUser::Command,
        };
        let config = config.for_command(tunnel, purpose)?;
        let state_dir = config.state_dir().ok();
        progress.remark(&match &state_dir {
            Some(path) => format!(
                "no proxy is running with the state directory {}: this command opens I2P sessions of its own, which takes up to a minute",
                path.display()
            ),
            None => "this command opens I2P sessions of its own, which takes up to a minute".to_owned(),
        });
        let state_dir = state_dir.filter(|path| path.is_dir());
        let names = NameService::open(&config, state_dir.as_deref()).await;
        let router = Router::find_or_start(user, &config, progress, &names, None).await?;
        progress.step(3, BUILDING_TUNNELS);
        let sessions = Sessions::open(&config, router.bridge(), names.resolver().clone()).await?;
        names.start_fetching(router.bridge(), &config.session);
        let tunnels = config.tunnels();
        let [tunnel] = tunnels.as_slice() else {
            return Err(CommandError::usage("the configuration has no tunnel"));
        };
        let limits = config.limits.times();
        let (machine, machine_watch) = own_machine::watch();
        let by_port = purpose == SessionPurpose::Program;
        let filtering = Filtering { by_port, ..config.filtering(tunnel, &machine) };
        Ok(Self {
            dialler: sessions.dialler(tunnel, limits.dial),
            routing: sessions.routing().clone(),
            policy: tunnel.session_policy(),
            client: this_process(),
            limits,
            filtering,
            account: Arc::default(),
            carries_datagrams: tunnel.dedicated_sessions().is_some_and(|wants| wants.datagrams.is_some()),
            _machine_watch: machine_watch,
            _sessions: sessions,
            _router: router,
            _names: names,
        })
    }

    /// Opens a stream to a host.
    pub(in crate::commands) async fn connect(
        &self,
        asked: &ConnectTarget,
    ) -> Result<PeerStream, CommandError> {
        let opened = explained(self.dial(&asked.target, asked.port).await)?;
        Ok(PeerStream::of_session(opened, self.limits.half_close))
    }

    /// Opens a stream to a target: in I2P, or where a route leads.
    pub(in crate::commands) async fn dial(&self, target: &Target, port: u16) -> Result<OpenStream, Failure> {
        let key = self.policy.key(&self.client, target, port);
        self.in_time(self.routing.open(&self.dialler, &key, (target, port), self.limits.dial)).await
    }

    /// Checks that a name exists, as far as this can be known without a stream, or that a route leads to it.
    pub(in crate::commands) async fn lookup(&self, name: &NamedTarget) -> Result<(), Failure> {
        let target = Target::from(name.clone());
        match name {
            // The port is not known yet.
            NamedTarget::I2p(name) => {
                let key = self.policy.key(&self.client, &target, 0);
                self.in_time(self.dialler.lookup(&key, name)).await
            }
            NamedTarget::ClearNet(_) => self.routing.check_outside(&target),
        }
    }

    /// Waits until streams can be opened.
    pub(in crate::commands) async fn prepare(&self) -> Result<(), Failure> {
        let key = self.key()?;
        self.in_time(self.dialler.prepare(&key)).await
    }

    /// Whether the tunnel carries datagrams.
    pub(in crate::commands) fn carries_datagrams(&self) -> bool {
        self.carries_datagrams
    }

    /// Whether a route may lead to a host outside I2P.
    pub(in crate::commands) fn may_lead_out(&self, target: &Target) -> bool {
        self.routing.check_outside(target).is_ok()
    }

    /// The relays of outproxies for the datagrams of one socket.
    pub(in crate::commands) fn outproxy_datagrams(&self) -> Result<OutproxyDatagrams, Failure> {
        Ok(OutproxyDatagrams::new(self.routing.clone(), self.key()?))
    }

    /// What filters a stream to this host.
    pub(in crate::commands) fn stage(&self, target: &Target, port: u16) -> Option<SharedStage> {
        self.filtering.stage((target, port), &self.account)
    }

    /// How long streams may be silent.
    pub(in crate::commands) fn limits(&self) -> Limits {
        self.limits
    }

    /// Opens a session for datagrams.
    pub(in crate::commands) async fn associate(&self) -> Result<<Dialler as Dial>::Datagrams, Failure> {
        self.in_time(async { self.dialler.associate(&self.key()?).await }).await
    }

    /// The next stream of a peer. `on_address` gets the address to connect to, once peers can connect.
    pub(in crate::commands) async fn accept(
        &self,
        on_address: impl FnOnce(&str),
    ) -> Result<PeerStream, CommandError> {
        let listening = self.in_time(async { self.dialler.listen(&self.key()?, None).await });
        let listening = explained(listening.await)?;
        on_address(&listening.address().to_string());
        let incoming = explained(listening.accept().await)?;
        Ok(PeerStream::of_session(incoming.stream, self.limits.half_close))
    }

    /// The isolation key for datagrams and incoming streams, which have no destination host.
    fn key(&self) -> Result<IsolationKey, Failure> {
        self.policy.client_key(&self.client).ok_or(Failure::CommandNotSupported)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout(self.limits.dial, work).await.unwrap_or(Err(Failure::TimedOut))
    }
}

/// A failure in words.
pub(in crate::commands) fn explained<T>(outcome: Result<T, Failure>) -> Result<T, CommandError> {
    outcome.map_err(|cause| CommandError::run_time(reply::explain(cause)))
}

/// This process as a client of its sessions.
pub(in crate::commands) fn this_process() -> Client {
    Client {
        address: ClientAddress::User(0),
        listener: Arc::from("command"),
        protocol: ClientProtocol::Socks5,
        credentials: ClientCredentials::None,
    }
}
