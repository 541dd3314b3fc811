//! DNS over UDP.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use dns_answers::MAX_QUERY_BYTES;
use restart_schedule::{Panicked, again_after_panics, caught};
use tokio::{net::UdpSocket, sync::watch, time::sleep};
use tokio_util::task::TaskTracker;

use super::answers::{self, Lookup, Reply};
use crate::{
    client::Client, connection::service::Service, dial::Dial, listen::datagram_client, stream::Stop,
};

/// The pause after an error that may not go away by itself, so that it does not keep a core busy.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Answers datagrams until it is stopped. Lookups run beside each other as `lookups`; each takes the place of a connection.
pub(crate) async fn serve_datagrams<D: Dial>(
    socket: Arc<UdpSocket>,
    service: &watch::Receiver<Arc<Service<D>>>,
    stop: &Stop,
    lookups: &TaskTracker,
) {
    let serve = again_after_panics("the task that answers DNS", || async {
        let mut buffer = vec![0; MAX_QUERY_BYTES + 1];
        loop {
            if let Err(error) = serve_next(&socket, &mut buffer, service, stop, lookups).await {
                tracing::debug!(kind = %error.kind(), "cannot receive DNS queries for a moment");
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    });
    tokio::select! {
        () = stop.until_closed() => {}
        () = serve => {}
    }
}

async fn serve_next<D: Dial>(
    socket: &Arc<UdpSocket>,
    buffer: &mut [u8],
    service: &watch::Receiver<Arc<Service<D>>>,
    stop: &Stop,
    lookups: &TaskTracker,
) -> io::Result<()> {
    let (length, from) = match socket.recv_from(buffer).await {
        // The client of an earlier answer has gone. Windows says that it has reset the connection.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => {
            return Ok(());
        }
        received => received?,
    };
    let service = Arc::clone(&service.borrow());
    let client = answers::client_of(datagram_client(from, socket.local_addr()?), &service);
    match answers::reply(buffer.get(..length).unwrap_or_default(), &client, &service) {
        Reply::Nothing => {}
        Reply::Now(answer) => send(socket, &answer, from),
        Reply::AfterLookup(lookup) => {
            look_up(Arc::clone(socket), from, lookup, client, service, stop, lookups);
        }
    }
    Ok(())
}

/// Answers after a lookup, in a task. If the client has its share of connections, it gets no answer, and asks again.
fn look_up<D: Dial>(
    socket: Arc<UdpSocket>,
    from: SocketAddr,
    lookup: Lookup,
    client: Client,
    service: Arc<Service<D>>,
    stop: &Stop,
    lookups: &TaskTracker,
) {
    let admitted = match service.admission.admit(&service.name, client.address) {
        Ok(admitted) => admitted,
        Err(limit) => return service.account.limit(limit),
    };
    let stop = stop.clone();
    lookups.spawn(async move {
        let mut finish = Box::pin(lookup.finish(&client, &service, &stop));
        match stop.run_until_end(caught(finish.as_mut())).await {
            Some(Ok(answer)) => send(&socket, &answer, from),
            Some(Err(Panicked)) => service.account.panicked(),
            None => {}
        }
        drop(admitted);
    });
}

/// Sends an answer. If there is no room for it now, it is lost: the client asks again.
fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    let _ = socket.try_send_to(answer, to);
}
