use std::io;

use tokio::net::TcpListener;

#[cfg(unix)]
use super::unix_socket::{self, BoundFile};
use super::{
    gateway,
    inherited::InheritedSockets,
    listener::Listener,
    place::{BindError, BoundAddress, ListenAt},
};

/// A set of listening sockets. Clients can connect once this exists; they wait until [`serve`](crate::serve) runs.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

impl Listeners {
    /// Listens on all of `places`, or on none.
    ///
    /// # Errors
    /// [`BindError`] for the first place that fails. [`ListenAt::Inherited`] always fails here.
    pub async fn bind(places: &[ListenAt]) -> Result<Self, BindError> {
        Self::bind_or_inherit(places, &InheritedSockets::none()).await
    }

    /// Like [`bind`](Self::bind), with inherited sockets.
    ///
    /// # Errors
    /// [`BindError`] for the first place that fails.
    pub async fn bind_or_inherit(
        places: &[ListenAt],
        inherited: &InheritedSockets,
    ) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(places.len());
        for at in places {
            let bound = match at {
                ListenAt::Tcp(address) => {
                    TcpListener::bind(address).await.map(|it| vec![Listener::Tcp(it)]).map_err(Into::into)
                }
                #[cfg(unix)]
                ListenAt::Unix(file) => unix_socket::bind(file).await.map(|it| vec![Listener::Unix(it)]),
                ListenAt::Inherited(name) => inherited.take(name),
                ListenAt::Transparent(how, address) => {
                    gateway::bind_transparent(*how, *address).map(|it| vec![it]).map_err(Into::into)
                }
                ListenAt::Dns(address) => {
                    gateway::bind_dns(*address).await.map(|it| vec![it]).map_err(Into::into)
                }
            };
            listeners.extend(bound.map_err(|cause| BindError { at: at.clone(), cause })?);
        }
        Ok(Self(listeners))
    }

    /// Listens on a Unix socket for contained programs, as which [`for_contained_programs`](crate::Service::for_contained_programs)
    /// serves its clients. Only our own user and root can connect. A process that connects is one client, with a share of its own.
    ///
    /// # Errors
    /// [`BindError`], as for [`ListenAt::Unix`].
    #[cfg(unix)]
    pub async fn bind_for_contained_programs(path: &std::path::Path) -> Result<Self, BindError> {
        let file = super::place::SocketFile::new(path);
        match unix_socket::bind(&file).await {
            Ok(socket) => Ok(Self(vec![Listener::Contained(socket)])),
            Err(cause) => Err(BindError { at: ListenAt::Unix(file), cause }),
        }
    }

    /// The addresses of all sockets, in the order of the places. A place has several if its name was inherited several times.
    ///
    /// # Errors
    /// The operating system's error; reading the address of an open socket normally succeeds.
    pub fn addresses(&self) -> io::Result<Vec<BoundAddress>> {
        self.0.iter().map(Listener::address).collect()
    }

    /// The file permissions of the Unix sockets created here. They can be changed while clients are served.
    #[must_use]
    pub fn permissions(&self) -> SocketPermissions {
        #[cfg(unix)]
        return SocketPermissions(self.0.iter().filter_map(Listener::file).collect());
        #[cfg(not(unix))]
        SocketPermissions()
    }

    pub(crate) fn into_each(self) -> impl Iterator<Item = Listener> {
        self.0.into_iter()
    }
}

/// The file permissions of Unix sockets created here: they decide who is allowed to connect.
#[derive(Debug, Clone)]
pub struct SocketPermissions(#[cfg(unix)] Vec<BoundFile>);

impl SocketPermissions {
    /// Sets the mode and group of the sockets to those of `at`. Existing connections stay.
    ///
    /// # Errors
    /// The operating system's error, for instance if a file has been removed or this process is not in the group. That file
    /// then keeps its previous permissions.
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
