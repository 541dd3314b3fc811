//! Host names: the address book, its feeds, jump services, and the handlers for them on the control socket. `service` runs in the
//! proxy; `client` is the side of the commands.
//! May import `config`, `control`, `files` and `command_error`; never `daemon` or `commands`.

pub(crate) mod book;
pub(crate) mod client;
mod feeds;
mod fetch;
pub(crate) mod handlers;
mod jump;
mod jump_link;
pub(crate) mod lookup;
mod open_book;
mod own_client;
mod pages;
pub(crate) mod protocol;
mod schedule;
pub(crate) mod service;
pub(crate) mod well_known;
