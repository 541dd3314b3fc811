//! Tries to reach the host's network.

use std::{
    io::{self, IoSlice, Read},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use libc::{AF_ALG, AF_BLUETOOTH, AF_CAN, AF_NFC, AF_PPPOX, AF_RXRPC, AF_TIPC, AF_VSOCK, AF_X25, AF_XDP};
use rustix::net::{
    AddressFamily, MMsgHdr, Protocol, SendAncillaryBuffer, SendFlags, SocketType, sendmmsg, sendto, socket,
    sockopt::{Timeout, set_socket_timeout},
};

use super::{
    rows::{Rows, worked},
    targets::{GREETING, Targets},
};

/// What is on this machine answers at once.
const PATIENCE: Duration = Duration::from_millis(300);

/// Families that are not the internet's, with their names. Some of the numbers are not in libc.
const FAMILIES: [(i32, &str); 13] = [
    (AF_ALG, "ALG"),
    (AF_BLUETOOTH, "BLUETOOTH"),
    (AF_CAN, "CAN"),
    (41, "KCM"),
    (AF_NFC, "NFC"),
    (AF_PPPOX, "PPPOX"),
    (AF_RXRPC, "RXRPC"),
    (AF_TIPC, "TIPC"),
    (AF_X25, "X25"),
    (AF_XDP, "XDP"),
    (42, "QIPCRTR"),
    (43, "SMC"),
    (45, "MCTP"),
];

const TYPES: [SocketType; 4] =
    [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET, SocketType::RAW];

/// The netlink protocol that is allowed: routes and interfaces.
const NETLINK_ROUTE: u32 = 0;
const NETLINK_PROTOCOLS: u32 = 23;

pub(super) fn try_all(rows: &mut Rows, targets: &Targets) {
    let local: SocketAddr = (Ipv4Addr::LOCALHOST, targets.tcp).into();
    rows.add("TCP to 127.0.0.1 of the host", tcp(local));
    if let Some(port) = targets.tcp6 {
        rows.add("TCP to ::1 of the host", tcp((Ipv6Addr::LOCALHOST, port).into()));
    }
    rows.add("TCP Fast Open to the host", fast_open(local));
    let datagrams: SocketAddr = (Ipv4Addr::LOCALHOST, targets.udp).into();
    rows.add("UDP to 127.0.0.1 of the host", udp(datagrams, |socket| socket.send(b"?").map(drop)));
    rows.add("UDP to the host by sendmmsg", udp(datagrams, several_at_once));
    rows.add("vsock", worked(open(AF_VSOCK, SocketType::STREAM, 0)));
    rows.add("packet socket", worked(open(libc::AF_PACKET, SocketType::RAW, 3 << 8)));
    rows.add("raw IP socket", worked(open(libc::AF_INET, SocketType::RAW, 255)));
    let opens = |family| TYPES.iter().any(|kind| open(family, *kind, 0).is_ok());
    let found: Vec<_> =
        FAMILIES.iter().filter(|(family, _)| opens(*family)).map(|(_, name)| (*name).to_owned()).collect();
    rows.add_found("other socket families", &found);
    rows.add_found("modules for other types of sockets", &other_types());
    let found: Vec<_> = (0..NETLINK_PROTOCOLS)
        .filter(|protocol| *protocol != NETLINK_ROUTE)
        .filter(|protocol| open(libc::AF_NETLINK, SocketType::RAW, *protocol).is_ok())
        .map(|protocol| protocol.to_string())
        .collect();
    rows.add_found("netlink protocols", &found);
}

/// Reads what a process outside says on a connection.
pub(super) fn listen_to(mut stream: impl Read) -> io::Result<String> {
    let mut heard = [0; GREETING.len()];
    stream.read_exact(&mut heard)?;
    if heard == GREETING {
        return Ok("talked to a process outside".to_owned());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "somebody else answered"))
}

fn tcp(address: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    listen_to(stream)
}

/// Opens a connection by sending, without `connect`.
fn fast_open(address: SocketAddr) -> io::Result<String> {
    let socket = open(libc::AF_INET, SocketType::STREAM, 0)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let flags = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned()) | SendFlags::NOSIGNAL;
    sendto(&socket, b"?", flags, &address)?;
    listen_to(TcpStream::from(socket))
}

fn udp(address: SocketAddr, send: impl Fn(&UdpSocket) -> io::Result<()>) -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    send(&socket)?;
    let mut heard = [0; GREETING.len()];
    let count = socket.recv(&mut heard)?;
    listen_to(heard.get(..count).unwrap_or_default())
}

fn several_at_once(socket: &UdpSocket) -> io::Result<()> {
    let text = [IoSlice::new(b"?")];
    let (mut one, mut other) = (SendAncillaryBuffer::default(), SendAncillaryBuffer::default());
    let mut messages = [MMsgHdr::new(&text, &mut one), MMsgHdr::new(&text, &mut other)];
    Ok(sendmmsg(socket.as_fd(), &mut messages, SendFlags::NOSIGNAL).map(drop)?)
}

/// Types of internet sockets for which the kernel loads a module, such as that of DCCP. That it knows no such type is
/// its answer once it has looked for one.
fn other_types() -> Vec<String> {
    let types = (0..16).filter(|kind| ![libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW].contains(kind));
    let tries = types.flat_map(|kind| [(libc::AF_INET, kind), (libc::AF_INET6, kind)]);
    let looked = tries.filter(|(family, kind)| {
        let opened = open(*family, SocketType::from_raw(kind.cast_unsigned()), 0);
        opened.map_or_else(|error| error.raw_os_error() == Some(libc::ESOCKTNOSUPPORT), |_| true)
    });
    looked.map(|(family, kind)| format!("{family}/{kind}")).collect()
}

/// Makes a socket.
pub(super) fn open(family: i32, kind: SocketType, protocol: u32) -> io::Result<OwnedFd> {
    let family = AddressFamily::from_raw(u16::try_from(family).map_err(io::Error::other)?);
    let protocol = std::num::NonZeroU32::new(protocol).map(Protocol::from_raw);
    Ok(socket(family, kind, protocol)?)
}
