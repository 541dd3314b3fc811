//! I2P sessions at a router: pools of them, streams and datagrams on them, names that are looked up on them.
//!
//! Imports client, failure, limits, names and stream. The only room that speaks SAM; nothing here knows SOCKS, HTTP or outproxies.

mod datagrams;
mod incoming;
mod names;
mod pool;
mod refusal;
mod rendezvous;
mod sam;

pub(crate) use self::incoming::refused;
pub use self::{
    datagrams::{DatagramLease, DatagramOptions, DatagramPool, DatagramSessionStatus, Datagrams},
    incoming::Incoming,
    pool::{PoolFull, PoolOptions, SessionDeadlines, SessionLease, SessionPool, SessionStatus},
    sam::{SamDialler, Tunnel},
};
