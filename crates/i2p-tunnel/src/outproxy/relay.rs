//! An outproxy's relay for datagrams (RFC 1928 sections 6 and 7).

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::atomic::Ordering::Relaxed,
};

use i2p_name::Target;
use socks_wire::{
    Address, ClientError, Encode,
    stream::{ConnectError, OwnedAddress},
    udp,
};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    connect::Outproxy,
    definition::OutproxyAt,
    fault::{OutproxyFailure, OutproxyFault},
    socks5,
};
use crate::{
    client::IsolationKey,
    route::OutsideHost,
    stream::{Socket, any_port_on},
};

/// The time limit for opening a relay. It is short, since the outproxy needs no other host for it.
const RELAY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// An open relay for datagrams. Dropping it closes the relay.
pub(crate) struct OutproxyRelay {
    control: Socket,
    /// Connected to the relay, so that no other host's datagrams are received.
    socket: UdpSocket,
}

/// Why there is no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayError {
    /// The outproxy does not grant UDP ASSOCIATE.
    NotGranted,
    /// The outproxy names a relay at another address than its own.
    OtherAddress,
    /// The outproxy cannot be used, as for a stream.
    Failed(OutproxyFailure),
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => "it does not support UDP ASSOCIATE; Tor, for example, does not",
            Self::OtherAddress => {
                "it names a relay at another address than its own, and datagrams are not sent there"
            }
            Self::Failed(OutproxyFailure::Outproxy(fault) | OutproxyFailure::Request(fault)) => fault.text(),
            Self::Failed(_) => "the proxy cannot ask it",
        })
    }
}

impl Outproxy {
    /// Whether datagrams can use it: its protocol needs a relay, and the relay an IP address. I2P streams carry no datagrams.
    pub(crate) fn carries_datagrams(&self) -> bool {
        let definition = &self.definition;
        definition.protocol.carries_datagrams() && matches!(definition.at, OutproxyAt::Tcp(_))
    }

    /// Opens a relay for the datagrams of a key.
    ///
    /// The outcome does not count for or against the outproxy. Many outproxies that serve streams well have no relay, and clients
    /// could eject them by asking for one.
    pub(crate) async fn open_relay(&self, key: &IsolationKey) -> Result<OutproxyRelay, RelayError> {
        let silent = RelayError::Failed(OutproxyFailure::Outproxy(OutproxyFault::TimedOut));
        let opened = timeout(RELAY_TIMEOUT, self.try_open_relay(key)).await.unwrap_or(Err(silent));
        if let Err(why) = &opened {
            let name = self.name();
            tracing::debug!(outproxy = %name, ?why, "an outproxy gave no relay for datagrams");
            if !self.warned_no_relay.swap(true, Relaxed) {
                tracing::warn!(
                    outproxy = %name,
                    "outproxy {name} carries no datagrams: {why}. They are dropped, or sent by another outproxy of the route \
                     (logged once)"
                );
            }
        }
        opened
    }

    async fn try_open_relay(&self, key: &IsolationKey) -> Result<OutproxyRelay, RelayError> {
        let unreachable = |_| RelayError::Failed(OutproxyFailure::Outproxy(OutproxyFault::Unreachable));
        let OutproxyAt::Tcp(addresses) = &self.definition.at else { return Err(RelayError::NotGranted) };
        let token = self.token(key).map_err(RelayError::Failed)?;
        let credentials = self.credentials(token.as_deref());
        let control = TcpStream::connect(addresses.as_slice()).await.map_err(unreachable)?;
        let (own, outproxy) =
            (control.local_addr().map_err(unreachable)?, control.peer_addr().map_err(unreachable)?);
        let asked = socks5::udp_associate(control, own.is_ipv4(), credentials).await;
        let connected = asked.map_err(|error| match error {
            ConnectError::Handshake(ClientError::Refused(_)) => RelayError::NotGranted,
            error => RelayError::Failed(socks5::failure_of(&error)),
        })?;
        let relay = relay_address(outproxy, &connected.address, connected.port)?;
        let socket = UdpSocket::bind(any_port_on(own)).await.map_err(unreachable)?;
        socket.connect(relay).await.map_err(unreachable)?;
        Ok(OutproxyRelay { control: connected.stream.into(), socket })
    }
}

/// The address of the relay. An address other than the outproxy's own is refused: the outproxy may be reached through a tunnel
/// that ends on this machine, and datagrams to another address would bypass the tunnel, in the clear.
fn relay_address(outproxy: SocketAddr, said: &OwnedAddress, port: u16) -> Result<SocketAddr, RelayError> {
    let malformed = RelayError::Failed(OutproxyFailure::Outproxy(OutproxyFault::Malformed));
    // A name would have to be looked up.
    let OwnedAddress::Ip(said) = said else { return Err(malformed) };
    if port == 0 {
        return Err(malformed);
    }
    let (said, own) = (said.to_canonical(), outproxy.ip().to_canonical());
    let mut relay = outproxy;
    // Of the same address family as the socket.
    relay.set_ip(own);
    relay.set_port(port);
    let here = |address: IpAddr| address.is_loopback() && address.is_ipv4();
    if here(said) && here(own) {
        relay.set_ip(said);
        return Ok(relay);
    }
    if said.is_unspecified() || said == own { Ok(relay) } else { Err(RelayError::OtherAddress) }
}

