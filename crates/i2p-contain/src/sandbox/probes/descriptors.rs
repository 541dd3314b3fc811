//! Tries inherited descriptors.

use std::{
    fs::{self, OpenOptions},
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rustix::{
    fs::{FileType, fstat},
    net::{connect, connect_unspec},
};

use super::{
    super::raw,
    network::listen_to,
    rows::{Rows, worked},
    targets::Targets,
};

pub(super) fn try_all(rows: &mut Rows, targets: &Targets) {
    let inherited = raw::hostile::inherited(targets.inherited);
    rows.add("a socket that was left open", inherited.and_then(|socket| connect_anew(socket, targets)));
    let input = io::stdin().as_fd().try_clone_to_owned();
    rows.add("standard input", input.and_then(|input| try_input(input, targets)));
    rows.add("standard output", try_pipe(&io::stdout(), 1, targets));
}

fn try_input(input: OwnedFd, targets: &Targets) -> io::Result<String> {
    match FileType::from_raw_mode(fstat(&input)?.st_mode) {
        FileType::Socket => connect_anew(input, targets),
        // Its parents are those of the host.
        FileType::Directory => worked(fs::read_dir("/proc/self/fd/0/..")),
        FileType::RegularFile => worked(OpenOptions::new().append(true).open("/proc/self/fd/0")),
        _ => try_pipe(&input, 0, targets),
    }
}

/// Opens a pipe that other programs have, too, the other way: to read what they write into it, or to write what they
/// read. One of the sandbox's own leads nowhere else.
fn try_pipe(stream: &impl AsFd, number: u32, targets: &Targets) -> io::Result<String> {
    let found = fstat(stream)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if kind == FileType::Fifo && targets.pipes.contains(&(found.st_dev, found.st_ino)) {
        return worked(OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{number}")));
    }
    Err(io::Error::other(format!("{kind:?}")))
}

/// A socket belongs to the network in which it was made, wherever it is connected to later.
fn connect_anew(socket: OwnedFd, targets: &Targets) -> io::Result<String> {
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, targets.tcp).into();
    connect_unspec(&socket)?;
    connect(&socket, &address)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    listen_to(stream)
}
