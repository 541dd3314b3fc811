#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
#[cfg(unix)]
mod handed_streams;
mod host_names;
mod known_routers;
mod private_network;
#[cfg(unix)]
mod process;
mod progress;
mod reseed;
mod router;
mod runtime;
mod sockets;
mod state_dir;
mod storage;
mod thread;

pub use error::Error;
pub use host_names::{HostNames, HostTable};
pub use private_network::{PrivateNetwork, PrivateNetworkBuilder};
#[cfg(unix)]
pub use process::{
    ProcessCondition, ProcessStatus, RouterProcess, RouterProcessBuilder, SamConnector, run_child,
};
pub use progress::{Progress, Stopped};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use reseed::fuzzing;
pub use router::{EmbeddedRouter, EmbeddedRouterBuilder};
