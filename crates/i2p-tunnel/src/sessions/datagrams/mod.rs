//! Sessions for datagrams, and the one that a client has.

mod client;
mod pool;

pub use self::{
    client::Datagrams,
    pool::{DatagramLease, DatagramOptions, DatagramPool, DatagramSessionStatus},
};
