//! The ports of i2pd's SAM bridge: free ones are chosen before it starts, and who listens there is checked afterwards.
//!
//! Between the choice and the start, any user of the machine can take the ports. A bridge of theirs would learn keys and visited
//! destinations, so nothing is sent before the kernel has told that the sockets are i2pd's.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::PathBuf,
};

/// How many ports are tried.
const ATTEMPTS: usize = 50;

/// Chooses a port for the SAM bridge: `last`, if it is free, or another. i2pd takes datagrams at the UDP port below it.
pub(super) fn choose(last: Option<u16>) -> io::Result<u16> {
    if let Some(last) = last.filter(|port| is_free(*port)) {
        return Ok(last);
    }
    let mut attempts = (0..ATTEMPTS).map(|_| any_port());
    attempts
        .find(|port| port.as_ref().map_or(true, |port| udp_is_free(*port)))
        .unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::AddrInUse, "no two ports in a row are free")))
}

fn any_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && udp_is_free(port)
}

/// Whether the UDP port below this one is free.
fn udp_is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port.saturating_sub(1))).is_ok()
}

/// Who has the ports of a SAM bridge.
#[derive(Debug)]
pub(super) enum Owner {
    /// Nobody, at least one of them.
    Nobody,
    /// The process that was asked about. It listens on this socket.
    Process(Listener),
    /// Another process has one of them.
    Other,
    /// The system does not tell.
    Unknown(io::Error),
}

/// A socket that listens on a port of 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    port: u16,
    inode: String,
}

impl Listener {
    /// Whether this very socket still listens. Then a connection that exists already was made to it: no other socket can have
    /// listened on the port in the meantime.
    pub(super) fn still_listens(&self) -> bool {
        socket(Table::Tcp, self.port).is_ok_and(|inode| inode.as_ref() == Some(&self.inode))
    }
}

/// Finds out whether this process has the TCP port `port` of 127.0.0.1 and the UDP port below it.
pub(super) fn owner(port: u16, process: u32) -> Owner {
    find_owner(port, process).unwrap_or_else(Owner::Unknown)
}

fn find_owner(port: u16, process: u32) -> io::Result<Owner> {
    let (tcp, udp) = (socket(Table::Tcp, port)?, socket(Table::Udp, port.saturating_sub(1))?);
    if tcp.is_none() && udp.is_none() {
        return Ok(Owner::Nobody);
    }
    let of_process = sockets_of(process)?;
    if [&tcp, &udp].into_iter().flatten().any(|inode| !of_process.contains(inode)) {
        return Ok(Owner::Other);
    }
    Ok(match (tcp, udp) {
        (Some(inode), Some(_)) => Owner::Process(Listener { port, inode }),
        _ => Owner::Nobody,
    })
}

/// The inodes of the sockets that a process has open.
fn sockets_of(process: u32) -> io::Result<Vec<String>> {
    let inode = |link: PathBuf| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    let descriptors = fs::read_dir(format!("/proc/{process}/fd"))?;
    Ok(descriptors.filter_map(|entry| inode(fs::read_link(entry.ok()?.path()).ok()?)).collect())
}

/// A table of sockets, see proc_net(5).
#[derive(Clone, Copy)]
enum Table {
    Tcp,
    Udp,
}

impl Table {
    fn path(self) -> &'static str {
        match self {
            Self::Tcp => "/proc/self/net/tcp",
            Self::Udp => "/proc/self/net/udp",
        }
    }

    /// The state of a socket that waits for anybody: `TCP_LISTEN`, or `TCP_CLOSE`, which is every unconnected UDP socket's.
    fn waiting(self) -> &'static str {
        match self {
            Self::Tcp => "0A",
            Self::Udp => "07",
        }
    }
}

/// The inode of the socket that waits at this port of 127.0.0.1 or of all addresses.
///
/// The kernel lists the TCP sockets that listen before the connected ones, so few lines are read on a busy machine, too.
fn socket(table: Table, port: u16) -> io::Result<Option<String>> {
    find_socket(BufReader::new(File::open(table.path())?), table.waiting(), port)
}

fn find_socket(lines: impl BufRead, waiting: &str, port: u16) -> io::Result<Option<String>> {
    let at = |address: Ipv4Addr| format!("{:08X}:{port:04X}", u32::from_ne_bytes(address.octets()));
    let places = [at(Ipv4Addr::LOCALHOST), at(Ipv4Addr::UNSPECIFIED)];
    for line in lines.lines().skip(1) {
        let line = line?;
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, state) = (fields.next(), fields.next(), fields.next());
        if state == Some(waiting) && places.iter().any(|place| local == Some(place)) {
            // After the state: queues, timer, retransmissions, user, timeouts.
            return Ok(fields.nth(5).map(str::to_owned));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes two ports as i2pd does.
    fn take_ports() -> (TcpListener, UdpSocket, u16) {
        let port = choose(None).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        (tcp, UdpSocket::bind((Ipv4Addr::LOCALHOST, port - 1)).unwrap(), port)
    }

    #[test]
    fn the_last_port_is_chosen_again_unless_it_is_taken() {
        let port = choose(None).unwrap();
        assert_eq!(choose(Some(port)).unwrap(), port);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(choose(Some(port)).unwrap(), port);
        drop(taken);
        let _taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, port - 1)).unwrap();
        assert_ne!(choose(Some(port)).unwrap(), port, "the port for datagrams is taken");
    }

    #[test]
    fn the_kernel_tells_who_has_the_ports() {
        let (tcp, udp, port) = take_ports();
        let us = std::process::id();
        assert!(matches!(owner(port, us), Owner::Process(_)));
        let mut other = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        assert!(matches!(owner(port, other.id()), Owner::Other));
        drop(udp);
        assert!(matches!(owner(port, us), Owner::Nobody), "no port for datagrams");
        assert!(matches!(owner(port, other.id()), Owner::Other));
        drop(tcp);
        assert!(matches!(owner(port, us), Owner::Nobody));
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn what_the_system_does_not_tell_is_not_ours() {
        let (_tcp, _udp, port) = take_ports();
        assert!(matches!(owner(port, u32::MAX), Owner::Unknown(_)), "there is no such process");
    }

    #[test]
    fn another_socket_at_the_same_port_is_told_apart() {
        let (tcp, _udp, port) = take_ports();
        let Owner::Process(listener) = owner(port, std::process::id()) else { panic!("our own sockets") };
        assert!(listener.still_listens());
        drop(tcp);
        assert!(!listener.still_listens());
        let _squatter = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!listener.still_listens());
    }
}
