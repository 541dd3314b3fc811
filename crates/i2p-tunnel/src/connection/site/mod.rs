//! Streams to web sites: one that speaks HTTP, and those that are kept for the next request.

mod request_body;
mod stream;
mod unused;

pub use self::unused::SiteStreams;
pub(crate) use self::{request_body::RequestBody, stream::SiteStream, unused::SiteKey};
