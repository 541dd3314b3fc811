//! The running parts that the status is read from.

use std::sync::Arc;

use i2p_sam::{Bridge, Error, SessionState};
use i2p_tunnel::{AddressPool, DatagramPool, Outproxies, SessionPool};

use super::{address_book::AddressBookSource, own_router::OwnRouterSource};
use crate::{listener::Listener, pac::ProxyAutoConfig};

/// The running parts. A reload replaces them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActiveParts {
    /// The listeners.
    pub(crate) listeners: Vec<Listener>,
    /// The SAM bridge of the router.
    pub(crate) bridge: Option<Bridge>,
    /// The router, if the proxy runs it itself.
    pub(crate) own_router: Option<OwnRouterSource>,
    /// What is wrong with the address book.
    pub(crate) address_book: Option<AddressBookSource>,
    /// The session pools.
    pub(crate) pools: Vec<TunnelPool>,
    /// Warnings about the configuration.
    pub(crate) warnings: Vec<String>,
    /// The tunnels that `exec` can use.
    pub(crate) exec: Vec<String>,
    /// The tunnels with a persistent identity.
    pub(crate) persistent_keys: Vec<String>,
    /// The maximum of sessions.
    pub(crate) max_sessions: usize,
    /// The virtual addresses.
    pub(crate) addresses: Option<AddressPool>,
    /// The outproxies.
    pub(crate) outproxies: Outproxies,
    /// The settings for `proxy.pac`.
    pub(crate) proxy_auto_config: ProxyAutoConfig,
}

impl ActiveParts {
    /// The names of the tunnels, in the order of their listeners.
    pub(super) fn tunnels(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for listener in &self.listeners {
            if !names.contains(&listener.tunnel.as_str()) {
                names.push(&listener.tunnel);
            }
        }
        names
    }

    /// Why a session is not built, if that is because of the SAM bridge.
    pub(super) fn bridge_failure(&self) -> Option<Arc<Error>> {
        let sessions = self.pools.iter().flat_map(|owned| owned.pool.sessions());
        sessions.filter_map(|session| last_error(&session.state).cloned()).find(|error| error.is_of_bridge())
    }

    /// The pool that a tunnel uses: its own, or the one that tunnels share.
    pub(super) fn pool_of(&self, tunnel: &str) -> Option<&TunnelPool> {
        let of = |owner: Option<&str>| self.pools.iter().find(|owned| owned.tunnel.as_deref() == owner);
        of(Some(tunnel)).or_else(|| of(None))
    }
}

/// A session pool, and the tunnel that it belongs to; `None` if tunnels share it.
#[derive(Debug, Clone)]
pub(crate) struct TunnelPool {
    pub(crate) tunnel: Option<String>,
    pub(crate) pool: SessionPool,
    /// Its sessions for datagrams, if it has any.
    pub(crate) datagrams: Option<DatagramPool>,
}

/// Why the last attempt to build a session failed, if it did.
pub(super) fn last_error(state: &SessionState) -> Option<&Arc<Error>> {
    match state {
        SessionState::Waiting { error, .. } => Some(error),
        SessionState::Building { error, .. } => error.as_ref(),
        _ => None,
    }
}
