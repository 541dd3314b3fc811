use std::io;

use tokio::net::TcpListener;

#[cfg(unix)]
use super::unix_socket::{self, BoundFile};
use super::{
    inherited::InheritedSockets,
    listener::Listener,
    place::{BindError, BoundAddress, ListenAt},
};

/// Listening sockets. Clients can connect from the moment they exist, and wait until [`serve`](crate::serve) runs.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

impl Listeners {
    /// Listens at all of the places, or at none.
    ///
    /// # Errors
    /// [`BindError`] for the first place that cannot be had; [`ListenAt::Inherited`] never can.
    pub async fn bind(places: &[ListenAt]) -> Result<Self, BindError> {
        Self::bind_or_inherit(places, &InheritedSockets::none()).await
    }

    /// The same with sockets that were handed down.
    ///
    /// # Errors
    /// [`BindError`] for the first place that cannot be had.
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

/// Who may connect to listening sockets, where files decide that: those of Unix sockets that were made here.
#[derive(Debug, Clone)]
pub struct SocketPermissions(#[cfg(unix)] Vec<BoundFile>);

impl SocketPermissions {
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
