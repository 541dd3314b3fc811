//! Sessions of this process's own, where no proxy runs.

use std::{sync::Arc, time::Duration};

use i2p_tunnel::{
    Client, ClientAddress, ClientCredentials, ClientProtocol, Dial, IsolationKey, Listening, Routing,
    SamDatagrams, SamDialler, SessionPolicy,
};
use tokio::time::timeout;

use super::{asked::Asked, reply, stdio::Stream};
use crate::{
    config::{Config, tunnel::TunnelName},
    daemon::{router::Router, sessions::Sessions},
    failure::Failure,
    names::service::Names,
    terminal::progress::{BUILDING, Progress},
};

/// A router, and a way to ask it for what clients of a proxy ask for.
pub(in crate::commands) struct Own {
    dialler: SamDialler,
    routing: Routing,
    rules: SessionPolicy,
    client: Client,
    dial: Duration,
    half_close: Duration,
    _sessions: Sessions,
    _router: Router,
    _names: Arc<Names>,
}

impl Own {
    /// Finds a router, or starts one, and begins to build sessions.
    pub(in crate::commands) async fn open(
        config: Config,
        tunnel: Option<&TunnelName>,
        datagrams: bool,
        incoming: bool,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let config = config.for_a_command(tunnel, datagrams, incoming)?;
        let state_dir = config.state_dir().ok().filter(|path| path.is_dir());
        let names = Names::open(&config, state_dir.as_deref()).await;
        let router = Router::find(&config, progress, &names).await?;
        progress.step(3, BUILDING);
        let sessions = Sessions::open(&config, router.bridge(), names.resolver().clone()).await?;
        names.connect(router.bridge(), &config.session);
        let tunnels = config.tunnels();
        let [tunnel] = tunnels.as_slice() else { return Err(Failure::usage("there is no tunnel")) };
        let limits = config.limits.times();
        let client = Client {
            address: ClientAddress::User(0),
            listener: Arc::from("command"),
            protocol: ClientProtocol::Socks5,
            credentials: ClientCredentials::None,
        };
        Ok(Self {
            dialler: sessions.dialler(tunnel),
            routing: sessions.routing().clone(),
            rules: tunnel.session_policy(),
            client,
            dial: limits.dial,
            half_close: limits.half_close,
            _sessions: sessions,
            _router: router,
            _names: names,
        })
    }

    /// A stream to a host.
    pub(in crate::commands) async fn connect(&self, asked: &Asked) -> Result<Stream, Failure> {
        let key = self.rules.key(&self.client, &asked.target, asked.port);
        let open = self.routing.open(&self.dialler, &key, (&asked.target, asked.port), self.dial);
        let opened = self.within(open).await?;
        Ok(Stream::of_session(opened, self.half_close))
    }

    /// A way for datagrams.
    pub(in crate::commands) async fn associate(&self) -> Result<SamDatagrams, Failure> {
        self.within(async { self.dialler.associate(&self.key()?).await }).await
    }

    /// The next stream of a peer. `told` gets the address that peers need, once they are taken.
    pub(in crate::commands) async fn accept(&self, told: impl FnOnce(&str)) -> Result<Stream, Failure> {
        let listening = self.within(async { self.dialler.listen(&self.key()?, None).await }).await?;
        told(&listening.address().to_string());
        let incoming = listening.accept().await.map_err(|cause| Failure::run_time(reply::own(cause)))?;
        Ok(Stream::of_session(incoming.stream, self.half_close))
    }

    /// What keeps datagrams and peers apart, which are of no host in particular.
    fn key(&self) -> Result<IsolationKey, i2p_tunnel::Failure> {
        self.rules.client_key(&self.client).ok_or(i2p_tunnel::Failure::CommandNotSupported)
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, i2p_tunnel::Failure>>,
    ) -> Result<T, Failure> {
        let done = timeout(self.dial, work).await.unwrap_or(Err(i2p_tunnel::Failure::TimedOut));
        done.map_err(|cause| Failure::run_time(reply::own(cause)))
    }
}
