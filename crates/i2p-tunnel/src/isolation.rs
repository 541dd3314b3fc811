use std::{fmt, net::IpAddr, sync::Arc};

use i2p_name::Target;
use socks_wire::{
    auth::{Credentials, Isolation},
    stream::OwnedRequest,
};

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
        Self { client: true, socks_auth: true, ..Self::NOTHING }
    }
}

impl Isolate {
    /// All requests share one session.
    pub const NOTHING: Self = Self {
        client: false,
        socks_auth: false,
        listener: false,
        dest_host: false,
        dest_port: false,
        protocol: false,
    };
}

/// Where a client comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddress {
    /// Over TCP, from this address.
    Ip(IpAddr),
    /// Over a Unix socket, as this user.
    User(u32),
}

/// For a log that may say it.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::User(user) => write!(f, "user {user}"),
        }
    }
}

/// What a client said of itself. The kinds are never equal to each other.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ClientCredentials {
    /// Nothing.
    #[default]
    Nothing,
    /// The user id of SOCKS4.
    UserId(Vec<u8>),
    /// Username and password of SOCKS5 or HTTP, which count together.
    Password(Vec<u8>, Vec<u8>),
    /// The password that came with the username `<torS0X>0` (Tor's SOCKS extensions, section 1).
    Tor(Vec<u8>),
}

impl ClientCredentials {
    pub(crate) fn of(request: &OwnedRequest) -> Self {
        match &request.credentials {
            Some((username, password)) => Self::of_password(&Credentials { username, password }),
            None if request.user_id.is_empty() => Self::Nothing,
            None => Self::UserId(request.user_id.clone()),
        }
    }

    pub(crate) fn of_password(credentials: &Credentials<'_>) -> Self {
        match credentials.isolation() {
            Isolation::Tor(credentials) => Self::Tor(credentials.password.to_vec()),
            _ => Self::Password(credentials.username.to_vec(), credentials.password.to_vec()),
        }
    }
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientProtocol {
    /// SOCKS4, with an address.
    Socks4,
    /// SOCKS4a, with a host name.
    Socks4a,
    /// SOCKS5.
    Socks5,
    /// HTTP CONNECT.
    HttpConnect,
}

/// Who makes a request, and by which way. What is said of clients in logs is nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// Where it comes from.
    pub address: ClientAddress,
    /// The listener that it came to, as the configuration names it.
    pub listener: Arc<str>,
    /// The protocol that it speaks.
    pub protocol: ClientProtocol,
    /// What it said of itself.
    pub credentials: ClientCredentials,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("protocol", &self.protocol).finish_non_exhaustive()
    }
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
            if isolate.socks_auth { client.credentials.clone() } else { ClientCredentials::Nothing };
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
            (Isolate { client: true, ..Isolate::NOTHING }, |client, _, _| {
                client.address = ClientAddress::Ip([127, 0, 0, 2].into());
            }),
            (Isolate { socks_auth: true, ..Isolate::NOTHING }, |client, _, _| {
                client.credentials = ClientCredentials::Password(b"u".to_vec(), b"q".to_vec());
            }),
            (Isolate { listener: true, ..Isolate::NOTHING }, |client, _, _| client.listener = "b".into()),
            (Isolate { dest_host: true, ..Isolate::NOTHING }, |_, host, _| *host = "other.i2p"),
            (Isolate { dest_port: true, ..Isolate::NOTHING }, |_, _, port| *port = 81),
            (Isolate { protocol: true, ..Isolate::NOTHING }, |client, _, _| {
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
            IsolationKey::new(Isolate::NOTHING, Some(tunnel.into()), &client(), &host, 80)
        };
        assert!(named("a") != named("b") && named("a") != key(Isolate::NOTHING, &client(), "host.i2p", 80));
        assert!(named("a") == IsolationKey::of_tunnel("a".into()));
    }
}
