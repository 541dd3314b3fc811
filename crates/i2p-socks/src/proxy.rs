//! `run`: listeners, a router, a session, and then clients until told to stop.

use std::{io::Write, net::SocketAddr};

use i2p_sam::{Bridge, Session, SessionOptions};
use i2p_tunnel::{BindError, Limits, Listeners, SamDialler, serve};
use tokio_util::sync::CancellationToken;

use crate::{config::Config, exit::Failure, progress::Progress, router::Router, signals::stop_token};

/// What the third step of a start is.
pub(crate) const BUILDING: &str = "building tunnels; on a router that has just started this takes minutes";

/// Runs the proxy until SIGINT or SIGTERM.
pub(crate) async fn run(config: &Config, progress: &Progress) -> Result<(), Failure> {
    let stop = stop_token()?;
    // First what fails at once: a taken port is known before minutes of building tunnels.
    let proxy = Proxy::bind(&config.listen()).await?;
    let Some(router) = stop.run_until_cancelled(Router::find(config, progress)).await else { return Ok(()) };
    let router = router?;
    let options = config.session.options();
    progress.step(3, BUILDING);
    let Some(session) = stop.run_until_cancelled(build_session(router.bridge(), &options)).await else {
        return Ok(());
    };
    let session = session?;
    progress.finish();
    proxy.announce()?;
    let serving = proxy.serve(session, stop);
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return Ok(()),
        reason = router.stopped() => {
            tracing::error!("{reason}: clients are told \"general failure\" (01) from now on; restart i2p-socks");
        }
    }
    serving.await;
    Ok(())
}

/// Opens the session that all clients share.
pub(crate) async fn build_session(bridge: &Bridge, options: &SessionOptions) -> Result<Session, Failure> {
    bridge.create_session(options).await.map_err(|error| {
        Failure::run_time(format_args!(
            "no I2P session: {error}. Nothing in I2P can be reached without one. See that the router is connected to \
             the network, and start again."
        ))
    })
}

/// A proxy that has its ports and not yet its way into I2P. Clients that connect in between wait.
pub(crate) struct Proxy {
    listeners: Listeners,
    addresses: Vec<SocketAddr>,
}

impl Proxy {
    pub(crate) async fn bind(addresses: &[SocketAddr]) -> Result<Self, Failure> {
        for address in addresses.iter().filter(|address| !address.ip().is_loopback()) {
            tracing::warn!(
                "{address} can be reached from other machines: whoever reaches it uses I2P in your name, and what they \
                 send to it is not encrypted on the way"
            );
        }
        let listeners = Listeners::bind(addresses).await.map_err(|error| cannot_listen(&error))?;
        let addresses = listeners.addresses().map_err(Failure::run_time)?;
        Ok(Self { listeners, addresses })
    }

    /// The addresses listened on.
    #[cfg(feature = "embedded")]
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Says on stdout that clients can come: the lines that scripts wait for.
    pub(crate) fn announce(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let mut lines = self.addresses.iter().map(|address| writeln!(out, "socks {address} ready"));
        lines.try_for_each(|result| result).and_then(|()| out.flush()).map_err(|error| {
            Failure::run_time(format_args!("cannot say on stdout that the proxy is ready: {error}"))
        })
    }

    /// Serves clients until told to stop.
    pub(crate) async fn serve(self, session: Session, stop: CancellationToken) {
        let served = serve(self.listeners, SamDialler::new(session.clone()), Limits::default(), stop);
        let watched = async {
            session.lost().await;
            tracing::error!(
                "the router has closed the SAM session: clients are told \"general failure\" (01) from now on; when \
                 the router is back, restart i2p-socks"
            );
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = served => {}
            () = watched => {}
        }
        tracing::info!("told to stop: all connections are closed");
    }
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
