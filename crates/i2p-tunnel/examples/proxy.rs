//! A proxy inside another program: a library that can only use SOCKS reaches I2P through it.
//!
//! `cargo run --example proxy` uses the SAM bridge at 127.0.0.1:7656. `cargo run --example proxy ADDRESS` uses another one.

use std::{error::Error, net::SocketAddr};

use i2p_name::VirtualOptions;
use i2p_sam::Bridge;
use i2p_tunnel::{
    AddressPool, BoundAddress, Listeners, PoolOptions, SamDialler, Service, SessionPool, serve,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A proxy in a task of its own.
pub(crate) struct EmbeddedProxy {
    /// Where it accepts SOCKS and HTTP CONNECT: a free port that only this machine can reach.
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl EmbeddedProxy {
    /// Starts a proxy on a router's SAM bridge. It accepts clients at once. Their requests wait until the first session has
    /// tunnels.
    ///
    /// # Errors
    /// If no port can be opened, or the operating system has no random numbers.
    pub(crate) async fn start(bridge: Bridge) -> Result<Self, Box<dyn Error>> {
        let listeners = Listeners::bind(&["127.0.0.1:0".parse()?]).await?;
        let Some(&BoundAddress::Tcp(address)) = listeners.addresses()?.first() else {
            return Err("the proxy listens on no TCP port".into());
        };
        let sessions = SessionPool::new(bridge, PoolOptions::default());
        let addresses = AddressPool::new(VirtualOptions::default())?;
        let service = Service::new("embedded", SamDialler::new(sessions), addresses);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move {
            // The sender could replace the service while the proxy runs.
            let (_sender, service) = watch::channel(service.into());
            serve(listeners, service, stopped).await;
        });
        Ok(Self { address, stop, serving })
    }

    /// Stops accepting clients, and returns once the last one is gone.
    ///
    /// # Errors
    /// If the proxy's task panicked.
    pub(crate) async fn stop(self) -> Result<(), Box<dyn Error>> {
        self.stop.cancel();
        Ok(self.serving.await?)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bridge = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7656".into());
    let proxy = EmbeddedProxy::start(Bridge::new(bridge)).await?;
    println!("curl --socks5-hostname {} http://i2p-projekt.i2p/", proxy.address);
    // A real program does its own work here, and stops the proxy when it is done.
    std::future::pending::<()>().await;
    proxy.stop().await
}
