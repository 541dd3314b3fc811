#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod address_book;
mod error;
mod known_routers;
mod private_network;
mod progress;
mod reseed;
mod router;
mod runtime;
mod sockets;
mod state_dir;
mod storage;
mod thread;

pub use address_book::{AddressBook, HostNames};
pub use error::Error;
pub use private_network::{PrivateNetwork, PrivateNetworkBuilder};
pub use progress::{Progress, Stopped};
pub use router::{EmbeddedRouter, EmbeddedRouterBuilder};
