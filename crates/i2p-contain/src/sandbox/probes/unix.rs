//! Tries to reach processes outside through files and Unix sockets.

use std::{
    fs::OpenOptions,
    io,
    mem::MaybeUninit,
    net::TcpStream,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::OpenOptionsExt,
            net::{SocketAddr, UnixDatagram, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::{
    super::layout,
    network::listen_to,
    rows::{Rows, worked},
    targets::{GREETING, Targets},
};

/// Sockets of services, where distributions put them. `@` stands for the runtime directory of the user.
const SERVICES: [&str; 26] = [
    "@/at-spi/bus_0",
    "@/bus",
    "@/emacs/server",
    "@/gnupg/S.dirmngr",
    "@/gnupg/S.gpg-agent",
    "@/pipewire-0",
    "@/podman/podman.sock",
    "@/pulse/native",
    "@/systemd/private",
    "@/wayland-0",
    "/dev/log",
    "/run/avahi-daemon/socket",
    "/run/containerd/containerd.sock",
    "/run/cups/cups.sock",
    "/run/dbus/system_bus_socket",
    "/run/docker.sock",
    "/run/nscd/socket",
    "/run/pcscd/pcscd.comm",
    "/run/snapd.socket",
    "/run/systemd/journal/socket",
    "/run/systemd/notify",
    "/run/systemd/private",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/tmp/.ICE-unix/1",
    "/tmp/.X11-unix/X0",
    "/var/lib/sss/pipes/nss",
];

pub(super) fn try_all(rows: &mut Rows, targets: &Targets) {
    rows.add("abstract Unix socket", connect_abstract(&targets.abstract_socket));
    rows.add("Unix socket in the home directory", connect(&targets.home_socket));
    rows.add("Unix socket in /tmp", connect(&targets.temporary_socket));
    if let Some(path) = &targets.run_socket {
        rows.add("Unix socket in /run", connect(path));
    }
    rows.add("a descriptor from a process outside", take_descriptor(&targets.home_socket));
    let send = |socket: UnixDatagram| worked(socket.send_to(b"?", &targets.home_datagrams));
    rows.add("Unix datagram", UnixDatagram::unbound().and_then(send));
    rows.add("Unix datagram through a pair", UnixDatagram::pair().and_then(|(one, _)| send(one)));
    let reached: Vec<_> = services(targets.process).filter(|path| is_reached(path)).collect();
    let reached: Vec<_> = reached.iter().map(|path| path.display().to_string()).collect();
    rows.add_found("services of the machine and the desktop", &reached);
    let append = |path: &Path| worked(OpenOptions::new().append(true).open(path));
    rows.add("a file that a program outside executes", append(&targets.home_script));
    let fifo = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&targets.home_fifo);
    rows.add("a FIFO that a program outside reads", worked(fifo));
    rows.add("shared memory in /dev/shm", append(&targets.shared_file));
    if let Some(path) = &targets.run_entry {
        rows.add("files of /run", worked(path.symlink_metadata()));
    }
}

fn connect_abstract(name: &str) -> io::Result<String> {
    listen_to(UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?)
}

fn connect(path: &Path) -> io::Result<String> {
    listen_to(UnixStream::connect(path)?)
}

/// Takes a connection of the host's network that a process outside gives away.
fn take_descriptor(path: &Path) -> io::Result<String> {
    let stream = UnixStream::connect(path)?;
    let mut text = [0; GREETING.len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&stream, &mut [io::IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let taken: Option<OwnedFd> = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    listen_to(TcpStream::from(taken.ok_or(io::ErrorKind::NotFound)?))
}

/// The services' sockets, also those of the user that the process outside belongs to.
fn services(process: i32) -> impl Iterator<Item = PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata(format!("/proc/{process}")).map_or(0, |metadata| metadata.uid());
    SERVICES
        .iter()
        .flat_map(move |path| match path.strip_prefix('@') {
            Some(rest) => vec![format!("/run/user/{user}{rest}"), format!("{}{rest}", layout::RUNTIME_DIR)],
            None => vec![(*path).to_owned()],
        })
        .map(PathBuf::from)
}

fn is_reached(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
        || UnixDatagram::unbound().is_ok_and(|socket| socket.connect(path).is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_service_is_reached_while_it_listens() {
        let directory = tempfile::tempdir().unwrap();
        let (stream, datagrams) = (directory.path().join("stream"), directory.path().join("datagrams"));
        assert!(!is_reached(&stream));
        let listeners = (UnixListener::bind(&stream).unwrap(), UnixDatagram::bind(&datagrams).unwrap());
        assert!(is_reached(&stream) && is_reached(&datagrams));
        drop(listeners);
        assert!(!is_reached(&stream) && !is_reached(&datagrams));
    }

    #[test]
    fn sessions_of_both_users_are_tried() {
        let paths: Vec<_> = services(std::process::id().try_into().unwrap()).collect();
        let user = rustix::process::getuid().as_raw();
        for path in [format!("/run/user/{user}/bus"), "/run/user/1000/bus".into(), "/run/docker.sock".into()]
        {
            assert!(paths.contains(&PathBuf::from(&path)), "{path}");
        }
    }
}
