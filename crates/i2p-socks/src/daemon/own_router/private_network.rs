//! Warns of networks that are not I2P.

use crate::config::PUBLIC_NETWORK;

/// Warns if a router of our own joins a network in which nobody is anonymous.
pub(super) fn warn_of_private_network(network_id: u8) {
    if network_id != PUBLIC_NETWORK {
        tracing::warn!("network {network_id} is a private network, not I2P: nothing in it is anonymous");
    }
}
