//! Datagrams, and names.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    namespace::inside,
    outside::{ECHO_PORT, OPEN},
    world::{World, v4, v6},
};

fn udp(target: SocketAddr) -> UdpSocket {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { "::".parse().unwrap() };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

#[test]
fn datagrams_come_back_from_where_they_were_sent() {
    inside("datagrams::datagrams_come_back_from_where_they_were_sent", || {
        let _world = World::new();
        for (target, largest) in [(v4(OPEN, ECHO_PORT), 65_507), (v6(OPEN, ECHO_PORT), 65_487)] {
            let socket = udp(target);
            for length in [0, 1, 1_500, 31 * 1024, largest] {
                let payload: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
                socket.send_to(&payload, target).unwrap();
                let mut buffer = vec![0; 70_000];
                let (received, from) = socket.recv_from(&mut buffer).unwrap();
                assert_eq!((received, from), (length, target));
                assert_eq!(buffer[..received], payload);
            }
        }
    });
}

#[test]
fn a_datagram_that_is_not_allowed_is_an_error() {
    inside("datagrams::a_datagram_that_is_not_allowed_is_an_error", || {
        let _world = World::new();
        for (target, expected) in [(v4(OPEN, 443), libc::EHOSTUNREACH), (v6(OPEN, 443), libc::EACCES)] {
            let socket = udp(target);
            socket.connect(target).unwrap();
            socket.send(b"quic").unwrap();
            let error = socket.recv(&mut [0; 10]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(expected), "{error}");
        }
    });
}

#[test]
fn dns_is_answered_whatever_the_server() {
    inside("datagrams::dns_is_answered_whatever_the_server", || {
        let _world = World::new();
        for target in [v4(OPEN, 53), v6(OPEN, 53), "8.8.8.8:53".parse().unwrap()] {
            let socket = udp(target);
            // Only the second one: no query is so long as the first.
            socket.send_to(&[1; 4_097], target).unwrap();
            socket.send_to(b"query", target).unwrap();
            let mut buffer = [0; 100];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"udp:query"[..], target));

            let mut stream = TcpStream::connect(target).unwrap();
            for query in [&b"first"[..], b"second"] {
                let length = u8::try_from(query.len()).unwrap();
                stream.write_all(&[&[0, length][..], query].concat()).unwrap();
                let mut answer = vec![0; 2 + 4 + query.len()];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(answer, [&[0, 4 + length][..], b"tcp:", query].concat());
            }
        }
    });
}

#[test]
fn other_protocols_are_prohibited() {
    inside("datagrams::other_protocols_are_prohibited", || {
        let _world = World::new();
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(132))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let icmp = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
        icmp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for sender in [&socket, &icmp] {
            // To SCTP, some bytes; to ICMP, an echo request.
            sender.send_to(&[8, 0, 0xf7, 0xff, 0, 0, 0, 0], &v4(OPEN, 0).into()).unwrap();
            let mut reading = &icmp;
            let mut answer = [0; 100];
            let length = reading.read(&mut answer).unwrap();
            assert_eq!(answer[20..22], [3, 13], "{:?}", &answer[..length]);
        }
    });
}

#[test]
fn multicast_goes_nowhere() {
    inside("datagrams::multicast_goes_nowhere", || {
        let _world = World::new();
        let target = "224.0.0.251:5353".parse().unwrap();
        let socket = udp(target);
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        // Whether it is sent or not: nobody answers, and nothing else suffers.
        let _ = socket.send_to(b"mdns", target);
        let error = socket.recv(&mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let target = v4(OPEN, ECHO_PORT);
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.send_to(b"still here", target).unwrap();
        assert_eq!(socket.recv(&mut [0; 20]).unwrap(), 10);
    });
}
