use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use i2p_name::Target;

use super::{
    identity::{Client, ClientAddress, ClientCredentials, ClientOrigin, ClientProtocol},
    site::Site,
};

/// Which properties of a request isolate it. Two requests that differ in a chosen property never share an I2P session, so that
/// destinations cannot link them to the same proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isolate {
    /// The client's address, or its user if it connects through a Unix socket.
    pub client: bool,
    /// The client's credentials: username and password of SOCKS5 and HTTP, user id of SOCKS4.
    pub socks_auth: bool,
    /// The listener that the client connected to.
    pub listener: bool,
    /// The requested host.
    pub dest_host: bool,
    /// The site of the requested host, or of the page that asks for it where the client says so.
    pub site: bool,
    /// The requested port.
    pub dest_port: bool,
    /// The protocol that the client speaks.
    pub protocol: bool,
}

impl Default for Isolate {
    /// By client and credentials.
    fn default() -> Self {
        Self { client: true, socks_auth: true, ..Self::NONE }
    }
}

impl Isolate {
    /// No isolation: all requests share one session.
    pub const NONE: Self = Self {
        client: false,
        socks_auth: false,
        listener: false,
        dest_host: false,
        site: false,
        dest_port: false,
        protocol: false,
    };
}

/// Identifies the session of a request: equal keys share a session, different keys never do.
///
/// It also carries the [origin](Self::origin) of the request, which is not compared.
#[derive(Clone, Default)]
pub struct IsolationKey {
    properties: Properties,
    origin: Option<ClientOrigin>,
}

/// The properties that isolate a request.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
struct Properties {
    tunnel: Option<Arc<str>>,
    client: Option<ClientAddress>,
    credentials: ClientCredentials,
    listener: Option<Arc<str>>,
    dest_host: Option<Target>,
    site: Option<Site>,
    dest_port: Option<u16>,
    protocol: Option<ClientProtocol>,
}

impl IsolationKey {
    /// Builds the key of a request for `target` and `port`. `tunnel` names a tunnel that shares its sessions with no other tunnel.
    #[must_use]
    pub fn new(
        isolate: Isolate,
        tunnel: Option<Arc<str>>,
        client: &Client,
        target: &Target,
        port: u16,
    ) -> Self {
        let mut key = Self::of_client(isolate, tunnel, client);
        key.properties.dest_host = isolate.dest_host.then(|| target.clone());
        key.properties.site = isolate.site.then(|| Site::of(target));
        key.properties.dest_port = isolate.dest_port.then_some(port);
        key
    }

    /// Builds the key of a client for requests without a target, such as BIND and UDP ASSOCIATE.
    #[must_use]
    pub fn of_client(isolate: Isolate, tunnel: Option<Arc<str>>, client: &Client) -> Self {
        // A run is one client, whatever else isolates: several processes can have one identity by name.
        let is_run = client.credentials.is_of_run();
        let credentials =
            if isolate.socks_auth || is_run { client.credentials.clone() } else { ClientCredentials::None };
        let properties = Properties {
            tunnel,
            client: (isolate.client && !is_run).then_some(client.address),
            credentials,
            listener: isolate.listener.then(|| Arc::clone(&client.listener)),
            dest_host: None,
            site: None,
            dest_port: None,
            protocol: isolate.protocol.then_some(client.protocol),
        };
        Self { properties, origin: Some(client.address.into()) }
    }

    /// The same key for a request that a page of this host makes. If it is isolated by site, the site is that of the page.
    #[must_use]
    pub fn for_page(mut self, page: &Target) -> Self {
        if let Some(site) = &mut self.properties.site {
            *site = Site::of(page);
        }
        self
    }

    /// Builds the single key of a dedicated tunnel without isolation.
    #[must_use]
    pub fn of_tunnel(tunnel: Arc<str>) -> Self {
        Self { properties: Properties { tunnel: Some(tunnel), ..Properties::default() }, origin: None }
    }

