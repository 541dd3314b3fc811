#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod account;
mod addresses;

mod connection;
mod dial;
mod failure;
mod failure_log;
mod http_page;
mod isolation;
mod limits;
mod listener;
pub mod metrics;
mod pool;
mod relay;
mod remedy;
mod resolve;
mod resolver;
mod sam_dialler;
mod sensitive;
mod service;
mod socket;
mod stop;
mod target;

pub use account::Account;
pub use addresses::{AddressLease, AddressPool};
pub use dial::{ClientEnd, Dial, Opened};
pub use failure::{Failure, Row};
pub use failure_log::RecentFailure;
pub use isolation::{Client, ClientAddress, ClientCredentials, Isolate, IsolationKey};
pub use limits::{Limits, SessionLimits};
pub use listener::{BindError, Listeners, serve};
pub use metrics::Metrics;
pub use pool::{Lease, PoolFull, PoolOptions, SessionPool, SessionStatus, Wait};
pub use resolver::{LastResort, NameSource, Resolver, ResolverTimes};
pub use sam_dialler::{SamDialler, Tunnel};
pub use sensitive::{Sensitive, show_sensitive};
pub use service::Service;
pub use socket::Socket;
pub use stop::Stop;
