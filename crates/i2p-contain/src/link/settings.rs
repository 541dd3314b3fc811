//! What can be set of a network, and why one cannot be made.

use std::{io, time::Duration};

/// The largest IP packet of the device. So the kernel makes no fragments, and segments are large without any offload.
pub const MTU: u16 = 65_535;

/// Settings of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkSettings {
    /// After how long the kernel reports `ETIMEDOUT` if a SYN stays unanswered: 3, 7, 15, 31, 63 or 127 seconds, the next of them that
    /// is not shorter, and 127 at most.
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
    /// No runtime, or one that may go on in another thread, which may have another namespace.
    #[error("the network has to be made in a current-thread runtime")]
    Runtime,
    /// Another system than Linux.
    #[error("programs can be contained on Linux only")]
    NotLinux,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Limits;

    #[test]
    fn connect_waits_longer_than_a_dial_may_take() {
        assert!(LinkSettings::default().connect_timeout > Limits::default().dial);
    }
}
