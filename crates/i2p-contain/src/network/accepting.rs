//! Accepts connections inside the namespace.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// How long nothing is accepted after a failure: usually, all descriptors are in use.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// After how much silence the kernel checks whether the program's end still exists.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// A listener inside the namespace; one that is missing never accepts.
#[derive(Debug)]
pub(super) struct Listener(Option<TcpListener>);

impl Listener {
    pub(super) fn new(listener: Option<std::net::TcpListener>) -> io::Result<Self> {
        let listener = listener.map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        listener.transpose().map(Self)
    }

    /// The next connection and its peer.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr) {
        let Some(listener) = &self.0 else { return std::future::pending().await };
        loop {
            match listener.accept().await {
                Ok((program, peer)) => {
                    let socket = SockRef::from(&program);
                    let _ = socket.set_tcp_nodelay(true);
                    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
                    return (program, peer);
                }
                Err(_) => tokio::time::sleep(FAILURE_PAUSE).await,
            }
        }
    }
}
