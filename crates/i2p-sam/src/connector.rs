//! A way to a bridge that the program makes itself.

use std::{
    fmt,
    hash::{Hash, Hasher},
    io,
    pin::Pin,
    sync::Arc,
};

use tokio::net::UnixStream;

/// A connection in the making.
type Connecting = Pin<Box<dyn Future<Output = io::Result<UnixStream>> + Send>>;

/// Makes connections to a bridge that has no address: for example to a router that the program runs itself, and that no other
/// program is to reach. Clones are the same.
#[derive(Clone)]
pub struct Connector {
    name: Arc<str>,
    connect: Arc<dyn Fn() -> Connecting + Send + Sync>,
}

impl Connector {
    /// Makes connections with this function. Errors call the bridge by `name`.
    ///
    /// While there is no bridge, the function fails with [`io::ErrorKind::ConnectionRefused`].
    pub fn new<F>(name: impl Into<Arc<str>>, connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<UnixStream>> + Send + 'static,
    {
        Self { name: name.into(), connect: Arc::new(move || Box::pin(connect())) }
    }

    /// The name of the bridge.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a connection.
    pub(crate) async fn connect(&self) -> io::Result<UnixStream> {
        (self.connect)().await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Two are equal if one is a clone of the other.
impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.connect, &other.connect)
    }
}

impl Eq for Connector {}

impl Hash for Connector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
