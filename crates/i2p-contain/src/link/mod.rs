//! The network of the namespace: its TUN device, its addresses and routes, and the listener of the gate.
//!
//! [`Link::open`] makes all of it inside the network namespace of the calling thread, which has to be an empty one. The descriptors
//! can then be handed to a process outside ([`Link::into_descriptors`], [`Link::from_descriptors`]): a descriptor stays with the
//! namespace in which it was made. Every other copy of the device has to be closed. Then programs get errors, and do not hang, once
//! the process that drives the network is gone.

#[cfg(target_os = "linux")]
mod connect_timeout;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod routes;

use std::{io, time::Duration};

#[cfg(target_os = "linux")]
pub use self::descriptors::{Descriptors, Link};
#[cfg(not(target_os = "linux"))]
pub use self::elsewhere::Link;

/// The largest IP packet of the device. So the kernel makes no fragments, and segments are large without any offload.
pub const MTU: u16 = 65_535;

/// Settings of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkSettings {
    /// After how long the kernel reports `ETIMEDOUT` if a SYN stays unanswered: 3 to 130 whole seconds. Before Linux 6.5, the next of
    /// 3, 7, 15, 31, 63 and 127 seconds.
    ///
    /// It should be a little longer than a dial may take. No packet can make `connect` report `ETIMEDOUT`, so the kernel's own limit
    /// has to.
    pub connect_timeout: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(127) }
    }
}

/// Why the network could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// There is no TUN device.
    #[error(
        "/dev/net/tun is missing; load it with `modprobe tun`, or give it to the container (`--device /dev/net/tun`)"
    )]
    NoDevice,
    /// The TUN device may not be opened.
    #[error(
        "/dev/net/tun may not be opened by this user; allow it with `chmod 666 /dev/net/tun`, as udev does"
    )]
    DeviceForbidden,
    /// The TUN device could not be made.
    #[error("could not make a TUN device: {0}")]
    Device(#[source] io::Error),
    /// Addresses, routes or interfaces could not be set.
    #[error("could not set up {what}: {reason}")]
    Setup {
        /// What was being set.
        what: &'static str,
        /// What the kernel says.
        reason: String,
    },
    /// The listener could not be made.
    #[error("could not listen inside the namespace: {0}")]
    Listener(#[source] io::Error),
    /// Another system than Linux.
    #[error("programs can be contained on Linux only")]
    NotLinux,
}
