#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod book;
mod error;
pub mod feed;
mod report;
mod signature;
mod source;

pub use book::{AddressBook, BookEntry, Conflict, FeedState, Limits, difference};
pub use error::BookError;
pub use report::{ImportReport, LineRefusal, RefusedLine};
pub use source::{FeedName, Source};
