//! Gives a TCP segment other addresses and ports, in place.

use std::net::{IpAddr, SocketAddr};

use super::{
    checksum::Sum,
    headers::{Discard, Headers, IPV4_BYTES, IPV6_BYTES, TCP_BYTES, Transport},
    virtio::VirtioHeader,
};

/// Where the fields of an IPv4 header lie.
const IPV4_CHECKSUM: usize = 10;
const IPV4_ADDRESSES: usize = 12;
const IPV6_ADDRESSES: usize = 8;
/// The checksum of TCP, from the start of its header.
const TCP_CHECKSUM: usize = 16;

/// Rewrites the addresses and ports of a TCP segment, and its checksums by the difference.
///
/// `packet` is what [`VirtioHeader::split`] and [`Headers::parse`] gave `virtio` and `headers` for. Sizes do not change, so the
/// virtio header stays right.
///
/// # Errors
/// [`Discard::Version`] if the addresses are of another version than the packet; [`Discard::Length`] if this is not a TCP segment or
/// the unfinished checksum lies elsewhere than TCP's. Nothing is changed then.
pub fn rewrite_tcp(
    packet: &mut [u8],
    virtio: &VirtioHeader,
    headers: &Headers,
    source: SocketAddr,
    destination: SocketAddr,
) -> Result<(), Discard> {
    let Transport::Tcp(tcp) = &headers.transport else { return Err(Discard::Length) };
    let start = headers.transport_start;
    let is_partial = match virtio.partial_checksum() {
        None => false,
        Some(place) if place == (start, start + TCP_CHECKSUM) => true,
        Some(_) => return Err(Discard::Length),
    };
    let old_addresses = Sum::default().address(headers.source).address(headers.destination);
    let new_addresses = Sum::default().address(source.ip()).address(destination.ip());
    let Some((ip, segment)) = packet.split_at_mut_checked(start) else { return Err(Discard::Length) };
    let Some(segment) = segment.first_chunk_mut::<TCP_BYTES>() else { return Err(Discard::Truncated) };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let Some(ip) = ip.first_chunk_mut::<IPV4_BYTES>().filter(|_| start == IPV4_BYTES) else {
                return Err(Discard::Version);
            };
            let field = read(ip, IPV4_CHECKSUM);
            let sum = Sum::of(!field).without(old_addresses).with(new_addresses);
            write(ip, IPV4_CHECKSUM, sum.checksum());
            put(ip, IPV4_ADDRESSES, &source.octets());
            put(ip, IPV4_ADDRESSES + 4, &destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let Some(ip) = ip.first_chunk_mut::<IPV6_BYTES>().filter(|_| start == IPV6_BYTES) else {
                return Err(Discard::Version);
            };
            put(ip, IPV6_ADDRESSES, &source.octets());
            put(ip, IPV6_ADDRESSES + 16, &destination.octets());
        }
        _ => return Err(Discard::Version),
    }
    let field = read(segment, TCP_CHECKSUM);
    let updated = if is_partial {
        Sum::of(field).without(old_addresses).with(new_addresses).fold()
    } else {
        let old_ports = Sum::of(tcp.source_port).word(tcp.destination_port);
        let new_ports = Sum::of(source.port()).word(destination.port());
        let sum =
            Sum::of(!field).without(old_addresses).without(old_ports).with(new_addresses).with(new_ports);
        sum.checksum()
    };
    write(segment, 0, source.port());
    write(segment, 2, destination.port());
    write(segment, TCP_CHECKSUM, updated);
    Ok(())
}

fn read(header: &[u8], at: usize) -> u16 {
    let word = header.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u16::from_be_bytes(*word))
}

fn write(header: &mut [u8], at: usize, word: u16) {
    put(header, at, &word.to_be_bytes());
}

fn put<const N: usize>(header: &mut [u8], at: usize, bytes: &[u8; N]) {
    if let Some(place) = header.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = *bytes;
    }
}
