//! I2P sessions at a router: pools of them, streams and datagrams on them, names that are looked up on them.
//!
//! Imports client, dial, failure, limits, names and stream. The only room that speaks SAM: it implements [`Dial`](crate::Dial), and
//! nothing in it knows SOCKS, HTTP or outproxies.

mod datagrams;
mod dial;
mod dialler;
mod listening;
mod names;
mod pool;
mod refusal;
mod rendezvous;

pub use self::{
    datagrams::{DatagramOptions, DatagramPool, DatagramSessionStatus, SamDatagrams},
    dialler::SamDialler,
    listening::SamListening,
    pool::{PoolFull, PoolOptions, SessionDeadlines, SessionLease, SessionPool, SessionStatus},
};
