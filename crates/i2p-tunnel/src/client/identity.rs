use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use socks_wire::{
    auth::{Credentials, Isolation},
    stream::OwnedRequest,
};

/// Where a client connects from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientAddress {
    /// Over TCP, from this address.
    Ip(IpAddr),
    /// Over a Unix socket, as this user.
    User(u32),
}

/// Identifies the client: wrap it in `Sensitive` before logging it.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::User(user) => write!(f, "user {user}"),
        }
    }
}

/// The client that a share of a limited resource belongs to: an IPv4 address, the /64 network of an IPv6 address, since a single
/// machine usually has a whole one, or a user of this machine.
///
/// Neither credentials nor the listener count, since a client can invent any number of credentials. `Debug` never identifies the
/// client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientOrigin(ClientAddress);

impl From<ClientAddress> for ClientOrigin {
    fn from(client: ClientAddress) -> Self {
        Self(match client {
            ClientAddress::Ip(IpAddr::V6(address)) => {
                let network = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
                // An IPv4 address in IPv6 is one client, not all of them.
                ClientAddress::Ip(address.to_ipv4_mapped().map_or(network.into(), IpAddr::V4))
            }
            other => other,
        })
    }
}

impl fmt::Debug for ClientOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientOrigin(..)")
    }
}

/// The credentials that a client sent. Two of different variants are never equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ClientCredentials {
    /// The client sent none.
    #[default]
    None,
    /// The user id of SOCKS4.
    UserId(Vec<u8>),
    /// Username and password of SOCKS5 (RFC 1929) or HTTP (RFC 7617). Both are compared.
    Password(Vec<u8>, Vec<u8>),
    /// The password sent with the username `<torS0X>0` (Tor's SOCKS extensions, section 1).
    Tor(Vec<u8>),
}

impl ClientCredentials {
    /// Takes the credentials of a SOCKS request.
    pub(crate) fn of(request: &OwnedRequest) -> Self {
        match &request.credentials {
            Some((username, password)) => Self::of_password(&Credentials { username, password }),
            None if request.user_id.is_empty() => Self::None,
            None => Self::UserId(request.user_id.clone()),
        }
    }

    /// Takes a username and a password, and recognises Tor's form of them.
    pub(crate) fn of_password(credentials: &Credentials<'_>) -> Self {
        match credentials.isolation() {
            Isolation::Tor(credentials) => Self::Tor(credentials.password.to_vec()),
            _ => Self::Password(credentials.username.to_vec(), credentials.password.to_vec()),
        }
    }
}

/// The protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientProtocol {
    /// SOCKS4: requests name an IPv4 address.
    Socks4,
    /// SOCKS4a: requests name a host.
    Socks4a,
    /// SOCKS5 (RFC 1928).
    Socks5,
    /// HTTP CONNECT (RFC 9110 section 9.3.6).
    HttpConnect,
}

/// The client of a request. `Debug` never identifies it.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// Where it connects from.
    pub address: ClientAddress,
    /// The listener that it connected to, as the configuration writes it.
    pub listener: Arc<str>,
    /// The protocol that it speaks.
    pub protocol: ClientProtocol,
    /// The credentials that it sent.
    pub credentials: ClientCredentials,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
