//! Counts the packets of a network namespace by where they go.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

/// All packets of all interfaces, in both directions (`ETH_P_ALL` of packet(7)).
const ALL_PACKETS: u16 = 3;
/// Large enough for all packets between two looks.
const BUFFER_BYTES: usize = 16 << 20;
/// How long no packet may come before the counter believes that there are none left.
const SILENCE: Duration = Duration::from_millis(200);

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a packet is, in words, such as `UDP to 127.0.0.1:53`.
pub(crate) type Counts = BTreeMap<String, usize>;

/// A socket that gets a copy of every packet.
pub(crate) struct Counter {
    socket: Socket,
}

impl Counter {
    /// Begins to count.
    pub(crate) fn start() -> Result<Self> {
        let protocol = Protocol::from(i32::from(ALL_PACKETS.to_be()));
        let socket =
            Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).context("no socket for packets")?;
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_read_timeout(Some(SILENCE))?;
        Ok(Self { socket })
    }

    /// Counts the packets so far that do not belong to a TCP connection with one of these ports of this machine.
    pub(crate) fn others(&self, known: &[u16]) -> Result<(usize, Counts)> {
        let (mut all, mut others) = (0, Counts::new());
        let mut buffer = [0; 2048];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(length) => {
                    all += 1;
                    if let Some(other) = other(buffer.get(..length).unwrap_or_default(), known) {
                        *others.entry(other).or_default() += 1;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok((all, others));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What a packet is; `None` if it is of TCP, within this machine, and from or to one of these ports.
fn other(packet: &[u8], known: &[u16]) -> Option<String> {
    let Some((protocol, source, destination)) = parse(packet) else { return Some("not IP".into()) };
    let is_local = source.ip().is_loopback() && destination.ip().is_loopback();
    let is_known = known.contains(&source.port()) || known.contains(&destination.port());
    match protocol {
        TCP if is_local && is_known => None,
        TCP => Some(format!("TCP to {destination}")),
        UDP => Some(format!("UDP to {destination}")),
        number => Some(format!("protocol {number} to {}", destination.ip())),
    }
}

/// The protocol of a packet, and from and to where it goes (RFC 791, RFC 8200). Of IPv6, extension headers are not looked into.
fn parse(packet: &[u8]) -> Option<(u8, SocketAddr, SocketAddr)> {
    let (protocol, source, destination, header): (u8, IpAddr, IpAddr, usize) = match packet.first()? >> 4 {
        4 => {
            let address =
                |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?).into());
            (*packet.get(9)?, address(12)?, address(16)?, usize::from(packet.first()? & 15) * 4)
        }
        6 => {
            let address =
                |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?).into());
            (*packet.get(6)?, address(8)?, address(24)?, 40)
        }
        _ => return None,
    };
    let port = |at: usize| {
        let bytes = packet.get(header + at..header + at + 2).filter(|_| matches!(protocol, TCP | UDP));
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes)
    };
    Some((protocol, (source, port(0)).into(), (destination, port(2)).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(protocol: u8, destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0, 127, 0, 0, 1];
        packet.extend(destination);
        packet.extend(ports.into_iter().flat_map(u16::to_be_bytes));
        packet
    }

    #[test]
    fn only_tcp_within_the_machine_with_a_known_port_is_no_other() {
        let local = [127, 0, 0, 1];
        assert_eq!(other(&ipv4(TCP, local, [40000, 4450]), &[4450]), None);
        assert_eq!(other(&ipv4(TCP, local, [4450, 40000]), &[4450]), None);
        assert_eq!(other(&ipv4(TCP, local, [40000, 80]), &[4450]).unwrap(), "TCP to 127.0.0.1:80");
        assert_eq!(other(&ipv4(UDP, local, [4450, 53]), &[4450]).unwrap(), "UDP to 127.0.0.1:53");
        assert_eq!(other(&ipv4(TCP, [192, 0, 2, 1], [9, 4450]), &[4450]).unwrap(), "TCP to 192.0.2.1:4450");
        assert_eq!(other(&ipv4(1, local, [0, 0]), &[4450]).unwrap(), "protocol 1 to 127.0.0.1");
        let mut ipv6 = vec![0; 40];
        (ipv6[0], ipv6[6], ipv6[39]) = (0x60, UDP, 1);
        ipv6.extend([0, 1, 0, 53]);
        assert_eq!(other(&ipv6, &[1]).unwrap(), "UDP to [::1]:53");
        assert_eq!(other(&[], &[]).unwrap(), "not IP");
    }
}