    /// The properties that keep its session apart from others, in the words of `isolate` in the configuration, and `exec` for the run
    /// of a contained program. Their values, which identify the client, are not among them.
    #[must_use]
    pub fn kept_apart_by(&self) -> Vec<&'static str> {
        let Properties { tunnel: _, client, credentials, listener, dest_host, site, dest_port, protocol } =
            &self.properties;
        let present = [
            ("client", client.is_some()),
            ("socks-auth", *credentials != ClientCredentials::None && !credentials.is_of_run()),
            ("exec", credentials.is_of_run()),
            ("listener", listener.is_some()),
            ("dest-host", dest_host.is_some()),
            ("site", site.is_some()),
            ("dest-port", dest_port.is_some()),
            ("protocol", protocol.is_some()),
        ];
        present.into_iter().filter(|(_, present)| *present).map(|(word, _)| word).collect()
    }

    /// Whether it keeps clients apart that send different credentials, and is the key of clients that send this user ID or username.
    pub(crate) fn is_of_user(&self, user: &[u8]) -> bool {
        self.properties.credentials.user() == Some(user)
    }

    /// Whether clients with different addresses, or users of this machine, never share it.
    pub(crate) fn keeps_clients_apart(&self) -> bool {
        self.properties.client.is_some()
    }

    /// Whether only clients that send the same credentials share it.
    pub(crate) fn keeps_credentials_apart(&self) -> bool {
        self.properties.credentials != ClientCredentials::None
    }

    /// Whether it is of the same client, whatever host, site or port either is for.
    pub(crate) fn is_of_client_of(&self, other: &Self) -> bool {
        let without_target = |key: &Self| Properties {
            dest_host: None,
            site: None,
            dest_port: None,
            ..key.properties.clone()
        };
        without_target(self) == without_target(other)
    }

    /// The client that makes the request. What the request uses counts towards the share of this client, even if the key does
    /// not isolate clients. `None`: the program itself makes it.
    #[must_use]
    pub fn origin(&self) -> Option<ClientOrigin> {
        self.origin
    }
}

impl PartialEq for IsolationKey {
    fn eq(&self, other: &Self) -> bool {
        self.properties == other.properties
    }
}

impl Eq for IsolationKey {}

impl Hash for IsolationKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.properties.hash(state);
    }
}

impl PartialOrd for IsolationKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IsolationKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.properties.cmp(&other.properties)
    }
}

