//! Reads the headers of a packet.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use nom::{
    IResult, Parser,
    number::complete::{be_u8, be_u16, be_u32, be_u128},
};

/// Protocol numbers.
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

/// The header of IPv4 without options.
pub(super) const IPV4_BYTES: usize = 20;
/// The header of IPv6 without extensions.
pub(super) const IPV6_BYTES: usize = 40;
/// The header of TCP without options.
pub(super) const TCP_BYTES: usize = 20;
/// The header of UDP.
pub(super) const UDP_BYTES: usize = 8;

/// The extension headers of IPv6 (the registry of RFC 7045): hop-by-hop, routing, fragment, ESP, AH, destination, mobility, HIP,
/// Shim6, and two for experiments.
const EXTENSIONS: [u8; 11] = [0, 43, 44, 50, 51, 60, 135, 139, 140, 253, 254];

/// Why a packet is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// The packet ends within a header.
    #[error("the packet is cut off")]
    Truncated,
    /// Neither IPv4 nor IPv6.
    #[error("the packet is neither IPv4 nor IPv6")]
    Version,
    /// A length in a header disagrees with the bytes that are there.
    #[error("a length is wrong")]
    Length,
    /// A fragment.
    #[error("the packet is a fragment")]
    Fragment,
    /// The header of IPv4 has options, or an extension follows that of IPv6.
    #[error("the packet has IP options or extension headers")]
    Options,
}

/// What the headers of a packet say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The address of the sender.
    pub source: IpAddr,
    /// The address of the receiver, of the same version.
    pub destination: IpAddr,
    /// Where the transport header starts.
    pub transport_start: usize,
    /// The transport header.
    pub transport: Transport,
}

/// The header after that of IP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// TCP.
    Tcp(TcpHeader),
    /// UDP.
    Udp(UdpHeader),
    /// ICMP or ICMPv6.
    Icmp {
        /// Its type.
        kind: u8,
    },
    /// Another protocol.
    Other(u8),
}

/// The header of a TCP segment (RFC 9293 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpHeader {
    /// The port of the sender.
    pub source_port: u16,
    /// The port of the receiver.
    pub destination_port: u16,
    /// The number of the first byte, or of SYN.
    pub sequence: u32,
    /// The next number that is expected, if [`TcpFlags::ACK`] is set.
    pub acknowledgement: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The number of bytes after the header.
    pub payload_bytes: usize,
}

/// Control bits of TCP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has finished.
    pub const FIN: Self = Self(1);
    /// Opens a connection.
    pub const SYN: Self = Self(2);
    /// Ends a connection at once.
    pub const RST: Self = Self(4);
    /// The acknowledgement counts.
    pub const ACK: Self = Self(16);

    /// Checks whether all these bits are set.
    #[must_use]
    pub fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Checks whether a client asks for a new connection: SYN, and none of ACK, RST and FIN.
    #[must_use]
    pub fn opens(self) -> bool {
        self.0 & (Self::SYN.0 | Self::ACK.0 | Self::RST.0 | Self::FIN.0) == Self::SYN.0
    }
}

/// The header of a UDP datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpHeader {
    /// The port of the sender.
    pub source_port: u16,
    /// The port of the receiver.
    pub destination_port: u16,
    /// Where the data lies in the packet.
    pub payload: Range<usize>,
}

impl Headers {
    /// Reads the headers of a packet, which starts with that of IP.
    ///
    /// # Errors
    /// A [`Discard`] for everything that [`crate::packet`] says is discarded.
    pub fn parse(packet: &[u8]) -> Result<Self, Discard> {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) => ipv4(packet),
            Some(6) => ipv6(packet),
            Some(_) => Err(Discard::Version),
            None => Err(Discard::Truncated),
        }
    }
}

