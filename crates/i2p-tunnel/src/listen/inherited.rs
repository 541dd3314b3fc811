//! Sockets that the parent process opened for this one: sd_listen_fds(3).

use std::{fmt, sync::Mutex};

use super::{listener::Listener, place::BindCause};

/// Listening sockets inherited from the parent process, by name. Each can be taken once.
pub struct InheritedSockets(Mutex<Vec<(String, InheritedSocket)>>);

/// The socket of a file descriptor. It becomes a [`Listener`] once it is taken, since that needs the runtime.
enum InheritedSocket {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
    Other,
}

impl InheritedSockets {
    /// No sockets.
    #[must_use]
    pub fn none() -> Self {
        Self(Mutex::default())
    }

    /// Takes over the sockets that the environment describes (`LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`). Sockets without a
    /// name are called `unknown`, as in systemd.
    ///
    /// Call this once per process: the returned value owns the file descriptors.
    #[must_use]
    pub fn from_environment() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut sockets = listenfd::ListenFd::from_env();
        let inherited = (0..sockets.len()).map(|index| {
            let name = names.next().unwrap_or("unknown").to_owned();
            (name, socket_at(&mut sockets, index))
        });
        Self(Mutex::new(inherited.collect()))
    }

    /// Takes all sockets of this name. Several sockets can have the same name.
    pub(crate) fn take(&self, name: &str) -> Result<Vec<Listener>, BindCause> {
        let mut sockets = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let taken: Vec<_> = sockets.extract_if(.., |(other, _)| other == name).collect();
        if taken.is_empty() {
            return Err(BindCause::NotInherited);
        }
        taken.into_iter().map(|(_, socket)| listener(socket)).collect()
    }
}

fn socket_at(sockets: &mut listenfd::ListenFd, index: usize) -> InheritedSocket {
    if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
        return InheritedSocket::Tcp(listener);
    }
    #[cfg(unix)]
    if let Ok(Some(listener)) = sockets.take_unix_listener(index) {
        return InheritedSocket::Unix(listener);
    }
    InheritedSocket::Other
}

fn listener(socket: InheritedSocket) -> Result<Listener, BindCause> {
    match socket {
        InheritedSocket::Tcp(listener) if is_listening(&listener) => {
            listener.set_nonblocking(true)?;
            Ok(Listener::Tcp(tokio::net::TcpListener::from_std(listener)?))
        }
        #[cfg(unix)]
        InheritedSocket::Unix(listener) if is_listening(&listener) => {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            Ok(Listener::Unix(super::unix_socket::UnixSocket::inherited(listener)))
        }
        _ => Err(BindCause::NotListening),
    }
}

/// Accepting on a connected socket always fails, so the accept loop would never end.
#[cfg(unix)]
fn is_listening(socket: &impl std::os::fd::AsFd) -> bool {
    socket2::SockRef::from(socket).is_listener().unwrap_or(false)
}

#[cfg(not(unix))]
fn is_listening(_: &impl Sized) -> bool {
    true
}

impl fmt::Debug for InheritedSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InheritedSockets(..)")
    }
}
