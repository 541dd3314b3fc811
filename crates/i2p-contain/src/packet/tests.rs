use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

/// The checksum word by word, as RFC 1071 says it: what the faster ones are compared with.
fn plain_sum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for piece in pieces {
        for word in piece.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    u16::try_from(sum).unwrap()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn pseudo(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = octets(source);
    bytes.extend(octets(destination));
    bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// The frame of a TCP segment with right checksums; the last is unfinished if `partial`.
fn segment(from: SocketAddr, to: SocketAddr, flags: u8, payload: &[u8], partial: bool) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend([0, 0, 0, 7, 0, 0, 0, 9, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let pseudo = pseudo(from.ip(), to.ip(), 6, tcp.len());
    let field = if partial { plain_sum(&[&pseudo]) } else { !plain_sum(&[&pseudo, &tcp]) };
    tcp[16..18].copy_from_slice(&field.to_be_bytes());
    let mut packet = ip_header(from.ip(), to.ip(), 6, tcp.len());
    let mut frame = vec![u8::from(partial), 0, 0, 0, 0, 0];
    frame.extend(if partial { u16::try_from(packet.len()).unwrap() } else { 0 }.to_ne_bytes());
    frame.extend(if partial { 16_u16 } else { 0 }.to_ne_bytes());
    packet.extend(tcp);
    frame.extend(packet);
    frame
}

fn ip_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    if from.is_ipv6() {
        let mut header = vec![0x60, 0, 0, 0];
        header.extend(u16::try_from(length).unwrap().to_be_bytes());
        header.extend([protocol, 64]);
        header.extend(octets(from));
        header.extend(octets(to));
        return header;
    }
    let mut header = vec![0x45, 0];
    header.extend(u16::try_from(20 + length).unwrap().to_be_bytes());
    header.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    header.extend(octets(from));
    header.extend(octets(to));
    let field = !plain_sum(&[&header]);
    header[10..12].copy_from_slice(&field.to_be_bytes());
    header
}

/// Checks every checksum of a frame that was made here: nothing in it is left to do.
fn assert_sums_are_right(frame: &[u8]) {
    let (virtio, packet) = VirtioHeader::split(frame).unwrap();
    assert_eq!(virtio, VirtioHeader::default());
    let headers = Headers::parse(packet).unwrap();
    let (ip, rest) = packet.split_at(headers.transport_start);
    let protocol = if headers.source.is_ipv4() { ip[9] } else { ip[6] };
    if headers.source.is_ipv4() {
        assert_eq!(plain_sum(&[ip]), 0xffff, "the header of IPv4");
    }
    let pseudo = pseudo(headers.source, headers.destination, protocol, rest.len());
    let pseudo: &[u8] = if protocol == 1 { &[] } else { &pseudo };
    assert_eq!(plain_sum(&[pseudo, rest]), 0xffff, "the transport header");
}

fn rewritten(mut frame: Vec<u8>, from: SocketAddr, to: SocketAddr) -> Result<Vec<u8>, Discard> {
    let (virtio, packet) = VirtioHeader::split(&frame).unwrap();
    let headers = Headers::parse(packet)?;
    rewrite_tcp(&mut frame[VIRTIO_HEADER_BYTES..], &virtio, &headers, from, to)?;
    Ok(frame)
}

/// Two pairs of addresses of one version.
fn pairs() -> impl Strategy<Value = [SocketAddr; 4]> {
    let v4 = any::<[(Ipv4Addr, u16); 4]>().prop_map(|pairs| pairs.map(SocketAddr::from));
    let v6 = any::<[(Ipv6Addr, u16); 4]>().prop_map(|pairs| pairs.map(SocketAddr::from));
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn a_rewritten_segment_is_the_one_that_the_new_addresses_would_have_sent(
        [from, to, new_from, new_to] in pairs(),
        flags: u8,
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        partial: bool,
    ) {
        let frame = rewritten(segment(from, to, flags, &payload, partial), new_from, new_to);
        prop_assert_eq!(frame.unwrap(), segment(new_from, new_to, flags, &payload, partial));
    }

    #[test]
    fn a_rewrite_back_changes_nothing(
        [from, to, new_from, new_to] in pairs(),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        partial: bool,
    ) {
        let frame = segment(from, to, 16, &payload, partial);
        let there = rewritten(frame.clone(), new_from, new_to).unwrap();
        prop_assert_eq!(rewritten(there, from, to).unwrap(), frame);
    }

    #[test]
    fn the_sum_is_that_of_words(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(Sum::default().bytes(&bytes).fold(), plain_sum(&[&bytes]));
    }

    #[test]
    fn a_datagram_arrives_as_it_was_sent(
        [from, to, ..] in pairs(),
        payload in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let frame = datagram(from, to, &payload).unwrap();
        assert_sums_are_right(&frame);
        let packet = &frame[VIRTIO_HEADER_BYTES..];
        let headers = Headers::parse(packet).unwrap();
        prop_assert_eq!((headers.source, headers.destination), (from.ip(), to.ip()));
        let Transport::Udp(udp) = headers.transport else { panic!("{headers:?}") };
        prop_assert_eq!((udp.source_port, udp.destination_port), (from.port(), to.port()));
        prop_assert_eq!(&packet[udp.payload], &payload[..]);
    }

    #[test]
    fn answers_are_well_formed_and_go_back(
        [from, to, ..] in pairs(),
        flags: u8,
        payload in proptest::collection::vec(any::<u8>(), 0..1200),
    ) {
        let frame = segment(from, to, flags, &payload, false);
        let (_, packet) = VirtioHeader::split(&frame).unwrap();
        let headers = Headers::parse(packet).unwrap();
        let Transport::Tcp(tcp) = headers.transport.clone() else { panic!("{headers:?}") };
        let causes = [Unreachable::Network, Unreachable::Host, Unreachable::Port, Unreachable::Prohibited];
        let errors = causes.map(|why| unreachable(&headers, packet, why));
        for answer in errors.iter().chain([&reset(&headers, &tcp)]) {
            assert_sums_are_right(answer);
            let answer = Headers::parse(&answer[VIRTIO_HEADER_BYTES..]).unwrap();
            prop_assert_eq!((answer.source, answer.destination), (to.ip(), from.ip()));
        }
        for error in &errors {
            prop_assert!(error.len() <= VIRTIO_HEADER_BYTES + 40 + 8 + 548, "{}", error.len());
            let quote = &error[VIRTIO_HEADER_BYTES + headers.transport_start + 8..];
            prop_assert!(quote.len() >= headers.transport_start + 8 && packet.starts_with(quote));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), version in 4..7_u8) {
        let mut bytes = bytes;
        if let Some(first) = bytes.get_mut(VIRTIO_HEADER_BYTES) {
            *first = version << 4 | *first & 15;
        }
        if let Some((virtio, packet)) = VirtioHeader::split(&bytes) {
            let _ = Headers::parse(packet);
            let _ = (virtio.partial_checksum(), virtio.datagram_bytes());
        }
    }
}

fn v4() -> (SocketAddr, SocketAddr) {
    ("10.64.0.1:40000".parse().unwrap(), "250.1.2.3:80".parse().unwrap())
}

fn v6() -> (SocketAddr, SocketAddr) {
    ("[fd00:64::1]:40000".parse().unwrap(), "[fd00::7]:80".parse().unwrap())
}

fn parse(frame: &[u8]) -> Result<Headers, Discard> {
    Headers::parse(&frame[VIRTIO_HEADER_BYTES..])
}

#[test]
fn a_reset_follows_the_rules_of_tcp() {
    let (from, to) = v4();
    for (flags, payload, sequence, acknowledgement, expected) in [
        (TcpFlags::SYN.0, &b""[..], 0, 8, TcpFlags::RST.0 | TcpFlags::ACK.0),
        (TcpFlags::SYN.0, b"early", 0, 13, TcpFlags::RST.0 | TcpFlags::ACK.0),
        (TcpFlags::ACK.0, b"data", 9, 0, TcpFlags::RST.0),
    ] {
        let headers = parse(&segment(from, to, flags, payload, false)).unwrap();
        let Transport::Tcp(tcp) = &headers.transport else { panic!("{headers:?}") };
        let answer = parse(&reset(&headers, tcp)).unwrap();
        let Transport::Tcp(answer) = &answer.transport else { panic!("{answer:?}") };
        assert_eq!((answer.source_port, answer.destination_port), (80, 40000));
        assert_eq!(
            (answer.sequence, answer.acknowledgement, answer.flags.0),
            (sequence, acknowledgement, expected)
        );
    }
}

#[test]
fn errors_have_the_codes_that_linux_reports() {
    for ((from, to), kind, codes) in [(v4(), 3, [0, 1, 3, 13]), (v6(), 1, [0, 3, 4, 1])] {
        let frame = segment(from, to, 2, b"", false);
        let headers = parse(&frame).unwrap();
        let causes = [Unreachable::Network, Unreachable::Host, Unreachable::Port, Unreachable::Prohibited];
        for (why, code) in causes.into_iter().zip(codes) {
            let error = unreachable(&headers, &frame[VIRTIO_HEADER_BYTES..], why);
            let icmp = &error[VIRTIO_HEADER_BYTES + headers.transport_start..];
            assert_eq!((icmp[0], icmp[1]), (kind, code), "{why:?}");
        }
    }
}

#[test]
fn every_cut_is_discarded() {
    for (from, to) in [v4(), v6()] {
        let frame = segment(from, to, 16, b"data", false);
        let packet = &frame[VIRTIO_HEADER_BYTES..];
        for length in 0..packet.len() {
            let result = Headers::parse(&packet[..length]);
            assert!(matches!(result, Err(Discard::Truncated | Discard::Length)), "{length}: {result:?}");
        }
        let mut longer = packet.to_vec();
        longer.push(0);
        assert_eq!(Headers::parse(&longer), Err(Discard::Length));
    }
}

#[test]
fn fragments_options_and_extensions_are_discarded() {
    let changed = |(from, to), changes: &[(usize, u8)]| {
        let mut frame = segment(from, to, 16, b"data", false);
        for &(at, value) in changes {
            frame[VIRTIO_HEADER_BYTES + at] = value;
        }
        parse(&frame).map(|_| ())
    };
    assert_eq!(changed(v4(), &[(6, 0x20)]), Err(Discard::Fragment), "more follow");
    assert_eq!(changed(v4(), &[(7, 1)]), Err(Discard::Fragment), "not the first");
    assert_eq!(changed(v4(), &[(0, 0x46)]), Err(Discard::Options));
    assert_eq!(changed(v4(), &[(0, 0x44)]), Err(Discard::Length), "a header of 16 bytes");
    assert_eq!(changed(v4(), &[(0, 0x55)]), Err(Discard::Version));
    assert_eq!(changed(v4(), &[(9, 17)]), Err(Discard::Length), "the length of UDP is wrong");
    assert_eq!(changed(v6(), &[(6, 44)]), Err(Discard::Fragment));
    for extension in [0, 43, 50, 51, 60, 135, 139, 140, 253, 254] {
        assert_eq!(changed(v6(), &[(6, extension)]), Err(Discard::Options), "{extension}");
    }
    assert_eq!(changed(v4(), &[(32, 0x40)]), Err(Discard::Length), "a TCP header of 16 bytes");
    assert_eq!(changed(v4(), &[(32, 0xf0)]), Err(Discard::Truncated), "a TCP header longer than the segment");
    assert_eq!(changed(v4(), &[]), Ok(()));
    assert_eq!(changed(v6(), &[]), Ok(()));
}

#[test]
fn a_rewrite_that_cannot_be_right_changes_nothing() {
    let (from, to) = v4();
    let (from_v6, to_v6) = v6();
    assert_eq!(rewritten(segment(from, to, 16, b"", false), from_v6, to_v6), Err(Discard::Version));
    assert_eq!(rewritten(segment(from, to, 16, b"", false), from, to_v6), Err(Discard::Version));
    assert_eq!(rewritten(segment(from_v6, to_v6, 16, b"", false), from, to), Err(Discard::Version));
    assert_eq!(rewritten(datagram(from, to, b"data").unwrap(), from, to), Err(Discard::Length));
    let mut elsewhere = segment(from, to, 16, b"", true);
    elsewhere[8] ^= 2;
    assert_eq!(rewritten(elsewhere, from, to), Err(Discard::Length));
}

#[test]
fn the_longest_datagrams_fit_and_longer_ones_are_refused() {
    let (from, to) = v4();
    assert_eq!(datagram(from, to, &vec![1; 65_507]).unwrap().len(), MAX_FRAME_BYTES);
    assert_eq!(datagram(from, to, &vec![1; 65_508]), Err(TooLong));
    let (from_v6, to_v6) = v6();
    assert!(datagram(from_v6, to_v6, &vec![1; 65_527]).is_ok());
    assert_eq!(datagram(from_v6, to_v6, &vec![1; 65_528]), Err(TooLong));
    assert_eq!(datagram(from, to_v6, b""), Err(TooLong));
}

#[test]
fn a_checksum_of_zero_is_sent_as_its_complement() {
    let (from, to) = v4();
    let frame = datagram(from, to, &[0, 0]).unwrap();
    let field = u16::from_be_bytes([frame[36], frame[37]]);
    // The data that makes the sum 0xffff, and the checksum 0.
    let frame = datagram(from, to, &field.to_be_bytes()).unwrap();
    assert_eq!(frame[36..38], [0xff, 0xff]);
}
