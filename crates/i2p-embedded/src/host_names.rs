use std::{
    collections::HashMap,
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
};

use i2p_name::{Destination, HostName};

/// Resolves host names for a router's SAM bridge. The I2P network has no name service, so a name that is unknown here is not
/// found.
pub trait HostNames: Send + Sync + 'static {
    /// Returns the destination of `host`. The router's thread calls this, so it must not block for longer than a disk access.
    fn destination(&self, host: &HostName) -> Option<Destination>;
}

/// Host names in memory, such as `example.i2p`, with their destinations.
///
/// Clones share their entries, so a running router finds names that are inserted later.
#[derive(Clone, Default)]
pub struct HostTable {
    entries: Arc<RwLock<HashMap<HostName, Destination>>>,
}

impl HostNames for HostTable {
    fn destination(&self, host: &HostName) -> Option<Destination> {
        self.get(host)
    }
}

impl HostTable {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the destination of `host`. Returns the previous one, if any.
    pub fn insert(&self, host: HostName, destination: Destination) -> Option<Destination> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(host, destination)
    }

    /// Returns the destination of `host`.
    #[must_use]
    pub fn get(&self, host: &HostName) -> Option<Destination> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }
}

/// Shows the number of names only: the names tell what the user visits.
impl std::fmt::Debug for HostTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("HostTable").field("entries", &entries).finish_non_exhaustive()
    }
}

/// Adapts host names to emissary's trait, which is not part of our interface.
pub(crate) struct RouterView(pub(crate) Arc<dyn HostNames>);

impl RouterView {
    fn find(&self, host: &str) -> Option<Destination> {
        self.0.destination(&host.parse().ok()?)
    }
}

impl emissary_core::runtime::AddressBook for RouterView {
    fn resolve_base64(&self, host: String) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
        Box::pin(ready(self.find(&host).map(|destination| destination.to_base64())))
    }

    fn resolve_base32(&self, host: &str) -> Option<String> {
        self.find(host).map(|destination| destination.b32().label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emissary_core::runtime::AddressBook as _;

    fn destination(fill: u8) -> Destination {
        let mut bytes = vec![fill; 384];
        bytes.extend([5, 0, 4, 0, 7, 0, 4]);
        Destination::from_bytes(bytes).unwrap()
    }

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn the_router_sees_names_that_were_added_later() {
        let book = HostTable::new();
        let view = RouterView(Arc::new(book.clone()));
        assert_eq!(view.resolve_base32("one.i2p"), None);
        book.insert(host("one.i2p"), destination(1));
        let found = view.resolve_base64("ONE.i2p".into()).await;
        assert_eq!(found, Some(destination(1).to_base64()));
        assert_eq!(view.resolve_base32("one.i2p"), Some(destination(1).b32().label()));
        assert_eq!(view.resolve_base32("not a name"), None);
    }
}
