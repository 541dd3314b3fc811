use std::{fmt, io, net::SocketAddr, str::FromStr, sync::Arc};

use tokio::net::TcpListener;

use crate::{ClientAddress, Inherited, Socket};
#[cfg(unix)]
use crate::{
    SocketFile,
    unix_socket::{self, BoundFile, UnixSocket},
};

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
    pub fn is_open_to_others(&self) -> bool {
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

/// Listening sockets. Clients can connect from the moment they exist, and wait until [`serve`](crate::serve) runs.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

impl Listeners {
    /// Listens at all of the places, or at none.
    ///
    /// # Errors
    /// [`BindError`] for the first place that cannot be had; [`ListenAt::Inherited`] never can.
    pub async fn bind(places: &[ListenAt]) -> Result<Self, BindError> {
        Self::bind_or_inherit(places, &Inherited::none()).await
    }

    /// The same with sockets that were handed down.
    ///
    /// # Errors
    /// [`BindError`] for the first place that cannot be had.
    pub async fn bind_or_inherit(places: &[ListenAt], inherited: &Inherited) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(places.len());
        for at in places {
            let bound = match at {
                ListenAt::Tcp(address) => {
                    TcpListener::bind(address).await.map(|it| vec![Listener::Tcp(it)]).map_err(Into::into)
                }
                #[cfg(unix)]
                ListenAt::Unix(file) => unix_socket::bind(file).await.map(|it| vec![Listener::Unix(it)]),
                ListenAt::Inherited(name) => inherited.take(name),
            };
            listeners.extend(bound.map_err(|cause| BindError { at: at.clone(), cause })?);
        }
        Ok(Self(listeners))
    }

    /// What is listened at, in the order of the places; several sockets can be handed down by one name.
    ///
    /// # Errors
    /// What the operating system says; it knows the addresses of its sockets.
    pub fn addresses(&self) -> io::Result<Vec<BoundAddress>> {
        self.0.iter().map(Listener::address).collect()
    }

    /// Who may connect, where files decide that; it can be changed while they are served.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        #[cfg(unix)]
        return Permissions(self.0.iter().filter_map(Listener::file).collect());
        #[cfg(not(unix))]
        Permissions()
    }

    pub(crate) fn into_each(self) -> impl Iterator<Item = Listener> {
        self.0.into_iter()
    }
}

/// Who may connect to listening sockets, where files decide that: those of Unix sockets that were made here.
#[derive(Debug, Clone)]
pub struct Permissions(#[cfg(unix)] Vec<BoundFile>);

impl Permissions {
    /// Lets in from now on whom `at` lets in. Whoever has connected stays.
    ///
    /// # Errors
    /// What the operating system says, such as that a file is not there any more, or that the group is none of ours; then that
    /// file is as before.
    pub fn change(&self, at: &ListenAt) -> io::Result<()> {
        #[cfg(unix)]
        if let ListenAt::Unix(to) = at {
            return self.0.iter().try_for_each(|file| file.change(to));
        }
        #[cfg(not(unix))]
        let _ = at;
        Ok(())
    }
}

/// One listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Listener {
    pub(crate) fn address(&self) -> io::Result<BoundAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(BoundAddress::Tcp),
            #[cfg(unix)]
            Self::Unix(socket) => socket.path().map(BoundAddress::Unix),
        }
    }

    #[cfg(unix)]
    fn file(&self) -> Option<BoundFile> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(socket) => socket.file(),
        }
    }

    /// What requests are kept apart by, where they are by listener. A bound listener has an address; without one, listeners
    /// are not told apart.
    pub(crate) fn name(&self) -> Arc<str> {
        self.address().map(|address| address.to_string()).unwrap_or_default().into()
    }

    /// The next client, and where it comes from.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, ClientAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((stream.into(), ClientAddress::Ip(from.ip().to_canonical())))
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (stream, user) = socket.accept().await?;
                Ok((stream.into(), ClientAddress::User(user)))
            }
        }
    }
}
