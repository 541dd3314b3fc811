use std::pin::Pin;

use i2p_name::{B32, HostName, I2pName};

/// The answer of a [`NameBook`], which may have to read the disk or to ask the router.
pub type BookAnswer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What people see and change of host names on the proxy's own pages: an address book, and the other places that know names.
///
/// Errors are texts for people. They never contain a name.
pub trait NameBook: Send + Sync + 'static {
    /// Whether names can be kept. If not, `keep` fails.
    fn keeps_names(&self) -> bool;

    /// What a name leads to without a jump service; `None` if no source knows it, or none answers.
    fn known<'a>(&'a self, name: &'a HostName) -> BookAnswer<'a, Option<KnownName>>;

    /// Whether the person, or the holder of the name, has removed this destination from the name.
    fn was_removed<'a>(&'a self, name: &'a HostName, destination: &'a I2pName) -> BookAnswer<'a, bool>;

    /// The names of a destination in the address book, at most `limit`.
    fn names_of(&self, destination: B32, limit: usize) -> BookAnswer<'_, Vec<HostName>>;

    /// Names that are spelt almost like this one, the most similar first, at most `limit`.
    fn similar<'a>(&'a self, name: &'a HostName, limit: usize) -> BookAnswer<'a, Vec<HostName>>;

    /// A page of the address book in alphabetical order: names that begin with `start` and come after `after`, at most `limit`.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn list<'a>(
        &'a self,
        start: &'a str,
        after: Option<&'a HostName>,
        limit: usize,
    ) -> BookAnswer<'a, Result<Vec<(HostName, B32)>, String>>;

    /// Keeps a name in the address book, where no feed changes it any more. It replaces the destination `shown`, which the person
    /// was shown as that of the address book; without one, it must not replace any.
    ///
    /// # Errors
    /// Why it was not kept.
    fn keep<'a>(
        &'a self,
        name: &'a HostName,
        destination: &'a I2pName,
        shown: Option<B32>,
    ) -> BookAnswer<'a, Result<(), String>>;
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName {
    /// The destination, or a hash or key of it.
    pub destination: I2pName,
    /// Who says so.
    pub origin: NameOrigin,
}

/// Who knows a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOrigin {
    /// The configuration. What is kept in the address book does not change it.
    Configuration,
    /// The address book of the proxy.
    AddressBook,
    /// The router's address book, which is asked last.
    Router,
}
