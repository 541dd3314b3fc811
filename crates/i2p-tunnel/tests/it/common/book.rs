//! An address book in memory, for the proxy's own pages.

use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex},
};

use i2p_name::{B32, HostName, I2pName};
use i2p_tunnel::{BookAnswer, KnownName, NameBook, NameOrigin};

/// Clones are the same book.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<BTreeMap<String, (I2pName, NameOrigin)>>>);

impl Book {
    pub(crate) fn add(&self, name: &str, destination: &str, origin: NameOrigin) {
        let destination = I2pName::parse(destination).unwrap();
        self.0.lock().unwrap().insert(name.to_owned(), (destination, origin));
    }

    /// What it says of a name.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).map(|(destination, _)| destination.to_string())
    }
}

pub(crate) fn b32(name: &I2pName) -> B32 {
    match name {
        I2pName::B32(b32) => *b32,
        I2pName::Destination(destination) => destination.b32(),
        other => panic!("{other:?}"),
    }
}

impl NameBook for Book {
    fn keeps_names(&self) -> bool {
        true
    }

    fn known<'a>(&'a self, name: &'a HostName) -> BookAnswer<'a, Option<KnownName>> {
        let found = self.0.lock().unwrap().get(name.as_str()).cloned();
        Box::pin(ready(found.map(|(destination, origin)| KnownName { destination, origin })))
    }

    fn was_removed<'a>(&'a self, name: &'a HostName, _: &'a I2pName) -> BookAnswer<'a, bool> {
        Box::pin(ready(name.as_str() == "removed.i2p"))
    }

    fn names_of(&self, destination: B32, limit: usize) -> BookAnswer<'_, Vec<HostName>> {
        let names = self.0.lock().unwrap();
        let of = names.iter().filter(|(_, (known, _))| b32(known) == destination);
        Box::pin(ready(of.take(limit).map(|(name, _)| name.parse().unwrap()).collect()))
    }

    fn similar<'a>(&'a self, name: &'a HostName, limit: usize) -> BookAnswer<'a, Vec<HostName>> {
        let names = self.0.lock().unwrap();
        let similar = names.keys().filter(|known| known.len() == name.as_str().len());
        Box::pin(ready(similar.take(limit).map(|name| name.parse().unwrap()).collect()))
    }

    fn list<'a>(
        &'a self,
        start: &'a str,
        after: Option<&'a HostName>,
        limit: usize,
    ) -> BookAnswer<'a, Result<Vec<(HostName, B32)>, String>> {
        let names = self.0.lock().unwrap();
        let listed = names.iter().filter(|(name, _)| {
            name.starts_with(start) && after.is_none_or(|after| name.as_str() > after.as_str())
        });
        let listed = listed.take(limit).map(|(name, (known, _))| (name.parse().unwrap(), b32(known)));
        Box::pin(ready(Ok(listed.collect())))
    }

    fn keep<'a>(
        &'a self,
        name: &'a HostName,
        destination: &'a I2pName,
        shown: Option<B32>,
    ) -> BookAnswer<'a, Result<(), String>> {
        let mut names = self.0.lock().unwrap();
        let kept = match names.get(name.as_str()) {
            Some((old, NameOrigin::AddressBook)) if Some(b32(old)) != shown => {
                Err("it has changed".to_owned())
            }
            _ => {
                names.insert(name.as_str().to_owned(), (destination.clone(), NameOrigin::AddressBook));
                Ok(())
            }
        };
        Box::pin(ready(kept))
    }
}
