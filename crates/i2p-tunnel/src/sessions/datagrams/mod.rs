//! Sessions for datagrams, and the one that a client has.

mod client;
mod pool;

pub use self::{
    client::SamDatagrams,
    pool::{DatagramOptions, DatagramPool, DatagramSessionStatus},
};
