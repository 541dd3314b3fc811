#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod addresses;
mod bind;
mod connection;
mod datagrams;
mod dial;
mod failure;
mod failure_log;
mod http_page;
mod isolation;
mod limits;
mod listener;
mod pool;
mod relay;
mod resolve;
mod resolver;
mod sam_dialler;
mod service;
mod socket;
mod target;

pub use addresses::{AddressLease, AddressPool};
pub use bind::Incoming;
pub use datagrams::{DatagramCounts, DatagramOptions, DatagramPool, DatagramRules, Datagrams, Dropped, Seat};
pub use dial::{ClientEnd, Dial, Opened};
pub use failure::{Failure, Row};
pub use isolation::{Client, ClientAddress, ClientCredentials, Isolate, IsolationKey};
pub use limits::{Limits, SessionLimits};
pub use listener::{BindError, Listeners, serve};
pub use pool::{Lease, PoolFull, PoolOptions, SessionPool, SessionStatus, Wait};
pub use resolver::{LastResort, NameSource, Resolver, ResolverTimes};
pub use sam_dialler::{SamDialler, Tunnel};
pub use service::Service;
pub use socket::Socket;
