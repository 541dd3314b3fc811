use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::sleep};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{
    ClientAddress, Dial, Sensitive, Service, Stop,
    connection::{self, WayIn},
    failure_log::Repeated,
};

/// First and longest wait after accepting has failed, as it does when file descriptors run out.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What tells connections apart in the log.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A listening address that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the operating system says.
    pub source: io::Error,
}

/// Listening sockets. Clients can connect from the moment they exist, and wait until [`serve`] runs.
#[derive(Debug)]
pub struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Listens on all of the addresses, or on none.
    ///
    /// # Errors
    /// [`BindError`] for the first address that cannot be had.
    pub async fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let listener =
                TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
            listeners.push(listener);
        }
        Ok(Self(listeners))
    }

    /// The addresses listened on, with the ports that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// What the operating system says; it knows the addresses of its sockets.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().map(TcpListener::local_addr).collect()
    }
}

/// Serves clients until told to stop; then closes the listeners, and comes back when all connections are gone, which
/// [`Stop`] says more of. Each connection gets the service that there is when it comes.
pub async fn serve<D: Dial>(
    listeners: Listeners,
    service: watch::Receiver<Arc<Service<D>>>,
    stop: impl Into<Stop>,
) {
    let server = Arc::new(Server { service, stop: stop.into(), connections: TaskTracker::new() });
    let mut accepting = JoinSet::new();
    for listener in listeners.0 {
        accepting.spawn(Arc::clone(&server).accept(listener));
    }
    accepting.join_all().await;
    server.connections.close();
    server.connections.wait().await;
}

struct Server<D> {
    service: watch::Receiver<Arc<Service<D>>>,
    stop: Stop,
    connections: TaskTracker,
}

impl<D: Dial> Server<D> {
    /// Accepts until told to stop. Nothing that accepting can say ends it.
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        // A bound listener has an address; without one, listeners are not told apart.
        let name = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let name: Arc<str> = name.into();
        let mut back_off = BACK_OFF.0;
        let errors = Repeated::default();
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((client, from)) => {
                    back_off = BACK_OFF.0;
                    let id = NEXT_ID.fetch_add(1, Relaxed);
                    let span = tracing::debug_span!("connection", id, client = %Sensitive(from.ip()));
                    let stop = self.stop.clone();
                    let service = Arc::clone(&self.service.borrow());
                    let way_in = WayIn {
                        address: ClientAddress::Ip(from.ip().to_canonical()),
                        listener: Arc::clone(&name),
                        stop: stop.clone(),
                    };
                    let life = connection::run(client.into(), way_in, service);
                    let life = async move {
                        // Told to stop, or over: either way the sockets close.
                        let _ = stop.run_until_cancelled(life).await;
                    };
                    self.connections.spawn(life.instrument(span));
                }
                // The client's fault, and over.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if let Some(unsaid) = errors.due(error.kind()) {
                        tracing::warn!(
                            unsaid,
                            "cannot accept connections: {error}; trying again until it can be done"
                        );
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = sleep(back_off) => {}
                    }
                    back_off = (back_off * 2).min(BACK_OFF.1);
                }
            }
        }
    }
}
