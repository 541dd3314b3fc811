//! Accepts connections inside the namespace.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

/// How long nothing is accepted after a failure: usually, all descriptors are in use.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// After how much silence the kernel checks whether the program's end still exists.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// A listener inside the namespace; one that is missing never accepts.
#[derive(Debug)]
pub(super) struct Listener {
    listener: Option<TcpListener>,
    paused_until: Option<Instant>,
}

impl Listener {
    pub(super) fn new(listener: Option<std::net::TcpListener>) -> io::Result<Self> {
        let listener = listener.map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        Ok(Self { listener: listener.transpose()?, paused_until: None })
    }

    /// The next connection and its peer. A pause goes on if the future is dropped.
    pub(super) async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let Some(listener) = &self.listener else { return std::future::pending().await };
        loop {
            if let Some(until) = self.paused_until {
                sleep_until(until).await;
                self.paused_until = None;
            }
            match listener.accept().await {
                Ok((program, peer)) => {
                    let socket = SockRef::from(&program);
                    let _ = socket.set_tcp_nodelay(true);
                    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
                    return (program, peer);
                }
                Err(_) => self.paused_until = Some(Instant::now() + FAILURE_PAUSE),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_pause_outlives_the_future_that_began_it() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        // Accepting fails while it does not listen.
        let mut listener = Listener::new(Some(socket.try_clone().unwrap().into())).unwrap();
        let start = Instant::now();
        assert!(timeout(FAILURE_PAUSE / 10, listener.accept()).await.is_err());
        assert!(listener.paused_until.is_some());
        socket.listen(1).unwrap();
        let _program = TcpStream::connect(address).await.unwrap();
        listener.accept().await;
        assert!(start.elapsed() >= FAILURE_PAUSE, "{:?}", start.elapsed());
    }
}
