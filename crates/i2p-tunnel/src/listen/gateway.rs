//! The listeners of a gateway, whose clients know nothing of a proxy: their kernel, or their router's, sends their connections and
//! DNS queries here.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{
    listener::{Accepted, Listener, Purpose, user},
    place::Interception,
};
use crate::client::ClientAddress;
#[cfg(target_os = "linux")]
use crate::stream::sock_diag::{self, Transport};

/// How often another port is tried, if the system has chosen one for UDP that is taken for TCP.
const MAX_PORT_ATTEMPTS: usize = 16;

/// Connections that may wait to be accepted, as of tokio's own listeners.
#[cfg(target_os = "linux")]
const BACKLOG: i32 = 1024;

/// Opens a DNS listener: UDP and TCP on one port.
pub(super) async fn bind_dns(address: SocketAddr) -> io::Result<Listener> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let datagrams = UdpSocket::bind(address).await?;
        match TcpListener::bind(datagrams.local_addr()?).await {
            Ok(listener) => return Ok(Listener::Dns(listener, Arc::new(datagrams))),
            Err(error) if address.port() != 0 || attempts == MAX_PORT_ATTEMPTS => return Err(error),
            Err(_) => {}
        }
    }
}

/// Opens a transparent listener.
#[cfg(target_os = "linux")]
pub(super) fn bind_transparent(how: Interception, address: SocketAddr) -> io::Result<Listener> {
    use socket2::{Domain, Protocol, Socket, Type};

    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    match (how, address) {
        (Interception::Redirect, _) => {}
        (Interception::Tproxy, SocketAddr::V4(_)) => socket.set_ip_transparent_v4(true)?,
        (Interception::Tproxy, SocketAddr::V6(_)) => socket.set_ip_transparent_v6(true)?,
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Transparent(how, TcpListener::from_std(socket.into())?))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn bind_transparent(_: Interception, _: SocketAddr) -> io::Result<Listener> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Accepts a connection that leads elsewhere.
pub(super) async fn accept(how: Interception, listener: &TcpListener) -> io::Result<Accepted> {
    let (stream, from) = listener.accept().await?;
    let target = target_of(how, &stream, listener.local_addr()?).map(canonical);
    let address = client_of(from, target);
    Ok(Accepted { client: stream.into(), address, purpose: Purpose::StreamTo(target) })
}

/// The address that a client has connected to. `None` if that is the listener itself.
fn target_of(how: Interception, stream: &TcpStream, listener: SocketAddr) -> Option<SocketAddr> {
    let own = stream.local_addr().ok()?;
    let (target, itself) = match how {
        Interception::Redirect => (original(stream, own)?, own),
        Interception::Tproxy => (own, listener),
    };
    (canonical(target) != canonical(itself)).then_some(target)
}

/// The address that connection tracking remembers.
#[cfg(target_os = "linux")]
fn original(stream: &TcpStream, own: SocketAddr) -> Option<SocketAddr> {
    let socket = socket2::SockRef::from(stream);
    // A listener on [::] also has connections of IPv4.
    let address = match own.ip().to_canonical().is_ipv4() {
        true => socket.original_dst_v4(),
        false => socket.original_dst_v6(),
    };
    address.ok()?.as_socket()
}

#[cfg(not(target_os = "linux"))]
fn original(_: &TcpStream, _: SocketAddr) -> Option<SocketAddr> {
    None
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The client at `from`. If it is on this machine, the kernel knows a socket there that is connected to the target.
fn client_of(from: SocketAddr, target: Option<SocketAddr>) -> ClientAddress {
    let ip = from.ip().to_canonical();
    match target.and_then(|target| user(from, target)) {
        Some(user) => ClientAddress::Local { ip, user: Some(user) },
        None if ip.is_loopback() => ClientAddress::Local { ip, user: None },
        None => ClientAddress::Ip(ip),
    }
}

/// The client that has sent a datagram from `from` to a socket at `own`.
pub(crate) fn datagram_client(from: SocketAddr, own: SocketAddr) -> ClientAddress {
    let ip = from.ip().to_canonical();
    match ip.is_loopback() || own.ip().to_canonical() == ip {
        true => ClientAddress::Local { ip, user: datagram_user(from, own) },
        false => ClientAddress::Ip(ip),
    }
}

#[cfg(target_os = "linux")]
fn datagram_user(from: SocketAddr, own: SocketAddr) -> Option<u32> {
    let owner = sock_diag::owner(Transport::Udp, from, own).ok().flatten()?;
    owner.is_open.then_some(owner.user)
}

#[cfg(not(target_os = "linux"))]
fn datagram_user(_: SocketAddr, _: SocketAddr) -> Option<u32> {
    None
}
