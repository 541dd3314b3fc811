//! The admin endpoint: its listener, its paths and the status page.
//! May import `config`, `status`, `pac` and `control` (its HTTP server); never `daemon` or `commands`.

mod host;
pub(crate) mod listen;
mod page;
pub(crate) mod routes;