/// Shows no field: they identify the client and its target.
impl fmt::Debug for IsolationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolationKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use socks_wire::stream::OwnedRequest;

    use super::*;

    fn client() -> Client {
        Client {
            address: ClientAddress::Ip([127, 0, 0, 1].into()),
            listener: "a".into(),
            protocol: ClientProtocol::Socks5,
            credentials: ClientCredentials::Password(b"u".to_vec(), b"p".to_vec()),
        }
    }

    fn key(isolate: Isolate, client: &Client, host: &str, port: u16) -> IsolationKey {
        IsolationKey::new(isolate, None, client, &Target::parse(host.as_bytes()).unwrap(), port)
    }

    type Change = fn(&mut Client, &mut &str, &mut u16);

    /// A property changes the key if and only if the rule names it.
    #[test]
    fn each_property_isolates_only_when_chosen() {
        let fields: [(Isolate, Change); 6] = [
            (Isolate { client: true, ..Isolate::NONE }, |client, _, _| {
                client.address = ClientAddress::Ip([127, 0, 0, 2].into());
            }),
            (Isolate { socks_auth: true, ..Isolate::NONE }, |client, _, _| {
                client.credentials = ClientCredentials::Password(b"u".to_vec(), b"q".to_vec());
            }),
            (Isolate { listener: true, ..Isolate::NONE }, |client, _, _| client.listener = "b".into()),
            (Isolate { dest_host: true, ..Isolate::NONE }, |_, host, _| *host = "other.i2p"),
            (Isolate { dest_port: true, ..Isolate::NONE }, |_, _, port| *port = 81),
            (Isolate { protocol: true, ..Isolate::NONE }, |client, _, _| {
                client.protocol = ClientProtocol::HttpConnect;
            }),
        ];
        for (rule, (isolate, _)) in fields.iter().enumerate() {
            for (field, (_, change)) in fields.iter().enumerate() {
                let (mut changed, mut host, mut port) = (client(), "host.i2p", 80);
                change(&mut changed, &mut host, &mut port);
                let equal = key(*isolate, &client(), "host.i2p", 80) == key(*isolate, &changed, host, port);
                assert_eq!(equal, rule != field, "rule {rule}, field {field}");
            }
        }
    }

    #[test]
    fn a_site_isolates_as_that_of_the_page_if_there_is_one() {
        let target = |host: &str| Target::parse(host.as_bytes()).unwrap();
        let by_site = |host: &str| key(Isolate { site: true, ..Isolate::NONE }, &client(), host, 80);
        assert!(by_site("a.b.i2p") == by_site("b.i2p") && by_site("b.i2p") != by_site("c.i2p"));
        assert!(by_site("pictures.i2p").for_page(&target("www.b.i2p")) == by_site("b.i2p"));
        let by_nothing = |host: &str| key(Isolate::NONE, &client(), host, 80);
        assert!(by_nothing("pictures.i2p").for_page(&target("b.i2p")) == by_nothing("c.i2p"));
        assert_eq!(by_site("b.i2p").kept_apart_by(), ["site"]);
    }

    #[test]
    fn the_sites_of_a_client_are_found_together_and_those_of_others_are_not() {
        let isolate = Isolate { site: true, dest_host: true, dest_port: true, ..Isolate::default() };
        let (anna, mut bert) = (client(), client());
        bert.credentials = ClientCredentials::None;
        let (a, b) = (key(isolate, &anna, "a.i2p", 80), key(isolate, &anna, "b.i2p", 81));
        assert!(a != b && a.is_of_client_of(&b));
        assert!(!a.is_of_client_of(&key(isolate, &bert, "a.i2p", 80)));
        assert!(!a.is_of_client_of(&IsolationKey::of_tunnel("x".into())));
    }

    #[test]
    fn credentials_of_different_kinds_are_never_equal() {
        let of = |user_id: &[u8], credentials: Option<(&[u8], &[u8])>| {
            ClientCredentials::of(&OwnedRequest {
                protocol: socks_wire::Protocol::Socks5,
                command: socks_wire::Command::CONNECT,
                address: socks_wire::stream::OwnedAddress::Domain(b"x".to_vec()),
                port: 0,
                user_id: user_id.to_vec(),
                credentials: credentials.map(|(username, password)| (username.to_vec(), password.to_vec())),
            })
        };
        let all = [
            of(b"", None),
            of(b"x", None),
            of(b"", Some((b"x", b""))),
            of(b"", Some((b"", b"x"))),
            of(b"", Some((b"<torS0X>0", b"x"))),
            of(b"", Some((b"<torS0X>0", b""))),
        ];
        for (a, left) in all.iter().enumerate() {
            for (b, right) in all.iter().enumerate() {
                assert_eq!(left == right, a == b, "{a} and {b}");
            }
        }
        assert!(of(b"", Some((b"<torS0X>0", b"x"))) == ClientCredentials::Tor(b"x".to_vec()));
        let runs = all.each_ref().map(|credentials| credentials.clone().of_run());
        for (run, as_run) in all.iter().zip(&runs) {
            assert!(run != as_run && !runs[..].contains(run), "no ordinary client is a run");
        }
    }

    #[test]
    fn a_run_is_one_client_whatever_isolates_the_others() {
        let run = |process, identity: &[u8]| Client {
            address: ClientAddress::Contained(process),
            credentials: ClientCredentials::Password(b"u".to_vec(), identity.to_vec()).of_run(),
            ..client()
        };
        let all = Isolate { client: true, socks_auth: true, ..Isolate::NONE };
        for isolate in [Isolate::NONE, Isolate { client: true, ..Isolate::NONE }, all] {
            let of = |client: &Client| key(isolate, client, "a.i2p", 80);
            assert!(of(&run(1, b"p")) == of(&run(2, b"p")), "two processes, one identity");
            assert!(of(&run(1, b"p")) != of(&run(1, b"q")));
            assert!(of(&run(1, b"p")) != of(&client()), "the same name and password of another client");
            assert!(!of(&run(1, b"p")).is_of_user(b"u"));
            assert_eq!(of(&run(1, b"p")).kept_apart_by(), ["exec"]);
        }
        let by_host = Isolate { dest_host: true, ..Isolate::NONE };
        assert!(key(by_host, &run(1, b"p"), "a.i2p", 80) != key(by_host, &run(1, b"p"), "b.i2p", 80));
    }

    #[test]
    fn a_dedicated_tunnel_shares_its_key_with_no_other() {
        let dedicated = |tunnel: &str| {
            let host = Target::parse(b"host.i2p").unwrap();
            IsolationKey::new(Isolate::NONE, Some(tunnel.into()), &client(), &host, 80)
        };
        assert!(
            dedicated("a") != dedicated("b")
                && dedicated("a") != key(Isolate::NONE, &client(), "host.i2p", 80)
        );
        assert!(dedicated("a") == IsolationKey::of_tunnel("a".into()));
    }
}
