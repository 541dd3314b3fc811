use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use i2p_name::I2pName;
use zeroize::Zeroizing;

use super::protocol::OutproxyProtocol;

/// A way out of I2P, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutproxyDefinition {
    /// Its name in routes, logs and metrics.
    pub name: Arc<str>,
    /// Where it is.
    pub at: OutproxyAt,
    /// What it speaks.
    pub protocol: OutproxyProtocol,
    /// Who we are to it.
    pub credentials: Option<OutproxyCredentials>,
    /// Whether requests that are kept apart from each other come with credentials of their own, made up for that, so that
    /// an outproxy such as Tor can keep them apart too. Means nothing where there are [`credentials`](Self::credentials), in HTTP,
    /// and over I2P, where such requests come from different destinations.
    pub pass_isolation: bool,
}

/// Where an outproxy is. No variant holds a host of the DNS: nothing of ours resolves names, and whom an outproxy is reached
/// by is not to depend on who answers a plain DNS query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutproxyAt {
    /// In I2P: a name and a port, where 0 is "any".
    I2p(I2pName, u16),
    /// Over TCP, outside I2P: addresses of one and the same program, tried in turn.
    Tcp(Vec<SocketAddr>),
    /// At a Unix socket.
    Unix(PathBuf),
}

/// Username and password. SOCKS5 has room for 255 bytes of each (RFC 1929), and Basic authentication for no colon in the
/// username.
#[derive(Clone, PartialEq, Eq)]
pub struct OutproxyCredentials {
    /// The username.
    pub username: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// Without them.
impl fmt::Debug for OutproxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutproxyCredentials(..)")
    }
}
