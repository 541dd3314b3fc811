//! Sessions of this process, used if no proxy is running.

use std::{sync::Arc, time::Duration};

use i2p_tunnel::{
    Client, ClientAddress, ClientCredentials, ClientProtocol, Dial, IsolationKey, Listening, Routing,
    SessionPolicy,
};
use tokio::time::timeout;

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
    terminal::progress::{BUILDING_TUNNELS, Progress},
};

/// A router with sessions of this process, which dial like the sessions of a proxy.
pub(in crate::commands) struct OwnSessions {
    dialler: Dialler,
    routing: Routing,
    policy: SessionPolicy,
    client: Client,
    dial: Duration,
    half_close: Duration,
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
        let router = Router::find_or_start(RouterUser::Command, &config, progress, &names, None).await?;
        progress.step(3, BUILDING_TUNNELS);
        let sessions = Sessions::open(&config, router.bridge(), names.resolver().clone()).await?;
        names.start_fetching(router.bridge(), &config.session);
        let tunnels = config.tunnels();
        let [tunnel] = tunnels.as_slice() else {
            return Err(CommandError::usage("the configuration has no tunnel"));
        };
        let limits = config.limits.times();
        Ok(Self {
            dialler: sessions.dialler(tunnel, limits.dial),
            routing: sessions.routing().clone(),
            policy: tunnel.session_policy(),
            client: this_process(),
            dial: limits.dial,
            half_close: limits.half_close,
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
        let key = self.policy.key(&self.client, &asked.target, asked.port);
        let open = self.routing.open(&self.dialler, &key, (&asked.target, asked.port), self.dial);
        let opened = self.within(open).await?;
        Ok(PeerStream::of_session(opened, self.half_close))
    }

    /// Opens a session for datagrams.
    pub(in crate::commands) async fn associate(&self) -> Result<<Dialler as Dial>::Datagrams, CommandError> {
        self.within(async { self.dialler.associate(&self.key()?).await }).await
    }

    /// The next stream of a peer. `on_address` gets the address to connect to, once peers can connect.
    pub(in crate::commands) async fn accept(
        &self,
        on_address: impl FnOnce(&str),
    ) -> Result<PeerStream, CommandError> {
        let listening = self.within(async { self.dialler.listen(&self.key()?, None).await }).await?;
        on_address(&listening.address().to_string());
        let incoming =
            listening.accept().await.map_err(|cause| CommandError::run_time(reply::explain(cause)))?;
        Ok(PeerStream::of_session(incoming.stream, self.half_close))
    }

    /// The isolation key for datagrams and incoming streams, which have no destination host.
    fn key(&self) -> Result<IsolationKey, i2p_tunnel::Failure> {
        self.policy.client_key(&self.client).ok_or(i2p_tunnel::Failure::CommandNotSupported)
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, i2p_tunnel::Failure>>,
    ) -> Result<T, CommandError> {
        let done = timeout(self.dial, work).await.unwrap_or(Err(i2p_tunnel::Failure::TimedOut));
        done.map_err(|cause| CommandError::run_time(reply::explain(cause)))
    }
}

/// This process as a client of its sessions.
fn this_process() -> Client {
    Client {
        address: ClientAddress::User(0),
        listener: Arc::from("command"),
        protocol: ClientProtocol::Socks5,
        credentials: ClientCredentials::None,
    }
}
