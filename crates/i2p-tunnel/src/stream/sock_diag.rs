//! Asks the kernel about sockets of this machine, sock_diag(7). One question is about one socket, so that its cost does not grow
//! with the number of sockets.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
    netlink::{SOCK_DIAG, SocketAddrNetlink},
    recv, sendto, socket_with,
};

/// The transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Its number (IPPROTO_TCP, IPPROTO_UDP).
    fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// `SOCK_DIAG_BY_FAMILY`: the type of a request for sockets, and of its answer.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`: the type of an answer with an error.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `ENOENT`, negated as in an answer.
const NO_SUCH_SOCKET: i32 = -2;
/// `TCP_LISTEN`: the state of a listening socket.
const LISTENING: u8 = 10;
/// `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// Where an answer has `idiag_state`: in `struct inet_diag_msg`, behind the family.
const STATE_AT: usize = HEADER_BYTES + 1;
/// Where an answer has `idiag_rqueue`: behind 52 bytes of addresses and the time of a timer.
const UNREAD_AT: usize = HEADER_BYTES + 56;
/// Where an answer has `idiag_wqueue`.
const UNSENT_AT: usize = UNREAD_AT + 4;
/// Where an answer has `idiag_uid`.
const UID_AT: usize = UNSENT_AT + 4;
/// Where an answer has `idiag_inode`.
const INODE_AT: usize = UID_AT + 4;
/// More than an answer about one socket takes.
const MAX_ANSWER_BYTES: usize = 1024;

/// What the kernel tells of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketOwner {
    /// The user who opened it.
    pub(crate) user: u32,
    /// Whether a program has it open. Once all programs have closed it, the kernel keeps it until the connection has ended.
    pub(crate) is_open: bool,
}

/// The bytes that wait at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queues {
    /// Received, and not read by the program.
    pub(crate) unread: u32,
    /// Written by the program, and not acknowledged by the other side.
    pub(crate) unsent: u32,
}

/// Returns the owner of the socket at `address` that receives what `peer` sends; `None` if there is no such socket in this network
/// namespace. Does not block.
///
/// A kernel without this table for UDP also answers that there is no such socket.
pub(crate) fn owner(
    transport: Transport,
    address: SocketAddr,
    peer: SocketAddr,
) -> io::Result<Option<SocketOwner>> {
    let mut answer = [0; MAX_ANSWER_BYTES];
    owner_in(ask(transport, address, peer, &mut answer)?)
}

/// Returns what waits at the TCP socket at `address` that is connected to `peer`; `None` if there is no such socket in this network
/// namespace. Does not block.
pub(crate) fn queues(address: SocketAddr, peer: SocketAddr) -> io::Result<Option<Queues>> {
    let mut answer = [0; MAX_ANSWER_BYTES];
    queues_in(ask(Transport::Tcp, address, peer, &mut answer)?)
}

/// Returns what the kernel answers.
fn ask(
    transport: Transport,
    address: SocketAddr,
    peer: SocketAddr,
    answer: &mut [u8; MAX_ANSWER_BYTES],
) -> io::Result<&[u8]> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    let request = request(transport, address, peer);
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    // The kernel has answered before it returns from sending.
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    Ok(answer.get(..length).unwrap_or_default())
}

fn request(transport: Transport, address: SocketAddr, peer: SocketAddr) -> [u8; REQUEST_BYTES] {
    // An IPv4 address that IPv6 sockets write as ::ffff:a.b.c.d is found as IPv4, whatever the socket's family.
    let (address_ip, peer_ip) = (address.ip().to_canonical(), peer.ip().to_canonical());
    let family = if address_ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    // A UDP socket is found by the addresses of a datagram to it, a TCP socket by its own.
    let ((from_ip, from_port), (to_ip, to_port)) = match transport {
        Transport::Tcp => ((address_ip, address.port()), (peer_ip, peer.port())),
        Transport::Udp => ((peer_ip, peer.port()), (address_ip, address.port())),
    };
    let mut request = [0; REQUEST_BYTES];
    let mut rest = request.as_mut_slice();
    let mut put = |bytes: &[u8]| {
        if let Some((field, after)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
            field.copy_from_slice(bytes);
            rest = after;
        }
    };
    // struct nlmsghdr: length, type, flags, number, sender.
    put(&u32::try_from(REQUEST_BYTES).unwrap_or_default().to_ne_bytes());
    put(&BY_FAMILY.to_ne_bytes());
    put(&REQUEST.to_ne_bytes());
    put(&[0; 8]);
    // struct inet_diag_req_v2: family, protocol, extensions, padding, states.
    put(&[u8::try_from(family.as_raw()).unwrap_or_default(), transport.number(), 0, 0]);
    put(&u32::MAX.to_ne_bytes());
    // struct inet_diag_sockid: ports, addresses, interface, cookie (any).
    put(&from_port.to_be_bytes());
    put(&to_port.to_be_bytes());
    put(&octets(from_ip));
    put(&octets(to_ip));
    put(&[0; 4]);
    put(&[0xff; 8]);
    request
}

/// The address in 16 bytes, an IPv4 address in the first four.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The owner that an answer names.
fn owner_in(answer: &[u8]) -> io::Result<Option<SocketOwner>> {
    let owner = socket_in(answer, [UID_AT, INODE_AT])?;
    Ok(owner.map(|[user, inode]| SocketOwner { user, is_open: inode != 0 }))
}

