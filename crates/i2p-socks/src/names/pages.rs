//! Host names on the proxy's own pages in a browser.

use std::{future::ready, time::Duration};

use i2p_address_book::{AddressBook, BookEntry, BookError, difference};
use i2p_name::{B32, Destination, HostName, I2pName};
use i2p_tunnel::{BookAnswer, KnownName, NameBook, NameOrigin, NameSource};
use tokio::time::timeout;

use super::service::NameService;

/// How long the router may take to say what it knows.
const ROUTER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the router may take to find the destination behind a base32 address.
const LEASE_SET_TIMEOUT: Duration = Duration::from_secs(60);

impl NameBook for NameService {
    fn keeps_names(&self) -> bool {
        self.book().is_ok()
    }

    fn known<'a>(&'a self, name: &'a HostName) -> BookAnswer<'a, Option<KnownName>> {
        Box::pin(async move {
            let known = |origin| move |destination| KnownName { destination, origin };
            if let Some(found) = self.fixed_names().get(name) {
                return Some(known(NameOrigin::Configuration)(found.clone()));
            }
            if let Some(found) = self.book().ok().and_then(|book| book.find(name)) {
                return Some(known(NameOrigin::AddressBook)(found));
            }
            let found = timeout(ROUTER_TIMEOUT, self.ask_router(name)).await.ok().flatten();
            found.map(I2pName::from).map(known(NameOrigin::Router))
        })
    }

    fn was_removed<'a>(&'a self, name: &'a HostName, destination: &'a I2pName) -> BookAnswer<'a, bool> {
        let (Ok(book), I2pName::Destination(destination)) = (self.book(), destination) else {
            return Box::pin(ready(false));
        };
        let (name, destination) = (name.clone(), destination.clone());
        Box::pin(async move {
            let removed = book.work(move |book| book.was_removed(&name, &destination)).await;
            removed.unwrap_or_default()
        })
    }

    fn names_of(&self, destination: B32, limit: usize) -> BookAnswer<'_, Vec<HostName>> {
        Box::pin(async move {
            let Ok(book) = self.book() else { return Vec::new() };
            book.work(move |book| book.names_of(&destination, limit)).await.unwrap_or_default()
        })
    }

    fn similar<'a>(&'a self, name: &'a HostName, limit: usize) -> BookAnswer<'a, Vec<HostName>> {
        Box::pin(async move {
            let searched = name.clone();
            let book = match self.book() {
                Ok(book) => book.work(move |book| book.similar(&searched, limit)).await.unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            let fixed = self.fixed_names().keys().cloned();
            let mut all: Vec<_> = fixed
                .chain(book)
                .filter_map(|found| Some((difference(found.as_str(), name.as_str())?, found)))
                .collect();
            all.sort();
            all.dedup();
            all.into_iter().map(|(_, found)| found).take(limit).collect()
        })
    }

    fn list<'a>(
        &'a self,
        start: &'a str,
        after: Option<&'a HostName>,
        limit: usize,
    ) -> BookAnswer<'a, Result<Vec<(HostName, B32)>, String>> {
        let (start, after) = (start.to_owned(), after.cloned());
        Box::pin(async move {
            let listed = self.book()?.work(move |book| book.list(&start, after.as_ref(), limit)).await?;
            let b32 = |entry: &BookEntry| entry.destinations.first().map(Destination::b32);
            let named = |entry: BookEntry| b32(&entry).map(|b32| (entry.host, b32));
            Ok(listed.into_iter().filter_map(named).collect())
        })
    }

    fn keep<'a>(
        &'a self,
        name: &'a HostName,
        destination: &'a I2pName,
        shown: Option<B32>,
    ) -> BookAnswer<'a, Result<(), String>> {
        Box::pin(async move {
            let book = self.book()?;
            let destination = self.whole_destination(destination).await?;
            let name = name.clone();
            book.work(move |book| keep(book, &name, &destination, shown)).await?;
            self.forget_resolved();
            Ok(())
        })
    }
}

impl NameService {
    /// The destination itself, which an address book needs.
    async fn whole_destination(&self, name: &I2pName) -> Result<Destination, String> {
        match name {
            I2pName::Destination(destination) => Ok((**destination).clone()),
            I2pName::B32(b32) => {
                let found = timeout(LEASE_SET_TIMEOUT, self.destination_of(*b32)).await;
                let found = found.unwrap_or_else(|_| Err("the router does not find it in time".to_owned()));
                found.map_err(|why| {
                    format!(
                        "the link has only a hash of the destination, and the destination is not known: {why}"
                    )
                })
            }
            _ => Err("the address book cannot keep the address of an encrypted lease set".to_owned()),
        }
    }
}

/// Adds a name, or replaces the destination that the person was shown.
fn keep(
    book: &AddressBook,
    name: &HostName,
    destination: &Destination,
    shown: Option<B32>,
) -> Result<(), BookError> {
    let is_shown = shown.is_some() && book.lookup(name)?.map(|old| old.b32()) == shown;
    if is_shown { book.replace(name, destination) } else { book.add(name, destination) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(fill: u8) -> Destination {
        Destination::from_bytes([&[fill; 384][..], &[0, 0, 0]].concat()).unwrap()
    }

    #[test]
    fn only_what_was_shown_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let book = AddressBook::open(directory.path().join("names.redb")).unwrap();
        let (name, [one, two, three]) = ("a.i2p".parse().unwrap(), [1, 2, 3].map(destination));
        let now = || book.lookup(&name).unwrap();
        keep(&book, &name, &one, None).unwrap();
        assert_eq!(now(), Some(one.clone()));
        for shown in [None, Some(three.b32())] {
            assert!(matches!(keep(&book, &name, &two, shown), Err(BookError::NameTaken)), "{shown:?}");
        }
        assert_eq!(now(), Some(one.clone()));
        keep(&book, &name, &two, Some(one.b32())).unwrap();
        assert_eq!(now(), Some(two.clone()));
        book.remove(&name).unwrap();
        keep(&book, &name, &three, Some(two.b32())).unwrap();
        assert_eq!(now(), Some(three));
    }
}
