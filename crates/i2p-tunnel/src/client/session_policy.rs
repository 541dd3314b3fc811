use std::sync::Arc;

use i2p_name::Target;

use super::{
    identity::Client,
    isolation::{Isolate, IsolationKey},
};

/// How a tunnel's clients use I2P sessions.
#[derive(Debug, Clone, Default)]
pub struct SessionPolicy {
    /// What keeps requests apart.
    pub isolate: Isolate,
    /// The tunnel's name, if it shares sessions with no other tunnel.
    pub dedicated: Option<Arc<str>>,
    /// Whether peers may open streams to clients, with BIND. The sessions have to be published then.
    pub incoming: bool,
}

impl SessionPolicy {
    /// Returns what keeps a request apart from others.
    #[must_use]
    pub fn key(&self, client: &Client, target: &Target, port: u16) -> IsolationKey {
        IsolationKey::new(self.isolate, self.dedicated.clone(), client, target, port)
    }

    /// Returns what keeps a client apart from others where it asks for no host in particular: its datagrams, and the peers that
    /// connect to it. `None` where hosts or ports are kept apart, since one session cannot serve several of them.
    #[must_use]
    pub fn client_key(&self, client: &Client) -> Option<IsolationKey> {
        let Isolate { dest_host, dest_port, .. } = self.isolate;
        (!dest_host && !dest_port)
            .then(|| IsolationKey::of_client(self.isolate, self.dedicated.clone(), client))
    }
}
