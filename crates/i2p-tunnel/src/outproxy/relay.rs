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
    fault::{Fault, OutproxyTrouble},
    socks5,
};
use crate::{
    client::IsolationKey,
    route::OutsideHost,
    stream::{Socket, beside},
};

/// For all of it: a server that takes a connection has nobody to ask for a relay.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// The use of a relay for datagrams. It ends when dropped.
pub(crate) struct OutproxyRelay {
    control: Socket,
    /// Connected to the relay, so that nobody else's datagrams come in.
    socket: UdpSocket,
}

/// Why there is no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRelay {
    /// The outproxy does not grant UDP ASSOCIATE.
    Refused,
    /// It names a relay that is not where it is itself.
    Elsewhere,
    /// As it is with streams.
    Fault(Fault),
}

impl fmt::Display for NoRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "it does not grant UDP ASSOCIATE, as Tor for one does not",
            Self::Elsewhere => {
                "the relay that it names is at another address than its own, and datagrams do not go there"
            }
            Self::Fault(Fault::Outproxy(trouble)) => trouble.text(),
            Self::Fault(_) => "it cannot be asked",
        })
    }
}

impl Outproxy {
    /// Whether datagrams may go by it: its protocol has a relay, and a relay is at an address. Over I2P streams there is no way for
    /// them.
    pub(crate) fn carries_datagrams(&self) -> bool {
        let definition = &self.definition;
        definition.protocol.carries_datagrams() && matches!(definition.at, OutproxyAt::Tcp(_))
    }

    /// A relay for the datagrams of whoever has this key.
    ///
    /// What comes of it does not count for or against the outproxy: many that serve streams well have no datagrams, and a
    /// client could have them left out for everybody by asking.
    pub(crate) async fn relay(&self, key: &IsolationKey) -> Result<OutproxyRelay, NoRelay> {
        let silent = NoRelay::Fault(Fault::Outproxy(OutproxyTrouble::TimedOut));
        let opened = timeout(LIMIT, self.open_relay(key)).await.unwrap_or(Err(silent));
        if let Err(why) = &opened {
            let name = self.name();
            tracing::debug!(outproxy = %name, ?why, "an outproxy gave no relay for datagrams");
            if !self.said_no_relay.swap(true, Relaxed) {
                tracing::warn!(
                    outproxy = %name,
                    "datagrams do not go by outproxy {name}: {why}. They are dropped, or go by another outproxy of the route \
                     (said once)"
                );
            }
        }
        opened
    }

    async fn open_relay(&self, key: &IsolationKey) -> Result<OutproxyRelay, NoRelay> {
        let unreachable = |_| NoRelay::Fault(Fault::Outproxy(OutproxyTrouble::Unreachable));
        let OutproxyAt::Tcp(addresses) = &self.definition.at else { return Err(NoRelay::Refused) };
        let token = self.token(key).await.map_err(NoRelay::Fault)?;
        let credentials = self.credentials(token.as_deref());
        let control = TcpStream::connect(addresses.as_slice()).await.map_err(unreachable)?;
        let (own, outproxy) =
            (control.local_addr().map_err(unreachable)?, control.peer_addr().map_err(unreachable)?);
        let asked = socks5::ask_for_relay(control, own.is_ipv4(), credentials).await;
        let connected = asked.map_err(|error| match error {
            ConnectError::Handshake(ClientError::Refused(_)) => NoRelay::Refused,
            error => NoRelay::Fault(socks5::fault(&error)),
        })?;
        let relay = relay_at(outproxy, &connected.address, connected.port)?;
        let socket = UdpSocket::bind(beside(own)).await.map_err(unreachable)?;
        socket.connect(relay).await.map_err(unreachable)?;
        Ok(OutproxyRelay { control: connected.stream.into(), socket })
    }
}

