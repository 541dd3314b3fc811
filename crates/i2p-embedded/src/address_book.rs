use std::{
    collections::HashMap,
    fs::File,
    future::{Future, ready},
    io::{self, Read},
    path::Path,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
};

use i2p_name::{Destination, HostName};

use crate::Error;

/// The largest `hosts.txt` that is read. I2P's own lists are under 1 MiB.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The longest line with a name in it: 67 characters, `=`, a destination of at most 3,868, and the signed extras of
/// I2P's newer lists.
const MAX_LINE: usize = 16 * 1024;

/// The host names that routers of this process know, as `example.i2p` with its destination.
///
/// A clone shares its entries with the original: names inserted later are known to routers that run already. I2P has no
/// name service in the network, so a name that is not in here is not found.
#[derive(Clone, Default)]
pub struct AddressBook {
    entries: Arc<RwLock<HashMap<HostName, Destination>>>,
}

/// What [`AddressBook::load_hosts_txt`] found in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostsTxt {
    /// Lines whose name and destination are now in the address book.
    pub loaded: usize,
    /// Lines that are neither an entry, nor empty, nor a comment. They changed nothing.
    pub skipped: usize,
    /// The number of the first skipped line, counted from 1.
    pub first_skipped: Option<usize>,
}

impl AddressBook {
    /// An empty address book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `host`, and gives the destination that it had before, if any.
    pub fn insert(&self, host: HostName, destination: Destination) -> Option<Destination> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).insert(host, destination)
    }

    /// The destination of `host`.
    #[must_use]
    pub fn get(&self, host: &HostName) -> Option<Destination> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// Adds all entries of a `hosts.txt`, the format of I2P's address books: one `name.i2p=BASE64` a line, extras after
    /// `#!`, comments after `#` or `;`. Of two entries with the same name the later counts. Bad lines are skipped and
    /// counted in the result, for the caller to warn of. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// [`Error::HostsTxt`] if the file cannot be read or is larger than 16 MiB; then nothing was added.
    pub fn load_hosts_txt(&self, path: impl AsRef<Path>) -> Result<HostsTxt, Error> {
        let path = path.as_ref();
        let text = read(path).map_err(|source| Error::HostsTxt { path: path.into(), source })?;
        Ok(self.load(&text))
    }

    fn load(&self, text: &[u8]) -> HostsTxt {
        let mut found = HostsTxt::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") || line.starts_with(b";") {
                continue;
            }
            if let Some((host, destination)) = entry(line) {
                self.insert(host, destination);
                found.loaded += 1;
            } else {
                found.skipped += 1;
                found.first_skipped.get_or_insert(index + 1);
            }
        }
        found
    }
}

/// Says how many names there are, not which: they are what the user visits.
impl std::fmt::Debug for AddressBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("AddressBook").field("entries", &entries).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
    }
    Ok(text)
}

fn entry(line: &[u8]) -> Option<(HostName, Destination)> {
    if line.len() > MAX_LINE {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?;
    let (host, rest) = line.split_once('=')?;
    let destination = rest.split_once('#').map_or(rest, |(destination, _)| destination);
    Some((host.trim_end().parse().ok()?, destination.trim().parse().ok()?))
}

/// The address book as emissary asks it. A type of its own, so that emissary's trait is not part of our interface.
pub(crate) struct RouterView(pub(crate) AddressBook);

impl RouterView {
    fn find(&self, host: &str) -> Option<Destination> {
        self.0.get(&host.parse().ok()?)
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

    #[test]
    fn entries_comments_extras_and_bad_lines() {
        let (one, two) = (destination(1), destination(2));
        let text = format!(
            "# comment\n; another\n\n one.i2p={}\r\ntwo.i2p={}#!date=1#sig=abc\nno destination.i2p\n\
             bad.i2p=AAAA\nlong.i2p={}\none.i2p={}\n\u{fffd}=\n",
            two.to_base64(),
            two.to_base64(),
            "A".repeat(MAX_LINE),
            one.to_base64(),
        );
        let book = AddressBook::new();
        let found = book.load(text.as_bytes());
        assert_eq!(found, HostsTxt { loaded: 3, skipped: 4, first_skipped: Some(6) });
        assert_eq!(book.get(&host("one.i2p")), Some(one));
        assert_eq!(book.get(&host("TWO.i2p")), Some(two));
        assert_eq!(book.get(&host("three.i2p")), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_a_skipped_line() {
        let found = AddressBook::new().load(b"\xff\xfe=\x00\n\xff");
        assert_eq!(found, HostsTxt { loaded: 0, skipped: 2, first_skipped: Some(1) });
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_FILE + 1).unwrap();
        let error = AddressBook::new().load_hosts_txt(file.path()).unwrap_err();
        assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
        file.as_file().set_len(MAX_FILE).unwrap();
        assert!(AddressBook::new().load_hosts_txt(file.path()).is_ok());
        assert!(AddressBook::new().load_hosts_txt("/does/not/exist").is_err());
    }

    #[tokio::test]
    async fn the_router_sees_names_that_were_added_later() {
        let book = AddressBook::new();
        let view = RouterView(book.clone());
        assert_eq!(view.resolve_base32("one.i2p"), None);
        book.insert(host("one.i2p"), destination(1));
        let found = view.resolve_base64("ONE.i2p".into()).await;
        assert_eq!(found, Some(destination(1).to_base64()));
        assert_eq!(view.resolve_base32("one.i2p"), Some(destination(1).b32().label()));
        assert_eq!(view.resolve_base32("not a name"), None);
    }
}
