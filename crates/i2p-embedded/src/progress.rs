use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use emissary_core::{
    events::{Event, EventSubscriber},
    router::Router,
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::MissedTickBehavior};

use crate::runtime::Runtime;

/// How often the router's numbers are read. emissary makes new ones every second and drops those that nobody reads.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How often we check that the SAM bridge still listens.
const BRIDGE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// A step in the life of an [`EmbeddedRouter`](crate::EmbeddedRouter). More kinds may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Progress {
    /// The reseed servers are being asked for other routers, over the internet. Takes up to 90 s.
    AskingReseedServers,
    /// The reseed file is being read.
    ReadingReseedFile,
    /// The reseed gave this many routers.
    Reseeded {
        /// The number of routers that can be used.
        routers: usize,
    },
    /// The router runs and its SAM bridge listens. Sessions need some 10 to 30 s more until tunnels are built.
    Started {
        /// The number of other routers that it knows.
        known_routers: usize,
    },
    /// Numbers of the running router, at most once a second and only if they have changed.
    Status {
        /// The number of routers that it is connected to now.
        connected_peers: usize,
        /// The number of tunnels built since the start, including expired ones. 0 means that nothing can be reached yet.
        tunnels_built: usize,
    },
}

/// The reason why an [`EmbeddedRouter`](crate::EmbeddedRouter) stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The router ended, or panicked in a build where a panic does not end the process.
    Router,
    /// The router's SAM bridge no longer listens.
    Bridge,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Router => "the embedded I2P router ended by itself",
            Self::Bridge => "the embedded I2P router's SAM bridge ended by itself",
        })
    }
}

/// Reports the router's numbers when they change, for as long as the router's thread runs.
pub(crate) async fn report(mut events: EventSubscriber, on_progress: OnProgress) {
    let mut interval = tokio::time::interval(STATUS_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        interval.tick().await;
        let mut newest = None;
        while let Some(event) = events.router_status() {
            match event {
                Event::RouterStatus { transport, tunnel, .. } => {
                    newest = Some((transport.num_connected_routers, tunnel.num_tunnels_built));
                }
                Event::ShuttingDown | Event::ShutDown => return,
            }
        }
        if let Some((connected_peers, tunnels_built)) = newest
            && newest != last
        {
            on_progress(Progress::Status { connected_peers, tunnels_built });
            last = newest;
        }
    }
}

/// Runs the router until it or its SAM bridge ends. The router has a task of its own, so a panic ends only that task, unless
/// panics end the process.
pub(crate) async fn run<T>(router: Router<Runtime>, bridge_gone: impl Future<Output = T>) -> Stopped {
    tokio::select! {
        _ = tokio::spawn(router) => Stopped::Router,
        _ = bridge_gone => Stopped::Bridge,
    }
}

/// Returns once the SAM bridge has ended. emissary does not report that, but the port then refuses connections.
pub(crate) async fn bridge_gone(sam_address: SocketAddr) {
    loop {
        tokio::time::sleep(BRIDGE_CHECK_INTERVAL).await;
        if let Err(error) = TcpStream::connect(sam_address).await
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn a_bridge_is_gone_when_its_port_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(timeout(3 * BRIDGE_CHECK_INTERVAL, bridge_gone(address)).await.is_err());
        drop(listener);
        assert!(timeout(3 * BRIDGE_CHECK_INTERVAL, bridge_gone(address)).await.is_ok());
    }
}
