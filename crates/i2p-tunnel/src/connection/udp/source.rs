//! Which datagrams are the client's.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};

use socks_wire::{
    stream::{OwnedAddress, OwnedRequest},
    udp,
};
use tokio::time::Instant;

use crate::stream::any_port_on;

/// How long the client's port must have been silent before a new port of the client takes its place. Shorter than the shortest
/// timeouts of address translators, and long enough that nobody takes the place of a client that is sending.
const PORT_SILENCE: Duration = Duration::from_secs(5);

/// Where the client's datagrams come from, and where its answers go. Clones share it.
#[derive(Clone)]
pub(super) struct ReturnAddress {
    /// The address of the client's TCP connection. The port has no meaning here; for a link-local address, the interface counts.
    host: SocketAddr,
    /// The port of the client's datagrams; 0 as long as it is unknown.
    port: Arc<AtomicU16>,
}

impl ReturnAddress {
    fn new(host: SocketAddr, port: u16) -> Self {
        Self { host, port: Arc::new(AtomicU16::new(port)) }
    }

    /// The address to send datagrams to, once the port is known.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        let mut client = self.host;
        client.set_port(self.port()?);
        Some(client)
    }

    fn port(&self) -> Option<u16> {
        Some(self.port.load(Relaxed)).filter(|&port| port != 0)
    }
}

/// Decides which datagrams are the client's: those from the address of its TCP connection, and from one port at a time; or those from
/// the socket that it names, if it has no TCP connection.
pub(super) struct ClientSource {
    /// Our end of the client's TCP connection, and the client's end.
    tcp: Option<(SocketAddr, SocketAddr)>,
    address: ReturnAddress,
    /// Whether the client announced its port. No other port takes its place.
    is_announced: bool,
    /// When the last datagram came from the client's port.
    last_heard: Instant,
    /// The address of the socket that its datagrams arrive at, once there is one.
    relay: Option<SocketAddr>,
}

impl ClientSource {
    /// Uses DST.PORT if DST.ADDR is the client's address or unspecified. `tcp` are our end of the TCP connection and the client's.
    ///
    /// Another DST.ADDR gives the client no rights and takes none (RFC 1928 section 6: the server may use it to limit access).
    /// Some clients send the address of their target, and a client behind NAT knows itself by another address than we do. Some
    /// send a meaningless name, such as "0". The port belongs to that address and is ignored with it.
    pub(super) fn of(request: &OwnedRequest, tcp: (SocketAddr, SocketAddr)) -> Self {
        let client = any_port_on(tcp.1);
        let announced = match &request.address {
            OwnedAddress::Ip(ip) if ip.is_unspecified() || ip.to_canonical() == client.ip() => request.port,
            OwnedAddress::Ip(_) | OwnedAddress::Domain(_) => 0,
        };
        Self { tcp: Some(tcp), ..Self::new(client, announced) }
    }

    /// The socket at this address and no other. As long as the client has it open, no other program can have its address.
    pub(super) fn at(socket: SocketAddr) -> Self {
        Self::new(any_port_on(socket), socket.port())
    }

    fn new(host: SocketAddr, announced: u16) -> Self {
        Self {
            tcp: None,
            address: ReturnAddress::new(host, announced),
            is_announced: announced != 0,
            last_heard: Instant::now(),
            relay: None,
        }
    }

    /// Notes the address of the socket that the client's datagrams arrive at.
    pub(super) fn relayed_at(&mut self, relay: SocketAddr) {
        self.relay = Some(relay);
    }

    /// Where the client's datagrams come from, and where its answers go.
    pub(super) fn address(&self) -> &ReturnAddress {
        &self.address
    }

    /// Whether a datagram is the client's. If the client announced no port, its first datagram sets it, and so does a datagram from
    /// another port once the first has been silent.
    pub(super) fn accepts(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        if from.ip().to_canonical() != self.address.host.ip() {
            return false;
        }
        match self.address.port() {
            Some(port) if port == from.port() => {
                self.last_heard = Instant::now();
                true
            }
            Some(_) if self.is_announced || self.last_heard.elapsed() < PORT_SILENCE => false,
            Some(_) => udp::Header::split(datagram).is_ok() && self.sets_port(from),
            None => udp::Header::split(datagram).is_err() || self.sets_port(from),
        }
    }

    /// Takes the port of a valid datagram as the client's if its user sent it. Otherwise any packet from another program on that
    /// host would lock the client out.
    fn sets_port(&mut self, from: SocketAddr) -> bool {
        let is_clients = self.is_of_clients_user(from);
        if is_clients {
            self.address.port.store(from.port(), Relaxed);
            self.last_heard = Instant::now();
        }
        is_clients
    }

