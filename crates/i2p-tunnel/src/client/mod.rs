//! Who a client is, and whether it is served: its identity, what keeps it apart from others, credentials, access rules, shares.
//!
//! Imports limits and nothing else of this crate: it knows no sockets, sessions or requests.

mod admission;
mod identity;
mod isolation;
mod rules;
mod terms;
mod users;

pub use self::{
    admission::{Admission, Caps},
    identity::{Client, ClientAddress, ClientCredentials, ClientProtocol},
    isolation::{Isolate, IsolationKey},
    rules::DatagramRules,
    terms::{Authentication, Protocols, Terms},
    users::{EntryError, Users, UsersError},
};
