#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod addresses;
mod connection;
mod dial;
mod failure;
mod failure_log;
mod http_page;
mod isolation;
mod limits;
mod listener;
mod outproxy;
mod pool;
mod relay;
mod resolve;
mod resolver;
mod route;
mod routed_dialler;
mod sam_dialler;
mod service;
mod socket;
mod target;

pub use addresses::{AddressLease, AddressPool};
pub use dial::{ClientEnd, Dial, Opened};
pub use failure::{Failure, Row};
pub use isolation::{Client, ClientAddress, ClientCredentials, Isolate, IsolationKey};
pub use limits::{Limits, SessionLimits};
pub use listener::{BindError, Listeners, serve};
pub use outproxy::{
    Outproxies, OutproxyAt, OutproxyCredentials, OutproxyDefinition, OutproxyProtocol, OutproxyStatus,
    OutproxyTrouble, TwoOutproxies,
};
pub use pool::{Lease, PoolFull, PoolOptions, SessionPool, SessionStatus, Wait};
pub use resolver::{NameSource, Resolver, ResolverTimes};
pub use route::{
    Comparison, HostPattern, HostPatternError, Outside, Ports, PortsError, Routes, Rule, Verdict, Via,
};
pub use routed_dialler::{RoutedDialler, UnknownOutproxy};
pub use sam_dialler::{SamDialler, Tunnel};
pub use service::Service;
pub use socket::Socket;