impl OutproxyRelay {
    /// Sends a datagram from [`encode_datagram`].
    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).await.map(|_| ())
    }

    /// Receives the next datagram, with its header. Cancel-safe.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer).await
    }

    /// Returns once the outproxy has closed the relay. Cancel-safe.
    pub(crate) async fn until_closed(&self) {
        self.control.until_closed().await;
    }
}

/// Encodes a datagram for a relay: header and data. A host name is sent as a name, in the form that was routed: the outproxy
/// resolves it.
pub(crate) fn encode_datagram(host: OutsideHost<'_>, port: u16, data: &[u8]) -> Option<Vec<u8>> {
    let address = socks5::address(host)?;
    let header = udp::Header { fragment: udp::Fragment::STANDALONE, address, port };
    let mut bytes = [0; udp::Header::MAX_LENGTH];
    let length = header.encode(&mut bytes).ok()?;
    Some([bytes.get(..length)?, data].concat())
}

/// Decodes a datagram of a relay into its sender, the sender's port, and data. Returns `None` for what must not reach a client: malformed datagrams,
/// fragments, and senders in I2P.
pub(crate) fn decode_datagram(datagram: &[u8]) -> Option<(Target, u16, &[u8])> {
    let (header, data) = udp::Header::split(datagram).ok()?;
    if header.fragment != udp::Fragment::STANDALONE {
        return None;
    }
    let sender = match header.address {
        Address::Ip(address) => Target::from_ip(address),
        Address::Domain(name) => Target::parse(name).ok()?,
    };
    OutsideHost::of(&sender).is_some().then_some((sender, header.port, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_must_be_at_the_address_of_its_outproxy() {
        for (outproxy, said, expected) in [
            ("127.0.0.1:1080", "0.0.0.0", Some("127.0.0.1:9")),
            ("127.0.0.1:1080", "127.0.0.1", Some("127.0.0.1:9")),
            ("127.0.0.1:1080", "127.0.0.2", Some("127.0.0.2:9")),
            ("127.0.0.1:1080", "::", Some("127.0.0.1:9")),
            ("127.0.0.1:1080", "::ffff:127.0.0.1", Some("127.0.0.1:9")),
            ("127.0.0.1:1080", "198.51.100.7", None),
            ("127.0.0.1:1080", "::1", None),
            ("198.51.100.7:1080", "198.51.100.7", Some("198.51.100.7:9")),
            ("198.51.100.7:1080", "0.0.0.0", Some("198.51.100.7:9")),
            ("198.51.100.7:1080", "127.0.0.1", None),
            ("198.51.100.7:1080", "10.0.0.1", None),
            ("198.51.100.7:1080", "255.255.255.255", None),
            ("[::1]:1080", "::1", Some("[::1]:9")),
            ("[fe80::1%3]:1080", "fe80::1", Some("[fe80::1%3]:9")),
            ("[::ffff:127.0.0.1]:1080", "0.0.0.0", Some("127.0.0.1:9")),
        ] {
            let at = relay_address(outproxy.parse().unwrap(), &OwnedAddress::Ip(said.parse().unwrap()), 9);
            let expected = expected.map(|relay| relay.parse().unwrap()).ok_or(RelayError::OtherAddress);
            assert_eq!(at, expected, "{outproxy} says {said}");
        }
        let at = |said, port| relay_address("127.0.0.1:1080".parse().unwrap(), &said, port);
        assert!(at(OwnedAddress::Domain(b"localhost".to_vec()), 9).is_err(), "no name is looked up");
        assert!(at(OwnedAddress::Ip([127, 0, 0, 1].into()), 0).is_err());
    }

    #[test]
    fn senders_with_i2p_names_are_dropped() {
        let from = |name: &[u8]| {
            let length = u8::try_from(name.len()).unwrap();
            decode_datagram(&[&[0, 0, 0, 3, length][..], name, &[0, 53], b"data"].concat())
                .map(|(_, _, data)| data.to_vec())
        };
        for name in [
            &b"echo.i2p"[..],
            b"ECHO.I2P.",
            b"echo.i2p.alt",
            b"i2p",
            "echo\u{3002}i2p".as_bytes(),
            "echo.\u{ff49}2p".as_bytes(),
            b"2130706433",
            b"a b",
            b"\0",
        ] {
            assert_eq!(from(name), None, "{name:?}");
        }
        assert_eq!(from(b"example.com"), Some(b"data".to_vec()));
        for garbage in [
            &b""[..],
            &[0, 0, 0],
            &[0, 0, 1, 1, 198, 51, 100, 7, 0, 53, 1],
            &[0, 1, 0, 1, 198, 51, 100, 7, 0, 53, 1],
            &[0, 0, 0, 9, 198, 51, 100, 7, 0, 53, 1],
            &[0, 0, 0, 3, 0, 0, 53, 1],
        ] {
            assert!(decode_datagram(garbage).is_none(), "{garbage:?}");
        }
        let address = [0, 0, 0, 1, 198, 51, 100, 7, 0, 53];
        assert!(decode_datagram(&address).is_some_and(|(_, port, data)| port == 53 && data.is_empty()));
    }

    #[test]
    fn a_host_name_is_sent_in_its_canonical_form() {
        let target = Target::parse("BÜCHER.example.".as_bytes()).unwrap();
        let sent = encode_datagram(OutsideHost::of(&target).unwrap(), 53, b"data").unwrap();
        assert_eq!(sent, [&[0, 0, 0, 3, 21][..], b"xn--bcher-kva.example", &[0, 53], b"data"].concat());
    }
}
