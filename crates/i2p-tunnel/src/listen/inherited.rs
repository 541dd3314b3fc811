//! Sockets that whoever started this process made for it: sd_listen_fds(3).

use std::{fmt, sync::Mutex};

use super::{listener::Listener, place::BindCause};

/// Listening sockets that were handed down, by name.
pub struct InheritedSockets(Mutex<Vec<(String, Found)>>);

/// What is at a number, made into a listener when it is asked for: that needs the runtime.
enum Found {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
    Other,
}

impl InheritedSockets {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self(Mutex::default())
    }

    /// Those that the environment tells of (`LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`). Sockets without a name are called
    /// `unknown`, as systemd does.
    ///
    /// To be called once in a process: from then on the sockets belong to what this gives.
    #[must_use]
    pub fn from_environment() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut sockets = listenfd::ListenFd::from_env();
        let found = (0..sockets.len()).map(|index| {
            let name = names.next().unwrap_or("unknown").to_owned();
            (name, found(&mut sockets, index))
        });
        Self(Mutex::new(found.collect()))
    }

    /// The sockets of this name, of which there can be several. They can be taken once.
    pub(crate) fn take(&self, name: &str) -> Result<Vec<Listener>, BindCause> {
        let mut sockets = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let taken: Vec<_> = sockets.extract_if(.., |(found, _)| found == name).collect();
        if taken.is_empty() {
            return Err(BindCause::NotInherited);
        }
        taken.into_iter().map(|(_, found)| listener(found)).collect()
    }
}

fn found(sockets: &mut listenfd::ListenFd, index: usize) -> Found {
    if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
        return Found::Tcp(listener);
    }
    #[cfg(unix)]
    if let Ok(Some(listener)) = sockets.take_unix_listener(index) {
        return Found::Unix(listener);
    }
    Found::Other
}

fn listener(found: Found) -> Result<Listener, BindCause> {
    match found {
        Found::Tcp(listener) if is_listening(&listener) => {
            listener.set_nonblocking(true)?;
            Ok(Listener::Tcp(tokio::net::TcpListener::from_std(listener)?))
        }
        #[cfg(unix)]
        Found::Unix(listener) if is_listening(&listener) => {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::UnixListener::from_std(listener)?;
            Ok(Listener::Unix(super::unix_socket::UnixSocket::inherited(listener)))
        }
        _ => Err(BindCause::NotListening),
    }
}

/// Nothing can be accepted from a stream that is connected, and trying would have no end.
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
