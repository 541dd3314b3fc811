//! Who a client is, and whether it is served: its identity, what keeps it apart from others, credentials, access rules, shares.
//!
//! Imports limits and nothing else of this crate: it knows no sockets, sessions or requests.

mod access;
mod admission;
mod datagram_policy;
mod identity;
mod isolation;
mod users;

pub use self::{
    access::{AccessPolicy, Authentication, Protocols},
    admission::{Admission, Caps},
    datagram_policy::DatagramPolicy,
    identity::{Client, ClientAddress, ClientCredentials, ClientProtocol},
    isolation::{Isolate, IsolationKey},
    users::{EntryError, Users, UsersError},
};
