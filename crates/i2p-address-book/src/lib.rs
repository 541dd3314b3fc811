#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod book;
mod error;
pub mod feed;
mod import;
mod signature;
mod source;

pub use book::{AddressBook, BookEntry, Conflict, FeedState, Limits};
pub use error::BookError;
pub use import::{Refusal, Refused, Report};
pub use source::{FeedName, Source};
