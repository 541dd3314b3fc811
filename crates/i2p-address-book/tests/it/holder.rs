//! A holder of an Ed25519 destination, who signs commands, and an address book in a temporary directory.

use std::path::PathBuf;

use ed25519_dalek::{Signer, SigningKey};
use i2p_address_book::{AddressBook, FeedName, ImportReport, Limits};
use i2p_name::{Destination, HostName, base64};

pub(crate) struct Holder {
    key: SigningKey,
    pub(crate) destination: Destination,
}

impl Holder {
    pub(crate) fn new(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let mut bytes = vec![seed; 352];
        bytes.extend(key.verifying_key().as_bytes());
        bytes.extend([5, 0, 4, 0, 7, 0, 4]);
        Self { key, destination: Destination::from_bytes(bytes).unwrap() }
    }

    pub(crate) fn base64(&self) -> String {
        self.destination.to_base64()
    }

    /// An unsigned line about a name.
    pub(crate) fn entry(&self, host: &str) -> String {
        format!("{host}={}\n", self.base64())
    }

    /// A signed line about a name.
    pub(crate) fn change(&self, host: &str, properties: &[(&str, &str)]) -> String {
        self.signed(self.entry(host).trim_end(), properties)
    }

    /// A signed line about a name that another holder must sign too.
    pub(crate) fn change_from(&self, host: &str, old: &Self, properties: &[(&str, &str)]) -> String {
        let entry = self.entry(host);
        let olddest = old.base64();
        let mut properties = properties.to_vec();
        properties.push(("olddest", &olddest));
        let oldsig = old.sign(&text(entry.trim_end(), &properties));
        properties.push(("oldsig", &oldsig));
        self.signed(entry.trim_end(), &properties)
    }

    /// A signed line that removes names.
    pub(crate) fn removal(&self, properties: &[(&str, &str)]) -> String {
        let dest = self.base64();
        let mut properties = properties.to_vec();
        properties.push(("dest", &dest));
        self.signed("", &properties)
    }

    fn signed(&self, entry: &str, properties: &[(&str, &str)]) -> String {
        let sig = self.sign(&text(entry, properties));
        let mut properties = properties.to_vec();
        properties.push(("sig", &sig));
        text(entry, &properties) + "\n"
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        base64::encode(&self.key.sign(text.as_bytes()).to_bytes())
    }
}

/// A line with sorted properties.
pub(crate) fn text(entry: &str, properties: &[(&str, &str)]) -> String {
    let mut properties = properties.to_vec();
    properties.sort_unstable();
    let pairs: Vec<_> = properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { entry.to_owned() } else { format!("{entry}#!{}", pairs.join("#")) }
}

pub(crate) fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

/// An address book in a temporary directory.
pub(crate) struct Shelf {
    directory: tempfile::TempDir,
    pub(crate) book: AddressBook,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let book = AddressBook::open_with(directory.path().join("names.redb"), limits).unwrap();
        Self { directory, book }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("names.redb")
    }

    pub(crate) fn import(&self, text: impl AsRef<[u8]>) -> ImportReport {
        self.import_from("hosts.txt", text)
    }

    pub(crate) fn import_from(&self, source: &str, text: impl AsRef<[u8]>) -> ImportReport {
        self.book.import(text.as_ref(), &FeedName::new(source)).unwrap()
    }

    pub(crate) fn lookup(&self, name: &str) -> Option<Destination> {
        self.book.lookup(&host(name)).unwrap()
    }
}
