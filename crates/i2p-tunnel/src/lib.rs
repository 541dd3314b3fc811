#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod account;
mod client;
mod connection;
mod dial;
mod failure;
mod filtering;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http_message;
mod limits;
mod listen;
mod log_throttle;
pub mod metrics;
mod names;
mod outproxy;
mod route;
mod sensitive;
mod sessions;
mod stream;

pub use account::{Account, DatagramCounts, DropReason, RecentFailure, SeenLeak};
pub use client::{
    AccessPolicy, Admission, Authentication, BookAccess, Caps, Client, ClientAddress, ClientCredentials,
    ClientOrigin, ClientProtocol, DatagramPolicy, EntryError, HeaderPolicy, Isolate, IsolationKey,
    LocalClients, MalformedLine, PerClient, Protocols, SessionPolicy, Users, UsersError,
};
pub use connection::{ChosenNames, JumpService, Service, SiteStreams, datagram_descriptors, serve};
pub use dial::{
    DatagramSender, Datagrams, Dial, IncomingStream, Listening, NoDatagrams, NoListening, ReceivedDatagram,
    SessionMark,
};
pub use failure::{ConnectError, Failure, FailureRow};
pub use filtering::{
    FilterProtocol, FilterRule, FilterVerdict, Filtering, Filters, Leak, LeakGuardPolicy, LeakPatterns,
    Machine, OwnMachine, filter_of_port,
};
pub use limits::{Limit, Limits, SessionLimits};
#[cfg(unix)]
pub use listen::SocketFile;
pub use listen::{
    BindCause, BindError, BoundAddress, InheritedSockets, Interception, ListenAt, Listeners,
    SocketPermissions,
};
pub use log_throttle::LogThrottle;
pub use metrics::Metrics;
pub use names::{
    AddressLease, AddressOwner, AddressPool, BookAnswer, KnownName, LastResort, LookupIdentity, NameBook,
    NameCache, NameOrigin, NameSource, OpenStreams, Resolver, ResolverTimes, is_own_host, name_of,
    target_to_dial,
};
pub use outproxy::{
    DuplicateOutproxy, Outproxies, OutproxyAt, OutproxyCredentials, OutproxyDatagrams, OutproxyDefinition,
    OutproxyFault, OutproxyProtocol, OutproxyStatus, Routing, UnknownOutproxy, UnknownOutproxyProtocol,
};
pub use route::{
    AnyHostPattern, Comparison, HostPattern, HostPatternError, HostPatternKind, LOCAL_DOMAINS,
    LOCAL_NETWORKS, OutsideHost, PortSet, PortSetError, Route, Routes, Verdict, Via,
};
pub use sensitive::{Sensitive, show_sensitive};
pub use sessions::{
    DatagramOptions, DatagramPool, DatagramSessionStatus, PoolOptions, SamDatagrams, SamDialler,
    SamListening, SessionOwner, SessionPool, SessionStatus,
};
pub use stream::{
    ClientFin, HalfClosedStream, Hold, Layer, OpenStream, SharedStage, Side, Socket, Stage, Stop,
};