/// Where the relay is. One at another address than the outproxy's own is not used: somebody who reaches an outproxy over a
/// tunnel that ends at an address of this machine would have everything go past that tunnel, in the clear.
fn relay_at(outproxy: SocketAddr, said: &OwnedAddress, port: u16) -> Result<SocketAddr, NoRelay> {
    let malformed = NoRelay::Fault(Fault::Outproxy(OutproxyTrouble::Malformed));
    // A name would have to be looked up.
    let OwnedAddress::Ip(said) = said else { return Err(malformed) };
    if port == 0 {
        return Err(malformed);
    }
    let (said, own) = (said.to_canonical(), outproxy.ip().to_canonical());
    let mut relay = outproxy;
    // Of the same kind as the socket is.
    relay.set_ip(own);
    relay.set_port(port);
    let here = |address: IpAddr| address.is_loopback() && address.is_ipv4();
    if here(said) && here(own) {
        relay.set_ip(said);
        return Ok(relay);
    }
    if said.is_unspecified() || said == own { Ok(relay) } else { Err(NoRelay::Elsewhere) }
}

impl OutproxyRelay {
    /// Sends what [`datagram`] has made.
    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).await.map(|_| ())
    }

    /// The next datagram of the relay, with its header. Safe to drop and to call again.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer).await
    }

    /// Comes back when the outproxy has ended it. Safe to drop and to call again.
    pub(crate) async fn ended(&self) {
        self.control.ended().await;
    }
}

/// A datagram as a relay takes it: the header, and the data. A name is sent as a name, in the form in which it was decided
/// about: the far end resolves it.
pub(crate) fn datagram(host: OutsideHost<'_>, port: u16, data: &[u8]) -> Option<Vec<u8>> {
    let address = socks5::address(host)?;
    let header = udp::Header { fragment: udp::Fragment::STANDALONE, address, port };
    let mut bytes = [0; udp::Header::MAX_LENGTH];
    let length = header.encode(&mut bytes).ok()?;
    Some([bytes.get(..length)?, data].concat())
}

/// Whom a relay's datagram is from, and its data; nothing for what is not to reach a client: what is no datagram of a relay, a
/// fragment, or one that speaks in the name of somebody in I2P.
pub(crate) fn sender(datagram: &[u8]) -> Option<(Target, &[u8])> {
    let (header, data) = udp::Header::split(datagram).ok()?;
    if header.fragment != udp::Fragment::STANDALONE {
        return None;
    }
    let sender = match header.address {
        Address::Ip(address) => Target::from_ip(address),
        Address::Domain(name) => Target::parse(name).ok()?,
    };
    OutsideHost::of(&sender).is_some().then_some((sender, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_where_its_outproxy_is() {
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
            let at = relay_at(outproxy.parse().unwrap(), &OwnedAddress::Ip(said.parse().unwrap()), 9);
            let expected = expected.map(|relay| relay.parse().unwrap()).ok_or(NoRelay::Elsewhere);
            assert_eq!(at, expected, "{outproxy} says {said}");
        }
        let at = |said, port| relay_at("127.0.0.1:1080".parse().unwrap(), &said, port);
        assert!(at(OwnedAddress::Domain(b"localhost".to_vec()), 9).is_err(), "no name is looked up");
        assert!(at(OwnedAddress::Ip([127, 0, 0, 1].into()), 0).is_err());
    }

    #[test]
    fn nobody_outside_speaks_in_the_name_of_i2p() {
        let from = |name: &[u8]| {
            let length = u8::try_from(name.len()).unwrap();
            sender(&[&[0, 0, 0, 3, length][..], name, &[0, 53], b"data"].concat())
                .map(|(_, data)| data.to_vec())
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
            assert!(sender(garbage).is_none(), "{garbage:?}");
        }
        let address = [0, 0, 0, 1, 198, 51, 100, 7, 0, 53];
        assert!(sender(&address).is_some_and(|(_, data)| data.is_empty()));
    }

    #[test]
    fn a_name_goes_as_it_was_decided_about() {
        let target = Target::parse("BÜCHER.example.".as_bytes()).unwrap();
        let sent = datagram(OutsideHost::of(&target).unwrap(), 53, b"data").unwrap();
        assert_eq!(sent, [&[0, 0, 0, 3, 21][..], b"xn--bcher-kva.example", &[0, 53], b"data"].concat());
    }
}
