#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod account;
mod client;
mod connection;
mod dial;
mod failure;
mod limits;
mod listen;
pub mod metrics;
mod names;
mod outproxy;
mod route;
mod sensitive;
mod sessions;
mod stream;

pub use account::{Account, DatagramCounts, Dropped, RecentFailure};
pub use client::{
    Admission, Authentication, Caps, Client, ClientAddress, ClientCredentials, ClientProtocol, DatagramRules,
    EntryError, Isolate, IsolationKey, Protocols, Terms, Users, UsersError,
};
pub use connection::{Service, datagram_descriptors, serve};
pub use dial::{Dial, RoutedDialler, UnknownOutproxy};
pub use failure::{Failure, Row};
pub use limits::{Limit, Limits, SessionLimits};
#[cfg(unix)]
pub use listen::SocketFile;
pub use listen::{BindCause, BindError, BoundAddress, Inherited, ListenAt, Listeners, Permissions};
pub use metrics::Metrics;
pub use names::{AddressLease, AddressPool, LastResort, NameSource, Resolver, ResolverTimes};
pub use outproxy::{
    Outproxies, OutproxyAt, OutproxyCredentials, OutproxyDefinition, OutproxyProtocol, OutproxyStatus,
    OutproxyTrouble, TwoOutproxies, WaysOut,
};
pub use route::{
    Comparison, HostPattern, HostPatternError, Hosts, LOCAL_DOMAINS, LOCAL_NETWORKS, Outside, Ports,
    PortsError, Routes, Rule, Verdict, Via,
};
pub use sensitive::{Sensitive, show_sensitive};
pub use sessions::{
    DatagramOptions, DatagramPool, DatagramSessionStatus, Datagrams, Incoming, Lease, PoolFull, PoolOptions,
    SamDialler, Seat, SessionPool, SessionStatus, Tunnel, Wait,
};
pub use stream::{ClientEnd, Opened, Socket, Stop};
