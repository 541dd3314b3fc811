use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

use super::place::BoundAddress;
#[cfg(unix)]
use super::unix_socket::{BoundFile, UnixSocket};
#[cfg(target_os = "linux")]
use crate::stream::sock_diag::{self, Transport};
use crate::{client::ClientAddress, stream::Socket};

/// One listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    pub(crate) fn address(&self) -> io::Result<BoundAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(BoundAddress::Tcp),
            #[cfg(unix)]
            Self::Unix(socket) => socket.path().map(BoundAddress::Unix),
        }
    }

    #[cfg(unix)]
    pub(super) fn file(&self) -> Option<BoundFile> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(socket) => socket.file(),
        }
    }

    /// The listener's part of an isolation key: its address. Listeners whose address cannot be read share the empty name; a bound
    /// listener has one.
    pub(crate) fn name(&self) -> Arc<str> {
        self.address().map(|address| address.to_string()).unwrap_or_default().into()
    }

    /// Waits for the next client. Returns its connection and address. Cancel-safe: no connection is lost.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, ClientAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                let address = client_address(from, stream.local_addr().ok());
                Ok((stream.into(), address))
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (stream, user) = socket.accept().await?;
                Ok((stream.into(), ClientAddress::User(user)))
            }
        }
    }
}

/// The address of a client that connects from `from` to `own`.
fn client_address(from: SocketAddr, own: Option<SocketAddr>) -> ClientAddress {
    let ip = from.ip().to_canonical();
    let is_own = |own: SocketAddr| own.ip().to_canonical() == ip;
    if !ip.is_loopback() && !own.is_some_and(is_own) {
        return ClientAddress::Ip(ip);
    }
    ClientAddress::Local { ip, user: own.and_then(|own| user(from, own)) }
}

/// The user of the client at `from`, a socket of this machine. `None` if it is closed already: then the kernel names root.
#[cfg(target_os = "linux")]
fn user(from: SocketAddr, own: SocketAddr) -> Option<u32> {
    let owner = sock_diag::owner(Transport::Tcp, from, own).ok().flatten()?;
    owner.is_open.then_some(owner.user)
}

#[cfg(not(target_os = "linux"))]
fn user(_: SocketAddr, _: SocketAddr) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    async fn accepted(from: &str, listen: &str) -> ClientAddress {
        let listener = TcpListener::bind(listen).await.unwrap();
        let to = listener.local_addr().unwrap();
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.bind(from.parse().unwrap()).unwrap();
        let (client, accepted) =
            tokio::join!(socket.connect(to), async { Listener::Tcp(listener).accept().await.unwrap() });
        drop(client.unwrap());
        accepted.1
    }

    #[tokio::test]
    async fn a_client_on_this_machine_has_the_user_who_runs_it() {
        #[cfg(target_os = "linux")]
        let user = Some(rustix::process::geteuid().as_raw());
        #[cfg(not(target_os = "linux"))]
        let user = None;
        for (from, listen) in
            [("127.0.0.1:0", "127.0.0.1:0"), ("127.7.7.7:0", "0.0.0.0:0"), ("[::1]:0", "[::]:0")]
        {
            let ip = from.parse::<SocketAddr>().unwrap().ip();
            assert!(accepted(from, listen).await == ClientAddress::Local { ip, user }, "{from}");
        }
    }

    #[test]
    fn a_client_on_another_machine_has_its_address() {
        let (from, own) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        let address = ClientAddress::Ip([192, 0, 2, 1].into());
        assert!(client_address(from, Some(own)) == address);
        assert!(client_address(from, None) == address);
        let local = ClientAddress::Local { ip: [192, 0, 2, 1].into(), user: None };
        assert!(client_address(from, Some(from)) == local, "an address of ours");
    }
}
