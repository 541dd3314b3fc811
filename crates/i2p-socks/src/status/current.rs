//! What runs now, as a reload may replace it.

use i2p_sam::Bridge;
use i2p_tunnel::{AddressPool, DatagramPool, Outproxies, SessionPool};

use crate::{pac::ProxyAutoConfig, place::Place};

/// What a reload may replace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Current {
    /// Where it listens.
    pub(crate) places: Vec<Place>,
    /// The router that builds them.
    pub(crate) bridge: Option<Bridge>,
    /// Its sessions.
    pub(crate) pools: Vec<OwnedPool>,
    /// How many of them there may be.
    pub(crate) max_sessions: usize,
    /// Its virtual addresses.
    pub(crate) addresses: Option<AddressPool>,
    /// Its ways out of I2P.
    pub(crate) outproxies: Outproxies,
    /// What it says to browsers.
    pub(crate) proxy_auto_config: ProxyAutoConfig,
}

/// A pool, and the tunnel that has it for itself, if one has.
#[derive(Debug, Clone)]
pub(crate) struct OwnedPool {
    pub(crate) tunnel: Option<String>,
    pub(crate) pool: SessionPool,
    /// Where its datagrams come from, if it has any.
    pub(crate) datagrams: Option<DatagramPool>,
}
