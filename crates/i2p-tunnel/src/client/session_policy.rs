use std::sync::Arc;

use i2p_name::Target;

use super::{
    identity::Client,
    isolation::{Isolate, IsolationKey},
};

/// How a tunnel's clients use I2P sessions.
#[derive(Debug, Clone, Default)]
pub struct SessionPolicy {
    /// Which properties of requests isolate them.
    pub isolate: Isolate,
    /// The tunnel's name, if it shares sessions with no other tunnel.
    pub dedicated: Option<Arc<str>>,
    /// Whether peers may open streams to clients that wait with BIND. The sessions must be published then.
    pub incoming: bool,
}

impl SessionPolicy {
    /// Returns the isolation key of a request for `target` and `port`.
    #[must_use]
    pub fn key(&self, client: &Client, target: &Target, port: u16) -> IsolationKey {
        IsolationKey::new(self.isolate, self.dedicated.clone(), client, target, port)
    }

    /// Returns the isolation key of a client for requests without a target: its datagrams, and the peers that connect to it.
    /// `None` if requests are isolated by host, site or port, since one session cannot serve several of them.
    #[must_use]
    pub fn client_key(&self, client: &Client) -> Option<IsolationKey> {
        let Isolate { dest_host, site, dest_port, .. } = self.isolate;
        (!dest_host && !site && !dest_port)
            .then(|| IsolationKey::of_client(self.isolate, self.dedicated.clone(), client))
    }
}
