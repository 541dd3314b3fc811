#[cfg(unix)]
use std::path::PathBuf;
use std::{fmt, io, net::SocketAddr, str::FromStr};

/// Permissions where nothing else is said: for the user that we run as.
#[cfg(unix)]
const FOR_US_ALONE: u32 = 0o600;

/// Where to listen for clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAt {
    /// At an address of this machine; port 0 is any free one.
    Tcp(SocketAddr),
    /// At a Unix socket, which is made.
    #[cfg(unix)]
    Unix(SocketFile),
    /// On the sockets that whoever started this process made and called so: systemd, by a socket unit.
    Inherited(String),
}

impl ListenAt {
    /// Whether it is the same place, whoever may connect to it.
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

    /// `IP:PORT`, `unix:/PATH` or `fd:NAME`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("fd:") {
            // systemd.socket(5), FileDescriptorName=.
            let valid = (1..=255).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            return valid
                .then(|| Self::Inherited(name.to_owned()))
                .ok_or("expected fd:NAME, with the name that the socket unit has for it");
        }
        #[cfg(unix)]
        if let Some(path) = text.strip_prefix("unix:") {
            let valid = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
            return valid
                .then(|| Self::Unix(SocketFile::new(path)))
                .ok_or("expected unix:/PATH, with the whole path");
        }
        text.parse()
            .map(Self::Tcp)
            .map_err(|_| "expected IP:PORT, such as 127.0.0.1:4450 or [::1]:4450, or unix:/PATH, or fd:NAME")
    }
}

/// As [`FromStr`] reads it.
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

/// Why there is no listening at a place.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {at}: {cause}")]
pub struct BindError {
    /// The place.
    pub at: ListenAt,
    /// What is in the way.
    pub cause: BindCause,
}

/// What is in the way of listening.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindCause {
    /// The operating system does not do it.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A process listens at the Unix socket.
    #[error("another process listens there")]
    InUse,
    /// There is a file, and it is no socket.
    #[error("there is a file that is no socket")]
    NotASocket,
    /// No socket of that name was handed down, or it is in use here already.
    #[error("no socket of this name was handed down by whoever started the process")]
    NotInherited,
    /// What was handed down is something else.
    #[error("what was handed down is no listening stream socket")]
    NotListening,
}

/// A place that is listened at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BoundAddress {
    /// An address, with the port that the system chose where 0 was asked for.
    Tcp(SocketAddr),
    /// A Unix socket; the text is its path.
    Unix(String),
}

impl BoundAddress {
    /// The address and port, where it has one.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether it can be reached from other machines.
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

/// A Unix socket to be made.
#[cfg(unix)]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SocketFile {
    /// Where.
    pub path: PathBuf,
    /// Its permissions, as chmod(2) has them: who may write may connect.
    pub mode: u32,
    /// The group that it belongs to, by number; none: ours.
    pub group: Option<u32>,
}

#[cfg(unix)]
impl SocketFile {
    /// A socket that only the user that we run as can connect to.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: FOR_US_ALONE, group: None }
    }
}
