use std::{fmt, sync::Arc};

use i2p_name::Target;

use super::identity::{Client, ClientAddress, ClientCredentials, ClientProtocol};

/// Which circumstances of a request keep it apart from others: two that differ in one of these never share an I2P session, so
/// that no destination can tell that they come from the same proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isolate {
    /// The client's address, or its user where it comes through a Unix socket.
    pub client: bool,
    /// What it said of itself: username and password of SOCKS5 and HTTP, user id of SOCKS4.
    pub socks_auth: bool,
    /// The address that it connected to.
    pub listener: bool,
    /// The host that it asks for.
    pub dest_host: bool,
    /// The port that it asks for.
    pub dest_port: bool,
    /// The protocol that it speaks.
    pub protocol: bool,
}

impl Default for Isolate {
    /// By client and by what it said of itself.
    fn default() -> Self {
        Self { client: true, socks_auth: true, ..Self::NONE }
    }
}

impl Isolate {
    /// All requests share one session.
    pub const NONE: Self = Self {
        client: false,
        socks_auth: false,
        listener: false,
        dest_host: false,
        dest_port: false,
        protocol: false,
    };
}

/// What keeps a request apart. Equal keys share a session, different ones never do.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct IsolationKey {
    tunnel: Option<Arc<str>>,
    client: Option<ClientAddress>,
    credentials: ClientCredentials,
    listener: Option<Arc<str>>,
    dest_host: Option<Target>,
    dest_port: Option<u16>,
    protocol: Option<ClientProtocol>,
}

impl IsolationKey {
    /// The key of a request by these rules; `tunnel` is the name of a tunnel that shares its sessions with no other.
    #[must_use]
    pub fn new(
        isolate: Isolate,
        tunnel: Option<Arc<str>>,
        client: &Client,
        target: &Target,
        port: u16,
    ) -> Self {
        Self {
            dest_host: isolate.dest_host.then(|| target.clone()),
            dest_port: isolate.dest_port.then_some(port),
            ..Self::of_client(isolate, tunnel, client)
        }
    }

    /// The key of what is asked of no host in particular: the one of a client.
    #[must_use]
    pub fn of_client(isolate: Isolate, tunnel: Option<Arc<str>>, client: &Client) -> Self {
        let credentials =
            if isolate.socks_auth { client.credentials.clone() } else { ClientCredentials::None };
        Self {
            tunnel,
            client: isolate.client.then_some(client.address),
            credentials,
            listener: isolate.listener.then(|| Arc::clone(&client.listener)),
            dest_host: None,
            dest_port: None,
            protocol: isolate.protocol.then_some(client.protocol),
        }
    }

    /// The one key of a tunnel that keeps nothing apart.
    #[must_use]
    pub fn of_tunnel(tunnel: Arc<str>) -> Self {
        Self { tunnel: Some(tunnel), ..Self::default() }
    }
}

/// Without what it consists of: that is who asks, and for what.
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

    /// Each field counts where it is asked for, and only there.
    #[test]
    fn every_field_by_itself() {
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
    fn the_kinds_of_credentials_are_never_equal() {
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
    }

    #[test]
    fn a_tunnel_of_its_own_shares_with_nobody() {
        let named = |tunnel: &str| {
            let host = Target::parse(b"host.i2p").unwrap();
            IsolationKey::new(Isolate::NONE, Some(tunnel.into()), &client(), &host, 80)
        };
        assert!(named("a") != named("b") && named("a") != key(Isolate::NONE, &client(), "host.i2p", 80));
        assert!(named("a") == IsolationKey::of_tunnel("a".into()));
    }
}
