//! UDP ASSOCIATE (RFC 1928 section 7): datagrams between a client and I2P.

mod association;
mod bounds;
mod client;
mod counts;
mod exits;
mod peers;
mod pool;
mod queue;
mod rules;

pub(crate) use self::association::associate;
pub use self::{
    client::Datagrams,
    counts::{DatagramCounts, Dropped},
    exits::WaysOut,
    pool::{DatagramOptions, DatagramPool, DatagramSessionStatus, Seat},
    rules::DatagramRules,
};
