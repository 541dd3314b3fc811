//! Which clients a tunnel serves.

use std::sync::Arc;

use socks_wire::auth::{Credentials, Isolation};
use zeroize::Zeroizing;

use super::{
    identity::{ClientAddress, ClientProtocol},
    users::{Users, Verdict},
};

/// Which clients a tunnel serves, and what it tells them.
#[derive(Debug, Clone, Default)]
pub struct AccessPolicy {
    /// The protocols that clients are allowed to speak.
    pub protocols: Protocols,
    /// The credentials that clients have to send.
    pub authentication: Authentication,
    /// Whether a SOCKS5 client that offers to go without credentials does so, even if it also offers credentials. Such a client is
    /// not isolated by credentials.
    pub prefer_no_authentication: bool,
    /// Whether SOCKS5 replies use Tor's extended error codes (proposal 304) where one fits. RFC 1928 does not have them.
    pub extended_errors: bool,
    /// URL of the status page, shown to people who open the proxy's address in a browser.
    pub status_page: Option<Arc<str>>,
}

impl AccessPolicy {
    /// For contained programs, whose clients are let in by the file permissions of their socket. Each sends the credentials of its run,
    /// and has to know each failure as exactly as possible.
    pub(crate) fn of_contained_programs() -> Self {
        Self {
            protocols: Protocols::SOCKS5,
            authentication: Authentication::AnyPassword,
            prefer_no_authentication: false,
            extended_errors: true,
            status_page: None,
        }
    }
}

/// The set of protocols that clients are allowed to speak. Default: all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set with names")]
pub struct Protocols {
    /// SOCKS4, whose requests name an address.
    pub socks4: bool,
    /// SOCKS4a, whose requests name a host.
    pub socks4a: bool,
    /// SOCKS5.
    pub socks5: bool,
    /// HTTP CONNECT.
    pub http_connect: bool,
    /// Other HTTP requests, which name a URL.
    pub http: bool,
}

impl Default for Protocols {
    fn default() -> Self {
        Self { socks4: true, socks4a: true, socks5: true, http_connect: true, http: true }
    }
}

impl Protocols {
    /// No protocol.
    pub const NONE: Self =
        Self { socks4: false, socks4a: false, socks5: false, http_connect: false, http: false };
    /// What the process outside of a contained program speaks.
    pub(crate) const SOCKS5: Self = Self { socks5: true, ..Self::NONE };

    pub(crate) fn has(self, protocol: ClientProtocol) -> bool {
        match protocol {
            ClientProtocol::Socks4 => self.socks4,
            ClientProtocol::Socks4a => self.socks4a,
            ClientProtocol::Socks5 => self.socks5,
            ClientProtocol::HttpConnect => self.http_connect,
            ClientProtocol::Http => self.http,
            // The listener decides.
            ClientProtocol::Transparent | ClientProtocol::Dns => true,
        }
    }
}

/// The credentials that clients have to send.
#[derive(Debug, Clone, Default)]
pub enum Authentication {
    /// None. Credentials only isolate clients from each other; they grant no access.
    #[default]
    Isolation,
    /// The name and password of one of these users. SOCKS4 clients are refused, since SOCKS4 has no passwords.
    Required(Users),
    /// Any name and password, but not none: they isolate the client.
    AnyPassword,
}

impl Authentication {
    /// Takes over from `before`, the policy that this one replaces, which passwords have been verified, so that they are not
    /// checked again. See [`Users::with_verified_from`].
    #[must_use]
    pub fn with_verified_from(self, before: &Self) -> Self {
        match (self, before) {
            (Self::Required(users), Self::Required(before)) => {
                Self::Required(users.with_verified_from(before))
            }
            (other, _) => other,
        }
    }

    /// The authentication that SOCKS5 method selection asks for (RFC 1928 section 3). `asks_first`: a client that offers several
    /// methods is asked for its credentials, if it may do without.
    pub(crate) fn negotiation(&self, asks_first: bool) -> socks_wire::Authentication {
        match self {
            Self::Isolation if asks_first => socks_wire::Authentication::Isolation,
            Self::Isolation => socks_wire::Authentication::IsolationLast,
            Self::Required(_) | Self::AnyPassword => socks_wire::Authentication::Required,
        }
    }

    /// Whether passwords can be wrong.
    pub(crate) fn has_users(&self) -> bool {
        matches!(self, Self::Required(_))
    }

    /// Whether clients without credentials are allowed.
    pub(crate) fn allows_anonymous(&self) -> bool {
        matches!(self, Self::Isolation)
    }

    /// Checks the credentials of a client.
    ///
    /// Credentials in a form of Tor's extensions that is not implemented here are refused, as Tor refuses them: they may ask for
    /// isolation that the client would not get.
    pub(crate) fn check(
        &self,
        client: ClientAddress,
        credentials: &Credentials<'_>,
    ) -> impl Future<Output = Verdict> + Send + use<> {
        let unchecked = match credentials.isolation() {
            Isolation::Unsupported => Verdict::Wrong,
            _ => Verdict::Right,
        };
        let required = match self {
            Self::Isolation | Self::AnyPassword => None,
            Self::Required(users) => {
                let password = Zeroizing::new(credentials.password.to_vec());
                Some((users.clone(), credentials.username.to_vec(), password))
            }
        };
        async move {
            match required {
                // Boxed: the future is large and rarely runs.
                Some((users, name, password)) => Box::pin(users.verdict(client, &name, &password)).await,
                None => unchecked,
            }
        }
    }
}
