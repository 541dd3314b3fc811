use std::{fmt, sync::Arc};

use i2p_name::{I2pName, Target};

use super::{chosen_names::ChosenNames, site::SiteStreams};
use crate::{
    account::Account,
    client::{
        AccessPolicy, Admission, BookAccess, Client, ClientAddress, ClientCredentials, DatagramPolicy,
        HeaderPolicy, IsolationKey, LocalClients, SessionPolicy,
    },
    dial::Dial,
    filtering::Filtering,
    limits::Limits,
    names::{AddressOwner, AddressPool, NameBook},
    outproxy::Routing,
};

/// A web site in I2P that may know the destination of a host name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpService {
    /// Its host, for people.
    pub host: String,
    /// The URL of a question, to which the name is appended.
    pub url: String,
}

/// What a tunnel provides to its clients: everything that a connection needs. A connection keeps the service that it started
/// with.
pub struct Service<D> {
    /// The tunnel's name in the configuration.
    pub name: Arc<str>,
    /// The way into I2P.
    pub dialler: D,
    /// Routes to hosts outside I2P and the outproxies for them. There are none by default.
    pub routing: Routing,
    /// The virtual addresses. Tunnels may share them.
    pub addresses: AddressPool,
    /// Time limits of a connection.
    pub limits: Limits,
    /// How its clients use I2P sessions.
    pub sessions: SessionPolicy,
    /// How its clients use datagrams, if the dialler carries any.
    pub datagrams: DatagramPolicy,
    /// What happens to the header fields of plain HTTP.
    pub headers: HeaderPolicy,
    /// How its streams are filtered.
    pub filtering: Filtering,
    /// Counts what happens to its clients.
    pub account: Arc<Account>,
    /// Which clients it serves.
    pub access: AccessPolicy,
    /// How many clients it serves. Tunnels share one.
    pub admission: Admission,
    /// How clients on this machine are told apart.
    pub local_clients: LocalClients,
    /// Jump services that error pages of plain HTTP link to, if a name is unknown.
    pub jump_services: Arc<[JumpService]>,
    /// The names that the proxy's own pages show and keep; `None`: they know no name.
    pub name_book: Option<Arc<dyn NameBook>>,
    /// Which clients may read the address book and keep names in it.
    pub book_access: BookAccess,
    /// Names that clients have followed address helpers for, without keeping them.
    pub chosen_names: ChosenNames,
    /// Streams to web sites that are kept for further requests.
    pub site_streams: SiteStreams,
}

impl<D> Service<D> {
    /// Creates a service with default settings.
    pub fn new(name: impl Into<Arc<str>>, dialler: D, addresses: AddressPool) -> Self {
        Self {
            name: name.into(),
            dialler,
            routing: Routing::default(),
            addresses,
            limits: Limits::default(),
            sessions: SessionPolicy::default(),
            datagrams: DatagramPolicy::default(),
            headers: HeaderPolicy::default(),
            filtering: Filtering::default(),
            account: Arc::default(),
            access: AccessPolicy::default(),
            admission: Admission::default(),
            local_clients: LocalClients::default(),
            jump_services: Arc::default(),
            name_book: None,
            book_access: BookAccess::default(),
            chosen_names: ChosenNames::default(),
            site_streams: SiteStreams::default(),
        }
    }

    /// The owner of the virtual addresses that this client gets and uses. If credentials do not keep clients apart, they do not
    /// keep their addresses apart either.
    pub(crate) fn address_owner(&self, client: &Client) -> AddressOwner {
        if self.sessions.isolate.socks_auth {
            return AddressOwner::of_client(client);
        }
        AddressOwner::of_client(&Client { credentials: ClientCredentials::None, ..client.clone() })
    }

    /// The address of a client of this tunnel's transparent and DNS listeners, and their name. They are one listener, since what one
    /// tells a client is used at another.
    pub(crate) fn gateway_client(&self, address: ClientAddress) -> (ClientAddress, Arc<str>) {
        (address.with_local(self.local_clients).of_gateway(), format!("gateway of {}", self.name).into())
    }

    /// What is dialled for a target: the destination that the client has chosen for it, or the target itself.
    pub(crate) fn chosen(&self, key: &IsolationKey, target: &Target) -> Target
    where
        D: Dial,
    {
        let Target::I2p(I2pName::Host(name)) = target else { return target.clone() };
        let chosen = self.chosen_names.find(key, || self.dialler.session_now(key), name);
        chosen.map_or_else(|| target.clone(), Target::I2p)
    }

    /// The methods that SOCKS5 clients can choose from. A client that offers to go without credentials goes without where they
    /// would decide nothing: some programs offer credentials that they do not have, and give up when asked for them.
    pub(crate) fn methods_for(&self, access: &AccessPolicy) -> socks_wire::Authentication {
        let isolates = self.sessions.isolate.socks_auth;
        access.authentication.negotiation(isolates && !access.prefer_no_authentication)
    }

    /// The same service for contained programs, at [their listener](crate::Listeners::bind_for_contained_programs). Its clients need no
    /// password. Each is isolated by the username and password that it sends, whatever the tunnel isolates by, and gets Tor's extended
    /// codes for failures. Its streams get the filter of their port if no rule matches.
    #[must_use]
    pub fn for_contained_programs(self) -> Self {
        let filtering = Filtering { by_port: true, ..self.filtering };
        Self { access: AccessPolicy::of_contained_programs(), filtering, ..self }
    }

    /// Sets how clients on this machine are told apart.
    #[must_use]
    pub fn with_local_clients(self, local_clients: LocalClients) -> Self {
        Self { local_clients, ..self }
    }

    /// Sets the account that counts what happens to clients.
    #[must_use]
    pub fn with_account(self, account: Arc<Account>) -> Self {
        Self { account, ..self }
    }

    /// Sets the routes to hosts outside I2P.
    #[must_use]
    pub fn with_routing(self, routing: Routing) -> Self {
        Self { routing, ..self }
    }

    /// Sets how clients use I2P sessions.
    #[must_use]
    pub fn with_sessions(self, sessions: SessionPolicy) -> Self {
        Self { sessions, ..self }
    }

    /// Sets how clients use datagrams.
    #[must_use]
    pub fn with_datagrams(self, datagrams: DatagramPolicy) -> Self {
        Self { datagrams, ..self }
    }

    /// Sets what happens to the header fields of plain HTTP.
    #[must_use]
    pub fn with_headers(self, headers: HeaderPolicy) -> Self {
        Self { headers, ..self }
    }

    /// Sets how its streams are filtered.
    #[must_use]
    pub fn with_filtering(self, filtering: Filtering) -> Self {
        Self { filtering, ..self }
    }

    /// Sets the jump services that error pages link to.
    #[must_use]
    pub fn with_jump_services(self, jump_services: Arc<[JumpService]>) -> Self {
        Self { jump_services, ..self }
    }

    /// Sets the names that the proxy's own pages show, and which clients may read them and keep others.
    #[must_use]
    pub fn with_name_book(self, name_book: Arc<dyn NameBook>, book_access: BookAccess) -> Self {
        Self { name_book: Some(name_book), book_access, ..self }
    }

    /// Sets the names that clients have chosen before, such as those of the service that this one replaces.
    #[must_use]
    pub fn with_chosen_names(self, chosen_names: ChosenNames) -> Self {
        Self { chosen_names, ..self }
    }

    /// Sets the time limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets which clients are served.
    #[must_use]
    pub fn with_access(self, access: AccessPolicy) -> Self {
        Self { access, ..self }
    }

    /// Sets how many clients are served, or shares this limit with other tunnels.
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
