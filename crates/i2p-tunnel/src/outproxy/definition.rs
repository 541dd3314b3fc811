use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use i2p_name::I2pName;
use zeroize::Zeroizing;

use super::protocol::OutproxyProtocol;

/// The definition of an outproxy in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutproxyDefinition {
    /// Its name in routes, logs and metrics.
    pub name: Arc<str>,
    /// Where it is reached.
    pub at: OutproxyAt,
    /// The protocol that it speaks.
    pub protocol: OutproxyProtocol,
    /// The credentials to send, if it requires any.
    pub credentials: Option<OutproxyCredentials>,
    /// Whether isolated requests are sent with separate made-up credentials, so that an outproxy such as Tor can isolate them
    /// too. It has no effect if there are [`credentials`](Self::credentials), with HTTP, and over I2P, where isolated requests
    /// come from different destinations.
    pub pass_isolation: bool,
}

/// Where an outproxy is reached. There is no variant for a DNS name: this crate never queries DNS, since the DNS server would
/// decide which outproxy is used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutproxyAt {
    /// In I2P, at a name and a port; port 0 means any port.
    I2p(I2pName, u16),
    /// Over TCP, outside I2P. The addresses belong to one program and are tried in turn.
    Tcp(Vec<SocketAddr>),
    /// At a Unix socket.
    Unix(PathBuf),
}

/// A username and a password. SOCKS5 allows at most 255 bytes each (RFC 1929). Basic authentication allows no colon in the
/// username.
#[derive(Clone, PartialEq, Eq)]
pub struct OutproxyCredentials {
    /// The username.
    pub username: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Shows neither the username nor the password.
impl fmt::Debug for OutproxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutproxyCredentials(..)")
    }
}
