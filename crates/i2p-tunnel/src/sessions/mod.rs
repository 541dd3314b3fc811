//! I2P sessions at a router: pools of sessions, and streams, datagrams and name lookups on them.
//!
//! Imports `client`, `dial`, `failure`, `limits`, `log_throttle`, `names` and `stream`. This is the only module that speaks SAM: it
//! implements [`Dial`](crate::Dial), and knows nothing of SOCKS, HTTP or outproxies.

mod attempt_error;
mod datagrams;
mod dial;
mod dialler;
mod listening;
mod names;
mod pool;
mod rendezvous;

pub use self::{
    datagrams::{DatagramOptions, DatagramPool, DatagramSessionStatus, SamDatagrams},
    dialler::SamDialler,
    listening::SamListening,
    pool::{PoolOptions, SessionOwner, SessionPool, SessionStatus},
};
