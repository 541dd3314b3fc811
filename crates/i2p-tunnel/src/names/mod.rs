//! From the text of a request to its target: names, their destinations, and virtual addresses.
//!
//! Imports `client`, `failure` and `stream`. It does not query routers itself: [`Resolver`] takes the query as a future.

mod addresses;
mod book;
mod cache;
mod resolver;
mod target;

pub(crate) use self::target::{DisplayTarget, OWN_HOST, parse_target};
pub use self::{
    addresses::{AddressLease, AddressOwner, AddressPool},
    book::{BookAnswer, KnownName, NameBook, NameOrigin},
    cache::NameCache,
    resolver::{LastResort, LookupIdentity, NameSource, OpenStreams, Resolver, ResolverTimes},
    target::{is_own_host, name_of, target_to_dial},
};
