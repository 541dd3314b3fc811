//! The network of the namespace: its TUN device, its addresses and routes, and the listener of the gate.
//!
//! [`Link::open`] makes all of it inside the network namespace of the calling thread, which has to be an empty one. The descriptors
//! can then be handed to a process outside ([`Link::into_descriptors`], [`Link::from_descriptors`]): a descriptor stays with the
//! namespace in which it was made. Every other copy of the device has to be closed. Then the device is gone once the process that
//! drives the network is, and new connections fail. A program gets no error on an open connection while it waits for data there, so
//! the programs have to be ended then, as [`sandbox`](crate::sandbox) does.

#[cfg(target_os = "linux")]
mod connect_timeout;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod routes;
mod settings;

#[cfg(target_os = "linux")]
pub use self::descriptors::{Descriptors, Link};
#[cfg(not(target_os = "linux"))]
pub use self::elsewhere::Link;
pub use self::settings::{LinkError, LinkSettings, MTU};
