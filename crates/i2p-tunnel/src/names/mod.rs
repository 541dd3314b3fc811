//! From what a client writes to a target: names and their destinations, virtual addresses and their names.
//!
//! Imports client and failure. Routers are asked elsewhere: [`Resolver`] is given the question as a future.

mod addresses;
mod resolver;
mod target;

pub(crate) use self::target::{Shown, dialled, meaningless, named};
pub use self::{
    addresses::{AddressLease, AddressPool},
    resolver::{LastResort, NameSource, Resolver, ResolverTimes},
};
