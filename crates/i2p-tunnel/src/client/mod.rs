//! Clients: their identity and credentials, the isolation between them, who is allowed to use a tunnel, and how many connections
//! each may open.
//!
//! Imports only `limits`. It knows no sockets, sessions or requests.

mod access;
mod admission;
mod datagram_policy;
mod expendable;
mod identity;
mod identity_table;
mod isolation;
mod session_policy;
mod users;

pub use self::{
    access::{AccessPolicy, Authentication, Protocols},
    admission::{Admission, Caps},
    datagram_policy::DatagramPolicy,
    identity::{Client, ClientAddress, ClientCredentials, ClientProtocol},
    isolation::{Isolate, IsolationKey},
    session_policy::SessionPolicy,
    users::{EntryError, Users, UsersError},
};
pub(crate) use self::{admission::Admitted, identity_table::IdentityTable};
