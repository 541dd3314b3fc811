#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod connection;
mod dial;
mod failure;
mod failure_log;
mod http_page;
mod limits;
mod listener;
mod relay;
mod sam_dialler;

pub use dial::Dial;
pub use failure::{Failure, Row};
pub use limits::Limits;
pub use listener::{BindError, Listeners, serve};
pub use sam_dialler::SamDialler;
