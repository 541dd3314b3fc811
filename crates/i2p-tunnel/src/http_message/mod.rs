//! Requests of HTTP/1.1 (RFC 9112), checked strictly and without I/O, and which fields of a message end at the proxy.
//!
//! Imports nothing from this crate. What passes here has one meaning only: the next parser, however lenient, finds the same
//! head and the same end of the body.

mod chunked;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod head;
mod hop_by_hop;
mod refusal;
mod requests;
mod scanner;
mod syntax;

#[cfg(feature = "fuzzing")]
pub use self::fuzzing::check_http_requests;
pub(crate) use self::{
    head::{Framing, HTTP_PORT, RequestHead, parse_url},
    hop_by_hop::{remove_hop_by_hop, upgrade_token},
    refusal::Refusal,
    requests::{Event, Requests},
    syntax::{MAX_BUFFER_BYTES, MAX_FIELDS},
};
