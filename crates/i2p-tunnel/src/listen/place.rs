#[cfg(unix)]
use std::path::PathBuf;
use std::{fmt, io, net::SocketAddr, str::FromStr};

/// Default permissions: only our own user can connect.
#[cfg(unix)]
const DEFAULT_SOCKET_MODE: u32 = 0o600;

/// Where to listen for clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAt {
    /// On an address of this machine. Port 0 stands for any free port.
    Tcp(SocketAddr),
    /// On a Unix socket, which is created.
    #[cfg(unix)]
    Unix(SocketFile),
    /// On inherited sockets of this name, for instance those of a systemd socket unit.
    Inherited(String),
    /// On an address of this machine, for connections that the kernel sends here although they lead elsewhere. Linux only.
    Transparent(Interception, SocketAddr),
    /// On an address of this machine, for DNS queries over UDP and TCP. With port 0, both have the same one.
    Dns(SocketAddr),
}

/// How the kernel sends a connection to a listener that it does not lead to, and how the listener learns where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interception {
    /// `redirect` and `dnat` of nftables replace the address, and connection tracking remembers it.
    Redirect,
    /// `tproxy` of nftables leaves the address as it is. The listener needs the capability `CAP_NET_ADMIN`.
    Tproxy,
}

impl Interception {
    /// Its prefix in the text of a listener.
    fn prefix(self) -> &'static str {
        match self {
            Self::Redirect => "redirect:",
            Self::Tproxy => "tproxy:",
        }
    }
}

impl ListenAt {
    /// Whether both are the same place. Permissions are not compared.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            #[cfg(unix)]
            (Self::Unix(file), Self::Unix(other)) => file.path == other.path,
            _ => self == other,
        }
    }

    /// The IP address and port, if the system is to listen on one.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Transparent(_, address) | Self::Dns(address) => Some(*address),
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Inherited(_) => None,
        }
    }
}

impl From<SocketAddr> for ListenAt {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for ListenAt {
    type Err = &'static str;

    /// Parses `IP:PORT`, `unix:/PATH`, `fd:NAME`, `redirect:IP:PORT`, `tproxy:IP:PORT` or `dns:IP:PORT`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(address) = text.strip_prefix("dns:") {
            let address = address.parse().map(Self::Dns);
            return address.map_err(|_| "expected dns:IP:PORT, such as dns:127.0.0.1:5353");
        }
        for how in [Interception::Redirect, Interception::Tproxy] {
            if let Some(address) = text.strip_prefix(how.prefix()) {
                return transparent(how, address);
            }
        }
        if let Some(name) = text.strip_prefix("fd:") {
            // systemd.socket(5), FileDescriptorName=.
            let valid = (1..=255).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            return valid
                .then(|| Self::Inherited(name.to_owned()))
                .ok_or("expected fd:NAME, where NAME is the FileDescriptorName= of the socket unit");
        }
        #[cfg(unix)]
        if let Some(path) = text.strip_prefix("unix:") {
            let valid = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
            return valid
                .then(|| Self::Unix(SocketFile::new(path)))
                .ok_or("expected unix:/PATH with an absolute path");
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            "expected IP:PORT, such as 127.0.0.1:4450 or [::1]:4450, unix:/PATH, fd:NAME, redirect:IP:PORT, tproxy:IP:PORT or \
             dns:IP:PORT"
        })
    }
}

fn transparent(how: Interception, address: &str) -> Result<ListenAt, &'static str> {
    if !cfg!(target_os = "linux") {
        return Err(
            "only Linux can send connections to a transparent listener: leave redirect: and tproxy: out",
        );
    }
    let address = address.parse().map(|address| ListenAt::Transparent(how, address));
    address.map_err(|_| match how {
        Interception::Redirect => "expected redirect:IP:PORT, such as redirect:192.168.7.1:4451",
        Interception::Tproxy => "expected tproxy:IP:PORT, such as tproxy:127.0.0.1:4451",
    })
}

/// Writes the form that [`FromStr`] parses.
impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(file) => write!(f, "unix:{}", file.path.display()),
            Self::Inherited(name) => write!(f, "fd:{name}"),
            Self::Transparent(how, address) => write!(f, "{}{address}", how.prefix()),
            Self::Dns(address) => write!(f, "dns:{address}"),
        }
    }
}

/// Why listening on a place failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {at}: {cause}")]
pub struct BindError {
    /// The place.
    pub at: ListenAt,
    /// The cause.
    pub cause: BindCause,
}

/// The cause of a [`BindError`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindCause {
    /// An error of the operating system.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Another process listens on the Unix socket.
    #[error("another process listens there")]
    InUse,
    /// The path leads to a file that is not a socket.
    #[error("a file that is not a socket has this path")]
    NotASocket,
    /// No socket of this name was inherited, or it is already in use here.
    #[error("no socket of this name was inherited from the parent process")]
    NotInherited,
    /// The inherited file descriptor is not a listening stream socket.
    #[error("the inherited file descriptor is not a listening stream socket")]
    NotListening,
}

/// The address of a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BoundAddress {
    /// A TCP address. Its port is the one that the system chose if port 0 was requested.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(String),
    /// The address of a transparent listener.
    Transparent(Interception, SocketAddr),
    /// The address of a DNS listener.
    Dns(SocketAddr),
}

impl BoundAddress {
    /// The TCP address at which clients speak a proxy's protocol, if this is one.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            _ => None,
        }
    }

    /// The IP address and port of any listener that has one.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) | Self::Transparent(_, address) | Self::Dns(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether other machines can reach it: any address except loopback.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.socket_address().is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Transparent(how, address) => write!(f, "{}{address}", how.prefix()),
            Self::Dns(address) => write!(f, "dns:{address}"),
        }
    }
}

/// A Unix socket to create.
#[cfg(unix)]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketFile {
    /// Absolute path of the socket.
    pub path: PathBuf,
    /// Permissions as in chmod(2). Users with write permission can connect.
    pub mode: u32,
    /// Number of the group that owns it. `None`: our own group.
    pub group: Option<u32>,
}

#[cfg(unix)]
impl SocketFile {
    /// A socket that only our own user can connect to.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: DEFAULT_SOCKET_MODE, group: None }
    }
}
