use std::{fmt, sync::Arc};

use crate::{
    account::Account,
    client::{AccessPolicy, Admission, Client, DatagramPolicy, SessionPolicy},
    limits::Limits,
    names::{AddressOwner, AddressPool},
    outproxy::Routing,
};

/// What a tunnel does for its clients: all that a connection needs to know. Connections keep the one that they began with.
pub struct Service<D> {
    /// The tunnel's name, as the configuration has it.
    pub name: Arc<str>,
    /// The way into I2P.
    pub dialler: D,
    /// Which hosts outside I2P are reached, and through which outproxies. By default none.
    pub routing: Routing,
    /// The virtual addresses; tunnels may share them.
    pub addresses: AddressPool,
    /// How long a connection may take over what.
    pub limits: Limits,
    /// How its clients use I2P sessions.
    pub sessions: SessionPolicy,
    /// What is done with datagrams, where the dialler has a way for them.
    pub datagrams: DatagramPolicy,
    /// What its clients come to.
    pub account: Arc<Account>,
    /// Whom it serves.
    pub access: AccessPolicy,
    /// How many it serves; tunnels share one.
    pub admission: Admission,
}

impl<D> Service<D> {
    /// A service with the default limits.
    pub fn new(name: impl Into<Arc<str>>, dialler: D, addresses: AddressPool) -> Self {
        Self {
            name: name.into(),
            dialler,
            routing: Routing::default(),
            addresses,
            limits: Limits::default(),
            sessions: SessionPolicy::default(),
            datagrams: DatagramPolicy::default(),
            account: Arc::default(),
            access: AccessPolicy::default(),
            admission: Admission::default(),
        }
    }

    /// The owner of the virtual addresses that this client gets and uses.
    pub(crate) fn address_owner(&self, client: &Client) -> AddressOwner {
        AddressOwner::of_client(client)
    }

    /// With an account that somebody reads.
    #[must_use]
    pub fn with_account(self, account: Arc<Account>) -> Self {
        Self { account, ..self }
    }

    /// With routes to hosts outside I2P.
    #[must_use]
    pub fn with_routing(self, routing: Routing) -> Self {
        Self { routing, ..self }
    }

    /// With other rules for sessions.
    #[must_use]
    pub fn with_sessions(self, sessions: SessionPolicy) -> Self {
        Self { sessions, ..self }
    }

    /// With other rules for datagrams.
    #[must_use]
    pub fn with_datagrams(self, datagrams: DatagramPolicy) -> Self {
        Self { datagrams, ..self }
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// On other terms.
    #[must_use]
    pub fn with_access(self, access: AccessPolicy) -> Self {
        Self { access, ..self }
    }

    /// With other caps, or with those of other tunnels.
    #[must_use]
    pub fn with_admission(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }
}

impl<D> fmt::Debug for Service<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}
