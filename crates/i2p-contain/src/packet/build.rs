//! Makes whole packets: resets, ICMP errors and datagrams. Each is a frame for the device, with its virtio header.

use std::net::{IpAddr, SocketAddr};

use super::{
    checksum::Sum,
    headers::{
        Headers, ICMP, ICMPV6, IPV4_BYTES, IPV6_BYTES, TCP, TCP_BYTES, TcpFlags, TcpHeader, UDP, UDP_BYTES,
    },
    virtio::VIRTIO_HEADER_BYTES,
};

/// The hop limit of packets that are made here.
const HOP_LIMIT: u8 = 64;
/// The most of the cause that an ICMP error quotes: errors have at most 576 bytes (RFC 1812 section 4.3.2.3). That of ICMPv6 may be
/// longer, and needs not be.
const MAX_QUOTE_BYTES: usize = 576 - IPV4_BYTES - 8;

/// Why the receiver cannot be reached, as ICMP says it and as `connect` reports it on Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreachable {
    /// No route to the network: `ENETUNREACH`.
    Network,
    /// No route to the host: `EHOSTUNREACH`.
    Host,
    /// Nobody listens on the port: `ECONNREFUSED`.
    Port,
    /// Not allowed: `EACCES` with IPv6, `EHOSTUNREACH` with IPv4, whose ICMP has no code that Linux reports as `EACCES`.
    Prohibited,
}

impl Unreachable {
    /// Codes of ICMP's type 3 (RFC 792, RFC 1812).
    fn ipv4_code(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Port => 3,
            Self::Prohibited => 13,
        }
    }

    /// Codes of ICMPv6's type 1 (RFC 4443 section 3.1).
    fn ipv6_code(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Prohibited => 1,
            Self::Host => 3,
            Self::Port => 4,
        }
    }
}

/// A datagram does not fit into an IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the datagram does not fit into an IP packet")]
pub struct TooLong;

/// The RST that answers this segment, as if from its receiver (RFC 9293 section 3.10.7.1).
///
/// The caller does not answer a segment that is an RST itself.
#[must_use]
pub fn reset(headers: &Headers, segment: &TcpHeader) -> Vec<u8> {
    let flags = segment.flags;
    let (sequence, acknowledgement, bits) = if flags.has(TcpFlags::ACK) {
        (segment.acknowledgement, 0, TcpFlags::RST.0)
    } else {
        let length = u32::try_from(segment.payload_bytes).unwrap_or_default();
        let controls = u32::from(flags.has(TcpFlags::SYN)) + u32::from(flags.has(TcpFlags::FIN));
        let next = segment.sequence.wrapping_add(length).wrapping_add(controls);
        (0, next, TcpFlags::RST.0 | TcpFlags::ACK.0)
    };
    let mut header = Vec::with_capacity(TCP_BYTES);
    header.extend_from_slice(&segment.destination_port.to_be_bytes());
    header.extend_from_slice(&segment.source_port.to_be_bytes());
    header.extend_from_slice(&sequence.to_be_bytes());
    header.extend_from_slice(&acknowledgement.to_be_bytes());
    header.extend_from_slice(&[0x50, bits, 0, 0]);
    let (source, destination) = (headers.destination, headers.source);
    let sum = Sum::pseudo_header(source, destination, TCP, TCP_BYTES).bytes(&header);
    header.extend_from_slice(&sum.checksum().to_be_bytes());
    header.extend_from_slice(&[0, 0]);
    frame(source, destination, TCP, &[&header]).unwrap_or_default()
}

/// The ICMP error that this packet causes, as if from its receiver.
///
/// `packet` is what `headers` were read from.
#[must_use]
pub fn unreachable(headers: &Headers, packet: &[u8], why: Unreachable) -> Vec<u8> {
    let (source, destination) = (headers.destination, headers.source);
    let quote = packet.get(..MAX_QUOTE_BYTES).unwrap_or(packet);
    let (protocol, kind, code, sum) = match source {
        IpAddr::V4(_) => (ICMP, 3, why.ipv4_code(), Sum::default()),
        IpAddr::V6(_) => {
            let sum = Sum::pseudo_header(source, destination, ICMPV6, 8 + quote.len());
            (ICMPV6, 1, why.ipv6_code(), sum)
        }
    };
    let sum = sum.bytes(&[kind, code]).bytes(quote);
    let mut header = vec![kind, code];
    header.extend_from_slice(&sum.checksum().to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    frame(source, destination, protocol, &[&header, quote]).unwrap_or_default()
}

/// A UDP datagram.
///
/// # Errors
/// [`TooLong`], also if the addresses are of two versions.
pub fn datagram(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Result<Vec<u8>, TooLong> {
    if source.is_ipv4() != destination.is_ipv4() {
        return Err(TooLong);
    }
    let length = u16::try_from(UDP_BYTES + payload.len()).map_err(|_| TooLong)?;
    let mut header = Vec::with_capacity(UDP_BYTES);
    for word in [source.port(), destination.port(), length] {
        header.extend_from_slice(&word.to_be_bytes());
    }
    let sum =
        Sum::pseudo_header(source.ip(), destination.ip(), UDP, length.into()).bytes(&header).bytes(payload);
    // 0 would mean that there is no checksum (RFC 768).
    let checksum = Some(sum.checksum()).filter(|&checksum| checksum != 0).unwrap_or(0xffff);
    header.extend_from_slice(&checksum.to_be_bytes());
    frame(source.ip(), destination.ip(), UDP, &[&header, payload]).ok_or(TooLong)
}

/// A frame: a virtio header that leaves nothing to do, the header of IP, and these pieces. `None` if it is too long for IP.
fn frame(source: IpAddr, destination: IpAddr, protocol: u8, pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
    let mut frame = Vec::with_capacity(VIRTIO_HEADER_BYTES + IPV6_BYTES + length);
    frame.extend_from_slice(&[0; VIRTIO_HEADER_BYTES]);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = u16::try_from(IPV4_BYTES + length).ok()?;
            let mut header = vec![0x45, 0];
            header.extend_from_slice(&total.to_be_bytes());
            // "Do not fragment" instead of a number that has to be unique.
            header.extend_from_slice(&[0, 0, 0x40, 0, HOP_LIMIT, protocol]);
            let sum = Sum::default().bytes(&header).bytes(&source.octets()).bytes(&destination.octets());
            header.extend_from_slice(&sum.checksum().to_be_bytes());
            frame.extend_from_slice(&header);
            frame.extend_from_slice(&source.octets());
            frame.extend_from_slice(&destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let payload = u16::try_from(length).ok()?;
            frame.extend_from_slice(&[0x60, 0, 0, 0]);
            frame.extend_from_slice(&payload.to_be_bytes());
            frame.extend_from_slice(&[protocol, HOP_LIMIT]);
            frame.extend_from_slice(&source.octets());
            frame.extend_from_slice(&destination.octets());
        }
        _ => return None,
    }
    for piece in pieces {
        frame.extend_from_slice(piece);
    }
    Some(frame)
}
