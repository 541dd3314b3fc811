#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accepting;
mod account;
mod addresses;
mod admission;
mod bind;
mod connection;
mod datagrams;
mod dial;
mod failure;
mod failure_log;
mod handshake;
mod http;
mod incoming;
mod inherited;
mod isolation;
mod limits;
mod listener;
pub mod metrics;
mod opened;
mod outcome;
mod outproxy;
mod pool;
mod refusal;
mod relay;
mod remedy;
mod rendezvous;
mod resolve;
mod resolver;
mod route;
mod routed_dialler;
mod sam_dial;
mod sam_dialler;
mod sensitive;
mod service;
mod session_names;
mod socket;
mod stop;
mod target;
mod terms;
#[cfg(unix)]
mod unix_socket;
mod users;

pub use accepting::serve;
pub use account::Account;
pub use addresses::{AddressLease, AddressPool};
pub use admission::{Admission, Caps};
pub use datagrams::{
    DatagramCounts, DatagramOptions, DatagramPool, DatagramRules, DatagramSessionStatus, Datagrams, Dropped,
    Seat, WaysOut,
};
pub use dial::Dial;
pub use failure::{Failure, Row};
pub use failure_log::RecentFailure;
pub use incoming::Incoming;
pub use inherited::Inherited;
pub use isolation::{Client, ClientAddress, ClientCredentials, ClientProtocol, Isolate, IsolationKey};
pub use limits::{Limit, Limits, SessionLimits};
pub use listener::{BindCause, BindError, BoundAddress, ListenAt, Listeners, Permissions};
pub use metrics::Metrics;
pub use opened::{ClientEnd, Opened};
pub use outproxy::{
    Outproxies, OutproxyAt, OutproxyCredentials, OutproxyDefinition, OutproxyProtocol, OutproxyStatus,
    OutproxyTrouble, TwoOutproxies,
};
pub use pool::{Lease, PoolFull, PoolOptions, SessionPool, SessionStatus, Wait};
pub use resolver::{LastResort, NameSource, Resolver, ResolverTimes};
pub use route::{
    Comparison, HostPattern, HostPatternError, Hosts, LOCAL_DOMAINS, LOCAL_NETWORKS, Outside, Ports,
    PortsError, Routes, Rule, Verdict, Via,
};
pub use routed_dialler::{RoutedDialler, UnknownOutproxy};
pub use sam_dialler::{SamDialler, Tunnel};
pub use sensitive::{Sensitive, show_sensitive};
pub use service::Service;
pub use socket::Socket;
pub use stop::Stop;
pub use terms::{Authentication, Protocols, Terms};
#[cfg(unix)]
pub use unix_socket::SocketFile;
pub use users::{EntryError, Users, UsersError};
