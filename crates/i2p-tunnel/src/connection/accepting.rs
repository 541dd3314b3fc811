use std::{
    io,
    sync::{Arc, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use restart_schedule::{Panicked, again_after_panics, caught};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{dns, life, outcome::Arrival, service::Service};
use crate::{
    account::Account,
    client::ClientAddress,
    dial::Dial,
    limits::Limit,
    listen::{Accepted, Listener, Listeners, Purpose},
    sensitive::Sensitive,
    stream::{Socket, Stop},
};

/// First and longest pause after accepting has failed, for example because file descriptors ran out. Long enough not to spin, and
/// short enough to serve clients within a second once there are descriptors again.
const FIRST_BACK_OFF: Duration = Duration::from_millis(10);
const MAX_BACK_OFF: Duration = Duration::from_millis(500);

/// How many half-closed connections end when file descriptors have run out. Each frees two.
const ENDED_FOR_DESCRIPTORS: usize = 32;

/// The number of the next connection in the log.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Serves clients until it is stopped. Then it closes the listeners and returns once all connections have ended; [`Stop`] says
/// when that is. Each connection keeps the service that is current when it is accepted.
pub async fn serve<D: Dial>(
    listeners: Listeners,
    service: watch::Receiver<Arc<Service<D>>>,
    stop: impl Into<Stop>,
) {
    let stop = stop.into();
    let server = Arc::new(Server { service, stop, connections: TaskTracker::new() });
    let mut accepting = JoinSet::new();
    for listener in listeners.into_each() {
        if let Some(socket) = listener.datagrams() {
            let server = Arc::clone(&server);
            accepting.spawn(async move {
                dns::serve_datagrams(socket, &server.service, &server.stop, &server.connections).await;
            });
        }
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
    /// Accepts clients until it is stopped. Neither an error of accepting nor a panic ends it.
    async fn accept(self: Arc<Self>, listener: Listener) {
        let accept = again_after_panics("the task that accepts clients", || self.accept_for_ever(&listener));
        tokio::select! {
            () = self.stop.until_closed() => {}
            () = accept => {}
        }
    }

    async fn accept_for_ever(&self, listener: &Listener) {
        let name = listener.name();
        let mut back_off = FIRST_BACK_OFF;
        loop {
            match listener.accept().await {
                Ok(Accepted { client, address, purpose }) => {
                    back_off = FIRST_BACK_OFF;
                    let service = Arc::clone(&self.service.borrow());
                    let (address, listener) = match purpose {
                        Purpose::Proxy => (address.with_local(service.local_clients), Arc::clone(&name)),
                        _ => service.gateway_client(address),
                    };
                    let stop = self.stop.clone();
                    self.admit(client, Arrival { address, listener, purpose, stop }, service);
                }
                // The client has gone again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::debug!(
                        "cannot accept connections: {error}; trying again in {} ms",
                        back_off.as_millis()
                    );
                    self.service.borrow().account.limit(Limit::Accepting);
                    if self.service.borrow().admission.end_oldest_expendable(ENDED_FOR_DESCRIPTORS) {
                        back_off = FIRST_BACK_OFF;
                    }
                    sleep(back_off).await;
                    back_off = (back_off * 2).min(MAX_BACK_OFF);
                }
            }
        }
    }

    /// Serves a client, or refuses it if there are too many. If even refusals are too many, the connection is closed.
    fn admit(&self, client: Socket, arrival: Arrival, service: Arc<Service<D>>) {
        let (address, purpose, account) = (arrival.address, arrival.purpose, Arc::clone(&service.account));
        match service.admission.admit(&service.name, arrival.address) {
            Ok(admitted) => self.spawn(address, account, life::run(client, arrival, service, admitted)),
            Err(limit) if purpose != Purpose::Proxy => {
                service.account.limit(limit);
                client.reset_on_close(true);
            }
            Err(limit) => {
                service.account.limit(limit);
                if let Some(told) = service.admission.permit_refusal() {
                    self.spawn(address, account, async move {
                        life::refuse_overload(client, address, &service).await;
                        drop(told);
                    });
                }
            }
        }
    }

    /// Runs a connection until its end, until it panics, or until connections are ended. In each case its sockets close, and its
    /// place and its session are free again.
    fn spawn(
        &self,
        address: ClientAddress,
        account: Arc<Account>,
        life: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = NEXT_ID.fetch_add(1, Relaxed);
        let span = tracing::debug_span!("connection", id, client = %Sensitive(address));
        let stop = self.stop.clone();
        // Boxed once here: in each of the futures around it, it would take its size three times.
        let mut life = Box::pin(life);
        let life = async move {
            // What a panic leaves half-changed is the connection's own, and is dropped next. Shared state is behind locks and changed in
            // single steps.
            if let Some(Err(Panicked)) = stop.run_until_end(caught(life.as_mut())).await {
                account.panicked();
            }
        };
        self.connections.spawn(life.instrument(span));
    }
}
