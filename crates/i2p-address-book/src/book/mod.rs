//! The address book and its store.

mod address_book;
mod apply;
mod bounded_list;
mod entry;
mod import;
mod ledger;
mod limits;
mod open;
mod record;
mod similar;
mod store;
mod subscriptions;
mod time;

pub use address_book::AddressBook;
pub use entry::{BookEntry, Conflict};
pub use limits::Limits;
pub use similar::difference;
pub use subscriptions::FeedState;
