//! Which datagrams are the client's.

use std::net::SocketAddr;

use socks_wire::{
    stream::{OwnedAddress, OwnedRequest},
    udp,
};

use crate::stream::any_port_on;

/// Decides which datagrams are the client's.
pub(super) struct ClientSource {
    /// Our end of the client's TCP connection, and the client's end.
    tcp: (SocketAddr, SocketAddr),
    /// The address of its TCP connection. The port has no meaning here; for a link-local address, the interface counts.
    client: SocketAddr,
    /// The port that the client announced, or that its first datagram came from.
    port: Option<u16>,
    /// The address of the socket that its datagrams arrive at, once there is one.
    relay: Option<SocketAddr>,
}

impl ClientSource {
    /// Uses DST.ADDR and DST.PORT if they are set. `tcp` are our end of the TCP connection and the client's. Returns `None` if
    /// they name another host: its datagrams would not be the client's.
    pub(super) fn of(request: &OwnedRequest, tcp: (SocketAddr, SocketAddr)) -> Option<Self> {
        let port = (request.port != 0).then_some(request.port);
        let client = any_port_on(tcp.1);
        match &request.address {
            OwnedAddress::Ip(ip) if ip.is_unspecified() || ip.to_canonical() == client.ip() => {
                Some(Self { tcp, client, port, relay: None })
            }
            // Behind NAT, a client knows itself by another address than we do, and its port may differ too.
            OwnedAddress::Ip(_) => None,
            // Some clients send a meaningless name, such as "0".
            OwnedAddress::Domain(_) => Some(Self { tcp, client, port: None, relay: None }),
        }
    }

    /// Notes the address of the socket that the client's datagrams arrive at.
    pub(super) fn relayed_at(&mut self, relay: SocketAddr) {
        self.relay = Some(relay);
    }

    /// Whether a datagram is the client's. If the client announced no port, its first datagram sets it.
    /// Only a valid datagram of the client's user does: otherwise any packet from another program on that host would lock the
    /// client out.
    pub(super) fn accepts(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        if from.ip().to_canonical() != self.client.ip() {
            return false;
        }
        if let Some(port) = self.port {
            return port == from.port();
        }
        if udp::Header::split(datagram).is_ok() {
            if !self.is_of_clients_user(from) {
                return false;
            }
            self.port = Some(from.port());
        }
        true
    }

    /// The address to send datagrams to, once the port is known.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let mut client = self.client;
        client.set_port(self.port?);
        Some(client)
    }

    /// Whether the same user owns the client's TCP connection and the socket that sends from `from`. Only the kernel of the
    /// client's machine knows: `true` if that is another machine.
    fn is_of_clients_user(&self, from: SocketAddr) -> bool {
        #[cfg(target_os = "linux")]
        return self.relay.is_some_and(|relay| local_users::are_the_same(self.tcp, relay, from));
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (self.tcp, self.relay, from);
            true
        }
    }
}

/// The users of sockets on this machine.
#[cfg(target_os = "linux")]
mod local_users {
    use std::{
        io,
        net::SocketAddr,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
    };

    use crate::stream::sock_diag::{Transport, owner};

    /// A program of root can read and send as any user anyway.
    const ROOT: u32 = 0;

    /// Whether the user of the client's end of `tcp` owns the socket at `from`, which sends to our socket at `relay`.
    pub(super) fn are_the_same(
        (own, client): (SocketAddr, SocketAddr),
        relay: SocketAddr,
        from: SocketAddr,
    ) -> bool {
        let user = match owner(Transport::Tcp, client, own) {
            Ok(Some(owner)) => owner.user,
            // The client is on another machine, or in another network namespace of this one.
            Ok(None) => return true,
            Err(error) => return unknown(&error),
        };
        match owner(Transport::Udp, from, relay) {
            Ok(Some(sender)) => sender.user == user || sender.user == ROOT,
            // The sender has closed its socket. Or this kernel knows no UDP sockets at all, not even our own.
            Ok(None) => match owner(Transport::Udp, relay, from) {
                Ok(Some(_)) => false,
                Ok(None) => unknown(&io::ErrorKind::Unsupported.into()),
                Err(error) => unknown(&error),
            },
            Err(error) => unknown(&error),
        }
    }

    /// Warns once that users cannot be told apart.
    fn unknown(error: &io::Error) -> bool {
        static WARNED: AtomicBool = AtomicBool::new(false);
        if !WARNED.swap(true, Relaxed) {
            tracing::warn!(
                "the kernel does not tell which user sends a datagram ({error}), so that another user of this machine can take a \
                 client's place if the client names no port; as a service, allow AF_NETLINK"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_client_is_answered_on_its_interface() {
        let request = OwnedRequest {
            protocol: socks_wire::Protocol::Socks5,
            command: socks_wire::Command::UDP_ASSOCIATE,
            address: OwnedAddress::Ip([0; 4].into()),
            port: 0,
            user_id: Vec::new(),
            credentials: None,
        };
        let (own, relay) = ("[fe80::1%3]:4450".parse().unwrap(), "[fe80::1%3]:5000".parse().unwrap());
        let mut source = ClientSource::of(&request, (own, "[fe80::2%3]:50000".parse().unwrap())).unwrap();
        source.relayed_at(relay);
        assert_eq!(source.address(), None);
        let from = "[fe80::2%3]:60000".parse().unwrap();
        assert!(source.accepts(from, &[0, 0, 0, 1, 127, 0, 0, 1, 0, 7]));
        assert_eq!(source.address(), Some(from));
    }
}