fn ipv4(packet: &[u8]) -> Result<Headers, Discard> {
    type Fields = (u8, u8, u16, u16, u16, u8, u8, u16, u32, u32);
    let fields: IResult<&[u8], Fields> =
        (be_u8, be_u8, be_u16, be_u16, be_u16, be_u8, be_u8, be_u16, be_u32, be_u32).parse(packet);
    let Ok((rest, (start, _, length, _, fragment, _, protocol, _, source, destination))) = fields else {
        return Err(Discard::Truncated);
    };
    match usize::from(start & 15) * 4 {
        0..IPV4_BYTES => return Err(Discard::Length),
        IPV4_BYTES => {}
        _ => return Err(Discard::Options),
    }
    if usize::from(length) != packet.len() {
        return Err(Discard::Length);
    }
    // More fragments follow, or this is not the first.
    if fragment & 0x3fff != 0 {
        return Err(Discard::Fragment);
    }
    Ok(Headers {
        source: Ipv4Addr::from_bits(source).into(),
        destination: Ipv4Addr::from_bits(destination).into(),
        transport_start: IPV4_BYTES,
        transport: transport(protocol, rest, IPV4_BYTES, ICMP)?,
    })
}

fn ipv6(packet: &[u8]) -> Result<Headers, Discard> {
    type Fields = (u32, u16, u8, u8, u128, u128);
    let fields: IResult<&[u8], Fields> = (be_u32, be_u16, be_u8, be_u8, be_u128, be_u128).parse(packet);
    let Ok((rest, (_, length, next, _, source, destination))) = fields else {
        return Err(Discard::Truncated);
    };
    if usize::from(length) != rest.len() {
        return Err(Discard::Length);
    }
    if EXTENSIONS.contains(&next) {
        return Err(if next == 44 { Discard::Fragment } else { Discard::Options });
    }
    Ok(Headers {
        source: Ipv6Addr::from_bits(source).into(),
        destination: Ipv6Addr::from_bits(destination).into(),
        transport_start: IPV6_BYTES,
        transport: transport(next, rest, IPV6_BYTES, ICMPV6)?,
    })
}

fn transport(protocol: u8, bytes: &[u8], start: usize, icmp: u8) -> Result<Transport, Discard> {
    match protocol {
        TCP => tcp(bytes).map(Transport::Tcp),
        UDP => udp(bytes, start).map(Transport::Udp),
        number if number == icmp => {
            bytes.first().map(|&kind| Transport::Icmp { kind }).ok_or(Discard::Truncated)
        }
        number => Ok(Transport::Other(number)),
    }
}

fn tcp(segment: &[u8]) -> Result<TcpHeader, Discard> {
    type Fields = (u16, u16, u32, u32, u8, u8, u16, u16, u16);
    let fields: IResult<&[u8], Fields> =
        (be_u16, be_u16, be_u32, be_u32, be_u8, be_u8, be_u16, be_u16, be_u16).parse(segment);
    let Ok((_, (source_port, destination_port, sequence, acknowledgement, offset, flags, ..))) = fields
    else {
        return Err(Discard::Truncated);
    };
    let header = usize::from(offset >> 4) * 4;
    if header < TCP_BYTES {
        return Err(Discard::Length);
    }
    let payload_bytes = segment.len().checked_sub(header).ok_or(Discard::Truncated)?;
    let flags = TcpFlags(flags);
    Ok(TcpHeader { source_port, destination_port, sequence, acknowledgement, flags, payload_bytes })
}

fn udp(bytes: &[u8], start: usize) -> Result<UdpHeader, Discard> {
    let fields: IResult<&[u8], (u16, u16, u16, u16)> = (be_u16, be_u16, be_u16, be_u16).parse(bytes);
    let Ok((_, (source_port, destination_port, length, _))) = fields else {
        return Err(Discard::Truncated);
    };
    if usize::from(length) != bytes.len() {
        return Err(Discard::Length);
    }
    Ok(UdpHeader { source_port, destination_port, payload: start + UDP_BYTES..start + bytes.len() })
}