/// The queues that an answer names.
fn queues_in(answer: &[u8]) -> io::Result<Option<Queues>> {
    let queues = socket_in(answer, [UNREAD_AT, UNSENT_AT])?;
    Ok(queues.map(|[unread, unsent]| Queues { unread, unsent }))
}

/// Two fields of an answer, if it names a connected socket.
fn socket_in(answer: &[u8], fields: [usize; 2]) -> io::Result<Option<[u32; 2]>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is malformed");
    let two = |at: usize| answer.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
    let four = |at: usize| answer.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    match two(4).ok_or_else(malformed)? {
        // Without a connected socket, the kernel finds one that listens on the port.
        BY_FAMILY if answer.get(STATE_AT) == Some(&LISTENING) => Ok(None),
        BY_FAMILY => match fields.map(four) {
            [Some(first), Some(second)] => Ok(Some([first, second])),
            _ => Err(malformed()),
        },
        ERROR => match four(HEADER_BYTES).map(u32::cast_signed).ok_or_else(malformed)? {
            NO_SUCH_SOCKET => Ok(None),
            error => Err(io::Error::from_raw_os_error(error.wrapping_neg())),
        },
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    };

    use super::*;

    #[test]
    fn sockets_of_this_machine_have_their_owner_whatever_their_family() {
        let us = SocketOwner { user: rustix::process::geteuid().as_raw(), is_open: true };
        for (at, client_at) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:0", "0.0.0.0:0"),
            ("127.0.0.1:0", "[::]:0"),
            ("[::1]:0", "[::]:0"),
        ] {
            let listener = TcpListener::bind(at).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (near, far) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            assert_eq!(owner(Transport::Tcp, near, far).unwrap(), Some(us), "{at}");
            assert_eq!(owner(Transport::Tcp, near, SocketAddr::new(far.ip(), 1)).unwrap(), None, "{at}");

            let relay = UdpSocket::bind(at).unwrap();
            let client = UdpSocket::bind(client_at).unwrap();
            let relay_at = relay.local_addr().unwrap();
            let to = match (relay_at.ip(), client.local_addr().unwrap().ip()) {
                (IpAddr::V4(ip), IpAddr::V6(_)) => {
                    SocketAddr::new(ip.to_ipv6_mapped().into(), relay_at.port())
                }
                _ => relay_at,
            };
            client.send_to(b"x", to).unwrap();
            let (_, from) = relay.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(owner(Transport::Udp, from, relay_at).unwrap(), Some(us), "{at} {client_at}");
            drop(client);
            assert_eq!(owner(Transport::Udp, from, relay_at).unwrap(), None, "{at} {client_at}");
            assert_eq!(owner(Transport::Udp, relay_at, from).unwrap(), Some(us), "our own");
        }
    }

    #[test]
    fn a_closed_socket_is_told_from_one_that_has_finished_sending() {
        for (listen, connect) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let listener = TcpListener::bind(listen).unwrap();
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect((connect, port)).unwrap();
            let (server, _) = listener.accept().unwrap();
            let (client_at, server_at) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
            let is_open = || owner(Transport::Tcp, client_at, server_at).unwrap().map(|owner| owner.is_open);
            assert_eq!(is_open(), Some(true), "{listen}");
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(is_open(), Some(true), "{listen}");
            let other = client.try_clone().unwrap();
            drop(client);
            assert_eq!(is_open(), Some(true), "{listen}: another descriptor is open");
            drop(other);
            assert_eq!(is_open(), Some(false), "{listen}");
            assert_eq!(
                owner(Transport::Tcp, server_at, ([127, 0, 0, 1], 1).into()).unwrap(),
                None,
                "it listens"
            );
        }
    }

    #[test]
    fn what_a_program_has_not_read_waits_at_its_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let (client_at, server_at) = (server.peer_addr().unwrap(), server.local_addr().unwrap());
        let waiting = || queues(client_at, server_at).unwrap().unwrap();
        server.write_all(b"four").unwrap();
        assert_eq!(waiting(), Queues { unread: 4, unsent: 0 });
        client.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(waiting(), Queues { unread: 1, unsent: 0 });
        // Until both buffers are full.
        server.set_nonblocking(true).unwrap();
        while server.write(&[0; 65536]).is_ok() {}
        assert!(queues(server_at, client_at).unwrap().unwrap().unsent > 0);
        assert_eq!(queues(client_at, ([127, 0, 0, 1], 1).into()).unwrap(), None);
    }

    #[test]
    fn an_answer_is_an_owner_no_socket_or_an_error() {
        let answer = |kind: u16, body: &[u8]| {
            let head = [&[0; 4][..], &kind.to_ne_bytes(), &[0; 10]].concat();
            owner_in(&[&head, body].concat())
        };
        let mut socket = [&[0; 64][..], &1000_u32.to_ne_bytes(), &[1; 4]].concat();
        assert_eq!(answer(BY_FAMILY, &socket).unwrap(), Some(SocketOwner { user: 1000, is_open: true }));
        socket[1] = LISTENING;
        assert_eq!(answer(BY_FAMILY, &socket).unwrap(), None);
        assert_eq!(answer(ERROR, &NO_SUCH_SOCKET.to_ne_bytes()).unwrap(), None);
        assert_eq!(
            answer(ERROR, &(-1_i32).to_ne_bytes()).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
        for (kind, length) in [(BY_FAMILY, 0), (BY_FAMILY, 71), (ERROR, 3), (3, 80)] {
            assert!(answer(kind, &vec![0; length]).is_err(), "{kind} {length}");
        }
        assert!(owner_in(&[]).is_err());
    }
}
