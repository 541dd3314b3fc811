//! Sessions for datagrams: the pool, and a client's use of one session.

mod client;
mod pool;
mod room;

pub use self::{
    client::SamDatagrams,
    pool::{DatagramOptions, DatagramPool, DatagramSessionStatus},
};
