//! The address of a bridge that changes while the program runs.

use std::{
    fmt,
    hash::{Hash, Hasher},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::net::TcpStream;

/// The TCP address of a bridge that changes while the program runs: for example of a router that the program starts itself, and
/// that may listen on another port after each start. Clones are the same address.
///
/// While there is no address, connections fail with [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
#[derive(Clone)]
pub struct ChangingAddress {
    name: Arc<str>,
    now: Arc<Mutex<Option<Place>>>,
}

/// Where the bridge listens.
#[derive(Clone)]
struct Place {
    address: SocketAddr,
    still_listens: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl ChangingAddress {
    /// Returns one without an address. Errors call the bridge by `name`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), now: Arc::default() }
    }

    /// The name of the bridge.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets where the bridge listens from now on.
    ///
    /// Another program can take the port as soon as the bridge has lost it. So `still_listens` is asked after each connection is
    /// made, and nothing is sent unless it returns `true`. It must not block.
    pub fn set(&self, address: SocketAddr, still_listens: impl Fn() -> bool + Send + Sync + 'static) {
        *self.lock() = Some(Place { address, still_listens: Arc::new(still_listens) });
    }

    /// Forgets the address: the bridge listens no more.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    /// Returns where the bridge listens now.
    #[must_use]
    pub fn get(&self) -> Option<SocketAddr> {
        self.lock().as_ref().map(|place| place.address)
    }

    /// Connects to the bridge, and to no other program that has taken its port.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let place = self.lock().clone().ok_or(io::ErrorKind::ConnectionRefused)?;
        let stream = TcpStream::connect(place.address).await?;
        if !(place.still_listens)() {
            let why = "another program has taken its port";
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
        }
        Ok(stream)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Place>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ChangingAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangingAddress")
            .field("name", &self.name)
            .field("now", &self.get())
            .finish_non_exhaustive()
    }
}

/// Two are equal if one is a clone of the other.
impl PartialEq for ChangingAddress {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.now, &other.now)
    }
}

impl Eq for ChangingAddress {}

impl Hash for ChangingAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
