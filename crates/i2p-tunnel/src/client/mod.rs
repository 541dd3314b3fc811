//! Clients: their identity and credentials, the isolation between them, who is allowed to use a tunnel, and how many connections
//! each may open. [`shares`] is the one place that says how clients share what is limited.
//!
//! Imports only `limits`. It knows no sockets, sessions or requests.

mod access;
mod admission;
mod book_access;
mod datagram_policy;
mod expendable;
mod header_policy;
mod identity;
mod identity_table;
mod isolation;
mod rate;
mod session_policy;
mod shares;
mod site;
mod users;

pub use self::{
    access::{AccessPolicy, Authentication, Protocols},
    admission::{Admission, Caps, PerClient},
    book_access::BookAccess,
    datagram_policy::DatagramPolicy,
    header_policy::HeaderPolicy,
    identity::{Client, ClientAddress, ClientCredentials, ClientOrigin, ClientProtocol, LocalClients},
    isolation::{Isolate, IsolationKey},
    session_policy::SessionPolicy,
    users::{EntryError, MalformedLine, Users, UsersError},
};
pub(crate) use self::{
    admission::Admitted,
    identity_table::IdentityTable,
    rate::ClientRate,
    shares::{FullShare, HeldSession, full_share, holds_all, others_unused_to_close, own_unused_to_close},
    users::Verdict,
};
