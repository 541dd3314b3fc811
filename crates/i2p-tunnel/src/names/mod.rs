//! From the text of a request to its target: names, their destinations, and virtual addresses.
//!
//! Imports `client` and `failure`. It does not query routers itself: [`Resolver`] takes the query as a future.

mod addresses;
mod resolver;
mod target;

pub(crate) use self::{
    addresses::AddressLease,
    target::{DisplayTarget, parse_target, target_to_dial, unmapped_address},
};
pub use self::{
    addresses::{AddressOwner, AddressPool},
    resolver::{LastResort, NameSource, Resolver, ResolverTimes},
};