    /// Whether the same user owns the client's TCP connection and the socket that sends from `from`. Only the kernel of the
    /// client's machine knows: `true` if that is another machine.
    fn is_of_clients_user(&self, from: SocketAddr) -> bool {
        #[cfg(target_os = "linux")]
        return self
            .tcp
            .zip(self.relay)
            .is_some_and(|(tcp, relay)| local_users::are_the_same(tcp, relay, from));
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
    use std::net::IpAddr;

    use tokio::time::advance;

    use super::*;

    const OWN: &str = "192.0.2.1:4450";
    const CLIENT: &str = "198.51.100.7:50000";
    const DATAGRAM: &[u8] = &[0, 0, 0, 1, 127, 0, 0, 1, 0, 7];

    fn source(dst: impl Into<IpAddr>, port: u16, (own, client): (&str, &str)) -> ClientSource {
        let request = OwnedRequest {
            protocol: socks_wire::Protocol::Socks5,
            command: socks_wire::Command::UDP_ASSOCIATE,
            address: OwnedAddress::Ip(dst.into()),
            port,
            user_id: Vec::new(),
            credentials: None,
        };
        ClientSource::of(&request, (own.parse().unwrap(), client.parse().unwrap()))
    }

    fn hears(source: &mut ClientSource, from: &str) -> bool {
        source.accepts(from.parse().unwrap(), DATAGRAM)
    }

    #[tokio::test]
    async fn a_link_local_client_is_answered_on_its_interface() {
        let mut source = source([0; 4], 0, ("[fe80::1%3]:4450", "[fe80::2%3]:50000"));
        source.relayed_at("[fe80::1%3]:5000".parse().unwrap());
        assert_eq!(source.address().get(), None);
        let from = "[fe80::2%3]:60000";
        assert!(hears(&mut source, from));
        assert_eq!(source.address().get(), Some(from.parse().unwrap()));
    }

    #[tokio::test]
    async fn an_address_that_is_not_the_clients_changes_nothing() {
        let mut source = source([203, 0, 113, 9], 53, (OWN, CLIENT));
        source.relayed_at("192.0.2.1:5000".parse().unwrap());
        assert!(!hears(&mut source, "203.0.113.9:53"), "the address is not let in");
        assert!(hears(&mut source, "198.51.100.7:60000"), "the client is");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_port_is_followed_once_the_old_one_is_silent() {
        let (old, new, stranger) = ("198.51.100.7:60000", "198.51.100.7:60001", "203.0.113.9:60001");
        let mut source = source([0; 4], 0, (OWN, CLIENT));
        source.relayed_at("192.0.2.1:5000".parse().unwrap());
        assert!(hears(&mut source, old));
        advance(PORT_SILENCE / 2).await;
        assert!(hears(&mut source, old));
        advance(PORT_SILENCE - Duration::from_millis(1)).await;
        assert!(!hears(&mut source, new), "not yet silent for long enough");
        advance(Duration::from_millis(1)).await;
        assert!(!hears(&mut source, stranger));
        assert!(!source.accepts(new.parse().unwrap(), b"x"), "a malformed packet");
        assert!(hears(&mut source, new));
        assert_eq!(source.address().get(), Some(new.parse().unwrap()));
        assert!(!hears(&mut source, old), "one port at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_the_client_named_is_its_only_one() {
        for (socket, others) in [
            ("127.0.0.1:60000", ["127.0.0.1:60001", "127.0.0.2:60000", "[::1]:60000"]),
            ("[::1]:60000", ["[::1]:60001", "[::2]:60000", "127.0.0.1:60000"]),
        ] {
            let mut source = ClientSource::at(socket.parse().unwrap());
            source.relayed_at("127.0.0.1:5000".parse().unwrap());
            assert_eq!(source.address().get(), Some(socket.parse().unwrap()));
            for other in others {
                advance(PORT_SILENCE * 100).await;
                assert!(!hears(&mut source, other), "{other}");
            }
            assert!(hears(&mut source, socket));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_the_client_announced_stays() {
        let mut source = source([0; 4], 60_000, (OWN, CLIENT));
        source.relayed_at("192.0.2.1:5000".parse().unwrap());
        advance(PORT_SILENCE * 100).await;
        assert!(!hears(&mut source, "198.51.100.7:60001"));
        assert!(hears(&mut source, "198.51.100.7:60000"));
    }
}
