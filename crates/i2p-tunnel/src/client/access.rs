//! Whom a tunnel serves.

use std::sync::Arc;

use socks_wire::auth::{Credentials, Isolation};

use super::{
    identity::{ClientAddress, ClientProtocol},
    users::Users,
};

/// Whom a tunnel serves, and in which words.
#[derive(Debug, Clone, Default)]
pub struct AccessPolicy {
    /// The protocols that clients may speak.
    pub protocols: Protocols,
    /// What clients have to say of themselves.
    pub authentication: Authentication,
    /// Whether SOCKS5 clients are told codes that RFC 1928 does not have, where one of Tor's fits (proposal 304).
    pub extended_errors: bool,
    /// Where a person who comes with a browser can read how the proxy does: a URL.
    pub status_page: Option<Arc<str>>,
}

/// Protocols that clients may speak; all of them, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set with names")]
pub struct Protocols {
    /// SOCKS4: to addresses.
    pub socks4: bool,
    /// SOCKS4a: to names.
    pub socks4a: bool,
    /// SOCKS5.
    pub socks5: bool,
    /// HTTP, and of that CONNECT only.
    pub http_connect: bool,
}

impl Default for Protocols {
    fn default() -> Self {
        Self { socks4: true, socks4a: true, socks5: true, http_connect: true }
    }
}

impl Protocols {
    /// No protocol.
    pub const NONE: Self = Self { socks4: false, socks4a: false, socks5: false, http_connect: false };

    pub(crate) fn has(self, protocol: ClientProtocol) -> bool {
        match protocol {
            ClientProtocol::Socks4 => self.socks4,
            ClientProtocol::Socks4a => self.socks4a,
            ClientProtocol::Socks5 => self.socks5,
            ClientProtocol::HttpConnect => self.http_connect,
        }
    }
}

/// What clients have to say of themselves.
#[derive(Debug, Clone, Default)]
pub enum Authentication {
    /// Anything or nothing: credentials say who a client is, not whether it may come in.
    #[default]
    Isolation,
    /// The name and the password of one of these users. SOCKS4, which has no passwords, is refused.
    Required(Users),
}

impl Authentication {
    /// This, in the place of another: users who have come in before need not be checked again.
    #[must_use]
    pub fn with_verified_from(self, before: &Self) -> Self {
        match (self, before) {
            (Self::Required(users), Self::Required(before)) => {
                Self::Required(users.with_verified_from(before))
            }
            (other, _) => other,
        }
    }

    /// What a SOCKS5 client is asked for.
    pub(crate) fn negotiation(&self) -> socks_wire::Authentication {
        match self {
            Self::Isolation => socks_wire::Authentication::Isolation,
            Self::Required(_) => socks_wire::Authentication::Required,
        }
    }

    /// Whether a client may come in that says nothing of itself.
    pub(crate) fn judge_nothing(&self) -> bool {
        matches!(self, Self::Isolation)
    }

    /// Whether a client with these credentials may come in. Those in a form of Tor's that nobody here understands are
    /// refused, as Tor does: they may ask for something that would not be done.
    pub(crate) fn judge(
        &self,
        client: ClientAddress,
        credentials: &Credentials<'_>,
    ) -> impl Future<Output = bool> + Send + use<> {
        let understood = credentials.isolation() != Isolation::Unsupported;
        let asked = match self {
            Self::Isolation => None,
            Self::Required(users) => {
                Some((users.clone(), credentials.username.to_vec(), credentials.password.to_vec()))
            }
        };
        async move {
            match asked {
                // Large, and rarely run.
                Some((users, name, password)) => Box::pin(users.check(client, &name, &password)).await,
                None => understood,
            }
        }
    }
}
