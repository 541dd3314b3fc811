//! What is wrong with the address book, as the status shows it.

use std::{fmt, sync::Arc};

/// Where it is read whether the proxy runs without the address book that its configuration wants, or cannot change it.
#[derive(Clone)]
pub(crate) struct AddressBookSource(Arc<dyn Fn() -> Option<String> + Send + Sync>);

impl AddressBookSource {
    /// Reads with this function what is wrong, for people, without the end of the sentence; `None`: nothing is.
    pub(crate) fn new(read: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(super) fn read(&self) -> Option<String> {
        (self.0)()
    }
}

impl fmt::Debug for AddressBookSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AddressBookSource").field(&self.read()).finish()
    }
}
