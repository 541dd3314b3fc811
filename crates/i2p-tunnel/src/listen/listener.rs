use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::{TcpListener, UdpSocket};

#[cfg(unix)]
use super::unix_socket::{BoundFile, UnixSocket};
use super::{
    gateway,
    place::{BoundAddress, Interception},
};
#[cfg(target_os = "linux")]
use crate::stream::sock_diag::{self, Transport};
use crate::{client::ClientAddress, stream::Socket};

/// One listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
    /// A Unix socket for contained programs.
    #[cfg(unix)]
    Contained(UnixSocket),
    /// Connections that lead elsewhere.
    Transparent(Interception, TcpListener),
    /// DNS.
    Dns(TcpListener, Arc<UdpSocket>),
}

/// A connection that a listener has accepted.
pub(crate) struct Accepted {
    pub(crate) client: Socket,
    pub(crate) address: ClientAddress,
    pub(crate) purpose: Purpose,
}

/// What a client wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It says so in a handshake.
    Proxy,
    /// A stream to this address. `None`: the kernel does not know one, or it is the listener itself.
    StreamTo(Option<SocketAddr>),
    /// Answers to DNS queries.
    Dns,
}

impl Listener {
    pub(crate) fn address(&self) -> io::Result<BoundAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(BoundAddress::Tcp),
            #[cfg(unix)]
            Self::Unix(socket) | Self::Contained(socket) => socket.path().map(BoundAddress::Unix),
            Self::Transparent(how, listener) => {
                listener.local_addr().map(|address| BoundAddress::Transparent(*how, address))
            }
            Self::Dns(listener, _) => listener.local_addr().map(BoundAddress::Dns),
        }
    }

    #[cfg(unix)]
    pub(super) fn file(&self) -> Option<BoundFile> {
        match self {
            Self::Unix(socket) => socket.file(),
            _ => None,
        }
    }

    /// The listener's part of an isolation key: its address. Listeners whose address cannot be read share the empty name; a bound
    /// listener has one.
    pub(crate) fn name(&self) -> Arc<str> {
        self.address().map(|address| address.to_string()).unwrap_or_default().into()
    }

    /// The socket for datagrams, if it has one.
    pub(crate) fn datagrams(&self) -> Option<Arc<UdpSocket>> {
        match self {
            Self::Dns(_, socket) => Some(Arc::clone(socket)),
            _ => None,
        }
    }

    /// Waits for the next client. Cancel-safe: no connection is lost.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => accept_tcp(listener, Purpose::Proxy).await,
            Self::Dns(listener, _) => accept_tcp(listener, Purpose::Dns).await,
            Self::Transparent(how, listener) => gateway::accept(*how, listener).await,
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (stream, peer) = socket.accept().await?;
                let address = ClientAddress::User(peer.uid());
                Ok(Accepted { client: stream.into(), address, purpose: Purpose::Proxy })
            }
            #[cfg(unix)]
            Self::Contained(socket) => {
                let (stream, process) = socket.accept_own().await?;
                let address = ClientAddress::Contained(process);
                Ok(Accepted { client: stream.into(), address, purpose: Purpose::Proxy })
            }
        }
    }
}

async fn accept_tcp(listener: &TcpListener, purpose: Purpose) -> io::Result<Accepted> {
    let (stream, from) = listener.accept().await?;
    let address = client_address(from, stream.local_addr().ok());
    Ok(Accepted { client: stream.into(), address, purpose })
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
pub(super) fn user(from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let owner = sock_diag::owner(Transport::Tcp, from, to).ok().flatten()?;
    owner.is_open.then_some(owner.user)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn user(_: SocketAddr, _: SocketAddr) -> Option<u32> {
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
        accepted.address
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
