//! The admin endpoint: where it listens, which pages it has, and what they look like.
//! May import `status`, `control` (for HTTP) and `pac`; never `daemon` or `commands`.

mod host;
pub(crate) mod listen;
mod page;
pub(crate) mod routes;
