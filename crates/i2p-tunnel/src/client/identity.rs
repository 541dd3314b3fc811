use std::{fmt, net::IpAddr, sync::Arc};

use socks_wire::{
    auth::{Credentials, Isolation},
    stream::OwnedRequest,
};

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
    None,
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
            None if request.user_id.is_empty() => Self::None,
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
