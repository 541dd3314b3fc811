//! UDP ASSOCIATE (RFC 1928 section 7): datagrams between a client and I2P, and to hosts outside I2P by relays of outproxies.

mod association;
mod client_side;
mod descriptors;
mod incoming;
mod outgoing;
mod peers;
mod queue;
mod source;

pub(crate) use self::association::associate;
pub use self::descriptors::datagram_descriptors;
