//! Host names: where they are looked up, the address book that is kept of them, its feeds, and the part of the control socket that
//! is about it. `service` runs in the proxy; `client` is the commands' side.
//! May import `config` and `control`; never `daemon` or `commands`.

pub(crate) mod book;
pub(crate) mod client;
mod feeds;
mod fetch;
pub(crate) mod handlers;
mod jump;
mod own_client;
pub(crate) mod question;
mod schedule;
pub(crate) mod service;
