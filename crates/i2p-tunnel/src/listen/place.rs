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
}

impl From<SocketAddr> for ListenAt {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for ListenAt {
    type Err = &'static str;

    /// Parses `IP:PORT`, `unix:/PATH` or `fd:NAME`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
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
        text.parse()
            .map(Self::Tcp)
            .map_err(|_| "expected IP:PORT, such as 127.0.0.1:4450 or [::1]:4450, unix:/PATH or fd:NAME")
    }
}

/// Writes the form that [`FromStr`] parses.
impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(file) => write!(f, "unix:{}", file.path.display()),
            Self::Inherited(name) => write!(f, "fd:{name}"),
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
}

impl BoundAddress {
    /// The TCP address, if this is one.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether other machines can reach it: TCP on any address except loopback.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
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
