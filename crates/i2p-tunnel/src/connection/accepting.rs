use std::{
    io,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{life, outcome::WayIn, service::Service};
use crate::{
    client::ClientAddress,
    dial::Dial,
    limits::Limit,
    listen::{Listener, Listeners},
    sensitive::Sensitive,
    stream::{Socket, Stop},
};

/// First and longest wait after accepting has failed, as it does when file descriptors run out: long enough not to spin, and
/// short enough that clients are served within a second when there are some again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// What the next connection of this process is called in the log.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Serves clients until told to stop; then closes the listeners, and comes back when all connections are gone, which
/// [`Stop`] says more of. Each connection gets the service that there is when it comes.
pub async fn serve<D: Dial>(
    listeners: Listeners,
    service: watch::Receiver<Arc<Service<D>>>,
    stop: impl Into<Stop>,
) {
    let stop = stop.into();
    let server = Arc::new(Server { service, stop, connections: TaskTracker::new() });
    let mut accepting = JoinSet::new();
    for listener in listeners.into_each() {
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
    async fn accept(self: Arc<Self>, listener: Listener) {
        let name = listener.name();
        let mut back_off = BACK_OFF.0;
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((client, address)) => {
                    back_off = BACK_OFF.0;
                    self.take(
                        client,
                        WayIn { address, listener: Arc::clone(&name), stop: self.stop.clone() },
                    );
                }
                // The client's fault, and over.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::debug!(
                        "cannot accept connections: {error}; trying again in {} ms",
                        back_off.as_millis()
                    );
                    self.service.borrow().account.limit(Limit::Accepting);
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = sleep(back_off) => {}
                    }
                    back_off = (back_off * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    /// Serves a client, or tells it that there is no room. If there is no room to answer either, the connection is closed.
    fn take(&self, client: Socket, way_in: WayIn) {
        let service = Arc::clone(&self.service.borrow());
        let address = way_in.address;
        match service.admission.admit(&service.name, way_in.address) {
            Ok(admitted) => {
                let life = life::run(client, way_in, service);
                self.spawn(address, async move {
                    life.await;
                    drop(admitted);
                });
            }
            Err(limit) => {
                service.account.limit(limit);
                if let Some(told) = service.admission.permit_refusal() {
                    self.spawn(address, async move {
                        life::turn_away(client, address, &service).await;
                        drop(told);
                    });
                }
            }
        }
    }

    /// Told to stop, or over: either way the sockets close.
    fn spawn(&self, address: ClientAddress, life: impl Future<Output = ()> + Send + 'static) {
        let id = NEXT_ID.fetch_add(1, Relaxed);
        let span = tracing::debug_span!("connection", id, client = %Sensitive(address));
        let stop = self.stop.clone();
        // Once, and not in each of the futures around it, which would be three times as much for each connection.
        let life = Box::pin(life);
        let life = async move {
            let _ = stop.run_until_cancelled(life).await;
        };
        self.connections.spawn(life.instrument(span));
    }
}
